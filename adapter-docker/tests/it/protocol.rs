//! The calls, one by one, and the traps of the transport.

use serde_json::json;

use crate::node::Node;
use crate::raw::{Answer, Connection, request};

#[tokio::test]
async fn activation_and_capabilities() {
    let node = Node::start().await;
    assert_eq!(
        node.activate().await.ok(),
        json!({"Implements": ["VolumeDriver"]})
    );
    let scope = node.call("Capabilities", json!({})).await.ok();
    assert_eq!(scope, json!({"Capabilities": {"Scope": "global"}}));
}

#[tokio::test]
async fn a_volume_from_create_to_remove() {
    let node = Node::start().await;
    node.call("Create", json!({"Name": "v", "Opts": null}))
        .await
        .ok();
    node.call("Create", json!({"Name": "v", "Opts": null}))
        .await
        .ok();
    let volume = node.get("v").await.ok()["Volume"].clone();
    assert_eq!(volume["Name"], "v");
    assert_eq!(volume["Status"]["Size"], "32GiB");
    assert_eq!(volume["Status"]["Array"], "a1");
    assert!(volume.get("Mountpoint").is_none());
    assert!(
        volume["CreatedAt"].as_str().unwrap().ends_with('Z'),
        "{volume}"
    );

    let listed = node.call("List", json!({})).await.ok()["Volumes"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["Name"], "v");
    assert!(listed[0]["Status"]["InventoryAge"].is_string());

    node.remove("v").await.ok();
    assert_eq!(node.get("v").await.status(), 404);
    node.remove("v").await.ok();
    assert_eq!(
        node.call("List", json!({})).await.ok()["Volumes"],
        json!([])
    );
}

#[tokio::test]
async fn inspect_shows_array_size_labels_host_and_options() {
    let node = Node::start().await;
    let options = json!({
        "size": "2GiB", "fstype": "ext4", "mountoptions": "noatime", "iops_limit": "5000",
        "bandwidth_limit": "10M", "volume_label_selector": "hostname=a1",
    });
    node.call("Create", json!({"Name": "v", "Opts": options}))
        .await
        .ok();
    let status = |answer: Answer| answer.ok()["Volume"]["Status"].clone();
    let made = status(node.get("v").await);
    assert_eq!(made["Size"], "2GiB");
    assert_eq!(made["Filesystem"], "ext4");
    assert_eq!(made["Labels"], json!({"hostname": "a1"}));
    let shown = json!({
        "mountoptions": "noatime", "iops_limit": "5000", "bandwidth_limit": "10MiB",
        "volume_label_selector": "hostname=a1",
    });
    assert_eq!(made["Options"], shown);
    assert_eq!(made["Host"], json!(null));

    let mount = json!({"Name": "v", "ID": "c1"});
    node.call("Mount", mount.clone()).await.ok();
    let host = node.engine.host().object_name();
    assert_eq!(status(node.get("v").await)["Host"], host);
    node.call("Unmount", mount).await.ok();

    let copy = json!({"Name": "copy", "Opts": {"source": "v"}});
    node.call("Create", copy).await.ok();
    let copied = status(node.get("copy").await);
    assert_eq!(copied["Options"]["source"], "v");
    assert_eq!(copied["Size"], "2GiB");
    let missing = json!({"Name": "other", "Opts": {"source": "nothing"}});
    let refused = node.call("Create", missing).await;
    let told = refused.error();
    assert!(
        told.contains("source: nothing") && told.contains("`fairlead volume ls`"),
        "{told}"
    );
}

#[tokio::test]
async fn requests_follow_one_another_on_a_connection() {
    let node = Node::start().await;
    node.create("v").await;
    let mut connection = Connection::open(&node.socket()).await;
    for _ in 0..3 {
        connection
            .send(&request("/VolumeDriver.Get", "{\"Name\":\"v\"}"))
            .await;
        assert_eq!(connection.receive().await.ok()["Volume"]["Name"], "v");
        connection
            .send(&request("/VolumeDriver.Get", "{\"Name\":\"w\"}"))
            .await;
        assert_eq!(connection.receive().await.error(), "no such volume");
    }
    // Two at once, as HTTP allows.
    let one = request("/VolumeDriver.List", "{}");
    connection.send(&(one.clone() + &one)).await;
    connection.receive().await.ok();
    connection.receive().await.ok();
}

/// Docker's client repeats a request without its body. An answered error to Get would make the
/// daemon forget the volume's options, so there it gets none.
#[tokio::test]
async fn a_retry_without_a_body_is_never_acted_on() {
    let node = Node::start().await;
    node.create("v").await;
    for call in ["Create", "Mount", "Unmount", "Path", "Remove"] {
        let answer = node
            .raw(&request(&format!("/VolumeDriver.{call}"), ""))
            .await;
        assert!(answer.error().contains("no body"), "{call}");
    }
    assert_eq!(
        node.raw(&request("/VolumeDriver.Get", "")).await,
        Answer::Closed
    );
    node.raw(&request("/VolumeDriver.List", "")).await.ok();
    node.raw(&request("/VolumeDriver.Capabilities", ""))
        .await
        .ok();
    node.get("v").await.ok();
    assert_eq!(node.volumes(), ["ns-v"]);
}

