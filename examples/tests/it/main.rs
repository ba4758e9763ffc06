//! The examples run to their end, say what they promise, and leave nothing behind.
#![expect(
    clippy::unwrap_used,
    reason = "a test's support functions fail by panicking"
)]

use std::path::Path;
use std::time::Duration;

use lab::environment::{Need, missing};
use lab::leftovers::Watch;
use lab::process::{Finished, Program, find_binary};

async fn run(example: &str, folder: &Path) -> Finished {
    let program = find_binary(&format!("examples/{example}")).unwrap();
    let finished = Program::new(program)
        .env("TMPDIR", folder)
        .run()
        .await
        .unwrap();
    assert!(
        finished.success(),
        "{example}: {:?}\n{}{}",
        finished.status,
        finished.stdout,
        finished.stderr
    );
    finished
}

#[tokio::test]
async fn the_engine_is_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let finished = run("embed_minimal", folder.path()).await;
    for line in [
        "orders: 20GB on array-",
        "orders: mounted at /",
        "orders: removed true",
    ] {
        assert!(
            finished.stdout.contains(line),
            "{line:?} in {}",
            finished.stdout
        );
    }
}

#[tokio::test]
async fn a_backend_of_ones_own_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let finished = run("own_backend", folder.path()).await;
    for line in [
        "orders: 20GiB on the shelf",
        "orders: given to node-1-",
        "orders: taken back true, removed true",
    ] {
        assert!(
            finished.stdout.contains(line),
            "{line:?} in {}",
            finished.stdout
        );
    }
}

#[tokio::test]
async fn a_volume_is_provisioned_and_attached() {
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::new().folder(folder.path()).begin().unwrap();
    let finished = run("provision_and_attach", folder.path()).await;
    let needs = [Need::Root, Need::Fuse, Need::Loop, Need::Tool("mkfs.ext4")];
    if let Some(reason) = missing(&needs) {
        assert!(finished.stdout.contains("SKIPPED: "), "{}", finished.stdout);
        println!("SKIPPED: {reason}");
        return;
    }
    for line in ["read back: hello", "deleted `Orders 2025`: true"] {
        assert!(
            finished.stdout.contains(line),
            "{line:?} in {}",
            finished.stdout
        );
    }
    watch.assert_none(Duration::from_secs(10)).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "left in the temporary folder: {left:?}");
}
