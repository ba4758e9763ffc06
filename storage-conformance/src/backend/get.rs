//! Looking volumes up.

use storage_core::{ArrayId, Backend, Ownership, Size, VolumeId, VolumeKey, VolumeState};
use uuid::Uuid;

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, essence, get_on};

/// What was never there is `None`, by name and by identity.
pub async fn absent_is_none(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    stage.create("neighbour").await;
    for text in [
        "absent",
        "neighbou",
        "neighbour2",
        "*",
        "a,b",
        "name='x'",
        "%41",
    ] {
        assert_eq!(stage.get(text).await, None, "{text}");
    }
    let here = stage.node.telemetry().await.expect("telemetry").array;
    let unknown = Uuid::new_v4().to_string();
    for array in [here, ArrayId::new(Uuid::new_v4().to_string())] {
        let id = VolumeId::new(array, unknown.clone()).expect("a good id");
        let found = stage.node.get(VolumeKey::Id(id)).await.expect("get by id");
        assert_eq!(found, None);
    }
    Verdict::Passed
}

/// A name finds the volume of exactly that name.
pub async fn names_are_exact(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    stage.create("Data").await;
    for text in ["data", "DATA", "Data ", "Dat"] {
        if storage_core::VolumeName::new(text).is_ok() {
            assert_eq!(stage.get(text).await, None, "{text}");
        }
    }
    Verdict::Passed
}

/// Another cluster's volumes are not there: not by name, not by identity.
pub async fn another_cluster_sees_nothing(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    let ours = stage.create("data").await;
    // Its object name has our prefix.
    let theirs = crate::stage::create_on(&other, "x").await;
    assert_eq!(get_on(&other, "data").await, None);
    assert_eq!(stage.get("two-x").await, None);
    for (node, volume) in [(&other, &ours), (&stage.node, &theirs)] {
        let key = VolumeKey::Id(volume.id.clone());
        let found = node.get(key).await.expect("get by id");
        assert_eq!(
            found,
            None,
            "{} is not of {}",
            volume.object,
            node.namespace()
        );
    }
    Verdict::Passed
}

/// The predecessor's volume is found when somebody asks for its name, and said to be without
/// record; it has no permission to format.
pub async fn an_object_without_record_is_found_by_its_exact_name(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let namespace = stage.node.namespace().clone();
    let size = Size::from_gib(3);
    for object in [format!("{namespace}-legacy"), "unrelated".to_owned()] {
        if harness.add_foreign(&object, size).await == Hook::Missing {
            return Verdict::skipped("the harness cannot add objects past the backend");
        }
    }
    let found = stage.get("legacy").await.expect("found");
    assert_eq!(found.ownership, Ownership::Unrecorded);
    assert_eq!(found.state, VolumeState::Ready);
    assert_eq!(found.size, size);
    assert_eq!(found.object, format!("{namespace}-legacy"));
    assert_eq!(found.format_grant, None);
    assert_eq!(stage.get("Legacy").await, None, "case matters");
    assert_eq!(stage.get("unrelated").await, None, "the prefix matters");
    stage.assert_not_listed("legacy").await;
    Verdict::Passed
}

/// An identity finds its volume and nothing else; a deleted one's finds none that is usable.
pub async fn an_identity_survives_the_name(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let first = stage.create("reused").await;
    let _outcome = stage.delete(&first).await.expect("delete");
    let second = stage.create("reused").await;
    let by_id = stage.get_id(&second).await.expect("found by id");
    assert_eq!(essence(&by_id), essence(&second));
    if let Some(old) = stage.get_id(&first).await {
        assert_eq!(old.id, first.id);
        assert_ne!(old.state, VolumeState::Ready, "it was deleted");
    }
    Verdict::Passed
}
