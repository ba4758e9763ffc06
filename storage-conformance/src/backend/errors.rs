//! What failures say and promise.

use storage_core::{
    Backend, CloneSource, CloneVolume, CreateSnapshot, CreateVolume, DeleteVolume, Error,
    ErrorKind, ListSnapshots, ListVolumes, Retry, Size, SnapshotName, UnpublishVolume, VolumeKey,
};
use uuid::Uuid;

use super::limits::limited;
use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, essence, name, publish_on, refused, request};

/// With injected faults, `Busy` may be the answer before the array is even asked.
fn assert_passing(error: &Error, what: &str) {
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy
        ),
        "{what}: {}",
        error.chain()
    );
    assert_ne!(error.retry(), Retry::Never, "{what}: a retry can help");
}

/// An array that does not answer gives errors that pass, never an absence; when it is back, all
/// is as before.
pub async fn a_silent_array_is_never_an_empty_one(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    if harness.set_down(true).await == Hook::Missing {
        return Verdict::skipped("the harness cannot silence the array");
    }
    // The backend itself, without repeated calls; and one that never reached the array.
    let fresh = harness.backend(stage.node.namespace()).await;
    for node in [stage.node.inner(), &*fresh] {
        let by_name = node.get(VolumeKey::Name(name("data"))).await;
        assert_passing(&by_name.expect_err("get by name"), "get by name");
        let absent = node.get(VolumeKey::Name(name("absent"))).await;
        assert_passing(&absent.expect_err("get absent"), "get absent");
        let by_id = node.get(VolumeKey::Id(made.id.clone())).await;
        assert_passing(&by_id.expect_err("get by id"), "get by id");
        let listed = node.list(ListVolumes::default()).await;
        assert_passing(&listed.expect_err("list"), "list");
        let telemetry = node.telemetry().await;
        assert_passing(&telemetry.expect_err("telemetry"), "telemetry");
    }
    let node = stage.node.inner();
    let created = node.create(request("new")).await;
    assert_passing(&created.expect_err("create"), "create");
    let volume = made.clone();
    let deleted = node.delete(DeleteVolume { volume }).await;
    assert_passing(&deleted.expect_err("delete"), "delete");
    let unpublish = UnpublishVolume {
        volume: made.id.clone(),
        object: made.object.clone(),
        host: stage.host(0),
    };
    let unpublished = node.unpublish(unpublish).await;
    assert_passing(&unpublished.expect_err("unpublish"), "unpublish");

    assert_eq!(harness.set_down(false).await, Hook::Done);
    let patient = crate::retrying::Retrying::new(harness.backend(node.namespace()).await, true);
    let seen = patient.get(VolumeKey::Name(name("data"))).await;
    let seen = seen.expect("get").expect("found");
    assert_eq!(essence(&seen), essence(&made));
    let _outcome = publish_on(&patient, &made, stage.host(0))
        .await
        .expect("publish");
    Verdict::Passed
}

/// Address, namespace, labels, capabilities and the name for messages need no array.
pub async fn what_needs_no_array_works_without(harness: &dyn Harness) -> Verdict {
    if harness.set_down(true).await == Hook::Missing {
        return Verdict::skipped("the harness cannot silence the array");
    }
    let namespace = harness.namespace();
    let backend = harness.backend(&namespace).await;
    assert!(!backend.endpoint().is_empty());
    assert_eq!(*backend.namespace(), namespace);
    assert!(!backend.to_string().is_empty());
    let _labels = backend.labels();
    let capabilities = backend.capabilities();
    assert!(capabilities.size_min <= capabilities.size_max);
    assert!(capabilities.size_step.bytes() > 0);
    let again = harness.backend(&namespace).await;
    assert_eq!(again.capabilities(), capabilities);
    backend.close().await;
    assert_eq!(harness.set_down(false).await, Hook::Done);
    Verdict::Passed
}

