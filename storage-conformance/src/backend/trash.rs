//! What was removed, and having it back. Skipped for backends without a trash.

use std::collections::BTreeSet;

use storage_core::{
    Backend, ErrorKind, ListTrash, Outcome, RecoverVolume, Result, Trash, TrashedVolume, Volume,
    VolumeId, VolumeState,
};
use tokio::join;

use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{NO_RENAME, Stage, create_on, essence, get_on, list_on, name, refused, request};

const NO_TRASH: &str = "the backend has no trash";

/// A trash that is longer than this many pages does not end.
const PAGES_MAX: usize = 1000;

async fn trash_of(node: &Retrying, limit: Option<usize>) -> Vec<TrashedVolume> {
    let trash: &dyn Trash = node;
    let (mut volumes, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = trash.list_trash(ListTrash { after, limit }).await;
        let page = page.expect("list the trash");
        if let Some(limit) = limit {
            assert!(page.volumes.len() <= limit, "a page is within its limit");
        }
        assert!(page.calls > 0, "a page takes calls");
        volumes.extend(page.volumes);
        after = page.next;
        if after.is_none() {
            return volumes;
        }
    }
    panic!("the trash does not end after {PAGES_MAX} pages")
}

async fn trashed(node: &Retrying, volume: &Volume) -> Option<TrashedVolume> {
    let mut all = trash_of(node, None).await.into_iter();
    all.find(|one| one.volume.id == volume.id)
}

async fn recover(node: &Retrying, volume: &Volume, text: Option<&str>) -> Result<Outcome<Volume>> {
    let request = RecoverVolume {
        volume: volume.id.clone(),
        name: text.map(name),
    };
    node.recover(request).await
}

/// Makes a volume and removes it.
async fn removed(stage: &Stage<'_>, text: &str) -> Volume {
    let made = stage.create(text).await;
    let _outcome = stage.delete(&made).await.expect("delete");
    made
}

/// Under the name that its user knew, until it is had back; a volume in use is not there.
pub async fn what_was_removed_is_listed(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    stage.create("kept").await;
    assert_eq!(trash_of(&stage.node, None).await, []);
    let long = "A name that does not fit";
    let made = removed(&stage, long).await;
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let all = trash_of(node, None).await;
        assert_eq!(all.len(), 1, "{all:?}");
        let volume = &all[0].volume;
        assert_eq!((&volume.id, &volume.name), (&made.id, &name(long)));
        assert_eq!(volume.size, made.size);
        assert_ne!(volume.state, VolumeState::Ready);
        assert_ne!(volume.object, made.object, "a remove freed the name");
    }
    Verdict::Passed
}

/// Whatever the size of a page, all pages together hold each volume once.
pub async fn pages_hold_each_removed_volume_once(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let mut made = BTreeSet::new();
    for index in 0..5 {
        stage.create(&format!("kept{index}")).await;
        // One name may be there several times.
        made.insert(removed(&stage, &format!("gone{}", index % 3)).await.id);
    }
    for limit in [None, Some(1), Some(2), Some(5), Some(100)] {
        let all = trash_of(&stage.node, limit).await;
        let ids: BTreeSet<VolumeId> = all.iter().map(|one| one.volume.id.clone()).collect();
        assert_eq!((all.len(), &ids), (made.len(), &made), "limit {limit:?}");
    }
    Verdict::Passed
}

/// It is the volume that it was, format grant and all, reachable by nobody, and works.
pub async fn a_removed_volume_is_recovered(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    for text in ["plain", "A name that does not fit"] {
        let made = removed(&stage, text).await;
        let back = recover(&stage.node, &made, None).await.expect("recover");
        stage.assert_done(&back, "a recover");
        assert_eq!(essence(back.get()), essence(&made));
        let seen = stage.get(text).await.expect("it has its name");
        assert_eq!(essence(&seen), essence(&made));
        assert_eq!(trashed(&stage.node, &made).await, None);
        assert_eq!(stage.published(&seen).await, []);
        let access = stage.publish(&seen, 0).await.expect("publish").into_inner();
        stage.assert_alone(&seen, &access).await;
        assert_eq!(access.format_grant, made.format_grant);
    }
    Verdict::Passed
}

