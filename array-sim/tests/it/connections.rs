//! Connections: LUNs, refusals, the data path's table, the audit.

use array_sim::ConnectionEventKind;
use serde_json::json;

use crate::client::{encode, one_array};

#[tokio::test]
async fn luns_are_the_lowest_free_and_can_be_chosen() {
    let (_simulator, array, client) = one_array().await;
    for volume in ["a", "b", "c", "d"] {
        client.volume(volume).await;
    }
    client.host("h1").await;
    let first = client.connect("a", "h1").await.item().clone();
    assert_eq!(first["lun"], 1);
    assert_eq!(first["host"], json!({ "name": "h1" }));
    assert_eq!(first["host_group"], json!({}));
    assert_eq!(first["volume"]["name"], "a");
    assert!(first.get("nsid").is_none());
    let path = "connections?volume_names=b&host_names=h1";
    let taken = client.post(path, json!({ "lun": 1 })).await;
    assert_eq!(taken.refusal(), ("LUN 1 is already in use.", Some("b")));
    for wrong in [0, 4096, -1] {
        assert_eq!(client.post(path, json!({ "lun": wrong })).await.status, 400);
    }
    assert_eq!(
        client.post(path, json!({ "lun": 3 })).await.item()["lun"],
        3
    );
    assert_eq!(client.connect("c", "h1").await.item()["lun"], 2);
    assert_eq!(client.connect("d", "h1").await.item()["lun"], 4);
    client
        .delete("connections?volume_names=a&host_names=h1")
        .await
        .done();
    assert_eq!(array.luns().luns("h1"), [2, 3, 4]);
    assert_eq!(client.connect("a", "h1").await.item()["lun"], 1);
}

#[tokio::test]
async fn refusals_are_in_the_arrays_words() {
    let (_simulator, _array, client) = one_array().await;
    client.volume("v").await;
    client.host("h1").await;
    let path = "connections?volume_names=v&host_names=h1";
    let none = client.delete(path).await;
    assert_eq!(none.refusal(), ("Connection does not exist.", Some("v")));
    assert!(client.get(path).await.items().is_empty());
    client.connect("v", "h1").await.done();
    let again = client.connect("V", "H1").await;
    assert_eq!(again.refusal(), ("Connection already exists.", Some("v")));
    let nobody = client.connect("v", "nosuch").await;
    assert_eq!(nobody.refusal(), ("Host does not exist.", Some("nosuch")));
    let nothing = client.get("connections?volume_names=nosuch").await;
    assert_eq!(
        nothing.refusal(),
        ("Volume does not exist.", Some("nosuch"))
    );
    client.destroy("v").await.done();
    let destroyed = client.connect("v", "h1").await;
    assert_eq!(
        destroyed.refusal(),
        ("Volume has been destroyed.", Some("v"))
    );
}

#[tokio::test]
async fn one_call_takes_several_on_one_side() {
    let (_simulator, array, client) = one_array().await;
    client.post("volumes?names=v,w", json!({})).await.done();
    client.host("h1").await;
    client.host("h2").await;
    let both = client.connect("v", "h1,h2").await;
    assert_eq!(both.items().len(), 2);
    assert_eq!(client.connect("v,w", "h1,h2").await.status, 400);
    client.connect("w", "h2").await.done();
    assert_eq!(
        client.get("connections?host_names=h2").await.items().len(),
        2
    );
    let filter = encode("host.name='h2' and lun>1");
    let found = client.get(&format!("connections?filter={filter}")).await;
    assert_eq!(found.item()["volume"]["name"], "w");
    // A fence: several hosts lose one volume in one step, or none does.
    let path = "connections?volume_names=v&host_names=h1,h2";
    client.delete(path).await.done();
    assert_eq!(array.connections().len(), 1);
    assert_eq!(client.delete(path).await.status, 400);
}

#[tokio::test]
async fn the_audit_and_the_lun_table_follow_each_step() {
    let (_simulator, array, client) = one_array().await;
    let volume = client.volume("v").await;
    client.host("h1").await;
    client.host("h2").await;
    client.connect("v", "h1").await.done();
    let lun = array.luns().lookup("h1", 1).unwrap();
    assert_eq!(volume["serial"], lun.serial.as_str());
    assert_eq!(lun.size, 1 << 20);
    client
        .patch("volumes?names=v", json!({ "provisioned": 3 << 20 }))
        .await
        .done();
    assert_eq!(array.luns().lookup("h1", 1).unwrap().size, 3 << 20);
    client
        .patch("hosts?names=h1", json!({ "name": "h9" }))
        .await
        .done();
    assert_eq!(array.luns().hosts(), ["h2", "h9"]);
    client
        .delete("connections?volume_names=v&host_names=h9")
        .await
        .done();
    client.connect("v", "h2").await.done();
    let events = array.connection_events();
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.kind, event.host.as_str(), event.volume.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (ConnectionEventKind::Connected, "h1", "v"),
            (ConnectionEventKind::Disconnected, "h9", "v"),
            (ConnectionEventKind::Connected, "h2", "v"),
        ]
    );
    assert!(events.is_sorted_by_key(|event| event.order));
}

#[tokio::test]
async fn a_host_that_speaks_nvme_has_no_lun() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    let body = json!({ "nqns": ["nqn.2014-08.org.nvmexpress:uuid:1"] });
    client.post("hosts?names=n1", body).await.done();
    let path = "connections?volume_names=v&host_names=n1";
    assert_eq!(client.post(path, json!({ "lun": 5 })).await.status, 400);
    assert!(client.connect("v", "n1").await.item()["lun"].is_null());
    assert_eq!(array.connections()[0].lun, 1);
}
