//! An array that does not answer: what Docker is told, and what it is not.

use serde_json::json;

use crate::node::Node;
use crate::raw::Answer;

#[tokio::test]
async fn neither_found_nor_absent_nor_known_is_not_answered() {
    let node = Node::start().await;
    node.array.set_down(true);
    assert_eq!(node.get("v").await, Answer::Closed);
    node.array.set_down(false);
    assert_eq!(node.get("v").await.error(), "no such volume");
}

#[tokio::test]
async fn what_was_known_is_answered_from_memory_and_after_a_restart_from_the_cache() {
    let node = Node::start().await;
    node.create("v").await;
    node.array.set_down(true);
    assert_eq!(node.get("v").await.ok()["Volume"]["Status"]["Array"], "a1");

    let node = node.restart().await;
    let volume = node.get("v").await.ok()["Volume"].clone();
    assert_eq!(volume["Status"]["Options"], json!({"size": "1GiB"}));
    assert!(volume["CreatedAt"].is_string());
    let listed = node.call("List", json!({})).await.ok();
    assert_eq!(listed["Volumes"][0]["Name"], "v");
    assert_eq!(
        listed["Volumes"][0]["Status"]["InventoryAge"],
        "not listed yet"
    );
    node.call("Path", json!({"Name": "v"})).await.ok();

    node.array.set_down(false);
    let volume = node.get("v").await.ok()["Volume"].clone();
    assert_eq!(volume["Status"]["Array"], "a1");
}

#[tokio::test]
async fn a_volume_that_is_certainly_gone_is_forgotten() {
    let node = Node::start().await;
    node.create("v").await;
    node.array.destroy_foreign("ns-v").unwrap();
    let node = node.restart().await;
    assert_eq!(node.get("v").await.error(), "no such volume");
    node.array.set_down(true);
    assert_eq!(node.get("v").await, Answer::Closed);
}

#[tokio::test]
async fn create_mount_and_remove_say_why_not() {
    let node = Node::start().await;
    node.create("v").await;
    node.array.set_down(true);
    for (call, name) in [("Create", "w"), ("Mount", "v"), ("Remove", "v")] {
        let answer = node.call(call, json!({"Name": name, "ID": "i"})).await;
        assert_eq!(answer.status(), 503, "{call}");
        assert!(answer.error().contains("does not answer"), "{call}");
    }
    node.array.set_down(false);
    node.call("Mount", json!({"Name": "v", "ID": "i"}))
        .await
        .ok();
}
