//! Snapshots: names, restore, life and end.

use serde_json::json;

use crate::client::one_array;

#[tokio::test]
async fn snapshots_are_named_after_the_volume() {
    let (_simulator, _array, client) = one_array().await;
    let volume = client.volume("v").await;
    let path = "volume-snapshots?source_names=v";
    let named = client.post(path, json!({ "suffix": "Before" })).await;
    let item = named.item();
    assert_eq!(item["name"], "v.Before");
    assert_eq!(item["suffix"], "Before");
    assert_eq!(item["source"], json!({ "id": volume["id"], "name": "v" }));
    assert_ne!(item["serial"], volume["serial"]);
    assert_eq!(item["destroyed"], false);
    let taken = client.post(path, json!({ "suffix": "before" })).await;
    assert_eq!(
        taken.refusal(),
        ("Volume snapshot already exists.", Some("v.Before"))
    );
    // Without a suffix, and without a body at all: a number that grows.
    assert_eq!(client.send("POST", path, None).await.names(), ["v.1"]);
    client.post(path, json!({ "suffix": "2" })).await.done();
    assert_eq!(client.send("POST", path, None).await.names(), ["v.3"]);
    for bad in ["-a", "a_b", "01", "", "a.b"] {
        assert_eq!(
            client.post(path, json!({ "suffix": bad })).await.status,
            400,
            "{bad}"
        );
    }
    client
        .patch("volumes?names=v", json!({ "name": "w" }))
        .await
        .done();
    let renamed = client
        .get("volume-snapshots?source_names=w&sort=name")
        .await;
    assert_eq!(renamed.names(), ["w.1", "w.2", "w.3", "w.Before"]);
    let missing = client.get("volume-snapshots?names=v.1").await;
    assert_eq!(
        missing.refusal(),
        ("No such volume or snapshot.", Some("v.1"))
    );
}

#[tokio::test]
async fn a_restore_brings_the_bytes_back() {
    let (_simulator, array, client) = one_array().await;
    let volume = client.volume("v").await;
    let file = array.data_file(volume["serial"].as_str().unwrap());
    std::fs::write(&file, b"monday").unwrap();
    let path = "volume-snapshots?source_names=v";
    client
        .post(path, json!({ "suffix": "monday" }))
        .await
        .done();
    std::fs::write(&file, b"tuesday!").unwrap();
    let body = json!({ "source": { "name": "v.monday" } });
    let restored = client
        .post("volumes?names=v&overwrite=true", body.clone())
        .await;
    assert_eq!(restored.item()["id"], volume["id"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"monday");
    let copy = client.post("volumes?names=copy", body).await.item().clone();
    assert_eq!(copy["source"]["name"], "v");
    let file = array.data_file(copy["serial"].as_str().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"monday");
}

#[tokio::test]
async fn destroy_recover_rename_eradicate() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    client
        .post("volume-snapshots?source_names=v", json!({ "suffix": "s" }))
        .await
        .done();
    let path = "volume-snapshots?names=v.s";
    let renamed = client.patch(path, json!({ "name": "t" })).await;
    assert_eq!(renamed.names(), ["v.t"]);
    let path = "volume-snapshots?names=v.t";
    assert_eq!(client.delete(path).await.status, 400);
    client
        .patch(path, json!({ "destroyed": true }))
        .await
        .done();
    let again = client.patch(path, json!({ "destroyed": true })).await;
    assert_eq!(
        again.refusal(),
        (
            "Volume snapshot has been destroyed. It can be recovered by purevol recover and \
             eradicated by purevol eradicate.",
            Some("v.t")
        )
    );
    let body = json!({ "source": { "name": "v.t" } });
    assert_eq!(client.post("volumes?names=x", body).await.status, 400);
    client
        .patch(path, json!({ "destroyed": false }))
        .await
        .done();

    // With the volume they go, and with it they come back; one that was gone before does not.
    let path = "volume-snapshots?source_names=v";
    client.post(path, json!({ "suffix": "gone" })).await.done();
    let gone = "volume-snapshots?names=v.gone";
    client
        .patch(gone, json!({ "destroyed": true }))
        .await
        .done();
    client.destroy("v").await.done();
    let destroyed = client.get("volume-snapshots?destroyed=true").await;
    assert_eq!(destroyed.items().len(), 2);
    let alone = client
        .patch("volume-snapshots?names=v.t", json!({ "destroyed": false }))
        .await;
    assert_eq!(alone.refusal(), ("Volume has been destroyed.", Some("v")));
    client
        .patch("volumes?names=v", json!({ "destroyed": false }))
        .await
        .done();
    let live = client.get("volume-snapshots?destroyed=false").await;
    assert_eq!(live.names(), ["v.t"]);

    let files: Vec<_> = array
        .snapshots()
        .values()
        .map(|s| array.data_file(&s.serial))
        .collect();
    client.delete(gone).await.done();
    client.destroy("v").await.done();
    client.delete("volumes?names=v").await.done();
    assert!(array.snapshots().is_empty());
    assert!(files.iter().all(|file| !file.exists()));
}
