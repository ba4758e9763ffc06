//! Making volumes.

use std::time::Duration;

use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CreateVolume, ErrorKind, Filesystem, FilesystemSpec, Labels,
    Ownership, Size, VolumeKey, VolumeState,
};
use tokio::time::timeout;

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, essence, name, refused, request};

/// What create answers is what get, by name and by identity, and list show, on every node.
pub async fn a_created_volume_is_got_and_listed(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let asked = request("data");
    let outcome = stage.node.create(asked.clone()).await.expect("create");
    stage.assert_done(&outcome, "create");
    let made = outcome.into_inner();
    assert_eq!(made.name, asked.name);
    assert_eq!(made.state, VolumeState::Ready);
    assert_eq!(made.ownership, Ownership::Recorded);
    let telemetry = stage.node.telemetry().await.expect("telemetry");
    assert_eq!(*made.id.array(), telemetry.array);

    let by_name = stage.get("data").await.expect("found by name");
    assert_eq!(essence(&by_name), essence(&made));
    let by_id = stage.get_id(&made).await.expect("found by id");
    assert_eq!(essence(&by_id), essence(&made));
    let elsewhere = stage.another_node().await;
    let key = VolumeKey::Name(name("data"));
    let seen = elsewhere.get(key).await.expect("get on another node");
    assert_eq!(seen.as_ref().map(essence), Some(essence(&made)));
    let listed = stage.list(None).await;
    let listed: Vec<_> = listed.iter().map(essence).collect();
    assert_eq!(listed, [essence(&made)]);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// The provisioned size is what the capabilities say it will be, never less than asked for.
pub async fn sizes_are_rounded_up(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let capabilities = stage.node.capabilities();
    let smallest = capabilities.size_min.bytes();
    let wanted = [
        1,
        smallest.saturating_sub(1).max(1),
        smallest,
        smallest + 1,
        Size::from_gib(1).bytes() + 1,
        20_000_000_000,
    ];
    for (index, bytes) in wanted.into_iter().enumerate() {
        let size = Size::from_bytes(bytes);
        let asked = CreateVolume {
            size,
            ..request(&format!("size{index}"))
        };
        let expected = capabilities.round(size).expect("within limits");
        assert!(expected >= size, "capabilities round up");
        let made = stage.node.create(asked).await.expect("create").into_inner();
        assert_eq!(made.size, expected, "asked for {size}");
        let seen = stage.get(made.name.as_str()).await.expect("found");
        assert_eq!(seen.size, expected, "asked for {size}");
    }
    Verdict::Passed
}

/// A size above the maximum is refused, and no volume comes to be.
pub async fn sizes_above_the_maximum_are_refused(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let largest = stage.node.capabilities().size_max;
    let Some(size) = largest.checked_add(Size::from_bytes(1)) else {
        return Verdict::skipped("every size is within the backend's limits");
    };
    for size in [size, Size::MAX] {
        let asked = CreateVolume {
            size,
            ..request("huge")
        };
        let result = stage.node.create(asked).await;
        refused(result, ErrorKind::OutOfRange, "create above the maximum");
    }
    assert_eq!(stage.get("huge").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}

/// File system, its options, the grant and the attributes come back as they were given.
pub async fn what_was_asked_for_is_recorded(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let mut filesystem = FilesystemSpec::new(Filesystem::Xfs);
    filesystem.create_options = vec!["-m".to_owned(), "crc=1,finobt=1".to_owned()];
    filesystem.mount_options = vec!["noatime".to_owned(), "logbsize=256k".to_owned()];
    let selector = "purestorage.com/backend=block, tier in (gold,silver)";
    let asked = CreateVolume {
        filesystem,
        attributes: Labels::from([
            ("selector".to_owned(), selector.to_owned()),
            (
                "reason".to_owned(),
                "array-1: score 0.870; \"größer\"".to_owned(),
            ),
        ]),
        ..request("recorded")
    };
    let _outcome = stage.node.create(asked.clone()).await.expect("create");
    let elsewhere = stage.another_node().await;
    let key = VolumeKey::Name(name("recorded"));
    let seen = elsewhere.get(key).await.expect("get").expect("found");
    assert_eq!(seen.filesystem, Some(asked.filesystem));
    assert_eq!(seen.format_grant, asked.format_grant);
    for (key, value) in &asked.attributes {
        assert_eq!(seen.attributes.get(key), Some(value), "attribute {key}");
    }
    Verdict::Passed
}

/// Nobody adds a permission to format that was not asked for.
pub async fn a_volume_without_grant_has_none(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let asked = CreateVolume {
        format_grant: None,
        ..request("ungranted")
    };
    let made = stage.node.create(asked).await.expect("create").into_inner();
    assert_eq!(made.format_grant, None);
    let access = stage.publish(&made, 0).await.expect("publish");
    assert_eq!(access.get().format_grant, None);
    Verdict::Passed
}

/// A name that an object without record holds gives that object, not a second one.
pub async fn an_object_without_record_keeps_its_name(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Missing {
        return Verdict::skipped("the harness cannot add objects past the backend");
    }
    let before = stage.get("legacy").await.expect("found by its exact name");
    let outcome = stage.node.create(request("legacy")).await.expect("create");
    assert!(!outcome.is_done(), "the name was taken");
    let given = outcome.into_inner();
    assert_eq!(given.id, before.id);
    assert_eq!(given.ownership, Ownership::Unrecorded);
    assert_eq!(given.format_grant, None, "it may hold data");
    stage.assert_not_listed("legacy").await;
    Verdict::Passed
}

/// A destroyed object that can come back holds its name: no empty volume takes its place.
pub async fn a_destroyed_object_keeps_its_name(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("lost").await;
    if harness.destroy_foreign(&made.object).await == Hook::Missing {
        return Verdict::skipped("the harness cannot destroy objects past the backend");
    }
    let seen = stage.get("lost").await.expect("it is not absent");
    assert_eq!(seen.id, made.id);
    assert_eq!(seen.state, VolumeState::Destroyed);
    stage.assert_not_listed("lost").await;
    match stage.node.create(request("lost")).await {
        Ok(outcome) => {
            assert!(!outcome.is_done(), "the name was taken");
            assert_eq!(outcome.get().id, made.id);
        }
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::FailedPrecondition | ErrorKind::AlreadyExists
            ),
            "{}",
            error.chain()
        ),
    }
    Verdict::Passed
}

/// A caller that goes away in the middle leaves nothing that stops the next one.
pub async fn a_dropped_create_is_finished_by_the_next(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    for round in 0..8_u32 {
        let text = format!("dropped{round}");
        let asked = request(&text);
        // Each round gets a little further; where it is cut does not matter to what is asserted.
        let patience = Duration::from_micros(200 * u64::from(round * round));
        drop(timeout(patience, stage.node.inner().create(asked.clone())).await);
        let again = CreateVolume {
            nonce: ClaimNonce::by_chance(ArrayNumber::default()),
            ..asked
        };
        let made = stage.node.create(again).await.expect("create").into_inner();
        assert_eq!(made.state, VolumeState::Ready);
        let seen = stage.get(&text).await.expect("found");
        assert_eq!(seen.id, made.id);
    }
    let listed = stage.list(None).await;
    assert_eq!(listed.len(), 8, "one volume for each name");
    Verdict::Passed
}
