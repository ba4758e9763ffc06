//! Protection groups, as far as storage clients look at them: who is in which.

use array_sim::{ArrayConfig, ProtectionGroupSeed, Simulator};
use serde_json::json;

use crate::client::{Client, with};

#[tokio::test]
async fn groups_come_from_outside_and_list_their_members() {
    let mut config = ArrayConfig::new("array-a");
    config.protection_groups = vec![ProtectionGroupSeed::new("pg-a")];
    let (_simulator, array, client) = with(config).await;
    client.volume("v").await;
    client.host("h1").await;
    client.post("host-groups?names=hg", json!({})).await.done();
    let mut seed = ProtectionGroupSeed::new("pg-b");
    seed.volumes = vec!["V".to_owned()];
    seed.hosts = vec!["h1".to_owned()];
    seed.host_groups = vec!["hg".to_owned()];
    seed.targets = vec!["array-z".to_owned()];
    seed.ratcheted = true;
    array.set_protection_group(&seed).unwrap();
    let group = client
        .get("protection-groups?names=PG-B")
        .await
        .item()
        .clone();
    for count in [
        "volume_count",
        "host_count",
        "host_group_count",
        "target_count",
    ] {
        assert_eq!(group[count], 1, "{count}");
    }
    assert_eq!(group["retention_lock"], "ratcheted");
    assert_eq!(
        client.get("protection-groups").await.names(),
        ["pg-a", "pg-b"]
    );
    let total = client.get("protection-groups?total_only=true").await;
    assert_eq!(total.body["total"][0]["volume_count"], 1);
    for (path, member) in [
        ("protection-groups/volumes", "v"),
        ("volumes/protection-groups", "v"),
        ("protection-groups/hosts", "h1"),
        ("hosts/protection-groups", "h1"),
        ("protection-groups/host-groups", "hg"),
        ("host-groups/protection-groups", "hg"),
        ("protection-groups/targets", "array-z"),
    ] {
        let line = client.get(path).await.item().clone();
        assert_eq!(line["group"]["name"], "pg-b", "{path}");
        assert_eq!(line["member"]["name"], member, "{path}");
        let none = client.get(&format!("{path}?group_names=pg-a")).await;
        assert!(none.items().is_empty(), "{path}");
        let missing = client.get(&format!("{path}?group_names=nosuch")).await;
        assert_eq!(missing.refusal().0, "Protection group does not exist.");
    }
    // A member that goes is in no group any more.
    client.send("DELETE", "hosts?names=h1", None).await.done();
    assert!(
        client
            .get("protection-groups/hosts")
            .await
            .items()
            .is_empty()
    );
    seed.volumes = vec!["nosuch".to_owned()];
    assert!(array.set_protection_group(&seed).is_err());
    assert_eq!(array.remove_protection_group("pg-b"), Ok(true));
    assert_eq!(array.remove_protection_group("pg-b"), Ok(false));
}

#[tokio::test]
async fn volumes_are_put_in_and_taken_out() {
    let mut config = ArrayConfig::new("array-a");
    config.protection_groups = vec![ProtectionGroupSeed::new("pg")];
    let (_simulator, array, client) = with(config).await;
    let path = "volumes?names=v&with_default_protection=false&add_to_protection_group_names=pg";
    let volume = client.post(path, json!({})).await.item().clone();
    let members = client.get("protection-groups/volumes").await;
    assert_eq!(members.item()["member"]["id"], volume["id"]);
    let missing = client
        .post(
            "volumes?names=w&add_to_protection_group_names=nosuch",
            json!({}),
        )
        .await;
    assert_eq!(
        missing.refusal(),
        ("Protection group does not exist.", Some("nosuch"))
    );
    assert!(array.volume("w").is_none());
    let again = client
        .patch(
            "volumes?names=v&add_to_protection_group_names=pg",
            json!({}),
        )
        .await;
    assert!(again.refusal().0.contains("already includes"));
    let out = "volumes?names=v&remove_from_protection_group_names=pg";
    client.patch(out, json!({})).await.done();
    assert!(array.protection_groups()[0].volumes.is_empty());
    assert!(
        client
            .patch(out, json!({}))
            .await
            .refusal()
            .0
            .contains("could not be found")
    );
}

#[tokio::test]
async fn groups_survive_and_can_be_made_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Simulator::builder()
            .array(ArrayConfig::new("array-a"))
            .control("127.0.0.1:0")
            .state_dir(folder.path())
            .start()
    };
    let simulator = start().await.unwrap();
    let array = simulator.array("array-a").unwrap();
    let client = Client::login(array).await;
    client.volume("v").await;
    let url = format!(
        "{}/sim/arrays/array-a/protection-group",
        simulator.control_url().unwrap()
    );
    let http = reqwest::Client::new();
    let put = async |body: serde_json::Value| {
        let response = http.put(&url).body(body.to_string()).send().await.unwrap();
        response.status().as_u16()
    };
    assert_eq!(put(json!({ "name": "pg", "volumes": ["v"] })).await, 200);
    assert_eq!(put(json!({ "name": "pg", "volumes": ["x"] })).await, 400);
    assert_eq!(put(json!({ "name": "a_b" })).await, 400);
    client
        .patch("volumes?names=v", json!({ "name": "w" }))
        .await
        .done();
    let before = array.protection_groups();
    drop(simulator);
    let simulator = start().await.unwrap();
    let array = simulator.array("array-a").unwrap();
    assert_eq!(array.protection_groups(), before);
    let client = Client::login(array).await;
    let members = client.get("protection-groups/volumes").await;
    assert_eq!(members.item()["member"]["name"], "w");
}
