//! Clients that are slow, silent, half open, greedy or mad cost a place for a bounded time, and
//! nobody else anything.

use std::time::Duration;

use adapter_docker::Limits;
use proptest::prelude::*;
use serde_json::json;

use crate::node::Node;
use crate::raw::{Answer, Connection, request};

fn tight() -> Limits {
    let mut limits = Limits::default();
    limits.header = Duration::from_millis(300);
    limits.body = Duration::from_millis(300);
    limits.idle = Duration::from_millis(900);
    limits.connections = 4;
    limits
}

#[tokio::test]
async fn silent_and_slow_clients_are_closed() {
    let node = Node::start_with(tight(), None).await;
    for beginning in ["", "P", "POST /VolumeDriver.List HTTP/1.1\r\nHost: \r\n"] {
        let mut connection = Connection::open(&node.socket()).await;
        connection.send(beginning).await;
        let answer = connection.receive().await;
        assert_eq!(answer, Answer::Closed, "{beginning:?}");
    }
}

#[tokio::test]
async fn one_byte_at_a_time_does_not_help() {
    let node = Node::start_with(tight(), None).await;
    let mut connection = Connection::open(&node.socket()).await;
    let text = request("/VolumeDriver.List", "{}");
    let drip = async {
        for byte in text.chars() {
            connection.send(&byte.to_string()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        connection.receive().await
    };
    assert_eq!(drip.await, Answer::Closed);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_timeout() {
    let node = Node::start_with(tight(), None).await;
    let whole = request("/VolumeDriver.Create", "{\"Name\":\"v\"}");
    let cut = whole.strip_suffix("\"v\"}").unwrap();
    assert_eq!(node.raw(cut).await.status(), 408);
    assert!(node.volumes().is_empty());
}

#[tokio::test]
async fn a_rested_connection_serves_again_and_one_that_rests_too_long_is_closed() {
    let mut limits = tight();
    // Far above what a busy machine loses between two requests.
    limits.idle = Duration::from_secs(6);
    let node = Node::start_with(limits, None).await;
    let mut connection = Connection::open(&node.socket()).await;
    let list = request("/VolumeDriver.List", "{}");
    connection.send(&list).await;
    connection.receive().await.ok();
    // Longer than a header may take, shorter than a rest.
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.send(&list).await;
    connection.receive().await.ok();
    assert_eq!(connection.receive().await, Answer::Closed);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let node = Node::start_with(tight(), None).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(Connection::open(&node.socket()).await);
    }
    // Served once the silent ones have been closed.
    node.call("List", json!({})).await.ok();
}

#[tokio::test]
async fn bodies_are_bounded() {
    let node = Node::start().await;
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(
        node.raw(&request("/VolumeDriver.Create", &large))
            .await
            .status(),
        413
    );
    let chunked =
        "POST /VolumeDriver.Create HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("80000\r\n{}\r\n", "x".repeat(0x80000));
    let endless = format!("{chunked}{}0\r\n\r\n", chunk.repeat(3));
    assert_eq!(node.raw(&endless).await.status(), 413);
    let header = format!("POST / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    assert_eq!(node.raw(&header).await.status(), 431);
    node.call("List", json!({})).await.ok();
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_its_call() {
    let node = Node::start().await;
    let mut connection = Connection::open(&node.socket()).await;
    let body = "{\"Name\":\"v\",\"Opts\":null}";
    connection
        .send(&request("/VolumeDriver.Create", body))
        .await;
    drop(connection);
    // The same create again joins or finds the first one.
    node.call("Create", json!({"Name": "v", "Opts": null}))
        .await
        .ok();
    assert_eq!(node.volumes(), ["ns-v"]);
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_closes_what_rests() {
    let mut node = Node::start().await;
    let mut resting = Connection::open(&node.socket()).await;
    resting.send(&request("/VolumeDriver.List", "{}")).await;
    resting.receive().await.ok();
    assert!(node.stop().await);
    assert_eq!(resting.receive().await, Answer::Closed);
    assert!(!node.socket().exists());
}

#[test]
fn no_bytes_hurt() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(Node::start_with(tight(), None));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(40));
    let bytes = prop_oneof![
        ".{0,100}",
        "(POST|GET|X) /[A-Za-z.]{0,20} HTTP/1.[01]\r\n([A-Za-z-]{1,9}: .{0,9}\r\n){0,3}\r\n.{0,20}",
    ];
    runner
        .run(&bytes, |text| {
            runtime.block_on(async {
                let mut connection = Connection::open(&node.socket()).await;
                connection.send(&text).await;
                drop(connection);
            });
            Ok(())
        })
        .unwrap();
    runtime.block_on(async { node.call("List", json!({})).await.ok() });
}
