//! Hosts, initiators, host groups.

use serde_json::json;

use crate::client::{encode, one_array};

#[tokio::test]
async fn a_host_is_made_found_changed_and_deleted() {
    let (_simulator, array, client) = one_array().await;
    let body = json!({
        "iqns": ["iqn.1994-05.com.redhat:aa"],
        "wwns": ["21000024ff59ab01"],
        "chap": { "host_user": "me", "host_password": "a-long-secret" },
    });
    let host = client.post("hosts?names=node-1", body).await.item().clone();
    assert_eq!(host["wwns"], json!(["21:00:00:24:FF:59:AB:01"]));
    assert_eq!(host["chap"]["host_password"], "****");
    assert_eq!(host["is_local"], true);
    assert_eq!(host["host_group"], json!({}));
    assert_eq!(host["connection_count"], 0);
    let taken = client.post("hosts?names=NODE-1", json!({})).await;
    assert_eq!(taken.refusal(), ("Host already exists.", Some("node-1")));
    for filter in [
        "iqns='iqn.1994-05.com.redhat:aa'",
        "wwns='21000024FF59AB01'",
        "iqns=('x','IQN.1994-05.com.redhat:AA') and is_local",
        "name='node-*'",
    ] {
        let path = format!("hosts?filter={}", encode(filter));
        assert_eq!(client.get(&path).await.names(), ["node-1"], "{filter}");
    }
    let nobody = client
        .get(&format!("hosts?filter={}", encode("iqns='x'")))
        .await;
    assert!(nobody.items().is_empty());
    let body = json!({
        "name": "node-2",
        "add_iqns": ["iqn.1994-05.com.redhat:bb"],
        "remove_wwns": ["21:00:00:24:ff:59:ab:01"],
    });
    let host = client
        .patch("hosts?names=node-1", body)
        .await
        .item()
        .clone();
    assert_eq!(host["name"], "node-2");
    assert_eq!(host["iqns"].as_array().unwrap().len(), 2);
    assert_eq!(host["wwns"], json!([]));
    let gone = client.delete("hosts?names=node-1").await;
    assert_eq!(gone.refusal(), ("Host does not exist.", Some("node-1")));
    client.delete("hosts?names=node-2").await.done();
    assert!(array.hosts().is_empty());
    let bad = client.post("hosts?names=a_b", json!({})).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn an_initiator_belongs_to_one_host() {
    let (_simulator, array, client) = one_array().await;
    client.host("h1").await;
    let body = json!({ "iqns": ["IQN.1994-05.com.example:H1"] });
    let refused = client.post("hosts?names=h2", body.clone()).await;
    assert!(refused.refusal().0.contains("already in use"));
    client.post("hosts?names=h2", json!({})).await.done();
    let refused = client
        .patch("hosts?names=h2", json!({ "add_iqns": body["iqns"] }))
        .await;
    assert!(refused.refusal().0.contains("already in use"));
    let both = client
        .post("hosts?names=x,y", json!({ "nqns": ["nqn.2014-08.org:x"] }))
        .await;
    assert!(both.refusal().0.contains("already in use"));
    assert_eq!(array.hosts().len(), 2);
    client.delete("hosts?names=h1").await.done();
    client
        .patch("hosts?names=h2", json!({ "add_iqns": body["iqns"] }))
        .await
        .done();
}

#[tokio::test]
async fn a_connected_host_stays() {
    let (_simulator, _array, client) = one_array().await;
    client.volume("v").await;
    client.host("h1").await;
    client.connect("v", "h1").await.done();
    let refused = client.delete("hosts?names=h1").await;
    assert_eq!(
        refused.refusal(),
        (
            "Host cannot be deleted due to existing connections.",
            Some("h1")
        )
    );
    client
        .delete("connections?volume_names=v&host_names=h1")
        .await
        .done();
    client.delete("hosts?names=h1").await.done();
}

#[tokio::test]
async fn a_group_connects_its_members() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    client.volume("w").await;
    client.host("h1").await;
    client.host("h2").await;
    client
        .send("POST", "host-groups?names=cluster", None)
        .await
        .done();
    let path = "host-groups/hosts?group_names=cluster&member_names=h1";
    let joined = client.send("POST", path, None).await;
    assert_eq!(
        *joined.item(),
        json!({ "group": { "name": "cluster" }, "member": { "name": "h1" } })
    );
    let path = "connections?volume_names=v&host_group_names=cluster";
    let shared = client.send("POST", path, None).await.item().clone();
    assert_eq!(shared["lun"], 254);
    assert_eq!(shared["host"]["name"], "h1");
    assert_eq!(shared["host_group"]["name"], "cluster");
    assert_eq!(array.luns().luns("h1"), [254]);
    // A member that comes later sees what the group has.
    let path = "hosts/host-groups?group_names=cluster&member_names=h2";
    client.send("POST", path, None).await.done();
    assert_eq!(array.luns().luns("h2"), [254]);
    let lines = client.get("connections?volume_names=v").await;
    assert_eq!(lines.items().len(), 2);
    assert_eq!(
        client.get("volumes?names=v").await.item()["connection_count"],
        1
    );
    // Private and shared do not mix for one volume.
    let again = client.connect("v", "h2").await;
    assert_eq!(again.refusal(), ("Connection already exists.", Some("v")));
    let private = client
        .delete("connections?volume_names=v&host_names=h2")
        .await;
    assert_eq!(private.refusal(), ("Connection does not exist.", Some("v")));
    let refused = client.delete("hosts?names=h2").await;
    assert!(refused.refusal().0.contains("existing connections"));
    assert_eq!(client.delete("host-groups?names=cluster").await.status, 400);
    let members = client.get("hosts/host-groups?group_names=cluster").await;
    assert_eq!(members.items().len(), 2);
    client.delete(path).await.done();
    assert_eq!(array.luns().luns("h2"), [0_u16; 0]);
    client.delete("hosts?names=h2").await.done();
}
