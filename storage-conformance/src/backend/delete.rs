//! Removing volumes.

use storage_core::{
    Backend, DeleteVolume, ErrorKind, ExpandVolume, Ownership, Size, UnpublishVolume,
};
use tokio::join;

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{NO_RENAME, Stage, create_on, essence, get_on, publish_on, refused, request};

/// Its name is free and it is nowhere to be seen.
pub async fn a_deleted_volume_is_gone(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("doomed").await;
    let neighbour = stage.create("neighbour").await;
    let outcome = stage.delete(&made).await.expect("delete");
    stage.assert_done(&outcome, "delete");
    assert_eq!(stage.get("doomed").await, None);
    stage.assert_not_listed("doomed").await;
    let beside = stage.get("neighbour").await.expect("still there");
    assert_eq!(essence(&beside), essence(&neighbour));
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// Once more, from any node: so already.
pub async fn deleting_again_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("doomed").await;
    let _outcome = stage.delete(&made).await.expect("delete");
    let again = stage.delete(&made).await.expect("delete again");
    assert!(!again.is_done());
    let elsewhere = stage.another_node().await;
    let volume = made.clone();
    let there = elsewhere.delete(DeleteVolume { volume }).await;
    assert!(!there.expect("delete on another node").is_done());
    Verdict::Passed
}

/// A volume that a host uses is refused with the host's name, and nothing about it changes.
pub async fn a_connected_volume_stays_as_it_is(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("used").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    let result = stage.delete(&made).await;
    let error = refused(result, ErrorKind::FailedPrecondition, "delete in use");
    let text = error.chain().to_string();
    let holder = stage.host(0).object_name();
    assert!(text.contains(&holder), "the host {holder} is named: {text}");
    let seen = stage.get("used").await.expect("still there");
    assert_eq!(essence(&seen), essence(&made));
    stage.assert_alone(&made, &access).await;
    let again = stage.publish(&made, 0).await.expect("publish again");
    assert_eq!(again.get().grant, access.grant);
    Verdict::Passed
}

/// A volume made anew under the name is another one, with nothing of the old one.
pub async fn a_new_volume_has_a_new_identity(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let asked = request("phoenix");
        let made = stage.node.create(asked.clone()).await.expect("create");
        let made = made.into_inner();
        assert!(!ids.contains(&made.id), "an identity is for ever");
        assert_eq!(made.format_grant, asked.format_grant);
        let seen = stage.get("phoenix").await.expect("found");
        assert_eq!(essence(&seen), essence(&made));
        ids.push(made.id.clone());
        let _outcome = stage.delete(&made).await.expect("delete");
    }
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A delete that arrives late, after the name was deleted and made anew, does nothing to the new
/// volume.
pub async fn a_late_delete_spares_the_new_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let old = stage.create("phoenix").await;
    let _outcome = stage.delete(&old).await.expect("delete");
    let new = stage.create("phoenix").await;
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let volume = old.clone();
        let late = node.delete(DeleteVolume { volume }).await;
        assert!(!late.expect("a late delete").is_done());
        let seen = stage.get("phoenix").await.expect("spared");
        assert_eq!(essence(&seen), essence(&new));
    }
    Verdict::Passed
}

/// Nor does any other call that was made for the old volume.
pub async fn other_late_calls_spare_the_new_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let old = stage.create("phoenix").await;
    let _outcome = stage.delete(&old).await.expect("delete");
    let new = stage.create("phoenix").await;

    let late = stage.publish(&old, 1).await;
    refused(late, ErrorKind::NotFound, "a late publish");
    assert_eq!(stage.published(&new).await, []);

    let access = stage.publish(&new, 0).await.expect("publish").into_inner();
    let late = UnpublishVolume {
        volume: old.id.clone(),
        object: old.object.clone(),
        host: stage.host(0),
    };
    let late = stage.node.unpublish(late).await.expect("a late unpublish");
    assert!(!late.is_done());
    stage.assert_alone(&new, &access).await;

    let late = ExpandVolume {
        volume: old.clone(),
        size: Size::from_gib(7),
    };
    if stage.node.capabilities().expand {
        let late = stage.node.expand(late).await;
        refused(late, ErrorKind::NotFound, "a late expand");
    }
    // Its answer does not matter; what it does to the new volume would.
    drop(stage.node.withdraw_format_grant(&old).await);
    let seen = stage.get("phoenix").await.expect("spared");
    assert_eq!(essence(&seen), essence(&new));
    Verdict::Passed
}

