//! Snapshots. Skipped for backends without them.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage_core::{
    Backend, CreateSnapshot, ErrorKind, ExpandVolume, ListSnapshots, Outcome, Result, Retry, Size,
    Snapshot, SnapshotName, Snapshots, Volume, VolumeId, VolumeState,
};
use tokio::task::JoinSet;

use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{NO_RENAME, Stage, create_on, essence, refused};

pub(crate) const NO_SNAPSHOTS: &str = "the backend has no snapshots";

/// A listing that is longer than this many pages does not end.
const PAGES_MAX: usize = 1000;

/// The stage, unless the backend has no snapshots.
async fn able(harness: &dyn Harness) -> std::result::Result<Stage<'_>, Verdict> {
    let stage = Stage::new(harness).await;
    if stage.node.snapshots().is_some() {
        Ok(stage)
    } else {
        Err(Verdict::skipped(NO_SNAPSHOTS))
    }
}

pub(crate) fn called(text: &str) -> SnapshotName {
    SnapshotName::new(text).expect("a good name")
}

pub(crate) async fn freeze(
    node: &Retrying,
    volume: &Volume,
    text: &str,
) -> Result<Outcome<Snapshot>> {
    let request = CreateSnapshot {
        volume: volume.clone(),
        name: called(text),
    };
    node.create_snapshot(request).await
}

/// Makes one and gives it.
pub(crate) async fn frozen(node: &Retrying, volume: &Volume, text: &str) -> Snapshot {
    let made = freeze(node, volume, text).await;
    made.expect("create snapshot").into_inner()
}

async fn find(node: &Retrying, volume: &Volume, text: &str) -> Option<Snapshot> {
    let found = node.get_snapshot(volume, &called(text)).await;
    found.expect("get snapshot")
}

async fn listed(node: &Retrying, volume: Option<&VolumeId>, limit: Option<usize>) -> Vec<Snapshot> {
    let (mut snapshots, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let request = ListSnapshots {
            volume: volume.cloned(),
            after,
            limit,
        };
        let page = node.list_snapshots(request).await.expect("list snapshots");
        if let Some(limit) = limit {
            assert!(page.snapshots.len() <= limit, "a page is within its limit");
        }
        snapshots.extend(page.snapshots);
        after = page.next;
        if after.is_none() {
            snapshots.sort_by(|one, two| one.id.cmp(&two.id));
            return snapshots;
        }
    }
    panic!("the listing does not end after {PAGES_MAX} pages")
}

/// A snapshot without what may change by itself.
fn core_of(snapshot: &Snapshot) -> Snapshot {
    Snapshot {
        created_ms: None,
        ..snapshot.clone()
    }
}

/// What create answers is what get and list show, on every node.
pub async fn a_snapshot_is_got_and_listed(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    assert!(stage.node.capabilities().snapshots);
    let volume = stage.create("data").await;
    assert_eq!(find(&stage.node, &volume, "one").await, None);
    let outcome = freeze(&stage.node, &volume, "one").await.expect("create");
    stage.assert_done(&outcome, "create snapshot");
    let made = outcome.into_inner();
    assert_eq!(made.name, called("one"));
    assert_eq!(
        (&made.volume, &made.volume_name),
        (&volume.id, &volume.name)
    );
    assert_eq!(made.size, volume.size);
    assert_eq!(made.id.array(), volume.id.array());
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let found = find(node, &volume, "one").await;
        assert_eq!(found.as_ref().map(core_of), Some(core_of(&made)));
        for of in [None, Some(&volume.id)] {
            let all = listed(node, of, None).await;
            let all: Vec<_> = all.iter().map(core_of).collect();
            assert_eq!(all, [core_of(&made)]);
        }
    }
    let seen = stage.get("data").await.expect("still there");
    assert_eq!(essence(&seen), essence(&volume));
    assert_eq!(stage.list(None).await.len(), 1, "a snapshot is no volume");
    Verdict::Passed
}