/// Every node reads the same identity, and figures that can be.
pub async fn telemetry_is_plausible(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let elsewhere = stage.another_node().await;
    let here = stage.node.telemetry().await.expect("telemetry");
    let there = elsewhere.telemetry().await.expect("telemetry");
    assert!(!here.array.as_str().is_empty());
    assert!(!here.array_name.is_empty());
    assert!(here.capacity > Size::default());
    assert!(here.used <= here.capacity);
    assert_eq!(there.array, here.array);
    assert_eq!(there.array_name, here.array_name);
    let made = stage.create("data").await;
    assert_eq!(made.array_name, here.array_name);
    assert!(here.free() <= here.capacity);
    Verdict::Passed
}

/// A refusal says that a retry does not help, in a sentence on one line.
pub async fn refusals_are_final_and_speak(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("used").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let too_large = CreateVolume {
        size: Size::MAX,
        ..request("huge")
    };
    let mut refusals = vec![stage.delete(&made).await.expect_err("delete in use")];
    if let Err(error) = stage.node.create(too_large).await {
        refusals.push(error);
    }
    if stage.node.capabilities().exclusive_publish {
        refusals.push(stage.publish(&made, 1).await.expect_err("a second host"));
    }
    for error in refusals {
        assert_eq!(error.retry(), Retry::Never, "{}", error.chain());
        assert!(error.message().len() > 10, "{error:?}");
        assert!(!error.chain().to_string().contains('\n'), "{error:?}");
    }
    Verdict::Passed
}

/// A power is there exactly where the capabilities say so. Where volumes cannot be limited, one
/// that is to be limited is not made unlimited.
pub async fn powers_are_as_the_capabilities_say(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let capabilities = stage.node.capabilities();
    assert_eq!(capabilities.snapshots, stage.node.snapshots().is_some());
    assert_eq!(capabilities.clones, stage.node.clones().is_some());
    if let Some(ranges) = capabilities.limits {
        assert!(!ranges.iops.is_empty() && !ranges.bandwidth.is_empty());
        return Verdict::Passed;
    }
    for (iops, bandwidth) in [(Some(1000), None), (None, Some(1 << 30))] {
        let result = stage.node.create(limited("limited", iops, bandwidth)).await;
        refused(result, ErrorKind::Unsupported, "limits on an array without");
    }
    assert_eq!(stage.get("limited").await, None);
    Verdict::Passed
}

/// An array that does not answer is not one without snapshots, nor is a source on it gone.
pub async fn a_silent_array_is_not_without_snapshots(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let node = stage.node.inner();
    if node.snapshots().is_none() && node.clones().is_none() {
        return Verdict::skipped("the backend has neither snapshots nor clones");
    }
    if harness.set_down(true).await == Hook::Missing {
        return Verdict::skipped("the harness cannot silence the array");
    }
    if let Some(snapshots) = node.snapshots() {
        let called = SnapshotName::new("one").expect("a good name");
        let request = CreateSnapshot {
            volume: made.clone(),
            name: called.clone(),
        };
        let created = snapshots.create_snapshot(request).await;
        assert_passing(&created.expect_err("create snapshot"), "create snapshot");
        let got = snapshots.get_snapshot(&made, &called).await;
        assert_passing(&got.expect_err("get snapshot"), "get snapshot");
        let listed = snapshots.list_snapshots(ListSnapshots::default()).await;
        assert_passing(&listed.expect_err("list snapshots"), "list snapshots");
    }
    if let Some(clones) = node.clones() {
        let volume = CreateVolume {
            format_grant: None,
            ..request("copy")
        };
        let asked = CloneVolume {
            volume,
            source: CloneSource::Volume(Box::new(made.clone())),
            fresh_uuid: Uuid::new_v4(),
        };
        let copied = clones.clone_volume(asked).await;
        assert_passing(&copied.expect_err("clone"), "clone");
    }
    assert_eq!(harness.set_down(false).await, Hook::Done);
    Verdict::Passed
}
