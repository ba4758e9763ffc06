//! How many REST calls each operation makes: the gates.

use std::collections::BTreeMap;

use backend_flasharray::{FlashArrayConfig, San};
use storage_core::{
    AccessPath, Backend, CloneSource, Clones, ExpandVolume, ListSnapshots, ListVolumes, Size,
    Snapshots,
};

use crate::support::{Rig, Verbs, clone_request, host};

pub(crate) fn calls(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn a_volumes_life_keeps_to_its_budget() {
    let rig = Rig::new().await;
    let node = rig.node();

    // What is read once a process: the host object and the ports.
    let first = node.make("first").await;
    node.give(&first, 1).await.unwrap().into_inner();
    let once = rig.taken();
    assert_eq!(once["GET hosts"], 1);
    assert_eq!(once["POST hosts"], 1);
    assert_eq!(once["GET ports"], 1);

    // Create: look-up, tentative, commit; and the tags.
    assert!(node.find("data").await.is_none());
    let volume = node.make("data").await;
    let expected = [
        ("GET volumes", 1),
        ("POST volumes", 1),
        ("PUT volumes/tags/batch", 1),
        ("PATCH volumes", 1),
    ];
    assert_eq!(rig.taken(), calls(&expected));

    // Look-up of what is there: one more for the tags.
    node.find("data").await.unwrap();
    assert_eq!(
        rig.taken(),
        calls(&[("GET volumes", 1), ("GET volumes/tags", 1)])
    );

    // Publish: three; the format grant is read and the holder is written.
    node.give(&volume, 1).await.unwrap().into_inner();
    let expected = [
        ("GET connections", 2),
        ("POST connections", 1),
        ("GET volumes/tags", 1),
        ("PUT volumes/tags/batch", 1),
    ];
    assert_eq!(rig.taken(), calls(&expected));

    // So already: one; the holder's tag.
    assert!(!node.give(&volume, 1).await.unwrap().is_done());
    assert_eq!(
        rig.taken(),
        calls(&[("GET connections", 1), ("GET volumes/tags", 1)])
    );

    // Another host is refused with one.
    node.give(&volume, 2).await.unwrap_err();
    let refused = rig.taken();
    assert_eq!(refused["GET connections"], 1);
    assert!(!refused.contains_key("POST connections"));

    // The grant is withdrawn with one tag call.
    assert!(node.withdraw_format_grant(&volume).await.unwrap().is_done());
    assert_eq!(rig.taken(), calls(&[("DELETE volumes/tags", 1)]));

    // Expand: a read of the size, and the change.
    let size = Size::from_gib(2);
    let grown = node
        .expand(ExpandVolume {
            volume: volume.clone(),
            size,
        })
        .await
        .unwrap();
    assert_eq!(grown.get().size, size);
    assert_eq!(
        rig.taken(),
        calls(&[("GET volumes", 1), ("PATCH volumes", 1)])
    );

    // Unpublish: two.
    assert!(node.take(&volume, 1).await.unwrap().is_done());
    assert_eq!(
        rig.taken(),
        calls(&[("DELETE connections", 1), ("GET connections", 1)])
    );

    // Delete: three; and the looks for the record and, before and after the rename, for snapshots.
    assert!(node.remove(&volume).await.unwrap().is_done());
    let expected = [
        ("GET volumes/tags", 1),
        ("GET volume-snapshots", 2),
        ("PATCH volumes", 2),
        ("GET connections", 1),
    ];
    assert_eq!(rig.taken(), calls(&expected));
}

#[tokio::test]
async fn copies_and_snapshots_keep_to_their_budget() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    rig.taken();

    // A clone: as a create, whose look-up is the engine's. A larger one: one more.
    node.copy_volume("same", &volume)
        .await
        .unwrap()
        .into_inner();
    let expected = [
        ("POST volumes", 1),
        ("PUT volumes/tags/batch", 1),
        ("PATCH volumes", 1),
    ];
    assert_eq!(rig.taken(), calls(&expected));
    let mut larger = clone_request("larger", CloneSource::Volume(Box::new(volume.clone())));
    larger.volume.size = Size::from_gib(2);
    node.clone_volume(larger).await.unwrap().into_inner();
    let expected = [
        ("POST volumes", 1),
        ("PUT volumes/tags/batch", 1),
        ("PATCH volumes", 2),
    ];
    assert_eq!(rig.taken(), calls(&expected));

    // A snapshot: the volume's record, and the POST; once more: a look at what has the name.
    let snapshot = node.freeze(&volume, "one").await.unwrap().into_inner();
    let mut expected = vec![("GET volumes/tags", 1), ("POST volume-snapshots", 1)];
    assert_eq!(rig.taken(), calls(&expected));
    assert!(!node.freeze(&volume, "one").await.unwrap().is_done());
    expected.push(("GET volume-snapshots", 1));
    assert_eq!(rig.taken(), calls(&expected));

    // Looked up: one, and the volume's record where it is there. A page: the same.
    assert!(node.frozen(&volume, "two").await.is_none());
    assert_eq!(rig.taken(), calls(&[("GET volume-snapshots", 1)]));
    let found = [("GET volume-snapshots", 1), ("GET volumes/tags", 1)];
    assert_eq!(node.frozen(&volume, "one").await.as_ref(), Some(&snapshot));
    assert_eq!(rig.taken(), calls(&found));
    let page = node.list_snapshots(ListSnapshots::default()).await.unwrap();
    assert_eq!(page.snapshots, std::slice::from_ref(&snapshot));
    assert_eq!(rig.taken(), calls(&found));

    let source = CloneSource::Snapshot(Box::new(snapshot.clone()));
    let copied = node
        .clone_volume(clone_request("of-snapshot", source))
        .await;
    assert!(copied.unwrap().is_done());
    rig.taken();

    // Removed: the volume's record, and the PATCH.
    assert!(node.delete_snapshot(&snapshot).await.unwrap().is_done());
    let expected = [("GET volumes/tags", 1), ("PATCH volume-snapshots", 1)];
    assert_eq!(rig.taken(), calls(&expected));
}

