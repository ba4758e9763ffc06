//! Taking half-removed volumes back.

use storage_core::{Backend, DeleteVolume, ErrorKind, VolumeState};
use tokio::join;

use crate::harness::{Harness, Verdict};
use crate::stage::{NO_RENAME, Stage, create_on, essence, get_on, refused};

/// What a delete left half way is usable again, whole, under its name and with its identity; a
/// second call is so already.
pub async fn a_half_removed_volume_gets_its_name_back(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("wanted").await;
    let Some(found) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    let elsewhere = stage.another_node().await;
    let restored = elsewhere.restore(&found).await.expect("restore");
    stage.assert_done(&restored, "restore");
    let restored = restored.into_inner();
    assert_eq!(restored.state, VolumeState::Ready);
    let seen = stage.get("wanted").await.expect("usable");
    assert_eq!(essence(&seen), essence(&restored));
    assert_eq!(essence(&seen), essence(&made), "nothing else changed");
    assert_eq!(stage.list(None).await.len(), 1);
    for stale in [&found, &seen] {
        let again = stage.node.restore(stale).await.expect("restore again");
        assert!(!again.is_done());
        assert_eq!(essence(again.get()), essence(&made));
    }
    let access = stage.publish(&seen, 0).await.expect("publish").into_inner();
    stage.assert_alone(&seen, &access).await;
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A volume that nobody removed has its name.
pub async fn a_usable_volume_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let outcome = stage.node.restore(&made).await.expect("restore");
    assert!(!outcome.is_done());
    assert_eq!(essence(outcome.get()), essence(&made));
    Verdict::Passed
}

/// What was destroyed stays so: to recover it is the array's administrator's decision. A new
/// volume of the name is not touched.
pub async fn a_removed_volume_is_not_restored(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("phoenix").await;
    let _outcome = stage.delete(&made).await.expect("delete");
    let result = stage.node.restore(&made).await;
    refused(result, ErrorKind::NotFound, "restore after delete");
    assert_eq!(stage.get("phoenix").await, None);
    let new = stage.create("phoenix").await;
    let result = stage.node.restore(&made).await;
    refused(result, ErrorKind::NotFound, "restore of the old one");
    let seen = stage.get("phoenix").await.expect("spared");
    assert_eq!(essence(&seen), essence(&new));
    Verdict::Passed
}

/// A delete that read the volume while it was half removed, and comes after it was taken back,
/// does not destroy it: neither unused nor in use.
pub async fn a_late_delete_spares_the_restored_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("wanted").await;
    let Some(stale) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    let _outcome = stage.node.restore(&stale).await.expect("restore");
    for in_use in [false, true] {
        if in_use {
            let _outcome = stage.publish(&made, 0).await.expect("publish");
        }
        let volume = stale.clone();
        let late = stage.node.inner().delete(DeleteVolume { volume }).await;
        let error = late.expect_err("a late delete is refused");
        let kinds = [ErrorKind::Busy, ErrorKind::FailedPrecondition];
        assert!(
            kinds.contains(&error.kind()) || harness.faulty(),
            "{}",
            error.chain()
        );
        let seen = stage.get("wanted").await.expect("spared");
        assert_eq!(essence(&seen), essence(&made));
    }
    let published = stage.published(&made).await;
    assert_eq!(published.len(), 1, "{published:?}");
    Verdict::Passed
}

/// Another cluster's volume is not there.
pub async fn another_clusters_volume_is_not_restored(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    let theirs = create_on(&other, "x").await;
    let result = stage.node.restore(&theirs).await;
    refused(result, ErrorKind::NotFound, "another cluster's volume");
    let seen = get_on(&other, "x").await.expect("still there");
    assert_eq!(essence(&seen), essence(&theirs));
    Verdict::Passed
}

/// A restore that meets a delete: one of them succeeds, and what it said is so.
pub async fn whichever_comes_first_wins(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let elsewhere = stage.another_node().await;
    for round in 0..8 {
        let text = format!("raced{round}");
        let made = stage.create(&text).await;
        let Some(found) = stage.cut_off_delete(&made).await else {
            return Verdict::skipped(NO_RENAME);
        };
        let volume = found.clone();
        let (restored, deleted) = join!(
            stage.node.restore(&found),
            elsewhere.inner().delete(DeleteVolume { volume })
        );
        let seen = stage.get(&text).await;
        match restored {
            Ok(_) => {
                assert!(deleted.is_err(), "round {round}: both say that they won");
                let seen = seen.expect("a restored volume is there");
                assert_eq!(essence(&seen), essence(&made), "round {round}");
            }
            Err(error) => {
                let text = error.chain().to_string();
                assert_eq!(error.kind(), ErrorKind::NotFound, "round {round}: {text}");
                assert!(deleted.is_ok() || harness.faulty(), "{deleted:?}");
                assert_eq!(seen, None, "round {round}: a removed volume is gone");
            }
        }
    }
    Verdict::Passed
}
