//! Pods and volume groups: names with prefixes, moves, and what goes with a container.

use array_sim::ArrayConfig;
use serde_json::{Value, json};

use crate::client::{Client, encode, one_array, with};

async fn make(client: &Client, kind: &str, name: &str) -> Value {
    let path = format!("{kind}?names={}", encode(name));
    client.post(&path, json!({})).await.item().clone()
}

/// A pod with a group, and a volume in each of the four places.
async fn everywhere(client: &Client) {
    make(client, "pods", "Pod1").await;
    make(client, "volume-groups", "vg").await;
    make(client, "volume-groups", "pod1::inner").await;
    for name in ["v", "VG/v", "pod1::v", "POD1::INNER/v"] {
        make(client, "volumes", name).await;
    }
}

#[tokio::test]
async fn a_prefix_says_what_a_volume_is_in() {
    let (_simulator, _array, client) = one_array().await;
    everywhere(&client).await;
    // The containers' names are shown in their own case, whatever the caller wrote.
    assert_eq!(
        client.get("volumes").await.names(),
        ["v", "vg/v", "Pod1::v", "Pod1::inner/v"]
    );
    let path = format!("volumes?names={}", encode("pod1::inner/V"));
    let volume = client.get(&path).await.item().clone();
    assert_eq!(volume["pod"]["name"], "Pod1");
    assert_eq!(volume["volume_group"]["name"], "Pod1::inner");
    let pod = client.get("pods?names=POD1").await.item().clone();
    assert_eq!(volume["pod"]["id"], pod["id"]);
    let path = format!("volumes?filter={}", encode("pod.name='pod1'"));
    assert_eq!(client.get(&path).await.items().len(), 2);
    let path = format!("volumes?filter={}", encode("name='pod1::*'"));
    assert_eq!(client.get(&path).await.items().len(), 2);
    let path = format!("volumes?filter={}", encode("not pod.name"));
    assert_eq!(client.get(&path).await.names(), ["v", "vg/v"]);

    for (name, text) in [
        ("nosuch::v", "Pod does not exist."),
        ("nosuch/v", "Volume group does not exist."),
        ("pod1::nosuch/v", "Volume group does not exist."),
    ] {
        let path = format!("volumes?names={}", encode(name));
        assert_eq!(client.post(&path, json!({})).await.refusal().0, text);
    }
    let path = format!("volumes?names={}", encode("pod1::-v"));
    let bad = client.post(&path, json!({})).await;
    let (text, context) = bad.refusal();
    assert!(text.starts_with("Volume name must be"), "{text}");
    assert_eq!(context, Some("pod1::-v"));
    let path = format!("volumes?names={}", encode("POD1::V"));
    let taken = client.post(&path, json!({})).await;
    assert_eq!(taken.refusal(), ("Volume already exists.", Some("Pod1::v")));
    // Snapshots and copies go by the whole name.
    let path = format!("volume-snapshots?source_names={}", encode("pod1::v"));
    let snapshot = client.post(&path, json!({ "suffix": "s" })).await;
    assert_eq!(snapshot.names(), ["Pod1::v.s"]);
    assert_eq!(snapshot.item()["pod"]["name"], "Pod1");
    let body = json!({ "source": { "name": "pod1::v.s" } });
    client.post("volumes?names=copy", body).await.done();
}

#[tokio::test]
async fn a_volume_moves_into_and_out_of_containers() {
    let (_simulator, array, client) = one_array().await;
    make(&client, "pods", "p").await;
    make(&client, "volume-groups", "g").await;
    make(&client, "volume-groups", "p::g").await;
    let id = client.volume("v").await["id"].as_str().unwrap().to_owned();
    client.host("h1").await;
    client.connect("v", "h1").await.done();
    let path = format!("volumes?ids={id}");
    let group_id = client.get("volume-groups?names=g").await.item()["id"].clone();
    for (body, name) in [
        (json!({ "pod": { "name": "p" } }), "p::v"),
        (json!({ "volume_group": { "name": "P::G" } }), "p::g/v"),
        (json!({ "volume_group": { "name": "" } }), "p::v"),
        (json!({ "pod": { "name": "" } }), "v"),
        (json!({ "volume_group": { "id": group_id } }), "g/v"),
        (json!({ "pod": { "name": "p" } }), "p::v"),
        (json!({ "pod": { "name": "p" } }), "p::v"),
    ] {
        assert_eq!(client.patch(&path, body).await.names(), [name]);
    }
    // The host did not notice any of it.
    assert_eq!(array.connection_events().len(), 1);
    assert_eq!(array.connections()[0].volume, "p::v");

    client.volume("v").await;
    let taken = client.patch(&path, json!({ "pod": { "name": "" } })).await;
    assert_eq!(taken.refusal(), ("Volume already exists.", Some("v")));
    let missing = client
        .patch(&path, json!({ "volume_group": { "name": "nosuch" } }))
        .await;
    assert_eq!(missing.refusal().0, "Volume group does not exist.");
    let both = json!({ "pod": { "name": "" }, "volume_group": { "name": "g" } });
    assert_eq!(client.patch(&path, both).await.status, 400);
    // A rename stays where it is, and a move is no rename.
    let out = client.patch(&path, json!({ "name": "w" })).await;
    assert!(out.refusal().0.contains("cannot be renamed"), "{out:?}");
    let inside = client.patch(&path, json!({ "name": "P::w" })).await;
    assert_eq!(inside.names(), ["p::w"]);
}