/// What carries no record of ours is not ours to delete.
pub async fn an_object_without_record_is_not_deleted(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Missing {
        return Verdict::skipped("the harness cannot add objects past the backend");
    }
    let found = stage.get("legacy").await.expect("found");
    let mut claimed = found.clone();
    claimed.ownership = Ownership::Recorded;
    // The array's word counts, not the caller's.
    for volume in [&found, &claimed] {
        let result = stage.delete(volume).await;
        refused(
            result,
            ErrorKind::FailedPrecondition,
            "delete without record",
        );
        let seen = stage.get("legacy").await.expect("still there");
        assert_eq!(essence(&seen), essence(&found));
    }
    Verdict::Passed
}

/// A cluster that gets hold of another one's volume cannot remove it.
pub async fn another_clusters_volume_is_not_deleted(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    let theirs = create_on(&other, "x").await;
    let outcome = stage.delete(&theirs).await;
    assert!(
        outcome.is_err_and(|error| error.kind() == ErrorKind::FailedPrecondition),
        "another cluster's volume is refused"
    );
    let seen = get_on(&other, "x").await.expect("still there");
    assert_eq!(essence(&seen), essence(&theirs));
    Verdict::Passed
}

/// Nodes that delete one volume at once all succeed, and it is gone.
pub async fn racing_deletes_agree(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let elsewhere = stage.another_node().await;
    for round in 0..4 {
        let text = format!("raced{round}");
        let made = stage.create(&text).await;
        let (volume, again) = (made.clone(), made.clone());
        let (one, two, three) = join!(
            stage.node.delete(DeleteVolume { volume }),
            elsewhere.delete(DeleteVolume { volume: again }),
            stage.delete(&made)
        );
        for result in [one, two, three] {
            let _outcome = result.expect("each delete succeeds");
        }
        assert_eq!(stage.get(&text).await, None);
    }
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A delete that was cut off is gone on with, by any node, and the name is free then.
pub async fn a_delete_that_was_cut_off_is_finished(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("doomed").await;
    let Some(found) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    stage.assert_not_listed("doomed").await;
    let elsewhere = stage.another_node().await;
    let volume = found.clone();
    let _outcome = elsewhere
        .delete(DeleteVolume { volume })
        .await
        .expect("go on");
    assert_eq!(stage.get("doomed").await, None);
    let again = stage.delete(&found).await.expect("delete again");
    assert!(!again.is_done());
    let new = stage.create("doomed").await;
    assert_ne!(new.id, made.id);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A half-removed volume that a host uses is not destroyed: it gets its name back, and the host
/// is named.
pub async fn a_half_removed_volume_in_use_gets_its_name_back(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("used").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    let Some(found) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    let result = stage.delete(&found).await;
    let error = refused(result, ErrorKind::FailedPrecondition, "delete in use");
    let text = error.chain().to_string();
    let holder = stage.host(0).object_name();
    assert!(text.contains(&holder), "the host {holder} is named: {text}");
    let seen = stage.get("used").await.expect("still there");
    assert_eq!(essence(&seen), essence(&made));
    stage.assert_alone(&made, &access).await;
    Verdict::Passed
}

/// A delete that meets a publish: never do both succeed, and what the one that did says is so.
pub async fn a_delete_that_meets_a_publish(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let elsewhere = stage.another_node().await;
    for round in 0..8 {
        let text = format!("raced{round}");
        let made = stage.create(&text).await;
        let volume = made.clone();
        let (published, deleted) = join!(
            publish_on(&stage.node, &made, stage.host(0)),
            elsewhere.delete(DeleteVolume { volume })
        );
        let seen = stage.get(&text).await;
        match (published, deleted) {
            (Ok(_), Ok(_)) => panic!("round {round}: destroyed and published"),
            (Ok(access), Err(_)) => {
                let seen = seen.expect("what is published is there");
                assert_eq!(essence(&seen), essence(&made), "round {round}");
                stage.assert_alone(&made, access.get()).await;
            }
            (Err(_), Ok(_)) => assert_eq!(seen, None, "round {round}: removed is gone"),
            (Err(_), Err(_)) => {
                let seen = seen.expect("nothing happened");
                assert_eq!(seen.id, made.id, "round {round}");
            }
        }
    }
    Verdict::Passed
}
