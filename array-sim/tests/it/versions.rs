//! REST versions side by side: what a version lacks is refused or absent; contexts and partial
//! answers from 2.38 on.

use array_sim::{Array, ArrayConfig, ProtectionGroupSeed, Simulator};
use serde_json::{Value, json};

use crate::client::{Client, encode, with};

async fn versions() -> (Simulator, Array, Client, [Client; 3]) {
    let mut config = ArrayConfig::new("array-a");
    config.rest_versions = ["2.2", "2.26", "2.50"].map(str::to_owned).into();
    config.protection_groups = vec![ProtectionGroupSeed::new("pg")];
    let (simulator, array, client) = with(config).await;
    let each = ["2.2", "2.26", "2.50"].map(|version| {
        let mut client = client.clone();
        version.clone_into(&mut client.version);
        client
    });
    (simulator, array, client, each)
}

#[tokio::test]
async fn endpoints_and_parameters_begin_with_their_version() {
    let (_simulator, _array, client, [old, middle, new]) = versions().await;
    client.volume("v").await;
    assert_eq!(old.get("network-interfaces").await.status, 404);
    middle.get("network-interfaces").await.done();
    // Path and parameter, and whether 2.2, 2.26 and 2.50 have it.
    for (path, served) in [
        (
            "volumes?names=v&context_names=array-a",
            [false, false, true],
        ),
        ("volumes?names=v&allow_errors=true", [false, false, true]),
        ("connections?volume_ids=x", [false, true, true]),
        ("volumes/tags?namespaces=default", [false, true, true]),
        ("hosts?destroyed=false", [false, false, true]),
        ("hosts/performance?resolution=30000", [false, true, true]),
        ("protection-groups?ids=x", [false, true, true]),
        ("arrays/performance?context_names=array-a", [false; 3]),
    ] {
        for (client, served) in [&old, &middle, &new].into_iter().zip(served) {
            let answer = client.get(path).await;
            let text = answer.body["errors"][0]["message"].to_string();
            let refused = text.contains("is not supported");
            assert_eq!(!refused, served, "{} {path}: {text}", client.version);
        }
    }
    let protect = "volumes?names=w&with_default_protection=false";
    assert_eq!(old.post(protect, json!({})).await.status, 400);
    middle.post(protect, json!({})).await.done();
    let mut unknown = client.clone();
    unknown.version = "2.49".to_owned();
    assert_eq!(unknown.get("volumes").await.status, 404);
}

#[tokio::test]
async fn properties_begin_with_their_version() {
    let (_simulator, _array, client, each) = versions().await;
    client.volume("v").await;
    client.host("h1").await;
    client.connect("v", "h1").await.done();
    client.post("pods?names=p", json!({})).await.done();
    client.post("volume-groups?names=g", json!({})).await.done();
    // Listing and property, and whether 2.2, 2.26 and 2.50 have it.
    for (path, property, there) in [
        ("volumes", "/priority_adjustment", [false, true, true]),
        ("volumes", "/space/total_used", [false, true, true]),
        ("volumes", "/context/name", [false, false, true]),
        ("hosts", "/vlan", [false, true, true]),
        ("hosts", "/context/name", [false, false, true]),
        ("connections", "/nsid", [false, false, true]),
        ("connections", "/context/name", [false, false, true]),
        ("pods", "/quota_limit", [false, true, true]),
        ("pods", "/context/name", [false, false, true]),
        ("volume-groups", "/pod", [false, true, true]),
        ("protection-groups", "/id", [false, true, true]),
        ("protection-groups", "/retention_lock", [false, true, true]),
        ("arrays", "/eradication_config", [false, true, true]),
        ("arrays", "/context/name", [false, false, true]),
        ("ports", "/context/name", [false, false, true]),
        ("ports/initiators", "/encryption", [false, false, true]),
        ("controllers", "/context", [false; 3]),
        ("hardware", "/context", [false; 3]),
        ("arrays/performance", "/context", [false; 3]),
        (
            "volumes/performance",
            "/qos_scheduling_usec_per_read_op",
            [false, false, true],
        ),
    ] {
        for (client, there) in each.iter().zip(there) {
            let answer = client.get(path).await;
            let item = &answer.items()[0];
            let found = item.pointer(property).is_some();
            assert_eq!(found, there, "{} {path} {property}", client.version);
        }
    }
    // Answers to changes say it too.
    let made = each[2].post("volumes?names=w", json!({})).await;
    assert_eq!(made.item()["context"]["name"], "array-a");
}

