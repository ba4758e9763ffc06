//! Copies: their data and record, the calls that are lost on the way, sources that go, limits.

use array_sim::{FaultAction, FaultRule};
use storage_core::{
    ArrayNumber, Backend, ClaimNonce, CloneSource, Clones, CreateVolume, ErrorKind, Limits, Size,
    Snapshots, VolumeState, is_reserved,
};

use crate::support::{Rig, Verbs, clone_request, request};

const VERSIONS: [&str; 2] = ["2.2", "2.26"];

const LOSSES: [FaultAction; 4] = [
    FaultAction::ResetBefore,
    FaultAction::ResetAfter,
    FaultAction::Late { ms: 20 },
    FaultAction::Busy,
];

/// The calls of a clone that is larger than its source, and how many like it come before.
const CALLS: [(&str, &str, u64); 4] = [
    ("POST", "volumes", 0),
    ("PATCH", "volumes", 0),
    ("PUT", "volumes/tags/batch", 0),
    ("PATCH", "volumes", 1),
];

async fn on(version: &str) -> Rig {
    Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await
}

fn write(rig: &Rig, object: &str, bytes: &[u8]) {
    let serial = rig.array.volume(object).unwrap().serial;
    std::fs::write(rig.array.data_file(&serial), bytes).unwrap();
}

fn read(rig: &Rig, object: &str) -> Vec<u8> {
    let serial = rig.array.volume(object).unwrap().serial;
    let mut bytes = std::fs::read(rig.array.data_file(&serial)).unwrap();
    bytes.truncate(16);
    bytes
}

#[tokio::test]
async fn a_copy_has_the_data_of_that_moment_and_a_record_of_its_own() {
    for version in VERSIONS {
        let rig = on(version).await;
        let node = rig.node();
        let source = node.make("data").await;
        write(&rig, "ns-data", b"first");
        let frozen = node.freeze(&source, "one").await.unwrap().into_inner();
        write(&rig, "ns-data", b"later");
        let asked = clone_request("copy", CloneSource::Volume(Box::new(source.clone())));
        let fresh = asked.fresh_uuid;
        let copy = node.clone_volume(asked).await.unwrap().into_inner();
        assert_eq!(read(&rig, "ns-copy"), b"later");
        assert_eq!(copy.fresh_uuid, Some(fresh));
        assert_eq!(copy.format_grant, None, "{version}");
        assert_eq!(node.find("copy").await.as_ref(), Some(&copy), "{version}");
        assert_ne!(copy.identity, source.identity);

        let old = clone_request("old", CloneSource::Snapshot(Box::new(frozen)));
        node.clone_volume(old).await.unwrap().into_inner();
        assert_eq!(read(&rig, "ns-old"), b"first");
        assert_eq!(rig.objects().len(), 3);
        let mut found = node.find("data").await.unwrap();
        found.used = source.used;
        assert_eq!(found, source, "the source is as it was");
    }
}

