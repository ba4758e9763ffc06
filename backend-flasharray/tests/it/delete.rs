//! Deletes that must not happen, and those that were begun.

use array_sim::{FaultAction, FaultRule};
use storage_core::{Backend, ErrorKind, VolumeState};

use crate::support::{Rig, Verbs, host, request};

#[tokio::test]
async fn a_volume_with_snapshots_is_refused_untouched() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.admin().snapshot("ns-data").await;
    rig.taken();
    let error = node.remove(&volume).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains("ns-data.keep"), "{error}");
    assert!(
        rig.taken().keys().all(|call| call.starts_with("GET")),
        "only looked"
    );
    assert_eq!(rig.objects(), ["ns-data"]);
}

#[tokio::test]
async fn somebody_who_connects_in_between_keeps_the_volume() {
    for version in ["2.2", "2.26"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        let volume = node.make("data").await;
        let other = node.make("other").await;
        node.give(&other, 1).await.unwrap().into_inner();
        // The delete has looked for snapshots and waits; the host connects.
        rig.array
            .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
        let (deleter, copy) = (rig.node(), volume.clone());
        let task = tokio::spawn(async move { deleter.remove(&copy).await });
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        while rig.array.held_calls() == 0 {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        node.give(&volume, 1).await.unwrap().into_inner();
        rig.array.release_held();
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        assert!(error.message().contains(&host(1).object_name()), "{error}");
        let found = node.find("data").await.unwrap();
        assert_eq!(
            (found.state, found.object.as_str()),
            (VolumeState::Ready, "ns-data")
        );
        assert!(
            !node.give(&volume, 1).await.unwrap().is_done(),
            "the grant stands"
        );
    }
}

#[tokio::test]
async fn trash_is_neither_absent_nor_dead() {
    for version in ["2.2", "2.26"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        let volume = node.make("data").await;
        let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::Unavailable);
        rule.skip = 1;
        rule.times = None;
        rig.array.add_rule(rule);
        node.remove(&volume).await.unwrap_err();
        rig.array.clear_faults();

        let found = node.find("data").await.unwrap();
        assert_eq!(
            (found.state, &found.id),
            (VolumeState::Deleting, &volume.id)
        );
        let page = node.list(Default::default()).await.unwrap();
        assert!(page.volumes.is_empty());
        let error = node.give(&found, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        // Somebody who still has the old description finds nothing to publish.
        let error = node.give(&volume, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        // And who connects it all the same, past us, keeps it.
        let admin = rig.admin();
        admin.add_host("esx", &[]).await;
        admin.connect(&found.object, "esx").await;
        let error = node.remove(&found).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert_eq!(node.find("data").await.unwrap().state, VolumeState::Ready);
        admin.disconnect("ns-data", "esx").await;

        let found = node.find("data").await.unwrap();
        assert!(node.remove(&found).await.unwrap().is_done());
        assert!(node.find("data").await.is_none());
        assert!(node.create(request("data")).await.unwrap().is_done());
    }
}

#[tokio::test]
async fn what_was_destroyed_can_be_brought_back_by_hand() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.remove(&volume).await.unwrap().into_inner();
    let trash = rig.array.volumes().into_iter().next().unwrap();
    assert!(trash.name.starts_with("ns-fl-trash-"), "{}", trash.name);
    let admin = rig.admin();
    let body = serde_json::json!({"destroyed": false});
    admin
        .call(
            storage_http::Method::Patch,
            "/volumes",
            &[("names", &trash.name)],
            body,
        )
        .await;
    admin.rename(&trash.name, "ns-data").await;
    let found = node.find("data").await.unwrap();
    assert_eq!(found.id, volume.id);
    assert_eq!(found.filesystem, volume.filesystem);
}
