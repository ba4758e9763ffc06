//! Mount counts: Docker's IDs, its crashes and ours.

use std::time::{Duration, Instant};

use serde_json::json;
use storage_core::{Attacher, AttachmentState, VolumeName};

use crate::node::Node;
use crate::raw::PATIENCE;

/// Whether the host has the volume mounted.
async fn mounted(node: &Node) -> bool {
    let attachments = node.engine.attachments().await.unwrap();
    attachments
        .iter()
        .any(|a| a.state == AttachmentState::Mounted)
}

async fn until_unmounted(node: &Node) {
    let begin = Instant::now();
    while mounted(node).await {
        assert!(begin.elapsed() < PATIENCE, "still mounted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_last_unmount_unmounts() {
    let node = Node::start().await;
    node.create("v").await;
    let first = node.mount("v", "a").await.ok()["Mountpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = node.mount("v", "b").await.ok()["Mountpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(first, second);
    assert_eq!(node.path("v").await, first);
    assert_eq!(
        node.get("v").await.ok()["Volume"]["Mountpoint"],
        first.as_str()
    );
    node.unmount("v", "a").await.ok();
    assert!(mounted(&node).await);
    node.unmount("v", "b").await.ok();
    assert!(!mounted(&node).await);
    assert_eq!(node.path("v").await, "");
    assert_eq!(node.count_files(), 0);
}

#[tokio::test]
async fn docker_cp_into_a_running_container_leaves_it_its_mount() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    for _ in 0..2 {
        node.mount("v", "a").await.ok();
        node.unmount("v", "a").await.ok();
    }
    assert!(mounted(&node).await);
    node.unmount("v", "a").await.ok();
    assert!(!mounted(&node).await);
}

#[tokio::test]
async fn clients_without_an_id_are_served() {
    let node = Node::start().await;
    node.create("v").await;
    for _ in 0..2 {
        node.call("Mount", json!({"Name": "v"})).await.ok();
    }
    node.call("Unmount", json!({"Name": "v"})).await.ok();
    assert!(!mounted(&node).await);
}

#[tokio::test]
async fn an_unmount_of_something_unknown_succeeds() {
    let node = Node::start().await;
    node.unmount("nothing", "a").await.ok();
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.unmount("v", "another").await.ok();
    assert!(mounted(&node).await);
    node.unmount("v", "a").await.ok();
    node.unmount("v", "a").await.ok();
}

#[tokio::test]
async fn a_mount_of_a_volume_that_is_not_there_fails_and_counts_nothing() {
    let node = Node::start().await;
    assert!(
        node.mount("v", "a")
            .await
            .error()
            .contains("no such volume")
    );
    assert_eq!(node.count_files(), 0);
}

#[tokio::test]
async fn a_volume_in_use_is_not_removed() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "0123456789abcdef").await.ok();
    let error = node.remove("v").await.error();
    assert!(
        error.contains("1 mount") && error.contains("0123456789ab"),
        "{error}"
    );
    node.get("v").await.ok();
    node.unmount("v", "0123456789abcdef").await.ok();
    node.remove("v").await.ok();
}

#[tokio::test]
async fn counts_survive_a_restart_of_the_plugin() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.mount("v", "b").await.ok();
    let node = node.restart().await;
    assert_ne!(node.path("v").await, "");
    node.unmount("v", "a").await.ok();
    assert!(mounted(&node).await);
    node.unmount("v", "b").await.ok();
    assert!(!mounted(&node).await);
}

/// kill -9 of the daemon: no Unmount is sent, the next start of the container sends Mount with the
/// same ID, and its stop sends one Unmount.
#[tokio::test]
async fn after_a_new_daemon_the_same_id_counts_once() {
    let node = Node::start().await;
    node.activate().await.ok();
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.activate().await.ok();
    node.mount("v", "a").await.ok();
    node.unmount("v", "a").await.ok();
    assert!(!mounted(&node).await);
    assert_eq!(node.count_files(), 0);
}

