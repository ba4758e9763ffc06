//! Copies and limits through the engine: where they go, what they carry, what is refused.

use std::sync::Arc;

use super::{Node, arrays, name, node, options, soon};
use crate::backend::{Backend, VolumeKey};
use crate::engine::copy::is_copy_of;
use crate::error::{Error, ErrorKind};
use crate::memory::{MemoryArray, MemoryBackend};
use crate::name::Namespace;
use crate::size::Size;
use crate::snapshot::{CreateSnapshot, SnapshotName, Snapshots as _};
use crate::volume::Volume;

async fn make(node: &Node, text: &str, pairs: &[(&str, &str)]) -> Result<Volume, Error> {
    let made = node.engine.create(name(text), options(pairs), soon()).await;
    made.map(crate::Outcome::into_inner)
}

/// A volume that was mounted once, so that it has a file system.
async fn used(node: &Node, text: &str, pairs: &[(&str, &str)]) -> Volume {
    make(node, text, pairs).await.unwrap();
    node.engine.mount(name(text), soon()).await.unwrap();
    node.engine.unmount(name(text), soon()).await.unwrap();
    let found = node.engine.find(&name(text), soon()).await.unwrap();
    found.unwrap()
}

async fn refused(node: &Node, text: &str, pairs: &[(&str, &str)], kind: ErrorKind, says: &str) {
    let error = make(node, text, pairs).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

/// As somebody with the array's own tools would.
async fn snapshot(array: &Arc<MemoryArray>, volume: &str, snapshot: &str) {
    let backend = MemoryBackend::new(Arc::clone(array), Namespace::new("test").unwrap());
    let found = backend.get(VolumeKey::Name(name(volume))).await.unwrap();
    let request = CreateSnapshot {
        volume: found.unwrap(),
        name: SnapshotName::new(snapshot).unwrap(),
    };
    let _made = backend.create_snapshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_on_its_sources_array_with_its_file_system_and_without_a_grant() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    // The smaller array, which nothing but a selector chooses.
    let on_a = ("volume_label_selector", "tier=array-a");
    let source = used(&node, "db", &[("fstype", "ext4"), ("size", "2GiB"), on_a]).await;
    let copy = make(&node, "copy", &[("source", "db")]).await.unwrap();
    assert_eq!(copy.id.array(), source.id.array());
    assert_ne!(copy.id, source.id);
    assert_eq!(copy.size, source.size);
    assert_eq!(copy.filesystem, source.filesystem);
    assert_eq!(copy.format_grant, None);
    assert!(copy.fresh_uuid.is_some());
    assert_eq!(copy.attributes["source"], "db");
    node.engine.mount(name("copy"), soon()).await.unwrap();
    let formats: u64 = arrays.iter().map(|array| array.formats()).sum();
    assert_eq!(formats, 1, "a copy is never formatted");
    // The same call again, and without the source: the same volume.
    for again in [&[("source", "db")][..], &[]] {
        assert_eq!(make(&node, "copy", again).await.unwrap().id, copy.id);
    }
    let larger = make(&node, "larger", &[("source", "db"), ("size", "3GiB")]).await;
    assert_eq!(larger.unwrap().size, Size::from_gib(3));
}

/// An array keeps 256 characters of an attribute, the last one a sign that it was cut.
#[tokio::test(start_paused = true)]
async fn a_source_with_a_long_name_is_known_again() {
    let node = node(&arrays(), "one");
    let source = format!("{}.{}", "v".repeat(250), "s".repeat(60));
    let mut copy = make(&node, "copy", &[]).await.unwrap();
    let cut = |at: usize| format!("{}…", source.chars().take(at).collect::<String>());
    for (recorded, same) in [
        (source.clone(), true),
        (cut(255), true),
        (cut(254), false),
        (cut(255).replacen('v', "x", 1), false),
    ] {
        copy.attributes.insert("source".to_owned(), recorded);
        assert_eq!(is_copy_of(&copy, &source.parse().unwrap()), same);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_snapshot_outlives_what_it_was_made_from() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let on_a = ("volume_label_selector", "tier=array-a");
    used(&node, "db.v1", &[on_a]).await;
    snapshot(&arrays[0], "db.v1", "daily").await;
    let copy = make(&node, "copy", &[("source", "db.v1.daily")]).await;
    let copy = copy.unwrap();
    assert_eq!(copy.id.array(), arrays[0].id());
    assert_eq!(copy.attributes["source"], "db.v1.daily");
    node.engine.mount(name("copy"), soon()).await.unwrap();
    // With a snapshot, its volume is not removed.
    let error = node.engine.remove(name("db.v1"), soon()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_copied_is_refused() {
    use ErrorKind::{
        AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange,
        ResourceExhausted, Unavailable,
    };
    let arrays = arrays();
    let node = node(&arrays, "one");
    let on_a = ("volume_label_selector", "tier=array-a");
    used(&node, "db", &[("size", "2GiB"), on_a]).await;
    make(&node, "blank", &[on_a]).await.unwrap();
    let source = ("source", "db");
    for (pairs, kind, says) in [
        (
            &[("source", "nobody")][..],
            NotFound,
            "no volume of this name",
        ),
        (&[("source", "db.nothing")], NotFound, "source: db.nothing"),
        (&[("source", "blank")], FailedPrecondition, "mount it once"),
        (
            &[source, ("size", "1GiB")],
            OutOfRange,
            "less than its source",
        ),
        (
            &[source, ("fstype", "ext4")],
            InvalidArgument,
            "the source has xfs",
        ),
        (
            &[source, ("volume_label_selector", "tier=array-b")],
            ResourceExhausted,
            "are hostname=array-a, tier=array-a; array-a: its labels do not satisfy",
        ),
    ] {
        refused(&node, "copy", pairs, kind, says).await;
    }
    refused(&node, "blank", &[source], AlreadyExists, "copy of nothing").await;
    // A name that stands for two things.
    used(&node, "db.x", &[]).await;
    snapshot(&arrays[0], "db", "x").await;
    refused(&node, "copy", &[("source", "db.x")], InvalidArgument, "too").await;
    // What may be on an array that does not answer.
    arrays[1].set_down(true);
    refused(&node, "copy", &[source], Unavailable, "does not answer").await;
    assert!(arrays.iter().all(|array| {
        let objects = array.objects();
        objects.iter().all(|object| !object.contains("copy"))
    }));
}

#[tokio::test(start_paused = true)]
async fn limits_are_set_at_create_and_told() {
    let arrays = arrays();
    let node = node(&arrays, "one");
    let limited = [("iops_limit", "1000"), ("bandwidth_limit", "10M")];
    let volume = make(&node, "v", &limited).await.unwrap();
    assert_eq!(volume.limits.iops, Some(1000));
    assert_eq!(volume.limits.bandwidth, Some(Size::from_mib(10)));
    make(&node, "v", &limited).await.unwrap();
    make(&node, "v", &[]).await.unwrap();
    let other = [("iops_limit", "2000")];
    refused(
        &node,
        "v",
        &other,
        ErrorKind::AlreadyExists,
        "iops_limit=1000",
    )
    .await;
    let much = [("iops_limit", "1")];
    refused(&node, "w", &much, ErrorKind::ResourceExhausted, "100 to").await;
}