#[tokio::test]
async fn names_that_are_none_are_refused_by_every_call() {
    let node = Node::start().await;
    let long = "x".repeat(256);
    for name in [
        "",
        ".",
        "..",
        "a/b@1",
        "../../etc",
        "a\\b",
        "a\nb",
        "a\u{0}b",
        " a",
        "a ",
        &long,
    ] {
        for call in ["Create", "Get", "Mount", "Unmount", "Path", "Remove"] {
            let answer = node.call(call, json!({"Name": name, "ID": "i"})).await;
            assert_eq!(answer.status(), 400, "{call} {name:?}");
            assert!(!answer.error().contains(['\n', '\u{0}']));
        }
    }
    assert!(node.volumes().is_empty());
    assert_eq!(node.count_files(), 0);
}

#[tokio::test]
async fn odd_names_are_volumes() {
    let node = Node::start().await;
    for name in [
        "Data",
        "data",
        "ünï-cödé",
        "a b",
        "x".repeat(200).as_str(),
        "%s;$(id)",
    ] {
        node.create(name).await;
        assert_eq!(node.get(name).await.ok()["Volume"]["Name"], name);
    }
    let listed = node.call("List", json!({})).await.ok();
    assert_eq!(listed["Volumes"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn options_are_checked_by_name() {
    let node = Node::start().await;
    for (key, value, word) in [
        ("sise", "1GiB", "sise"),
        ("size", "many", "size"),
        ("size", "1MiB", "small"),
        ("source", "other", "source"),
        ("createoptions", "-f", "-f"),
    ] {
        let answer = node
            .call("Create", json!({"Name": "v", "Opts": {key: value}}))
            .await;
        let text = answer.error();
        assert!(text.contains(word), "{key}={value}: {text}");
    }
    let numbers = node
        .call("Create", json!({"Name": "v", "Opts": {"size": 5}}))
        .await;
    assert_eq!(numbers.status(), 400);
    assert!(node.volumes().is_empty());
}

#[tokio::test]
async fn a_second_create_with_another_size_is_refused() {
    let node = Node::start().await;
    node.create("v").await;
    let answer = node
        .call("Create", json!({"Name": "v", "Opts": {"size": "2GiB"}}))
        .await;
    assert_eq!(answer.status(), 409);
}

#[tokio::test]
async fn what_is_not_the_protocol_gets_an_error_in_its_words() {
    let node = Node::start().await;
    assert_eq!(
        node.raw(&request("/VolumeDriver.Snapshot", "{}"))
            .await
            .status(),
        404
    );
    assert_eq!(node.raw(&request("/", "{}")).await.status(), 404);
    for method in ["GET", "PUT", "DELETE"] {
        let text = request("/VolumeDriver.List", "").replacen("POST", method, 1);
        let answer = node.raw(&text).await;
        assert_eq!(answer.status(), 405);
        assert!(answer.error().contains("POST"));
    }
}

/// The plugin, or the node, died between a delete's two steps.
#[tokio::test]
async fn a_remove_that_was_cut_off_is_finished_by_the_next_or_taken_back_by_a_mount() {
    let node = Node::start().await;
    for name in ["gone", "kept"] {
        node.create(name).await;
        let (object, trash) = (format!("ns-{name}"), format!("ns-fl-del-{name}"));
        node.array.begin_delete(&object, &trash).unwrap();
    }
    // Another process finds them so.
    let node = node.restart().await;
    for name in ["gone", "kept"] {
        let volume = node.get(name).await.ok()["Volume"].clone();
        assert_eq!(
            volume["Status"]["State"],
            "being removed: remove it again to finish, or mount it to keep it"
        );
        let again = node.call("Create", json!({"Name": name})).await;
        assert!(again.error().contains("remove it again to finish"));
    }
    node.remove("gone").await.ok();
    assert_eq!(node.get("gone").await.error(), "no such volume");

    node.mount("kept", "i").await.ok();
    let volume = node.get("kept").await.ok()["Volume"].clone();
    assert!(volume["Status"].get("State").is_none(), "{volume}");
    assert_eq!(node.volumes(), ["ns-kept"]);
    node.unmount("kept", "i").await.ok();
    node.remove("kept").await.ok();
    assert!(node.volumes().is_empty());
}

/// The answer is kept, and made anew with every change that it would show.
#[tokio::test]
async fn a_list_is_never_older_than_the_last_change() {
    let node = Node::start().await;
    let list = async || {
        let listed = node.call("List", json!({})).await.ok()["Volumes"].clone();
        let volumes = listed.as_array().unwrap().clone();
        let entry = |volume: &serde_json::Value| {
            let text = |key: &str| volume[key].as_str().unwrap_or_default().to_owned();
            (text("Name"), text("Mountpoint"))
        };
        volumes.iter().map(entry).collect::<Vec<_>>()
    };
    let pair = |name: &str, mountpoint: &str| (name.to_owned(), mountpoint.to_owned());
    for round in 0..3 {
        node.create("a").await;
        assert_eq!(list().await, [pair("a", "")], "{round}");
        assert_eq!(list().await, [pair("a", "")], "{round}");
        node.create("b").await;
        assert_eq!(list().await, [pair("a", ""), pair("b", "")], "{round}");
        node.mount("b", "i").await.ok();
        let mountpoint = node.path("b").await;
        assert_eq!(
            list().await,
            [pair("a", ""), pair("b", &mountpoint)],
            "{round}"
        );
        node.unmount("b", "i").await.ok();
        assert_eq!(list().await, [pair("a", ""), pair("b", "")], "{round}");
        node.remove("a").await.ok();
        assert_eq!(list().await, [pair("b", "")], "{round}");
        node.remove("b").await.ok();
        assert_eq!(list().await, [], "{round}");
    }
}