/// The array is silent while it mounts for the old daemon. The new one does not wait for that; and
/// what comes of it is the old one's.
#[tokio::test]
async fn a_new_daemon_does_not_wait_for_what_the_old_one_asked_for() {
    let node = Node::start().await;
    node.create("v").await;
    let (before, slow) = (node.array.calls(), Duration::from_secs(6));
    node.array.set_delay(slow);
    let new_daemon = async {
        while node.array.calls() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        node.array.set_delay(Duration::ZERO);
        let begin = Instant::now();
        node.activate().await.ok();
        assert!(begin.elapsed() < slow / 2, "{:?}", begin.elapsed());
    };
    let (answer, ()) = tokio::join!(node.mount("v", "a"), new_daemon);
    answer.ok();
    // Nobody uses it: the new daemon removes it, once it is noted whose the mount is.
    let begin = Instant::now();
    while node.remove("v").await.status() != 200 {
        assert!(begin.elapsed() < PATIENCE, "still counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!mounted(&node).await);
}

#[tokio::test]
async fn what_a_dead_daemon_left_does_not_keep_a_volume_from_being_removed() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.activate().await.ok();
    node.remove("v").await.ok();
    assert!(!mounted(&node).await);
    assert_eq!(node.count_files(), 0);
    assert!(node.volumes().is_empty());
}

#[tokio::test]
async fn an_unmount_that_fails_is_an_error_and_can_be_repeated() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    node.attacher.hold(Some("process 7"));
    assert!(node.unmount("v", "a").await.error().contains("process 7"));
    assert!(mounted(&node).await);
    node.attacher.hold(None);
    // Tried again with nobody asking.
    until_unmounted(&node).await;
    // As the daemon that keeps the container's ID, and mounts it again.
    node.mount("v", "a").await.ok();
    node.unmount("v", "a").await.ok();
    assert!(!mounted(&node).await);
}

/// A crash after the mount and before the answer: nobody was told, so nobody will unmount it.
#[tokio::test]
async fn a_mount_that_nobody_was_told_of_is_taken_down_at_start() {
    let node = Node::start().await;
    node.create("v").await;
    let name = VolumeName::new("v").unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    node.engine.mount(name, deadline).await.unwrap();
    assert!(mounted(&node).await);
    let node = node.restart().await;
    until_unmounted(&node).await;
}

#[tokio::test]
async fn many_containers_at_once() {
    let node = std::sync::Arc::new(Node::start().await);
    node.create("v").await;
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..32 {
        let node = std::sync::Arc::clone(&node);
        calls.spawn(async move {
            let id = format!("{index}");
            node.mount("v", &id).await.ok();
            if index % 2 == 0 {
                node.unmount("v", &id).await.ok();
            }
        });
    }
    calls.join_all().await;
    assert!(mounted(&node).await);
    for index in (1..32).step_by(2) {
        node.unmount("v", &format!("{index}")).await.ok();
    }
    assert!(!mounted(&node).await);
    assert_eq!(node.array.formats(), 1);
}

/// The ledger is gone and the counts are there: the mount is adopted, and counts as before.
#[tokio::test]
async fn a_lost_record_is_made_again_by_the_next_mount() {
    let node = Node::start().await;
    node.create("v").await;
    let mountpoint = node.mount("v", "a").await.ok()["Mountpoint"].clone();
    let volume = node.engine.known(&VolumeName::new("v").unwrap()).unwrap();
    node.attacher.lose_record(&volume);
    let node = node.restart().await;
    assert_eq!(node.mount("v", "b").await.ok()["Mountpoint"], mountpoint);
    node.unmount("v", "b").await.ok();
    assert!(mounted(&node).await, "the other container's count stands");
    node.unmount("v", "a").await.ok();
    assert!(!mounted(&node).await);
    assert_eq!(node.array.formats(), 1);
    assert!(node.attacher.unrecorded().await.unwrap().is_empty());
}

/// And with nobody mounting, in the background.
#[tokio::test]
async fn a_lost_record_is_made_again_by_itself() {
    let node = Node::start().await;
    node.create("v").await;
    node.mount("v", "a").await.ok();
    let volume = node.engine.known(&VolumeName::new("v").unwrap()).unwrap();
    node.attacher.lose_record(&volume);
    // Until then nothing can be done for it, and nothing is.
    let node = node.restart().await;
    node.unmount("v", "another").await.ok();
    let begin = Instant::now();
    while !mounted(&node).await {
        assert!(begin.elapsed() < PATIENCE, "not adopted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node.unmount("v", "a").await.ok();
    assert!(!mounted(&node).await);
}
