//! Many volumes: pages, chunks of tags, and objects that vanish between two calls.

use std::collections::BTreeSet;

use storage_core::{Backend, ErrorKind, ListVolumes, Size};
use storage_http::Method;

use crate::support::{Rig, Verbs};

/// Makes recorded volumes by an administrator's hand, a hundred with a call.
async fn fill(rig: &Rig, count: usize) {
    let admin = rig.admin();
    let names: Vec<String> = (0..count)
        .map(|number| format!("ns-v{number:05}"))
        .collect();
    for chunk in names.chunks(100) {
        admin
            .add_volume(&chunk.join(","), Size::from_bytes(1 << 20))
            .await;
        for object in chunk {
            let body = serde_json::json!([
                {"key": "owner", "value": "1 ns", "namespace": "fairlead", "copyable": false},
                {"key": "name", "value": object.strip_prefix("ns-").unwrap(),
                 "namespace": "fairlead", "copyable": false},
            ]);
            let query = [("resource_names", object.as_str())];
            admin
                .call(Method::Put, "/volumes/tags/batch", &query, body)
                .await;
        }
    }
}

/// The names, how many there were, and how many calls the backend says that it took: whoever lists
/// again and again keeps to a budget by that.
async fn all(node: &dyn Backend, limit: Option<usize>) -> (BTreeSet<String>, usize, u32) {
    let (mut names, mut seen, mut calls, mut after) = (BTreeSet::new(), 0, 0, None);
    loop {
        let page = node.list(ListVolumes { after, limit }).await.unwrap();
        seen += page.volumes.len();
        calls += page.calls;
        names.extend(
            page.volumes
                .iter()
                .map(|volume| volume.name.as_str().to_owned()),
        );
        after = page.next;
        if after.is_none() {
            return (names, seen, calls);
        }
    }
}

#[tokio::test]
async fn two_thousand_volumes_are_listed_once_each() {
    let rig = Rig::new().await;
    fill(&rig, 2000).await;
    let node = rig.node();
    // Another cluster's and nobody's are among them and are left out.
    rig.node_in("ns-two").make("foreign").await;
    rig.admin().add_volume("ns-legacy", Size::from_gib(1)).await;
    rig.taken();
    let (names, seen, calls) = all(&node, None).await;
    assert_eq!((names.len(), seen, calls), (2000, 2000, 20));
    let counts = rig.taken();
    assert_eq!(counts["GET volumes"], 3);
    assert_eq!(counts["GET volumes/tags"], 17, "125 volumes a call");
    let (names, seen, calls) = all(&node, Some(300)).await;
    assert_eq!((names.len(), seen), (2000, 2000));
    let counted: usize = rig.taken().values().sum();
    assert_eq!(usize::try_from(calls).unwrap(), counted);
}

#[tokio::test]
async fn a_place_in_a_list_that_is_not_the_arrays_is_refused() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.make("data").await;
    let after = Some("nonsense".to_owned());
    let error = node
        .list(ListVolumes { after, limit: None })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
}

#[tokio::test]
async fn a_volume_that_vanishes_meanwhile_does_not_spoil_the_list() {
    let rig = Rig::new().await;
    let node = rig.node();
    for number in 0..9 {
        node.make(&format!("v{number}")).await;
    }
    let rule =
        array_sim::FaultRule::once("GET", "volumes/tags", array_sim::FaultAction::HoldBefore);
    rig.array.add_rule(rule);
    let lister = rig.node();
    let task = tokio::spawn(async move { lister.list(ListVolumes::default()).await });
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while rig.array.held_calls() == 0 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    let admin = rig.admin();
    admin.destroy("ns-v4").await;
    admin
        .call(
            Method::Delete,
            "/volumes",
            &[("names", "ns-v4")],
            serde_json::Value::Null,
        )
        .await;
    rig.array.release_held();
    let page = task.await.unwrap().unwrap();
    assert_eq!(page.volumes.len(), 8);
}
