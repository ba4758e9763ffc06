//! Volumes made from others. Skipped for backends that cannot.

use std::sync::Arc;

use storage_core::{
    Backend, CloneSource, CloneVolume, Clones, CreateVolume, ErrorKind, Limits, Outcome, Ownership,
    Result, Size, Snapshots, Volume, VolumeState,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::snapshots::{NO_SNAPSHOTS, frozen};
use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{Stage, essence, get_on, refused, request};

const NO_CLONES: &str = "the backend cannot make volumes from others";
const NO_DATA: &str = "the harness cannot write and read objects' data";

/// The stage, unless the backend cannot clone.
async fn able(harness: &dyn Harness) -> std::result::Result<Stage<'_>, Verdict> {
    let stage = Stage::new(harness).await;
    if stage.node.clones().is_some() {
        Ok(stage)
    } else {
        Err(Verdict::skipped(NO_CLONES))
    }
}

fn of(volume: &Volume) -> CloneSource {
    CloneSource::Volume(Box::new(volume.clone()))
}

/// A copy of the source's size, with other attributes than a new volume has.
fn copy_request(text: &str, source: CloneSource) -> CloneVolume {
    let mut volume = CreateVolume {
        size: source.size(),
        format_grant: None,
        ..request(text)
    };
    let attribute = ("source".to_owned(), "the original".to_owned());
    volume.attributes.extend([attribute]);
    CloneVolume {
        volume,
        source,
        fresh_uuid: Uuid::new_v4(),
    }
}

async fn copy_on(node: &Retrying, text: &str, source: CloneSource) -> Result<Outcome<Volume>> {
    node.clone_volume(copy_request(text, source)).await
}

async fn copied(stage: &Stage<'_>, text: &str, source: CloneSource) -> Volume {
    let made = copy_on(&stage.node, text, source).await;
    made.expect("clone").into_inner()
}