#[tokio::test]
async fn a_token_is_given_where_it_can_be_used() {
    let (_simulator, _array, client, [old, _, new]) = versions().await;
    client.volume("v").await;
    client.volume("w").await;
    for (client, path, given) in [
        (&old, "volumes?limit=1", true),
        (&old, "volumes/space?limit=1", false),
        (&new, "volumes/space?limit=1", true),
        (&new, "controllers?limit=1", true),
        (&new, "hardware?limit=1", false),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.body["more_items_remaining"], true, "{path}");
        let token = answer.body["continuation_token"].is_string();
        assert_eq!(token, given, "{} {path}", client.version);
    }
    let rest = old.get("volumes/space?limit=1&offset=1").await;
    assert_eq!(rest.names(), ["w"]);
}

#[tokio::test]
async fn a_listing_goes_on_where_something_is_missing() {
    let (_simulator, array, client, [.., new]) = versions().await;
    client.volume("v").await;
    client.host("h1").await;
    assert_eq!(new.get("volumes?names=v,x,y").await.status, 400);
    let some = new.get("volumes?names=v,x,y&allow_errors=true").await;
    assert_eq!(some.status, 207, "{}", some.body);
    assert_eq!(some.body["items"][0]["name"], "v");
    let errors = some.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[1]["context"], "y");
    assert_eq!(errors[1]["message"], "Volume does not exist.");
    assert_eq!(errors[1]["location_context"]["id"], array.id());
    let none = new.get("hosts?names=x&allow_errors=true").await;
    assert_eq!(none.status, 207);
    assert_eq!(none.body["items"], json!([]));
    let all = new.get("volumes?names=v&allow_errors=true").await;
    assert_eq!(all.names(), ["v"]);
    assert!(all.body.get("errors").is_none());
    let path = "connections?volume_names=v,x&host_names=h1&allow_errors=true";
    assert_eq!(new.get(path).await.status, 207);
    // What is wrong in another way is refused all the same.
    let filter = encode("name==");
    let wrong = format!("volumes?names=v&filter={filter}&allow_errors=true");
    assert_eq!(new.get(&wrong).await.status, 400);
}

#[tokio::test]
async fn the_array_is_a_fleet_of_one() {
    let (_simulator, array, client, [.., new]) = versions().await;
    client.volume("v").await;
    let own = new.get("volumes?context_names=ARRAY-A").await;
    assert_eq!(own.names(), ["v"]);
    let foreign = new.get("volumes?context_names=array-z").await;
    assert_eq!(
        foreign.refusal(),
        ("Context does not exist.", Some("array-z"))
    );
    let both = new
        .get("volumes?context_names=array-a,array-z&allow_errors=true")
        .await;
    assert_eq!(both.status, 207);
    assert_eq!(both.body["items"][0]["name"], "v");
    assert_eq!(both.body["errors"][0]["context"], "array-z");
    let none = new
        .get("volumes?context_names=array-z&allow_errors=true")
        .await;
    assert_eq!(none.body["items"], json!([]));
    let made = new.post("volumes?names=w&context_names=array-z", json!({}));
    assert_eq!(made.await.status, 400);
    assert!(array.volume("w").is_none());
}

#[tokio::test]
async fn new_volumes_have_tags_where_the_version_knows_them() {
    let (_simulator, _array, _client, [_, middle, new]) = versions().await;
    let body = json!({ "tags": [{ "key": "k", "value": "v", "copyable": false }] });
    new.post("volumes?names=new", body.clone()).await.done();
    let tags = new.get("volumes/tags?resource_names=new").await;
    assert_eq!(tags.item()["value"], "v");
    assert_eq!(tags.item()["copyable"], false);
    middle.post("volumes?names=old", body).await.done();
    let tags = new.get("volumes/tags?resource_names=old").await;
    assert_eq!(tags.body["items"], Value::Array(Vec::new()));
    let wrong = json!({ "tags": [{ "key": "", "value": "v" }] });
    assert_eq!(new.post("volumes?names=x", wrong).await.status, 400);
}