/// A grant that was withdrawn stays withdrawn.
pub async fn a_recover_gives_no_format_grant(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let made = stage.create("formatted").await;
    let withdrawn = stage.node.withdraw_format_grant(&made).await;
    let _outcome = withdrawn.expect("withdraw");
    let _outcome = stage.delete(&made).await.expect("delete");
    for text in [None, Some("other")] {
        let back = recover(&stage.node, &made, text).await.expect("recover");
        assert_eq!(back.get().format_grant, None);
        let _outcome = stage.delete(back.get()).await.expect("delete");
    }
    Verdict::Passed
}

/// `AlreadySo`; and what is in use under another name is refused, not renamed.
pub async fn recovering_again_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let made = removed(&stage, "again").await;
    let _outcome = recover(&stage.node, &made, None).await.expect("recover");
    for text in [None, Some("again")] {
        let again = recover(&stage.node, &made, text).await.expect("again");
        assert!(!again.is_done());
        assert_eq!(essence(again.get()), essence(&made));
    }
    let result = recover(&stage.node, &made, Some("other")).await;
    refused(result, ErrorKind::FailedPrecondition, "a volume in use");
    assert!(stage.get("again").await.is_some());
    Verdict::Passed
}

/// The old name stays free, and the volume is found under the new one alone.
pub async fn a_volume_is_recovered_under_another_name(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    for (old, new) in [("old", "new"), ("old", "New"), ("Old one", "new 2")] {
        let made = removed(&stage, old).await;
        let back = recover(&stage.node, &made, Some(new)).await;
        let back = back.expect("recover").into_inner();
        assert_eq!((&back.id, &back.name), (&made.id, &name(new)));
        let seen = stage.get(new).await.expect("it is found");
        assert_eq!(essence(&seen), essence(&back));
        assert_eq!(stage.get(old).await, None, "the old name is free");
        let listed = stage.list(None).await;
        assert!(
            listed
                .iter()
                .any(|one| one.id == made.id && one.name == name(new))
        );
        let _outcome = stage.delete(&back).await.expect("delete");
        let again = trashed(&stage.node, &made).await.expect("in the trash");
        assert_eq!(again.volume.name, name(new), "it has the newest name there");
    }
    Verdict::Passed
}

/// Nothing changes then, and another name works.
pub async fn a_taken_name_is_refused(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let first = removed(&stage, "data").await;
    let second = stage.create("data").await;
    for text in [None, Some("data")] {
        let result = recover(&stage.node, &first, text).await;
        let error = refused(result, ErrorKind::AlreadyExists, "a taken name");
        assert!(error.message().contains("data"), "{error}");
        assert!(trashed(&stage.node, &first).await.is_some());
    }
    let seen = stage.get("data").await.expect("the new one stays");
    assert_eq!(essence(&seen), essence(&second));
    let back = recover(&stage.node, &first, Some("data-before")).await;
    assert_eq!(back.expect("recover").get().id, first.id);
    let seen = stage.get("data").await.expect("the new one stays");
    assert_eq!(seen.id, second.id);
    Verdict::Passed
}

/// What a remove that was cut off left is in the trash too.
pub async fn a_half_removed_volume_is_recovered(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    for (text, new) in [("one", None), ("two", Some("three"))] {
        let made = stage.create(text).await;
        if stage.cut_off_delete(&made).await.is_none() {
            return Verdict::skipped(NO_RENAME);
        }
        let found = trashed(&stage.node, &made).await.expect("in the trash");
        assert_eq!(found.volume.state, VolumeState::Deleting);
        assert_eq!(found.time_left, None);
        let back = recover(&stage.node, &made, new).await.expect("recover");
        let seen = stage
            .get(new.unwrap_or(text))
            .await
            .expect("it has its name");
        assert_eq!((&seen.id, &back.get().id), (&made.id, &made.id));
    }
    Verdict::Passed
}

