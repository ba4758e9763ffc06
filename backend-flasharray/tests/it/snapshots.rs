//! Snapshots: lost answers, names that are taken, whose they are, and deletes of their volumes.

use array_sim::{FaultAction, FaultRule};
use storage_core::{Backend, ErrorKind, ListSnapshots, Snapshots, VolumeState};

use crate::support::{Rig, Verbs};

const LOSSES: [FaultAction; 4] = [
    FaultAction::ResetBefore,
    FaultAction::ResetAfter,
    FaultAction::Late { ms: 20 },
    FaultAction::Busy,
];

async fn listed(node: &dyn Snapshots) -> Vec<String> {
    let page = node.list_snapshots(ListSnapshots::default()).await.unwrap();
    assert_eq!(page.next, None);
    page.snapshots.into_iter().map(|one| one.object).collect()
}

#[tokio::test]
async fn a_call_that_is_lost_once_costs_nothing() {
    for action in LOSSES {
        let rig = Rig::new().await;
        let node = rig.node();
        let volume = node.make("data").await;
        for (method, path) in [("GET", "volumes/tags"), ("POST", "volume-snapshots")] {
            rig.array
                .add_rule(FaultRule::once(method, path, action.clone()));
        }
        let made = node.freeze(&volume, "one").await.unwrap().into_inner();
        assert_eq!(made.object, "ns-data.one");
        assert_eq!((made.size, &made.volume), (volume.size, &volume.id));
        assert_eq!(node.frozen(&volume, "one").await.as_ref(), Some(&made));
        assert_eq!(rig.array.snapshots().len(), 1, "{action:?}");
        for (method, path) in [("GET", "volumes/tags"), ("PATCH", "volume-snapshots")] {
            rig.array
                .add_rule(FaultRule::once(method, path, action.clone()));
        }
        let _removed = node.delete_snapshot(&made).await.unwrap();
        assert_eq!(node.frozen(&volume, "one").await, None, "{action:?}");
        let snapshots = rig.array.snapshots();
        assert!(snapshots["ns-data.one"].destroyed.is_some(), "recoverable");
    }
}

#[tokio::test]
async fn a_snapshot_whose_answers_are_all_lost_is_told_as_unknown() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let mut rule = FaultRule::once("POST", "volume-snapshots", FaultAction::ResetAfter);
    rule.times = None;
    rig.array.add_rule(rule);
    match node.freeze(&volume, "one").await {
        // A repetition met the refusal, and the reading that resolves it.
        Ok(outcome) => assert!(!outcome.is_done()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}"),
    }
    rig.array.clear_faults();
    assert!(!node.freeze(&volume, "one").await.unwrap().is_done());
    assert_eq!(rig.array.snapshots().len(), 1);
}

#[tokio::test]
async fn what_has_the_name_decides() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    let made = node.freeze(&volume, "Daily").await.unwrap().into_inner();
    let error = node.freeze(&volume, "daily").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert!(error.message().contains("ns-data.Daily"), "{error}");
    assert_eq!(node.frozen(&volume, "daily").await, None, "another name");

    assert!(node.delete_snapshot(&made).await.unwrap().is_done());
    assert!(!node.delete_snapshot(&made).await.unwrap().is_done());
    let error = node.freeze(&volume, "Daily").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains("ns-data.Daily"), "{error}");

    // What the array's own rule refuses and ours allows.
    let error = node.freeze(&volume, "007").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
}

#[tokio::test]
async fn only_snapshots_of_recorded_volumes_are_ours() {
    let rig = Rig::new().await;
    let (node, other) = (rig.node(), rig.node_in("ns-two"));
    let admin = rig.admin();
    admin
        .add_volume("ns-legacy", storage_core::Size::from_gib(1))
        .await;
    admin.snapshot("ns-legacy").await;
    let legacy = node.find("legacy").await.unwrap();
    let error = node.freeze(&legacy, "one").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert_eq!(node.frozen(&legacy, "keep").await, None);

    let ours = node.make("data").await;
    let theirs = other.make("data").await;
    node.freeze(&ours, "one").await.unwrap().into_inner();
    let foreign = other.freeze(&theirs, "one").await.unwrap().into_inner();
    assert_eq!(listed(&node).await, ["ns-data.one"]);
    assert_eq!(listed(&other).await, ["ns-two-data.one"]);
    assert_eq!(node.frozen(&theirs, "one").await, None);
    let error = node.freeze(&theirs, "two").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    let error = node.delete_snapshot(&foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(rig.array.snapshots()["ns-two-data.one"].destroyed.is_none());

    // An administrator's snapshot of our volume has the form of ours, and is usable.
    admin.snapshot("ns-data").await;
    assert_eq!(listed(&node).await, ["ns-data.one", "ns-data.keep"]);
    // Of a volume on its way out nothing is shown.
    let trash = storage_core::trash_name(node.namespace(), &ours.name, uuid::Uuid::new_v4());
    admin.rename("ns-data", &trash).await;
    assert!(listed(&node).await.is_empty());
    assert_eq!(node.frozen(&ours, "one").await, None);
    let error = node.freeze(&ours, "three").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    let all = rig.array.snapshots();
    assert!(all.keys().all(|one| !one.ends_with(".three")), "{all:?}");
}

#[tokio::test]
async fn a_snapshot_made_before_the_rename_of_a_delete_stops_it() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    // The delete has looked for snapshots and waits before its rename.
    rig.array
        .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
    let (deleter, copy) = (rig.node(), volume.clone());
    let task = tokio::spawn(async move { deleter.remove(&copy).await });
    rig.until_held(1).await;
    node.freeze(&volume, "one").await.unwrap().into_inner();
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains(".one"), "{error}");
    let found = node.find("data").await.unwrap();
    assert_eq!(found.state, VolumeState::Ready);
    assert!(node.frozen(&volume, "one").await.is_some());
}

#[tokio::test]
async fn a_snapshot_that_meets_a_delete_is_not_acknowledged() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    // The snapshot's call waits; the volume is renamed aside meanwhile.
    rig.array.add_rule(FaultRule::once(
        "POST",
        "volume-snapshots",
        FaultAction::HoldBefore,
    ));
    let (maker, copy) = (rig.node(), volume.clone());
    let task = tokio::spawn(async move { maker.freeze(&copy, "one").await });
    rig.until_held(1).await;
    let trash = storage_core::trash_name(node.namespace(), &volume.name, uuid::Uuid::new_v4());
    rig.admin().rename("ns-data", &trash).await;
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    let left = rig.array.snapshots();
    assert!(
        left[&format!("{trash}.one")].destroyed.is_some(),
        "{left:?}"
    );
    let aside = node.find("data").await.unwrap();
    assert!(
        node.remove(&aside).await.unwrap().is_done(),
        "nothing holds it"
    );
}
