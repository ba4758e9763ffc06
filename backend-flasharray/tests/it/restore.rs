//! Volumes that a delete left half way: taken back under every lost call, and never at the
//! expense of another one.

use array_sim::{FaultAction, FaultRule};
use storage_core::{Backend, ErrorKind, Size, Volume, VolumeKey, VolumeState, trash_name};
use uuid::Uuid;

use crate::support::{Rig, Verbs, name, request};

/// A volume as a delete leaves it that ends after its first step.
async fn half_removed(rig: &Rig, node: &dyn Backend, text: &str) -> Volume {
    let made = node.make(text).await;
    let trash = trash_name(node.namespace(), &made.name, Uuid::new_v4());
    rig.admin().rename(&made.object, &trash).await;
    let found = node.find(text).await.unwrap();
    assert_eq!((found.state, &found.id), (VolumeState::Deleting, &made.id));
    rig.taken();
    found
}

#[tokio::test]
async fn a_call_of_restore_that_is_lost_once_costs_nothing() {
    for own_name_refused in [false, true] {
        for (method, path) in [
            ("GET", "volumes"),
            ("GET", "volumes/tags"),
            ("PATCH", "volumes"),
        ] {
            for action in [
                FaultAction::ResetBefore,
                FaultAction::ResetAfter,
                FaultAction::Late { ms: 20 },
                FaultAction::Busy,
            ] {
                let what = format!("{method} {path} {action:?}");
                let rig =
                    Rig::with(|config| config.refuse_rename_to_own_name = own_name_refused).await;
                let node = rig.node();
                let found = half_removed(&rig, &node, "data").await;
                rig.array.add_rule(FaultRule::once(method, path, action));
                let restored = node.restore(&found).await.expect(&what);
                assert!(restored.is_done(), "{what}");
                assert_eq!(restored.get().object, "ns-data", "{what}");
                let seen = node.find("data").await.unwrap();
                assert_eq!(seen, restored.into_inner(), "{what}");
                assert!(!node.restore(&found).await.unwrap().is_done(), "{what}");
                assert_eq!(rig.objects(), ["ns-data"], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_restore_whose_answers_are_all_lost_is_unknown_and_found_afterwards() {
    let rig = Rig::new().await;
    let node = rig.node();
    let found = half_removed(&rig, &node, "data").await;
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::ResetBefore);
    rule.times = None;
    rig.array.add_rule(rule);
    let error = node.restore(&found).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    rig.array.clear_faults();
    assert!(node.restore(&found).await.unwrap().is_done());
}

#[tokio::test]
async fn a_name_that_a_new_volume_has_is_not_shared() {
    for text in ["data", "Data"] {
        let rig = Rig::new().await;
        let node = rig.node();
        let old = half_removed(&rig, &node, text).await;
        // A lookup would have said that the name is not free; this one did not look.
        let new = node.make(text).await;
        let error = node.restore(&old).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
        assert_eq!(node.find(text).await.unwrap().id, new.id);
        let seen = node.get(VolumeKey::Id(old.id.clone())).await.unwrap();
        assert_eq!(seen.unwrap().object, old.object, "left where it was");
    }
}

#[tokio::test]
async fn a_name_that_a_new_volume_takes_at_the_same_moment_is_not_shared() {
    let rig = Rig::new().await;
    let node = rig.node();
    let old = half_removed(&rig, &node, "data").await;
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore);
    rule.query_contains = Some("fl-trash".to_owned());
    rig.array.add_rule(rule);
    let (restorer, copy) = (rig.node(), old.clone());
    let task = tokio::spawn(async move { restorer.restore(&copy).await });
    rig.until_held(1).await;
    let new = node.make("data").await;
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(node.find("data").await.unwrap().id, new.id);
}

#[tokio::test]
async fn a_free_form_of_a_name_that_a_new_volume_has_is_not_taken() {
    let rig = Rig::new().await;
    let node = rig.node();
    let old = half_removed(&rig, &node, "data").await;
    // The new volume has the other form of the name.
    let new = node.make("data").await;
    let hash = storage_core::name_hash(node.namespace(), &new.name);
    rig.admin()
        .rename("ns-data", &format!("ns-data-{hash}"))
        .await;
    let error = node.restore(&old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(node.find("data").await.unwrap().id, new.id);
}

#[tokio::test]
async fn a_name_that_somebody_elses_object_has_is_avoided() {
    let rig = Rig::new().await;
    let node = rig.node();
    let old = half_removed(&rig, &node, "data").await;
    // The array takes these for one name; for us it is an object of another volume's name.
    rig.admin().add_volume("ns-DATA", Size::from_gib(1)).await;
    let restored = node.restore(&old).await.unwrap().into_inner();
    assert!(
        restored.object.starts_with("ns-data-"),
        "{}",
        restored.object
    );
    let seen = node.find("data").await.unwrap();
    assert_eq!((seen.id, seen.state), (old.id, VolumeState::Ready));
}

#[tokio::test]
async fn what_is_being_made_is_nobodys_to_restore() {
    let rig = Rig::new().await;
    let node = rig.node();
    // A create that ends after its second step.
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::ResetBefore);
    rule.times = None;
    rig.array.add_rule(rule);
    node.create(request("data")).await.unwrap_err();
    rig.array.clear_faults();
    let wire = rig.array.volumes().into_iter().next().unwrap();
    let id = storage_core::VolumeId::new(storage_core::ArrayId::new(rig.array.id()), wire.id);
    let tentative = node.get(VolumeKey::Id(id.unwrap())).await.unwrap().unwrap();
    let error = node.restore(&tentative).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert!(
        node.get(VolumeKey::Name(name("data")))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_an_administrator_renamed_is_left_to_him() {
    let rig = Rig::new().await;
    let node = rig.node();
    let found = half_removed(&rig, &node, "data").await;
    rig.admin().rename(&found.object, "elsewhere").await;
    let outcome = node.restore(&found).await.unwrap();
    assert!(!outcome.is_done());
    assert_eq!(rig.objects(), ["elsewhere"]);
}

#[tokio::test]
async fn a_delete_destroys_nothing_that_was_restored_meanwhile() {
    for version in ["2.2", "2.26"] {
        let rig = Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await;
        let node = rig.node();
        let volume = node.make("data").await;
        // The delete has seen nobody connected and is about to destroy.
        let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore);
        rule.skip = 1;
        rig.array.add_rule(rule);
        let (deleter, copy) = (rig.node(), volume.clone());
        let task = tokio::spawn(async move { deleter.remove(&copy).await });
        rig.until_held(1).await;
        let found = node.find("data").await.unwrap();
        let restored = node.restore(&found).await.unwrap().into_inner();
        let access = node.give(&restored, 1).await.unwrap().into_inner();
        rig.array.release_held();
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "REST {version}: {error:?}");
        assert!(error.message().contains("taken into use again"), "{error}");
        let seen = node.find("data").await.unwrap();
        assert_eq!(
            (seen.state, seen.id),
            (VolumeState::Ready, volume.id.clone())
        );
        let published = node.published(&volume).await.unwrap();
        assert_eq!(published[0].nonce, Some(access.grant.nonce));
    }
}

#[tokio::test]
async fn a_rename_aside_that_comes_late_leads_no_delete_to_a_volume_in_use() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    // The first rename is lost and comes half a second later; the second one works, and the
    // delete is about to destroy.
    rig.array.add_rule(FaultRule::once(
        "PATCH",
        "volumes",
        FaultAction::Late { ms: 500 },
    ));
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore);
    rule.query_contains = Some("names=".to_owned());
    rig.array.add_rule(rule);
    let (deleter, copy) = (rig.node(), volume.clone());
    let task = tokio::spawn(async move { deleter.remove(&copy).await });
    rig.until_held(1).await;
    let found = node.find("data").await.unwrap();
    let restored = node.restore(&found).await.unwrap().into_inner();
    let access = node.give(&restored, 1).await.unwrap().into_inner();
    rig.until(|array| array.volume("ns-data").is_none()).await;
    rig.array.release_held();
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    let seen = node.find("data").await.unwrap();
    assert_eq!(
        (seen.state, seen.object.as_str()),
        (VolumeState::Ready, "ns-data")
    );
    let published = node.published(&volume).await.unwrap();
    assert_eq!(published[0].nonce, Some(access.grant.nonce));
}

#[tokio::test]
async fn a_stale_delete_of_a_volume_in_use_changes_no_name() {
    // A name that is refused to its own owner must not drive the volume to its other name.
    let rig = Rig::with(|config| config.refuse_rename_to_own_name = true).await;
    let node = rig.node();
    let stale = half_removed(&rig, &node, "data").await;
    let restored = node.restore(&stale).await.unwrap().into_inner();
    node.give(&restored, 1).await.unwrap().into_inner();
    let error = node.remove(&stale).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert_eq!(rig.objects(), ["ns-data"]);
}

#[tokio::test]
async fn a_half_removed_volume_with_snapshots_gets_its_name_back() {
    let rig = Rig::new().await;
    let node = rig.node();
    let found = half_removed(&rig, &node, "data").await;
    rig.admin().snapshot(&found.object).await;
    let error = node.remove(&found).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message().contains(".keep"), "{error}");
    assert_eq!(rig.objects(), ["ns-data"]);
}
