//! What every listing does, tried on every listing.
#![expect(
    clippy::unwrap_used,
    reason = "support of tests: a failure is a failed test"
)]

use array_sim::Array;
use serde_json::{Value, json};

use crate::client::{Client, encode, one_array};

/// Each listing with a property whose values differ.
const LISTINGS: &[(&str, &str)] = &[
    ("volumes", "name"),
    ("volumes/space", "name"),
    ("volumes/performance", "name"),
    ("volumes/tags", "value"),
    ("volume-snapshots", "name"),
    ("volume-snapshots/tags", "value"),
    ("hosts", "name"),
    ("hosts/space", "name"),
    ("hosts/performance", "name"),
    ("host-groups", "name"),
    ("host-groups/space", "name"),
    ("host-groups/performance", "name"),
    ("host-groups/hosts", "member.name"),
    ("hosts/host-groups", "group.name"),
    ("connections", "volume.name"),
    ("pods", "name"),
    ("pods/space", "name"),
    ("pods/performance", "name"),
    ("pods/arrays", "group.name"),
    ("volume-groups", "name"),
    ("volume-groups/space", "name"),
    ("volume-groups/performance", "name"),
    ("volume-groups/volumes", "member.name"),
    ("volumes/volume-groups", "group.name"),
    ("protection-groups", "name"),
    ("protection-groups/space", "name"),
    ("protection-groups/volumes", "member.name"),
    ("protection-groups/hosts", "member.name"),
    ("protection-groups/host-groups", "group.name"),
    ("protection-groups/targets", "member.name"),
    ("controllers", "name"),
    ("hardware", "name"),
    ("ports", "name"),
    ("ports/initiators", "target.name"),
    ("network-interfaces", "name"),
];

/// At least two of everything.
async fn two_of_everything(array: &Array, client: &Client) {
    for number in [1, 2] {
        let prefixed = encode(&format!("g{number}/w{number}"));
        for path in [
            format!("pods?names=p{number}"),
            format!("volume-groups?names=g{number}"),
            format!("volumes?names=v{number},{prefixed}"),
            format!("volume-snapshots?source_names=v{number}"),
            format!("host-groups?names=hg{number}"),
        ] {
            client.post(&path, json!({})).await.done();
        }
        let tags = json!([{ "key": "k", "value": format!("x{number}") }]);
        for (kind, name) in [("volumes", "v"), ("volume-snapshots", "v")] {
            let suffix = if kind == "volumes" { "" } else { ".1" };
            let path = format!("{kind}/tags/batch?resource_names={name}{number}{suffix}");
            client.send("PUT", &path, Some(tags.clone())).await.done();
        }
        client.host(&format!("h{number}")).await;
        let (volume, host) = (format!("v{number}"), format!("h{number}"));
        client.connect(&volume, &host).await.done();
        let path = format!("host-groups/hosts?group_names=hg{number}&member_names=h{number}");
        client.send("POST", &path, None).await.done();
        let mut seed = array_sim::ProtectionGroupSeed::new(format!("pg{number}"));
        seed.volumes = vec![volume];
        seed.hosts = vec![host];
        seed.host_groups = vec![format!("hg{number}")];
        seed.targets = vec![format!("t{number}")];
        array.set_protection_group(&seed).unwrap();
    }
}

#[tokio::test]
async fn every_listing_filters_sorts_counts_and_pages() {
    let (_simulator, array, client) = one_array().await;
    two_of_everything(&array, &client).await;
    for (path, property) in LISTINGS {
        let value = |item: &Value| {
            let value = item.pointer(&format!("/{}", property.replace('.', "/")));
            value.unwrap().as_str().unwrap().to_owned()
        };
        let all = client.get(path).await;
        let mut values: Vec<String> = all.items().iter().map(value).collect();
        assert!(values.len() >= 2, "{path}: {values:?}");
        let sorted = client.get(&format!("{path}?sort={property}-")).await;
        let down: Vec<String> = sorted.items().iter().map(value).collect();
        values.sort();
        values.reverse();
        assert_eq!(down, values, "{path}");
        let page = client
            .get(&format!("{path}?limit=1&offset=1&total_item_count=true"))
            .await;
        assert_eq!(value(page.item()), value(&all.items()[1]), "{path}");
        assert_eq!(page.body["total_item_count"], values.len(), "{path}");
        let more = values.len() > 2;
        assert_eq!(page.body["more_items_remaining"], more, "{path}");
        let filter = encode(&format!("{property}='{}'", values[0]));
        let chosen = client.get(&format!("{path}?filter={filter}")).await;
        let same = values.iter().filter(|value| **value == values[0]).count();
        assert_eq!(chosen.items().len(), same, "{path}");
        let filter = encode("nosuch='x'");
        let wrong = client.get(&format!("{path}?filter={filter}")).await;
        assert!(wrong.refusal().0.starts_with("Invalid filter"), "{path}");
    }
}
