//! Pages, sort, filters and totals, also while things change.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Client, encode, one_array};

async fn many(client: &Client, count: usize) {
    let names: Vec<String> = (0..count)
        .map(|number| format!("vol-{number:05}"))
        .collect();
    for chunk in names.chunks(500) {
        let path = format!("volumes?names={}", chunk.join(","));
        client.post(&path, json!({})).await.done();
    }
}

#[tokio::test]
async fn pages_show_each_volume_once_while_others_come_and_go() {
    let (_simulator, _array, client) = one_array().await;
    many(&client, 25).await;
    let mut seen: Vec<String> = Vec::new();
    let mut token = String::new();
    for page in 0.. {
        let answer = client.get(&format!("volumes?limit=10{token}")).await;
        seen.extend(answer.names().into_iter().map(str::to_owned));
        let more = answer.body["more_items_remaining"].as_bool().unwrap();
        assert_eq!(more, answer.body["continuation_token"].is_string());
        if !more {
            break;
        }
        let next = answer.body["continuation_token"].as_str().unwrap();
        token = format!("&continuation_token={next}");
        // Seen ones are renamed and eradicated, one not yet seen goes, new ones come.
        client
            .patch("volumes?names=vol-00001", json!({ "name": "a-1" }))
            .await;
        client.destroy("vol-00002").await;
        client.delete("volumes?names=vol-00002").await;
        client.destroy("vol-00024").await;
        client.delete("volumes?names=vol-00024").await;
        client.volume(&format!("new-{page}")).await;
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "{seen:?}");
    for number in 0..24 {
        assert!(seen.contains(&format!("vol-{number:05}")), "{number}");
    }
}

#[tokio::test]
async fn a_page_is_never_larger_than_the_servers() {
    let (_simulator, _array, client) = one_array().await;
    many(&client, 1001).await;
    for path in ["volumes", "volumes?limit=5000"] {
        let answer = client.get(path).await;
        assert_eq!(answer.items().len(), 1000);
        assert_eq!(answer.body["more_items_remaining"], true);
        let token = answer.body["continuation_token"]
            .as_str()
            .unwrap()
            .to_owned();
        let joint = if path.contains('?') { '&' } else { '?' };
        let rest = client
            .get(&format!("{path}{joint}continuation_token={token}"))
            .await;
        assert_eq!(rest.names(), ["vol-01000"]);
        assert_eq!(rest.body["more_items_remaining"], false);
    }
    let count = client.get("volumes?limit=0").await;
    assert!(count.items().is_empty());
    assert_eq!(count.body["total_item_count"], 1001);
    let counted = client.get("volumes?limit=10&total_item_count=true").await;
    assert_eq!(counted.body["total_item_count"], 1001);
}

#[tokio::test]
async fn sorted_listings_go_on_by_offset() {
    let (_simulator, _array, client) = one_array().await;
    for (name, size) in [("b", 3), ("A", 1), ("c", 2)] {
        let body = json!({ "provisioned": size << 20 });
        client
            .post(&format!("volumes?names={name}"), body)
            .await
            .done();
    }
    assert_eq!(
        client.get("volumes?sort=name").await.names(),
        ["A", "b", "c"]
    );
    let sorted = client.get("volumes?sort=provisioned-&limit=2").await;
    assert_eq!(sorted.names(), ["b", "c"]);
    assert_eq!(sorted.body["more_items_remaining"], true);
    assert!(sorted.body["continuation_token"].is_null());
    let rest = client
        .get("volumes?sort=provisioned-&limit=2&offset=2")
        .await;
    assert_eq!(rest.names(), ["A"]);
    assert_eq!(client.get("volumes?sort=nosuch").await.status, 400);
    assert_eq!(client.get("volumes?limit=x").await.status, 400);
    assert_eq!(client.get("volumes?continuation_token=x").await.status, 400);
    // A token belongs to its query.
    let token = client.get("volumes?limit=1").await.body["continuation_token"].clone();
    let filter = encode("name='c'");
    let path = format!(
        "volumes?filter={filter}&continuation_token={}",
        token.as_str().unwrap()
    );
    assert_eq!(client.get(&path).await.status, 400);
}

#[tokio::test]
async fn filters_choose_and_refuse() {
    let (_simulator, _array, client) = one_array().await;
    for name in ["ns-Data", "ns-fl-claim-1", "ns-fl-trash-1-x", "other"] {
        client.volume(name).await;
    }
    client.destroy("ns-fl-trash-1-x").await.done();
    let find = |filter: &'static str| {
        let client = client.clone();
        async move {
            client
                .get(&format!("volumes?filter={}", encode(filter)))
                .await
        }
    };
    let claim = find("name=('ns-data','ns-fl-claim-1') or name='ns-fl-trash-1-*'").await;
    assert_eq!(
        claim.names(),
        ["ns-Data", "ns-fl-claim-1", "ns-fl-trash-1-x"]
    );
    let live = find("name='ns-*' and not destroyed").await;
    assert_eq!(live.names(), ["ns-Data", "ns-fl-claim-1"]);
    let gone = find("destroyed='true' and time_remaining>0").await;
    assert_eq!(gone.names(), ["ns-fl-trash-1-x"]);
    assert!(find("name='nosuch'").await.items().is_empty());
    assert_eq!(find("space.total_physical>=0").await.items().len(), 4);
    let bad = find("name==").await;
    assert!(bad.refusal().0.starts_with("Invalid filter"), "{bad:?}");
    // Both ways of asking exclude each other where they are the same thing twice.
    assert_eq!(client.get("volumes?names=other&ids=x").await.status, 400);
}

#[tokio::test]
async fn totals_add_up() {
    let (_simulator, _array, client) = one_array().await;
    many(&client, 3).await;
    let total = client.get("volumes?total_only=true").await;
    assert!(total.items().is_empty());
    assert_eq!(total.body["total"][0]["provisioned"], 3 << 20);
    assert_eq!(total.body["total"][0]["name"], Value::Null);
    let space = client.get("volumes/space?total_only=true").await;
    assert_eq!(
        space.body["total"][0]["space"]["total_provisioned"],
        3 << 20
    );
}