/// A copy has another identity, its own record with the fresh UUID, no format grant, and its
/// source is as it was.
pub async fn a_copy_is_a_volume_of_its_own(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    assert!(stage.node.capabilities().clones);
    let source = stage.create("data").await;
    assert!(source.format_grant.is_some() && source.fresh_uuid.is_none());
    let asked = copy_request("Copy of data", of(&source));
    let outcome = stage.node.clone_volume(asked.clone()).await.expect("clone");
    stage.assert_done(&outcome, "clone");
    let made = outcome.into_inner();
    assert_eq!(made.name, asked.volume.name);
    assert_eq!(
        (made.state, made.ownership),
        (VolumeState::Ready, Ownership::Recorded)
    );
    assert_eq!(made.format_grant, None, "a copy never carries a grant");
    assert_eq!(made.fresh_uuid, Some(asked.fresh_uuid));
    assert_eq!(made.size, source.size);
    assert_eq!(made.filesystem, Some(asked.volume.filesystem));
    assert_eq!(made.id.array(), source.id.array());
    assert_ne!(made.id, source.id);
    if let (Some(own), Some(sources)) = (&made.identity, &source.identity) {
        assert_ne!(own, sources, "a host tells them apart");
    }
    for (key, value) in &asked.volume.attributes {
        assert_eq!(made.attributes.get(key), Some(value), "attribute {key}");
    }
    let elsewhere = stage.another_node().await;
    let seen = get_on(&elsewhere, "Copy of data").await.expect("found");
    assert_eq!(essence(&seen), essence(&made));
    let beside = stage.get("data").await.expect("still there");
    assert_eq!(essence(&beside), essence(&source));
    assert_eq!(stage.list(None).await.len(), 2);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// The data is what the source had at that moment, and the two go their own ways from then on.
pub async fn a_copy_has_its_sources_data(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    let [first, later, own] = [(); 3].map(|()| Uuid::new_v4());
    if harness.mark(&source.object, first).await == Hook::Missing {
        return Verdict::skipped(NO_DATA);
    }
    let copy = copied(&stage, "copy", of(&source)).await;
    assert_eq!(harness.mark_of(&copy.object).await, Some(first));
    assert_eq!(harness.mark(&source.object, later).await, Hook::Done);
    assert_eq!(harness.mark_of(&copy.object).await, Some(first));
    assert_eq!(harness.mark(&copy.object, own).await, Hook::Done);
    assert_eq!(harness.mark_of(&source.object).await, Some(later));
    let second = copied(&stage, "second", of(&copy)).await;
    assert_eq!(harness.mark_of(&second.object).await, Some(own));
    Verdict::Passed
}

/// From a snapshot, the data is that of the moment when it was made.
pub async fn a_copy_of_a_snapshot_has_its_data(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    if stage.node.snapshots().is_none() {
        return Verdict::skipped(NO_SNAPSHOTS);
    }
    let source = stage.create("data").await;
    let [first, later] = [(); 2].map(|()| Uuid::new_v4());
    let marked = harness.mark(&source.object, first).await == Hook::Done;
    let snapshot = frozen(&stage.node, &source, "one").await;
    if marked {
        assert_eq!(harness.mark(&source.object, later).await, Hook::Done);
    }
    let from = CloneSource::Snapshot(Box::new(snapshot.clone()));
    let asked = copy_request("copy", from);
    let copy = stage.node.clone_volume(asked.clone()).await.expect("clone");
    let copy = copy.into_inner();
    assert_eq!(
        (copy.size, copy.format_grant.as_ref()),
        (snapshot.size, None)
    );
    assert_eq!(copy.fresh_uuid, Some(asked.fresh_uuid));
    // The copy does not need the snapshot any more.
    let _gone = stage.node.delete_snapshot(&snapshot).await.expect("delete");
    let seen = stage.get("copy").await.expect("found");
    assert_eq!(essence(&seen), essence(&copy));
    if !marked {
        return Verdict::skipped(NO_DATA);
    }
    assert_eq!(harness.mark_of(&copy.object).await, Some(first));
    assert_eq!(harness.mark_of(&source.object).await, Some(later));
    Verdict::Passed
}

/// A copy may be larger than its source from the beginning.
pub async fn a_copy_may_be_larger(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    let mut asked = copy_request("larger", of(&source));
    asked.volume.size = Size::from_bytes(source.size.bytes() + 1);
    let expected = stage.node.capabilities().round(asked.volume.size);
    let expected = expected.expect("within limits");
    let made = stage.node.clone_volume(asked).await.expect("clone");
    assert_eq!(made.get().size, expected);
    let seen = stage.get("larger").await.expect("found");
    assert_eq!(essence(&seen), essence(made.get()));
    let beside = stage.get("data").await.expect("still there");
    assert_eq!(beside.size, source.size);
    Verdict::Passed
}

/// What cannot be a copy is refused, and nothing is made.
pub async fn what_is_no_copy_is_refused(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    let asked = || copy_request("no-copy", of(&source));
    let mut smaller = asked();
    smaller.volume.size = Size::from_bytes(source.size.bytes() - 1);
    let mut granted = asked();
    granted.volume.format_grant = request("x").format_grant;
    let mut huge = asked();
    huge.volume.size = Size::MAX;
    for (asked, kind, what) in [
        (smaller, ErrorKind::OutOfRange, "smaller than its source"),
        (granted, ErrorKind::InvalidArgument, "a format grant"),
        (huge, ErrorKind::OutOfRange, "above the maximum"),
    ] {
        refused(stage.node.clone_volume(asked).await, kind, what);
    }
    assert_eq!(stage.get("no-copy").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A source that is gone gives no copy.
pub async fn a_source_that_is_gone_is_not_found(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("doomed").await;
    if stage.node.snapshots().is_some() {
        let snapshot = frozen(&stage.node, &source, "one").await;
        let _gone = stage.node.delete_snapshot(&snapshot).await.expect("delete");
        let from = CloneSource::Snapshot(Box::new(snapshot));
        let result = copy_on(&stage.node, "copy", from).await;
        refused(result, ErrorKind::NotFound, "a removed snapshot");
    }
    let _gone = stage.delete(&source).await.expect("delete");
    let result = copy_on(&stage.node, "copy", of(&source)).await;
    refused(result, ErrorKind::NotFound, "a removed volume");
    // Nor is what has its name now.
    stage.create("doomed").await;
    let result = copy_on(&stage.node, "copy", of(&source)).await;
    refused(result, ErrorKind::NotFound, "a removed volume");
    assert_eq!(stage.get("copy").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// The volume that carries the name is what a clone gives, whatever it was made from; and the
/// other way round.
pub async fn an_existing_name_gives_its_volume(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    let plain = stage.create("plain").await;
    let copy = copied(&stage, "copy", of(&source)).await;
    let elsewhere = stage.another_node().await;
    for node in [&stage.node, &elsewhere] {
        let given = copy_on(node, "plain", of(&source)).await.expect("clone");
        assert!(!given.is_done());
        assert_eq!(essence(given.get()), essence(&plain), "with its grant");
        let given = copy_on(node, "copy", of(&plain)).await.expect("clone");
        assert!(!given.is_done());
        assert_eq!(essence(given.get()), essence(&copy), "with its own UUID");
        let given = node.create(request("copy")).await.expect("create");
        assert!(!given.is_done());
        assert_eq!(essence(given.get()), essence(&copy), "without a grant");
    }
    assert_eq!(stage.list(None).await.len(), 3);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// Nodes that create and clone one name at once all get one volume, which is one or the other.
pub async fn racing_clones_and_creates_give_one_volume(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    for round in 0..3 {
        let text = format!("Raced {round}");
        let mut racers = JoinSet::new();
        for racer in 0..6 {
            let node = Arc::new(stage.another_node().await);
            let (text, source) = (text.clone(), of(&source));
            racers.spawn(async move {
                if racer % 2 == 0 {
                    node.create(request(&text)).await
                } else {
                    copy_on(&node, &text, source).await
                }
            });
        }
        let mut ids = Vec::new();
        let mut made = 0;
        while let Some(racer) = racers.join_next().await {
            let outcome = racer.expect("no panic").expect("every call succeeds");
            made += usize::from(outcome.is_done());
            ids.push(outcome.into_inner().id);
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "all get one volume");
        assert!(
            made == 1 || harness.faulty(),
            "{made} say that they made it"
        );
        let seen = stage.get(&text).await.expect("found");
        assert_eq!(ids, std::slice::from_ref(&seen.id));
        assert_ne!(
            seen.format_grant.is_some(),
            seen.fresh_uuid.is_some(),
            "a new volume with a grant, or a copy with a UUID: {seen:?}"
        );
    }
    assert_eq!(stage.list(None).await.len(), 4);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// A copy is published, told without a grant, and removed as any volume is; it outlives its
/// source.
pub async fn a_copy_lives_as_any_volume_does(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let source = stage.create("data").await;
    // In use as it is copied.
    let _given = stage.publish(&source, 0).await.expect("publish");
    let copy = copied(&stage, "copy", of(&source)).await;
    assert_eq!(copy.holder, None, "nobody holds the copy");
    assert_eq!(stage.published(&copy).await, []);
    let access = stage.publish(&copy, 1).await.expect("publish").into_inner();
    assert_eq!(access.format_grant, None);
    stage.assert_alone(&copy, &access).await;
    let _taken = stage.unpublish(&source, 0).await.expect("unpublish");
    let _gone = stage.delete(&source).await.expect("delete the source");
    let seen = stage.get("copy").await.expect("it outlives its source");
    assert_eq!(essence(&seen), essence(&copy));
    stage.assert_alone(&copy, &access).await;
    let _taken = stage.unpublish(&copy, 1).await.expect("unpublish");
    let _gone = stage.delete(&copy).await.expect("delete");
    assert_eq!(stage.get("copy").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// An object without record can be copied; the copy is recorded, its source is not adopted.
pub async fn an_object_without_record_is_copied(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Missing {
        return Verdict::skipped("the harness cannot add objects past the backend");
    }
    let legacy = stage.get("legacy").await.expect("found");
    let copy = copied(&stage, "copy", of(&legacy)).await;
    assert_eq!(copy.ownership, Ownership::Recorded);
    let seen = stage.get("legacy").await.expect("still there");
    assert_eq!(essence(&seen), essence(&legacy));
    let listed: Vec<_> = stage.list(None).await.into_iter().map(|v| v.id).collect();
    assert_eq!(listed, [copy.id]);
    Verdict::Passed
}

/// A copy has the limits that are asked for, not its source's.
pub async fn a_copy_has_the_limits_asked_for(harness: &dyn Harness) -> Verdict {
    let stage = match able(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let Some(ranges) = stage.node.capabilities().limits else {
        return Verdict::skipped(super::limits::NO_LIMITS);
    };
    let limited = |iops: u64| Limits {
        iops: Some(iops),
        ..Limits::default()
    };
    let asked = CreateVolume {
        limits: limited(*ranges.iops.start()),
        ..request("data")
    };
    let source = stage.node.create(asked).await.expect("create").into_inner();
    for (text, limits) in [
        ("unlimited", Limits::default()),
        ("limited", limited(*ranges.iops.end())),
    ] {
        let mut asked = copy_request(text, of(&source));
        asked.volume.limits = limits;
        let made = stage.node.clone_volume(asked).await.expect("clone");
        assert_eq!(made.get().limits, limits);
        let seen = stage.get(text).await.expect("found");
        assert_eq!(seen.limits, limits);
    }
    Verdict::Passed
}