#[tokio::test]
async fn what_is_seldom_asked_keeps_to_its_budget() {
    let rig = Rig::new().await;
    let node = rig.node();
    let volume = node.make("data").await;
    node.give(&volume, 1).await.unwrap().into_inner();
    rig.taken();

    // Restore of what has its name: a look-up.
    assert!(!node.restore(&volume).await.unwrap().is_done());
    assert_eq!(
        rig.taken(),
        calls(&[("GET volumes", 1), ("GET volumes/tags", 1)])
    );

    // Restore: a look-up and the rename. A delete that goes on looks instead of renaming.
    let volume = node.make("again").await;
    let trash = storage_core::trash_name(node.namespace(), &volume.name, uuid::Uuid::new_v4());
    for restored in [true, false] {
        rig.admin().rename("ns-again", &trash).await;
        let found = node.find("again").await.unwrap();
        rig.taken();
        let mut expected = vec![
            ("GET volumes", 1),
            ("GET volumes/tags", 1),
            ("PATCH volumes", 1),
        ];
        if restored {
            assert!(node.restore(&found).await.unwrap().is_done());
        } else {
            expected.extend([("GET volume-snapshots", 1), ("GET connections", 1)]);
            assert!(node.remove(&found).await.unwrap().is_done());
        }
        assert_eq!(rig.taken(), calls(&expected));
    }
}

#[tokio::test]
async fn many_publishes_at_the_start_read_once_what_is_read_once() {
    let rig = Rig::new().await;
    let node = std::sync::Arc::new(rig.node());
    let mut volumes = Vec::new();
    for number in 0..20 {
        volumes.push(node.make(&format!("data{number}")).await);
    }
    rig.taken();
    let mut tasks = tokio::task::JoinSet::new();
    for volume in volumes {
        let node = std::sync::Arc::clone(&node);
        tasks.spawn(async move { node.give(&volume, 1).await.unwrap().into_inner() });
    }
    while let Some(access) = tasks.join_next().await {
        access.unwrap();
    }
    let counts = rig.taken();
    assert_eq!(counts["GET hosts"], 1);
    assert_eq!(counts["POST hosts"], 1);
    assert_eq!(counts["GET ports"], 1);
    assert_eq!(counts["GET connections"], 40);
}

#[tokio::test]
async fn telemetry_is_one_call() {
    let rig = Rig::new().await;
    let node = rig.node();
    let telemetry = node.telemetry().await.unwrap();
    assert_eq!(telemetry.array.as_str(), rig.array.id());
    assert_eq!(telemetry.array_name, "array-a");
    assert_eq!(rig.taken(), calls(&[("GET arrays/space", 1)]));
    let labels = node.labels();
    assert_eq!(labels["purestorage.com/hostname"], "array-a");
    assert_eq!(labels["purestorage.com/id"], rig.array.id());
    assert_eq!(labels["purestorage.com/backend"], "block");
    assert_eq!(labels["purestorage.com/family"], "FlashArray");
}

#[tokio::test]
async fn a_page_of_a_list_is_one_call_and_one_for_its_tags() {
    let rig = Rig::new().await;
    let node = rig.node();
    for number in 0..5 {
        node.make(&format!("data{number}")).await;
    }
    rig.taken();
    let page = node.list(ListVolumes::default()).await.unwrap();
    assert_eq!(page.volumes.len(), 5);
    assert_eq!(
        rig.taken(),
        calls(&[("GET volumes", 1), ("GET volumes/tags", 1)])
    );
}

#[tokio::test]
async fn one_session_serves_all_calls_and_is_ended() {
    let rig = Rig::new().await;
    let node = rig.node();
    for number in 0..5 {
        node.make(&format!("data{number}")).await;
    }
    assert_eq!(rig.array.call_counts()["POST login"], 1);
    assert_eq!(rig.array.open_sessions(), 1);
    node.close().await;
    assert_eq!(rig.array.open_sessions(), 0);
}

#[tokio::test]
async fn loop_accesses_are_paths_of_files() {
    let rig = Rig::new().await;
    let base = rig.config("ns");
    let san = San::Loop {
        folder: "/run/luns".into(),
    };
    let mut config = FlashArrayConfig::new(base.endpoint, base.token, base.namespace, san);
    config.trust = base.trust;
    let node = backend_flasharray::FlashArray::new(config).unwrap();
    let volume = node.make("data").await;
    let access = node.give(&volume, 1).await.unwrap().into_inner();
    let AccessPath::Loop { file } = &access.path else {
        panic!("{:?}", access.path);
    };
    let seen = &rig.array.connections()[0];
    let expected = format!("/run/luns/{}/{}", host(1).object_name(), seen.lun);
    assert_eq!(file.to_str().unwrap(), expected);
    let counts = rig.taken();
    assert!(!counts.contains_key("GET ports"), "{counts:?}");
    let serial = access.identity.serial.to_lowercase();
    assert_eq!(access.identity.wwid, format!("3624a9370{serial}"));
}