#[tokio::test]
async fn a_renamed_container_renames_what_it_holds() {
    let (_simulator, array, client) = one_array().await;
    everywhere(&client).await;
    client
        .patch("pods?names=pod1", json!({ "name": "other" }))
        .await
        .done();
    client
        .patch("volume-groups?names=vg", json!({ "name": "grp" }))
        .await
        .done();
    assert_eq!(
        client.get("volumes").await.names(),
        ["v", "grp/v", "other::v", "other::inner/v"]
    );
    assert_eq!(
        client.get("volume-groups").await.names(),
        ["grp", "other::inner"]
    );
    let old = format!("volumes?names={}", encode("Pod1::v"));
    assert_eq!(client.get(&old).await.status, 400);
    let out = client
        .patch(
            &format!("volume-groups?names={}", encode("other::inner")),
            json!({ "name": "inner" }),
        )
        .await;
    assert!(out.refusal().0.contains("cannot be renamed"));
    assert_eq!(array.volume_groups().len(), 2);
}

#[tokio::test]
async fn a_pod_is_destroyed_empty_or_with_its_contents() {
    let (_simulator, array, client) = one_array().await;
    everywhere(&client).await;
    let destroy = json!({ "destroyed": true });
    let full = client.patch("pods?names=pod1", destroy.clone()).await;
    assert_eq!(full.refusal(), ("Pod is not empty.", Some("Pod1")));
    let with = "pods?names=pod1&destroy_contents=true";
    let gone = client.patch(with, destroy.clone()).await.item().clone();
    assert_eq!(gone["destroyed"], true);
    assert!(gone["time_remaining"].as_u64().unwrap() > 86_000_000);
    assert_eq!(
        client.get("volumes?destroyed=true").await.names(),
        ["Pod1::v", "Pod1::inner/v"]
    );
    assert_eq!(
        client.get("volume-groups?destroyed=true").await.names(),
        ["Pod1::inner"]
    );
    // Nothing comes into it, and nothing comes back without it.
    let path = format!("volumes?names={}", encode("pod1::new"));
    let refused = client.post(&path, json!({})).await;
    assert_eq!(refused.refusal(), ("Pod has been destroyed.", Some("Pod1")));
    let path = format!("volumes?names={}", encode("pod1::v"));
    let back = client.patch(&path, json!({ "destroyed": false })).await;
    assert_eq!(back.refusal().0, "Pod has been destroyed.");
    let renamed = client
        .patch("pods?names=pod1", json!({ "name": "x" }))
        .await;
    assert_eq!(renamed.refusal().0, "Pod has been destroyed.");
    client
        .patch("pods?names=pod1", json!({ "destroyed": false }))
        .await
        .done();
    assert!(
        client
            .get("volumes?destroyed=true")
            .await
            .items()
            .is_empty()
    );
    assert!(array.volume_groups().iter().all(|g| g.destroyed.is_none()));
    // What was destroyed before stays destroyed when the pod comes back.
    client.destroy(&encode("pod1::v")).await.done();
    client.patch(with, destroy.clone()).await.done();
    client
        .patch("pods?names=pod1", json!({ "destroyed": false }))
        .await
        .done();
    assert_eq!(
        client.get("volumes?destroyed=true").await.names(),
        ["Pod1::v"]
    );

    assert_eq!(client.delete("pods?names=pod1").await.status, 400);
    client.patch(with, destroy).await.done();
    let file = array.data_file(&array.volume("pod1::inner/v").unwrap().serial);
    assert!(file.exists());
    let full = client.delete("pods?names=pod1").await;
    assert_eq!(full.refusal().0, "Pod is not empty.");
    client
        .delete("pods?names=pod1&eradicate_contents=true")
        .await
        .done();
    assert!(!file.exists());
    assert_eq!(client.get("volumes").await.names(), ["v", "vg/v"]);
    let missing = client.get("pods?names=pod1").await;
    assert_eq!(missing.refusal(), ("Pod does not exist.", Some("pod1")));
}

#[tokio::test]
async fn what_is_destroyed_with_a_container_goes_when_its_time_is_up() {
    let (_simulator, array, client) = one_array().await;
    everywhere(&client).await;
    let destroy = json!({ "destroyed": true });
    client
        .patch("pods?names=pod1&destroy_contents=true", destroy.clone())
        .await
        .done();
    client
        .patch("volume-groups?names=vg&destroy_contents=true", destroy)
        .await
        .done();
    array.advance_clock(std::time::Duration::from_secs(24 * 3600 + 1));
    let client = Client::login(&array).await;
    assert_eq!(client.get("volumes").await.names(), ["v"]);
    assert!(client.get("pods").await.items().is_empty());
    assert!(array.volume_groups().is_empty());
    assert_eq!(array.volumes().len(), 1);
}

