//! How many objects an array holds: each limit is enforced, and what goes makes room.

use array_sim::ArrayConfig;
use serde_json::json;

use crate::client::with;

#[tokio::test]
async fn snapshots_hosts_groups_and_connections_are_counted() {
    let mut config = ArrayConfig::new("array-a");
    config.limits.snapshots = 2;
    config.limits.hosts = 2;
    config.limits.host_groups = 1;
    config.limits.connections = 2;
    config.limits.tags_per_volume = 1;
    let (_simulator, array, client) = with(config).await;
    client.volume("v").await;
    client.volume("w").await;
    let path = "volume-snapshots?source_names=v,w";
    client.post(path, json!({ "suffix": "a" })).await.done();
    let third = client
        .post("volume-snapshots?source_names=v", json!({}))
        .await;
    assert_eq!(third.refusal(), ("Volume snapshot limit reached.", None));
    assert_eq!(array.snapshots().len(), 2);

    client.host("h1").await;
    client.host("h2").await;
    let third = client.post("hosts?names=h3", json!({})).await;
    assert_eq!(third.refusal(), ("Host limit reached.", None));
    client.post("host-groups?names=g", json!({})).await.done();
    let second = client.post("host-groups?names=h", json!({})).await;
    assert_eq!(second.refusal(), ("Host group limit reached.", None));

    client.connect("v", "h1").await.done();
    // Two more at once are one too many: neither is made.
    let two = client.connect("w", "h1,h2").await;
    assert_eq!(two.refusal(), ("Connection limit reached.", None));
    assert_eq!(array.connections().len(), 1);
    client.connect("w", "h1").await.done();
    client
        .delete("connections?volume_names=w&host_names=h1")
        .await
        .done();
    client.connect("w", "h2").await.done();

    let tags = json!([{ "key": "a", "value": "" }, { "key": "b", "value": "" }]);
    let path = "volumes/tags/batch?resource_names=v";
    let many = client.send("PUT", path, Some(tags)).await;
    assert_eq!(many.refusal(), ("Tag limit reached.", None));
}

#[tokio::test]
async fn a_copy_counts_and_an_overwrite_does_not() {
    let mut config = ArrayConfig::new("array-a");
    config.limits.volumes = 2;
    let (_simulator, _array, client) = with(config).await;
    client.volume("v").await;
    client.volume("w").await;
    let body = json!({ "source": { "name": "v" } });
    let copy = client.post("volumes?names=x", body.clone()).await;
    assert_eq!(copy.refusal(), ("Volume limit reached.", None));
    client
        .post("volumes?names=w&overwrite=true", body)
        .await
        .done();
}