/// It has its user's name, and can be had back under that one.
pub async fn what_an_administrator_destroyed_is_recovered(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let made = stage.create("data").await;
    if harness.destroy_foreign(&made.object).await == Hook::Missing {
        return Verdict::skipped("the harness cannot destroy objects past the backend");
    }
    let found = trashed(&stage.node, &made).await.expect("in the trash");
    assert_eq!(found.volume.state, VolumeState::Destroyed);
    let result = recover(&stage.node, &made, Some("other")).await;
    refused(result, ErrorKind::FailedPrecondition, "another name");
    let back = recover(&stage.node, &made, None).await.expect("recover");
    assert_eq!(essence(back.get()), essence(&made));
    Verdict::Passed
}

/// Neither listed nor recovered; nor is what never was a volume.
pub async fn another_clusters_trash_stays(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let other = stage.other_cluster().await;
    let theirs = create_on(&other, "data").await;
    let volume = theirs.clone();
    let deleted = other.delete(storage_core::DeleteVolume { volume }).await;
    let _outcome = deleted.expect("delete");
    assert_eq!(trash_of(&stage.node, None).await, []);
    let result = recover(&stage.node, &theirs, None).await;
    refused(result, ErrorKind::NotFound, "another cluster's volume");
    assert_eq!(get_on(&other, "data").await, None, "it stays removed");
    assert!(trashed(&other, &theirs).await.is_some());
    let made = stage.create("data").await;
    let unknown = VolumeId::new(made.id.array().clone(), "no-such-object").expect("an id");
    let result = stage.node.recover(RecoverVolume {
        volume: unknown,
        name: None,
    });
    refused(result.await, ErrorKind::NotFound, "what was eradicated");
    Verdict::Passed
}

/// Two nodes recover one volume: both have it then.
pub async fn racing_recovers_agree(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let elsewhere = stage.another_node().await;
    for round in 0..4 {
        let text = format!("raced{round}");
        let made = removed(&stage, &text).await;
        let new = (round % 2 == 1).then(|| format!("again{round}"));
        let new = new.as_deref();
        let (one, two) = join!(
            recover(&stage.node, &made, new),
            recover(&elsewhere, &made, new)
        );
        for back in [one, two] {
            assert_eq!(back.expect("recover").get().id, made.id, "round {round}");
        }
        let seen = stage.get(new.unwrap_or(&text)).await;
        assert_eq!(seen.expect("it has its name").id, made.id);
    }
    Verdict::Passed
}

/// A recover that meets a create of its name: one volume has it, and both say which.
pub async fn a_racing_create_and_recover_give_one_volume(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.trash().is_none() {
        return Verdict::skipped(NO_TRASH);
    }
    let elsewhere = stage.another_node().await;
    for round in 0..6 {
        let text = format!("raced{round}");
        let removed = removed(&stage, &text).await;
        let (made, back) = join!(
            elsewhere.create(request(&text)),
            recover(&stage.node, &removed, None)
        );
        let listed = list_on(&stage.node, None).await;
        let bearers = listed.iter().filter(|one| one.name == name(&text));
        assert_eq!(bearers.count(), 1, "round {round}");
        let seen = stage.get(&text).await.expect("somebody has the name");
        match back {
            Ok(back) => assert_eq!(back.get().id, seen.id, "round {round}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", error.chain());
                assert_ne!(seen.id, removed.id, "round {round}");
            }
        }
        if let Ok(made) = made {
            assert_eq!(made.get().id, seen.id, "round {round}");
        }
    }
    Verdict::Passed
}
