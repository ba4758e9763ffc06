//! What claims and deletes leave over, and how it goes: by its id, and never a volume.

use storage_core::{ErrorKind, Stray, StrayKind, VolumeState};

use crate::backend::claims::{claiming, claims, committed, nonce, propose, stage};
use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{NO_RENAME, Stage, essence, name, request};

async fn strays(stage: &Stage<'_>) -> Vec<Stray> {
    claims(&stage.node).strays().await.expect("strays")
}

async fn sweep(stage: &Stage<'_>, stray: &Stray) -> bool {
    let swept = claims(&stage.node).sweep(stray).await;
    swept.expect("sweep").is_done()
}

/// Markers and what waits are told with their nonces and go one by one; volumes are no strays.
pub async fn what_is_left_over_is_seen_and_swept(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let volume = stage.create("data").await;
    assert_eq!(strays(&stage).await, [], "a volume is no stray");
    let marker = claims(&stage.node).mark(&name("other"), nonce()).await;
    let marker = marker.expect("mark");
    let waiting = propose(&stage.node, "other").await;
    let mut found = strays(&stage).await;
    found.sort_by(|one, two| one.object.cmp(&two.object));
    let mut expected = [
        (marker.object, StrayKind::Marker(marker.nonce)),
        (waiting.object, StrayKind::Tentative(waiting.nonce)),
    ];
    expected.sort_by(|one, two| one.0.cmp(&two.0));
    let told: Vec<_> = found
        .iter()
        .map(|stray| (stray.object.clone(), stray.kind))
        .collect();
    assert_eq!(told, expected);
    for stray in &found {
        let aged = stray.age < std::time::Duration::from_secs(3600);
        assert!(aged, "made just now: {stray:?}");
        let _swept = sweep(&stage, stray).await;
    }
    assert_eq!(strays(&stage).await, []);
    let view = claims(&stage.node).view(&name("other")).await;
    let view = view.expect("view");
    assert!(view.marker.is_none() && view.tentatives.is_empty());
    for stray in &found {
        assert!(!sweep(&stage, stray).await, "it is gone already: {stray:?}");
    }
    let seen = stage.get("data").await.expect("it is there");
    assert_eq!(essence(&seen), essence(&volume));
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// What was a stray when it was looked at, and is a volume when it is swept, is left alone.
pub async fn a_late_sweep_spares_what_was_committed(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let waiting = propose(&stage.node, "data").await;
    let found = strays(&stage).await;
    let volume = committed(&stage.node, "data", waiting.nonce).await;
    for stray in &found {
        let _swept = sweep(&stage, stray).await;
    }
    assert!(!found.is_empty());
    let seen = stage.get("data").await.expect("it is there");
    assert_eq!(essence(&seen), essence(&volume));
    Verdict::Passed
}

/// Somebody's data is aside under such a name: it is never destroyed, only given its name back.
pub async fn an_import_is_given_its_name_back_by_a_sweep(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let size = storage_core::Size::from_gib(2);
    if harness.add_foreign("old-database", size).await == Hook::Missing {
        return Verdict::skipped("the harness cannot make objects past the backend");
    }
    let mut record = request("data");
    record.format_grant = None;
    let asked = storage_core::ImportVolume {
        name: record.name.clone(),
        object: "old-database".to_owned(),
        nonce: record.nonce,
        record,
    };
    let waiting = claims(&stage.node).propose_import(&asked).await;
    let waiting = waiting.expect("propose an import");
    let found = strays(&stage).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, StrayKind::Imported(asked.nonce));
    let imitated = Stray {
        kind: StrayKind::Marker(waiting.nonce),
        ..found[0].clone()
    };
    assert!(!sweep(&stage, &imitated).await, "it is no marker");
    let _swept = sweep(&stage, &found[0]).await;
    assert_eq!(strays(&stage).await, []);
    let back = claims(&stage.node).find_object("old-database").await;
    assert_eq!(back.expect("find"), Some(waiting.object));
    Verdict::Passed
}

/// A remove that was cut off is finished by a sweep.
pub async fn a_half_removed_volume_is_swept(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let volume = stage.create("data").await;
    if stage.cut_off_delete(&volume).await.is_none() {
        return Verdict::skipped(NO_RENAME);
    }
    let found = strays(&stage).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, StrayKind::Trash);
    let _swept = sweep(&stage, &found[0]).await;
    assert_eq!(stage.get("data").await, None);
    assert_eq!(strays(&stage).await, []);
    Verdict::Passed
}

/// One that a host is connected to gets its name back.
pub async fn a_half_removed_volume_in_use_is_not_swept(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    let volume = stage.create("data").await;
    let access = stage.publish(&volume, 0).await.expect("publish");
    if stage.cut_off_delete(&volume).await.is_none() {
        return Verdict::skipped(NO_RENAME);
    }
    for stray in strays(&stage).await {
        match claims(&stage.node).sweep(&stray).await {
            Ok(_outcome) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::FailedPrecondition),
        }
    }
    let seen = stage.get("data").await.expect("it is there");
    assert_eq!(seen.state, VolumeState::Ready);
    assert_eq!(seen.id, volume.id);
    stage.assert_alone(&seen, access.get()).await;
    Verdict::Passed
}
