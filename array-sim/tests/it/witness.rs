//! What the witness tells, and what clients that vote by names and sizes rest on.
use std::time::{Duration, UNIX_EPOCH};

use array_sim::{ArrayConfig, NameEventKind, Simulator};
use serde_json::json;

use crate::client::{Client, one_array};

#[tokio::test]
async fn shared_volumes_are_told_from_the_moment_on() {
    let (_simulator, array, client) = one_array().await;
    for volume in ["a", "b"] {
        client.volume(volume).await;
    }
    for host in ["h1", "h2", "h3"] {
        client.host(host).await;
    }
    client.connect("a", "h1").await.done();
    client.connect("b", "h2").await.done();
    let path = "connections?volume_names=a&host_names=h1";
    client.delete(path).await.done();
    client.connect("a", "h3").await.done();
    assert_eq!(array.shared_moments(), [], "one after the other");
    client.connect("a", "h2").await.done();
    let path = "hosts?names=h2";
    client.patch(path, json!({ "name": "h9" })).await.done();
    client.connect("a", "h1").await.done();
    let told = array.shared_moments();
    let hosts: Vec<_> = told.iter().map(|one| one.hosts.join(" ")).collect();
    assert_eq!(hosts, ["h2 h3", "h1 h3 h9"]);
    assert!(told.iter().all(|one| one.volume == "a"), "{told:?}");
    assert!(told.is_sorted_by_key(|one| one.order));
    // A destroyed volume ends its connections, here.
    client.destroy("a").await.done();
    client
        .patch("volumes?names=a", json!({ "destroyed": false }))
        .await
        .done();
    client.connect("a", "h1").await.done();
    assert_eq!(array.shared_moments().len(), 2);
}

#[tokio::test]
async fn every_name_that_a_volume_had_is_told_also_after_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        Simulator::builder()
            .array(ArrayConfig::new("array-a"))
            .state_dir(folder.path())
            .start()
            .await
            .unwrap()
    };
    let simulator = start().await;
    let array = simulator.array("array-a").unwrap().clone();
    let client = Client::login(&array).await;
    let first = client.volume("a").await["id"].as_str().unwrap().to_owned();
    client
        .patch("volumes?names=a", json!({ "name": "b" }))
        .await
        .done();
    let second = client.volume("a").await["id"].as_str().unwrap().to_owned();
    client.destroy("b").await.done();
    client
        .patch("volumes?names=b", json!({ "destroyed": false }))
        .await
        .done();
    client.destroy("b").await.done();
    client.delete("volumes?names=b").await.done();
    let told: Vec<_> = array
        .name_events()
        .into_iter()
        .map(|one| (one.kind, one.name, one.id))
        .collect();
    use NameEventKind::{Destroyed, Named, Recovered, Unnamed};
    let expected = [
        (Named, "a", &first),
        (Unnamed, "a", &first),
        (Named, "b", &first),
        (Named, "a", &second),
        (Destroyed, "b", &first),
        (Recovered, "b", &first),
        (Destroyed, "b", &first),
        (Unnamed, "b", &first),
    ];
    let expected = expected.map(|(kind, name, id)| (kind, name.to_owned(), id.clone()));
    assert_eq!(told, expected);
    client.host("h1").await;
    client.host("h2").await;
    client.connect("a", "h1").await.done();
    simulator.stop().await.unwrap();
    let simulator = start().await;
    let array = simulator.array("array-a").unwrap().clone();
    let names: Vec<_> = array
        .name_events()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["a"]);
    Client::login(&array).await.connect("a", "h2").await.done();
    assert_eq!(
        array.shared_moments().len(),
        1,
        "with what was there before"
    );
}

#[tokio::test]
async fn sizes_up_to_the_largest_are_kept_to_the_sector_on_a_small_array() {
    let mut config = ArrayConfig::new("array-a");
    config.capacity = 1 << 30;
    let (_simulator, _array, client) = crate::client::with(config).await;
    for (name, size) in [
        ("small", (1_u64 << 20) + 512),
        ("large", (1 << 51) + (1 << 20) - 512),
        ("largest", 1 << 52),
    ] {
        let path = format!("volumes?names={name}");
        let made = client.post(&path, json!({ "provisioned": size })).await;
        assert_eq!(made.item()["provisioned"], size);
    }
    let path = "volumes?names=more";
    let size = (1_u64 << 52) + 512;
    let more = client.post(path, json!({ "provisioned": size })).await;
    assert_eq!(more.status, 400);
}

#[tokio::test]
async fn the_date_of_an_answer_is_of_the_clock_that_volumes_are_made_by() {
    let mut config = ArrayConfig::new("array-a");
    config.clock_offset_ms = -7 * 3_600_000;
    let (_simulator, array, client) = crate::client::with(config).await;
    client.volume("v").await;
    array.advance_clock(Duration::from_secs(1000));
    let answer = client.get("volumes?names=v").await;
    let created = answer.item()["created"].as_u64().unwrap();
    let date = answer.headers["date"].to_str().unwrap();
    let date = httpdate::parse_http_date(date).unwrap();
    let age = date.duration_since(UNIX_EPOCH).unwrap().as_secs() - created / 1000;
    assert!((1000..1060).contains(&age), "{age}");
}