#[tokio::test]
async fn volume_groups_have_limits_members_and_totals() {
    let (_simulator, _array, client) = one_array().await;
    everywhere(&client).await;
    let qos = json!({ "iops_limit": 100 });
    let limited = client
        .patch("volume-groups?names=vg", json!({ "qos": qos }))
        .await;
    assert_eq!(limited.item()["qos"], qos);
    let wrong = json!({ "qos": { "iops_limit": 99 } });
    assert_eq!(
        client.patch("volume-groups?names=vg", wrong).await.status,
        400
    );
    assert_eq!(limited.item()["volume_count"], 1);
    make(&client, "volumes", "vg/w").await;
    client.destroy("vg%2Fw").await.done();
    let group = client.get("volume-groups?names=vg").await.item().clone();
    assert_eq!(group["volume_count"], 1);
    let total = client.get("volume-groups?total_only=true").await;
    assert_eq!(total.body["total"][0]["volume_count"], 2);
    assert_eq!(
        total.body["total"][0]["space"]["total_provisioned"],
        3 << 20
    );
    for path in ["volume-groups/volumes", "volumes/volume-groups"] {
        let members = client.get(&format!("{path}?group_names=vg")).await;
        let names: Vec<_> = members
            .items()
            .iter()
            .map(|line| (&line["group"]["name"], &line["member"]["name"]))
            .collect();
        assert_eq!(
            names,
            [
                (&json!("vg"), &json!("vg/v")),
                (&json!("vg"), &json!("vg/w"))
            ]
        );
        let filter = encode("member.name='*/v'");
        let members = client.get(&format!("{path}?filter={filter}")).await;
        assert_eq!(members.items().len(), 2);
    }
    let sorted = client
        .get("volume-groups?sort=volume_count-,name-&limit=1&total_item_count=true")
        .await;
    assert_eq!(sorted.names(), ["vg"]);
    assert_eq!(sorted.body["total_item_count"], 2);
    assert_eq!(sorted.body["more_items_remaining"], true);
}

#[tokio::test]
async fn a_pod_is_on_this_array_and_has_a_quota() {
    let (_simulator, array, client) = one_array().await;
    let body = json!({ "quota_limit": 1 << 30 });
    let pod = client.post("pods?names=p", body).await.item().clone();
    assert_eq!(pod["quota_limit"], 1 << 30);
    assert_eq!(pod["arrays"][0]["id"], array.id());
    assert_eq!(pod["promotion_status"], "promoted");
    let cleared = client
        .patch(
            "pods?names=p",
            json!({ "quota_limit": "", "requested_promotion_state": "demoted" }),
        )
        .await;
    assert_eq!(cleared.item()["quota_limit"], Value::Null);
    assert_eq!(cleared.item()["promotion_status"], "demoted");
    let wrong = json!({ "quota_limit": (1 << 20) + 1 });
    assert_eq!(client.patch("pods?names=p", wrong).await.status, 400);
    let on = client.get("pods/arrays?group_names=p").await;
    assert_eq!(on.item()["member"]["name"], "array-a");
    let copied = client
        .post("pods?names=q", json!({ "source": { "name": "p" } }))
        .await;
    assert!(copied.refusal().0.contains("cannot be copied"));
    // The oldest version knows neither quota nor contents.
    let mut old = client.clone();
    old.version = "2.2".to_owned();
    let pod = old.get("pods?names=p").await.item().clone();
    assert!(pod.get("quota_limit").is_none() && pod.get("array_count").is_none());
    let unknown = old
        .patch("pods?names=p&destroy_contents=true", json!({}))
        .await;
    assert!(unknown.refusal().0.contains("destroy_contents"));
}

#[tokio::test]
async fn containers_are_counted_and_protected() {
    let mut config = ArrayConfig::new("array-a");
    config.limits.pods = 1;
    config.limits.volume_groups = 1;
    config.eradication_disabled = true;
    let (_simulator, _array, client) = with(config).await;
    make(&client, "pods", "p").await;
    make(&client, "volume-groups", "g").await;
    let pod = client.post("pods?names=q", json!({})).await;
    assert_eq!(pod.refusal(), ("Pod limit reached.", None));
    let group = client.post("volume-groups?names=h", json!({})).await;
    assert_eq!(group.refusal(), ("Volume group limit reached.", None));
    client
        .patch("pods?names=p", json!({ "destroyed": true }))
        .await
        .done();
    let kept = client.delete("pods?names=p").await;
    assert!(kept.refusal().0.starts_with("Cannot eradicate pod"));
    let bad = client
        .post(&format!("pods?names={}", encode("a_b")), json!({}))
        .await;
    assert_eq!(bad.status, 400);
}