#[tokio::test]
async fn a_call_that_is_lost_once_costs_nothing() {
    for (method, path, skip) in CALLS {
        for action in LOSSES {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let source = node.make("data").await;
            write(&rig, "ns-data", b"bytes");
            let mut rule = FaultRule::once(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            let mut asked = clone_request("copy", CloneSource::Volume(Box::new(source)));
            asked.volume.size = Size::from_gib(3);
            let outcome = node.clone_volume(asked.clone()).await.expect(&what);
            assert!(outcome.is_done(), "{what}");
            let found = node.find("copy").await.expect(&what);
            assert_eq!(&found, outcome.get(), "{what}");
            assert_eq!(found.size, Size::from_gib(3), "{what}");
            assert_eq!(found.fresh_uuid, Some(asked.fresh_uuid), "{what}");
            assert_eq!(read(&rig, "ns-copy"), b"bytes", "{what}");
            // What comes late may make a stray of its own, which says what it is.
            let mut objects = rig.objects();
            let late = what.contains("Late");
            objects.retain(|object| !(late && object.contains("-fl-new-")));
            assert_eq!(objects, ["ns-data", "ns-copy"], "{what}");
        }
    }
}

#[tokio::test]
async fn a_clone_that_fails_for_good_leaves_strays_at_most_and_the_next_one_works() {
    for (method, path, skip) in CALLS {
        for action in [FaultAction::ResetBefore, FaultAction::ResetAfter] {
            let what = format!("{method} {path} {skip} {action:?}");
            let rig = Rig::new().await;
            let node = rig.node();
            let source = node.make("data").await;
            let mut rule = FaultRule::once(method, path, action.clone());
            (rule.skip, rule.times) = (skip, None);
            rig.array.add_rule(rule);
            let asked = || {
                let mut asked =
                    clone_request("copy", CloneSource::Volume(Box::new(source.clone())));
                asked.volume.size = Size::from_gib(3);
                asked
            };
            let result = node.clone_volume(asked()).await;
            rig.array.clear_faults();
            let committed = rig.array.volume("ns-copy").is_some();
            match result {
                Ok(outcome) => assert!(committed && outcome.is_done(), "{what}"),
                Err(error) if error.kind() == ErrorKind::Timeout => {}
                Err(error) => assert!(!committed, "{what}: {error:?}"),
            }
            let made = node.clone_volume(asked()).await.expect(&what).into_inner();
            assert_eq!(made.size, Size::from_gib(3), "{what}");
            assert_eq!(node.find("copy").await.as_ref(), Some(&made), "{what}");
            let known = ["ns-data", "ns-copy"];
            let objects = rig.objects();
            let others = objects.iter().filter(|one| !known.contains(&one.as_str()));
            for object in others {
                assert!(is_reserved(node.namespace(), object), "{what}: {object}");
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_is_gone_is_not_found_and_nothing_is_made() {
    for version in VERSIONS {
        let rig = on(version).await;
        let node = rig.node();
        let volume = node.make("data").await;
        let frozen = node.freeze(&volume, "one").await.unwrap().into_inner();
        assert!(node.delete_snapshot(&frozen).await.unwrap().is_done());
        let snapshot = CloneSource::Snapshot(Box::new(frozen));
        let error = node.clone_volume(clone_request("copy", snapshot)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{version}: {error:?}");
        rig.admin().destroy("ns-data").await;
        let error = node.copy_volume("copy", &volume).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{version}: {error:?}");
        let mut aside = volume;
        aside.state = VolumeState::Deleting;
        let error = node.copy_volume("copy", &aside).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(rig.objects().is_empty(), "{:?}", rig.objects());
    }
}

#[tokio::test]
async fn a_source_that_grew_since_it_was_read_is_not_cut() {
    let rig = Rig::new().await;
    let node = rig.node();
    let before = node.make("data").await;
    let size = Size::from_gib(2);
    let volume = before.clone();
    let grown = node
        .expand(storage_core::ExpandVolume { volume, size })
        .await;
    assert!(grown.unwrap().is_done());
    let error = node.copy_volume("copy", &before).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error:?}");
    assert!(error.message().contains("2GiB"), "{error}");
    assert_eq!(rig.objects(), ["ns-data"], "the copy is gone again");
}

#[tokio::test]
async fn what_a_copy_must_not_be_is_refused_without_the_array() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.taken();
    let asked = || clone_request("copy", CloneSource::Volume(Box::new(volume.clone())));
    let granted = {
        let mut asked = asked();
        asked.volume.format_grant = request("x").format_grant;
        asked
    };
    let smaller = {
        let mut asked = asked();
        asked.volume.size = Size::from_bytes(volume.size.bytes() - 512);
        asked
    };
    let limited = {
        let mut asked = asked();
        asked.volume.limits.iops = Some(99);
        asked
    };
    for (asked, kind) in [
        (granted, ErrorKind::InvalidArgument),
        (smaller, ErrorKind::OutOfRange),
        (limited, ErrorKind::OutOfRange),
    ] {
        let error = node.clone_volume(asked).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    assert!(rig.taken().is_empty());
}

#[tokio::test]
async fn a_copy_of_an_administrators_volume_is_not_taken_for_it() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    // As a storage administrator copies a volume: nothing of our record comes along.
    let body = serde_json::json!({"source": {"name": "ns-data"}});
    let query = [("names", "ns-byhand")];
    rig.admin()
        .call(storage_http::Method::Post, "/volumes", &query, body)
        .await;
    let found = node.find("byhand").await.unwrap();
    assert_eq!(found.ownership, storage_core::Ownership::Unrecorded);
    assert_eq!(found.format_grant, None, "the source's grant is not copied");
    assert!(volume.format_grant.is_some());
}

#[tokio::test]
async fn limits_are_in_force_from_the_first_moment_and_read_back() {
    for version in VERSIONS {
        let rig = on(version).await;
        let node = rig.node();
        let limits = [
            (None, None),
            (Some(100), None),
            (None, Some(1_048_577)),
            (Some(100_000_000), Some(549_755_813_888)),
        ];
        for (index, (iops, bandwidth)) in limits.into_iter().enumerate() {
            let text = format!("limited{index}");
            let limits = Limits {
                iops,
                bandwidth: bandwidth.map(Size::from_bytes),
            };
            let asked = CreateVolume {
                limits,
                nonce: ClaimNonce::by_chance(ArrayNumber::default()),
                ..request(&text)
            };
            // Before anybody can know of it: with the POST.
            rig.array
                .add_rule(FaultRule::once("PATCH", "volumes", FaultAction::HoldBefore));
            let creator = rig.node();
            let task = tokio::spawn(async move { creator.create(asked).await });
            rig.until_held(1).await;
            let made = rig.array.volumes().pop().unwrap();
            assert_eq!(made.qos.iops_limit, iops);
            assert_eq!(made.qos.bandwidth_limit, bandwidth);
            rig.array.release_held();
            let made = task.await.unwrap().unwrap().into_inner();
            assert_eq!(made.limits, limits);
            assert_eq!(node.find(&text).await.unwrap().limits, limits);
            let copy = node.copy_volume(&format!("copy{index}"), &made).await;
            assert_eq!(
                copy.unwrap().get().limits,
                Limits::default(),
                "not asked for"
            );
        }
        let held = node.make("held").await;
        assert_eq!(held.holder, None);
        node.give(&held, 1).await.unwrap().into_inner();
        let machine = crate::support::host(1).object_name();
        let found = node.find("held").await.unwrap();
        assert_eq!(found.holder.as_ref(), Some(&machine));
        let _taken = node.take(&held, 1).await.unwrap();
        assert_eq!(node.find("held").await.unwrap().holder, None);
    }
}