/// The name's snapshot is what every later create gives, however old: it is not made again.
pub async fn making_it_again_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let made = frozen(&stage.node, &volume, "one").await;
    if stage.node.capabilities().expand {
        let volume = volume.clone();
        let size = Size::from_gib(3);
        let grown = stage.node.expand(ExpandVolume { volume, size }).await;
        let _grown = grown.expect("expand");
    }
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let again = freeze(node, &volume, "one").await.expect("create again");
        assert!(!again.is_done());
        assert_eq!(core_of(again.get()), core_of(&made));
    }
    assert_eq!(listed(&stage.node, None, None).await.len(), 1);
    Verdict::Passed
}

/// Nodes that make one snapshot at once all get the same one.
pub async fn racing_snapshots_of_one_name_agree(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let mut racers = JoinSet::new();
    for _ in 0..6 {
        let (node, volume) = (Arc::new(stage.another_node().await), volume.clone());
        racers.spawn(async move { freeze(&node, &volume, "raced").await });
    }
    let mut ids = Vec::new();
    let mut made = 0;
    while let Some(racer) = racers.join_next().await {
        let outcome = racer.expect("no panic").expect("every create succeeds");
        made += usize::from(outcome.is_done());
        ids.push(outcome.into_inner().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "all get one snapshot");
    assert!(
        made == 1 || harness.faulty(),
        "{made} say that they made it"
    );
    assert_eq!(listed(&stage.node, None, None).await.len(), 1);
    Verdict::Passed
}

/// Whatever the size of a page, all pages together hold each snapshot once; a volume's alone, too.
pub async fn pages_hold_each_snapshot_once(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    assert_eq!(listed(&stage.node, None, None).await, []);
    let volumes = [
        stage.create("one").await,
        stage.create("Two with blanks").await,
    ];
    let mut made = Vec::new();
    for text in ["a", "b", "c"] {
        for volume in &volumes {
            made.push(core_of(&frozen(&stage.node, volume, text).await));
        }
    }
    made.sort_by(|one, two| one.id.cmp(&two.id));
    for limit in [None, Some(1), Some(2), Some(5), Some(6), Some(100)] {
        let all = listed(&stage.node, None, limit).await;
        let all: Vec<_> = all.iter().map(core_of).collect();
        assert_eq!(all, made, "limit {limit:?}");
        for volume in &volumes {
            let own = listed(&stage.node, Some(&volume.id), limit).await;
            let own: Vec<_> = own.iter().map(core_of).collect();
            let of = made.iter().filter(|one| one.volume == volume.id);
            assert_eq!(own, of.cloned().collect::<Vec<_>>(), "limit {limit:?}");
        }
    }
    Verdict::Passed
}

/// Snapshots made and removed between two pages make no other one appear twice or not at all.
pub async fn changes_meanwhile_do_not_disturb_other_snapshots(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    for index in 0..7 {
        frozen(&stage.node, &volume, &format!("steady{index}")).await;
    }
    let limit = Some(3);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut after = None;
    for page in 0..100 {
        let request = ListSnapshots {
            volume: None,
            after: after.take(),
            limit,
        };
        let answer = stage.node.list_snapshots(request).await.expect("a page");
        for snapshot in &answer.snapshots {
            *seen.entry(snapshot.name.to_string()).or_default() += 1;
        }
        if page == 0 {
            let first = answer.snapshots.first().expect("a page is not empty");
            let _removed = stage.node.delete_snapshot(first).await.expect("delete");
            for text in ["a-newcomer", "z-newcomer"] {
                frozen(&stage.node, &volume, text).await;
            }
        }
        after = answer.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(after, None, "the listing ends");
    for index in 0..7 {
        let text = format!("steady{index}");
        assert_eq!(seen.get(&text), Some(&1), "{text} is listed once: {seen:?}");
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    Verdict::Passed
}

/// A continuation that this backend did not give is refused, not guessed at.
pub async fn a_foreign_continuation_of_snapshots_is_refused(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    frozen(&stage.node, &volume, "one").await;
    for of in [None, Some(&volume.id)] {
        for token in ["", "no such page", "../\u{0}", "99999999999999999999999"] {
            let request = ListSnapshots {
                volume: of.cloned(),
                after: Some(token.to_owned()),
                limit: None,
            };
            let result = stage.node.list_snapshots(request).await;
            refused(result, ErrorKind::InvalidArgument, "a foreign continuation");
        }
    }
    Verdict::Passed
}

/// It is nowhere to be seen, what is beside it stays, and removing it again is so already.
pub async fn a_removed_snapshot_is_gone(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let doomed = frozen(&stage.node, &volume, "doomed").await;
    let beside = frozen(&stage.node, &volume, "beside").await;
    let outcome = stage.node.delete_snapshot(&doomed).await.expect("delete");
    stage.assert_done(&outcome, "delete snapshot");
    assert_eq!(find(&stage.node, &volume, "doomed").await, None);
    let all = listed(&stage.node, None, None).await;
    assert_eq!(
        all.iter().map(core_of).collect::<Vec<_>>(),
        [core_of(&beside)]
    );
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let again = node.delete_snapshot(&doomed).await.expect("delete again");
        assert!(!again.is_done());
    }
    let seen = stage.get("data").await.expect("still there");
    assert_eq!(essence(&seen), essence(&volume));
    Verdict::Passed
}

/// The name of a removed snapshot is either free, and then gives another one, or kept by it.
pub async fn a_removed_snapshot_is_never_given_again(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let removed = frozen(&stage.node, &volume, "phoenix").await;
    let _gone = stage.node.delete_snapshot(&removed).await.expect("delete");
    match freeze(&stage.node, &volume, "phoenix").await {
        Ok(outcome) => assert_ne!(outcome.get().id, removed.id, "an identity is for ever"),
        Err(error) => {
            let chain = error.chain().to_string();
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{chain}");
            assert_eq!(error.retry(), Retry::Never, "{chain}");
            assert_eq!(find(&stage.node, &volume, "phoenix").await, None);
        }
    }
    Verdict::Passed
}

/// Names that differ in case alone never stand for one snapshot.
pub async fn names_in_two_cases_do_not_meet(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let made = frozen(&stage.node, &volume, "Daily").await;
    assert_eq!(find(&stage.node, &volume, "daily").await, None);
    match freeze(&stage.node, &volume, "daily").await {
        Ok(outcome) => {
            assert_ne!(outcome.get().id, made.id);
            assert_eq!(outcome.get().name, called("daily"));
        }
        Err(error) => {
            let chain = error.chain().to_string();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{chain}");
        }
    }
    let seen = find(&stage.node, &volume, "Daily").await;
    assert_eq!(seen.as_ref().map(core_of), Some(core_of(&made)));
    Verdict::Passed
}

/// Whatever passes as a snapshot's name can be made, found and removed, or is refused as wrong.
pub async fn every_allowed_snapshot_name_works(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("data").await;
    let longest = "x".repeat(SnapshotName::MAX_BYTES);
    for text in ["a", "1", "7-a", "daily-2026-11-21", "a--b", "007", &longest] {
        let made = match freeze(&stage.node, &volume, text).await {
            Ok(outcome) => outcome.into_inner(),
            Err(error) => {
                let chain = error.chain().to_string();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}: {chain}");
                continue;
            }
        };
        assert_eq!(made.name.as_str(), text);
        let found = find(&stage.node, &volume, text).await;
        assert_eq!(found.as_ref().map(core_of), Some(core_of(&made)), "{text}");
        let _gone = stage.node.delete_snapshot(&made).await.expect("delete");
        assert_eq!(find(&stage.node, &volume, text).await, None, "{text}");
    }
    Verdict::Passed
}

/// A volume that is gone has no snapshots and gets none.
pub async fn a_volume_that_is_gone_has_none(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("doomed").await;
    let made = frozen(&stage.node, &volume, "one").await;
    let _gone = stage.node.delete_snapshot(&made).await.expect("delete");
    let _gone = stage.delete(&volume).await.expect("delete volume");
    let result = freeze(&stage.node, &volume, "two").await;
    refused(result, ErrorKind::NotFound, "a volume that is gone");
    for text in ["one", "two"] {
        assert_eq!(find(&stage.node, &volume, text).await, None);
    }
    assert_eq!(listed(&stage.node, Some(&volume.id), None).await, []);
    let again = stage.node.delete_snapshot(&made).await;
    assert!(!again.expect("so already").is_done());
    // A new volume of the name has none of it.
    let new = stage.create("doomed").await;
    assert_eq!(find(&stage.node, &new, "one").await, None);
    assert_eq!(listed(&stage.node, None, None).await, []);
    Verdict::Passed
}

/// What carries no record of ours gets no snapshot from us, and those that it has are not told.
pub async fn an_object_without_record_has_none(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Missing {
        return Verdict::skipped("the harness cannot add objects past the backend");
    }
    let legacy = stage.get("legacy").await.expect("found");
    let mut claimed = legacy.clone();
    claimed.ownership = storage_core::Ownership::Recorded;
    // The array's word counts, not the caller's.
    for volume in [&legacy, &claimed] {
        let result = freeze(&stage.node, volume, "one").await;
        refused(result, ErrorKind::FailedPrecondition, "without record");
    }
    if harness.snapshot_foreign(&object, "keep").await == Hook::Missing {
        return Verdict::skipped("the harness cannot make snapshots past the backend");
    }
    for volume in [&legacy, &claimed] {
        assert_eq!(find(&stage.node, volume, "keep").await, None);
    }
    assert_eq!(listed(&stage.node, None, None).await, []);
    assert_eq!(listed(&stage.node, Some(&legacy.id), None).await, []);
    Verdict::Passed
}

/// Another cluster's snapshots are not seen, not made and not removed.
pub async fn another_clusters_snapshots_stay(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let other = stage.other_cluster().await;
    let theirs = create_on(&other, "data").await;
    let made = frozen(&other, &theirs, "one").await;
    assert_eq!(find(&stage.node, &theirs, "one").await, None);
    assert_eq!(listed(&stage.node, None, None).await, []);
    assert_eq!(listed(&stage.node, Some(&theirs.id), None).await, []);
    let result = freeze(&stage.node, &theirs, "two").await;
    refused(result, ErrorKind::FailedPrecondition, "another cluster's");
    let result = stage.node.delete_snapshot(&made).await;
    refused(result, ErrorKind::FailedPrecondition, "another cluster's");
    let left = listed(&other, None, None).await;
    assert_eq!(
        left.iter().map(core_of).collect::<Vec<_>>(),
        [core_of(&made)]
    );
    Verdict::Passed
}

/// A volume with snapshots is not removed, as they would go with it; without them it is.
pub async fn a_volume_with_snapshots_is_not_deleted(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("kept").await;
    let made = frozen(&stage.node, &volume, "one").await;
    let error = refused(
        stage.delete(&volume).await,
        ErrorKind::FailedPrecondition,
        "delete with snapshots",
    );
    let text = error.chain().to_string();
    assert!(text.contains("one"), "the snapshot is named: {text}");
    let seen = stage.get("kept").await.expect("still there");
    assert_eq!(essence(&seen), essence(&volume));
    let found = find(&stage.node, &volume, "one").await;
    assert_eq!(found.as_ref().map(core_of), Some(core_of(&made)));
    let _gone = stage.node.delete_snapshot(&made).await.expect("delete");
    let _gone = stage
        .delete(&volume)
        .await
        .expect("delete without snapshots");
    assert_eq!(stage.get("kept").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A half-removed volume gets no snapshot and shows none; one that it has keeps it from being
/// destroyed.
pub async fn a_half_removed_volume_has_none(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let volume = stage.create("wanted").await;
    let made = frozen(&stage.node, &volume, "one").await;
    let Some(aside) = stage.cut_off_delete(&volume).await else {
        return Verdict::skipped(NO_RENAME);
    };
    for stale in [&volume, &aside] {
        assert_eq!(find(&stage.node, stale, "one").await, None);
        let result = freeze(&stage.node, stale, "two").await;
        refused(result, ErrorKind::NotFound, "a half-removed volume");
    }
    assert_eq!(listed(&stage.node, None, None).await, []);
    let result = stage.delete(&aside).await;
    refused(result, ErrorKind::FailedPrecondition, "it has a snapshot");
    let seen = stage.get("wanted").await.expect("it has its name back");
    assert_eq!(seen.state, VolumeState::Ready);
    let found = find(&stage.node, &seen, "one").await;
    assert_eq!(found.as_ref().map(core_of), Some(core_of(&made)));
    assert_eq!(find(&stage.node, &seen, "two").await, None);
    Verdict::Passed
}
