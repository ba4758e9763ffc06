//! Tags: upsert, lists, copies, lengths.

use serde_json::{Value, json};

use crate::client::{Client, encode, one_array};

async fn put(client: &Client, volume: &str, tags: Value) -> crate::client::Answer {
    let path = format!("volumes/tags/batch?resource_names={volume}");
    client.send("PUT", &path, Some(tags)).await
}

#[tokio::test]
async fn tags_are_put_listed_and_deleted() {
    let (_simulator, array, client) = one_array().await;
    let volume = client.volume("v").await;
    let tags = json!([
        { "key": "owner", "value": "a" },
        { "key": "owner", "value": "b", "namespace": "fairlead", "copyable": false },
    ]);
    let answer = put(&client, "v", tags).await;
    assert_eq!(
        answer.items()[0],
        json!({
            "key": "owner", "value": "a", "namespace": "default", "copyable": true,
            "resource": { "id": volume["id"], "name": "v" },
        })
    );
    put(&client, "v", json!([{ "key": "owner", "value": "c" }]))
        .await
        .done();
    assert_eq!(array.volume("v").unwrap().tags.len(), 2);
    let all = client.get("volumes/tags?resource_names=v").await;
    assert_eq!(all.items().len(), 2);
    let path = "volumes/tags?resource_names=v&namespaces=fairlead";
    assert_eq!(client.get(path).await.item()["value"], "b");
    let filter = encode("value='c' and namespace='default'");
    let path = format!("volumes/tags?filter={filter}&total_item_count=true");
    let found = client.get(&path).await;
    assert_eq!(found.item()["resource"]["name"], "v");
    assert_eq!(found.body["total_item_count"], 1);
    // Volumes by tag.
    let filter = encode("tags('owner','b')");
    let found = client.get(&format!("volumes?filter={filter}")).await;
    assert_eq!(found.names(), ["v"]);

    let two = "volumes/tags?resource_names=v&keys=owner&namespaces=default,fairlead";
    assert_eq!(client.delete(two).await.status, 400);
    let one = "volumes/tags?resource_names=v&keys=owner&namespaces=fairlead";
    client.delete(one).await.done();
    assert_eq!(array.volume("v").unwrap().tags[0].value, "c");
    assert_eq!(
        client.delete(one).await.refusal(),
        ("Tag does not exist.", Some("v"))
    );
}

#[tokio::test]
async fn copies_take_copyable_tags_only() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    let tags = json!([
        { "key": "keep", "value": "1" },
        { "key": "leave", "value": "2", "copyable": false },
    ]);
    put(&client, "v", tags).await.done();
    let body = json!({ "source": { "name": "v" } });
    client.post("volumes?names=copy", body).await.done();
    client
        .post("volume-snapshots?source_names=v", json!({ "suffix": "s" }))
        .await
        .done();
    let body = json!({ "source": { "name": "v.s" } });
    client.post("volumes?names=restored", body).await.done();
    for name in ["copy", "restored"] {
        let tags = array.volume(name).unwrap().tags;
        assert_eq!(tags.len(), 1, "{name}");
        assert_eq!(tags[0].key, "keep");
    }
    // A rename keeps them all, a destroyed volume too.
    client
        .patch("volumes?names=v", json!({ "name": "w" }))
        .await
        .done();
    client.destroy("w").await.done();
    let left = client.get("volumes/tags?resource_names=w").await;
    assert_eq!(left.items().len(), 2);
    let refused = put(&client, "w", json!([{ "key": "a", "value": "b" }])).await;
    assert_eq!(refused.refusal(), ("Volume has been destroyed.", Some("w")));
    let live = "volumes/tags?resource_names=w&resource_destroyed=false";
    assert_eq!(client.get(live).await.status, 400);
}

#[tokio::test]
async fn lengths_are_in_characters() {
    let (_simulator, _array, client) = one_array().await;
    client.volume("v").await;
    let fits = json!([{ "key": "ä".repeat(64), "value": "ö".repeat(256) }]);
    put(&client, "v", fits).await.done();
    for wrong in [
        json!([{ "key": "k".repeat(65), "value": "" }]),
        json!([{ "key": "", "value": "" }]),
        json!([{ "key": "k", "value": "v".repeat(257) }]),
        json!([{ "key": "k", "value": "v", "namespace": "pure-x" }]),
        json!({ "key": "k", "value": "v" }),
        json!([]),
    ] {
        assert_eq!(
            put(&client, "v", wrong.clone()).await.status,
            400,
            "{wrong}"
        );
    }
    let nobody = put(&client, "nosuch", json!([{ "key": "k", "value": "v" }])).await;
    assert_eq!(nobody.refusal(), ("Volume does not exist.", Some("nosuch")));
}

#[tokio::test]
async fn snapshots_have_tags_of_their_own() {
    let (_simulator, _array, client) = one_array().await;
    client.volume("v").await;
    let tags = json!([{ "key": "from", "value": "volume" }]);
    client
        .send("PUT", "volumes/tags/batch?resource_names=v", Some(tags))
        .await
        .done();
    client
        .post("volume-snapshots?source_names=v", json!({ "suffix": "s" }))
        .await
        .done();
    let tags = json!([
        { "key": "own", "value": "1" },
        { "key": "stays", "value": "2", "copyable": false },
    ]);
    let put = client
        .send(
            "PUT",
            "volume-snapshots/tags/batch?resource_names=v.s",
            Some(tags),
        )
        .await;
    assert_eq!(put.items().len(), 2);
    assert_eq!(put.items()[0]["resource"]["name"], "v.s");
    let keys = |answer: &crate::client::Answer| {
        let keys = answer.items().iter().map(|tag| tag["key"].clone());
        keys.collect::<Vec<_>>()
    };
    let listed = client.get("volume-snapshots/tags?resource_names=v.s").await;
    assert_eq!(keys(&listed), ["from", "own", "stays"]);
    // The volume's own are what they were, and a copy gets what is copyable.
    assert_eq!(keys(&client.get("volumes/tags").await), ["from"]);
    let body = json!({ "source": { "name": "v.s" } });
    client.post("volumes?names=copy", body).await.done();
    let copied = client.get("volumes/tags?resource_names=copy").await;
    assert_eq!(keys(&copied), ["from", "own"]);
    let path = "volume-snapshots/tags?resource_names=v.s&keys=own,stays";
    client.delete(path).await.done();
    assert_eq!(client.delete(path).await.refusal().0, "Tag does not exist.");
    assert_eq!(keys(&client.get("volume-snapshots/tags").await), ["from"]);
}
