//! Given figures: latencies, rates, queue depth, used space, capacity, ports; by library and from
//! outside.

use array_sim::{Adjustment, ArrayConfig, Performance, Simulator, VolumeFigures};
use serde_json::{Value, json};

use crate::client::{Client, encode, one_array};

fn figures(reads: u64, latency: u64, used: Option<u64>) -> VolumeFigures {
    let mut figures = VolumeFigures::default();
    figures.performance.reads_per_sec = reads;
    figures.performance.read_bytes_per_sec = reads * 8192;
    figures.performance.usec_per_read_op = latency;
    figures.used = used;
    figures
}

#[tokio::test]
async fn volumes_say_what_they_were_given() {
    let (_simulator, array, client) = one_array().await;
    for name in ["a", "b", "idle"] {
        client.volume(name).await;
    }
    let given = figures(300, 100, Some(7777));
    array.set_volume_figures("A", given).unwrap();
    array
        .set_volume_figures("b", figures(100, 500, None))
        .unwrap();
    assert!(array.set_volume_figures("nosuch", given).is_err());
    let line = client
        .get("volumes/performance?names=a")
        .await
        .item()
        .clone();
    assert_eq!(line["reads_per_sec"], 300);
    assert_eq!(line["usec_per_read_op"], 100);
    assert_eq!(line["bytes_per_read"], 8192);
    assert_eq!(line["usec_per_mirrored_write_op"], 0);
    assert!(line["time"].as_u64().unwrap() > 0);
    let busiest = client
        .get("volumes/performance?sort=usec_per_read_op-&limit=1")
        .await;
    assert_eq!(busiest.names(), ["b"]);
    let filter = encode("reads_per_sec>0");
    let busy = client
        .get(&format!("volumes/performance?filter={filter}"))
        .await;
    assert_eq!(busy.names(), ["a", "b"]);
    let total = client.get("volumes/performance?total_only=true").await;
    assert_eq!(total.body["total"][0]["reads_per_sec"], 400);
    assert!(total.items().is_empty());
    // Used space is the given one, or else what the file occupies.
    let used = |line: &Value| line["space"]["unique"].as_u64().unwrap();
    assert_eq!(used(client.get("volumes?names=a").await.item()), 7777);
    assert_eq!(used(client.get("volumes/space?names=a").await.item()), 7777);
    assert_eq!(used(client.get("volumes?names=b").await.item()), 0);
    // A volume of the same name later has nothing of it.
    client.destroy("a").await.done();
    client.delete("volumes?names=a").await.done();
    client.volume("a").await;
    assert_eq!(used(client.get("volumes?names=a").await.item()), 0);
}

#[tokio::test]
async fn hosts_and_groups_are_their_volumes_together() {
    let (_simulator, array, client) = one_array().await;
    for kind in [
        "pods?names=p",
        "volume-groups?names=g",
        "host-groups?names=hg",
    ] {
        client.post(kind, json!({})).await.done();
    }
    for (name, given) in [
        ("p::v", figures(300, 100, Some(1000))),
        ("g/v", figures(100, 500, Some(2000))),
    ] {
        let path = format!("volumes?names={}", encode(name));
        client.post(&path, json!({})).await.done();
        array.set_volume_figures(name, given).unwrap();
    }
    client.host("h1").await;
    client.connect("p%3A%3Av", "h1").await.done();
    client.connect("g%2Fv", "h1").await.done();
    client
        .send(
            "POST",
            "connections?volume_names=p%3A%3Av,g%2Fv&host_group_names=hg",
            None,
        )
        .await
        .done();
    for (kind, reads, latency, used) in [
        ("hosts", 400, 200, 3000),
        ("host-groups", 400, 200, 3000),
        ("pods", 300, 100, 1000),
        ("volume-groups", 100, 500, 2000),
    ] {
        let answer = client.get(&format!("{kind}/performance")).await;
        let line = answer.item();
        assert_eq!(line["reads_per_sec"], reads, "{kind}");
        assert_eq!(line["usec_per_read_op"], latency, "{kind}");
        let answer = client.get(&format!("{kind}/space")).await;
        assert_eq!(answer.item()["space"]["unique"], used, "{kind}");
        let missing = client
            .get(&format!("{kind}/performance?names=nosuch"))
            .await;
        assert_eq!(missing.status, 400, "{kind}");
    }
}

#[tokio::test]
async fn the_array_says_what_it_was_given() {
    let (_simulator, array, client) = one_array().await;
    let mut performance = Performance::default();
    performance.usec_per_write_op = 900;
    performance.queue_depth = 12;
    array.set_performance(performance);
    array.set_used(5 << 30);
    let line = client.get("arrays/performance").await.item().clone();
    assert_eq!(line["usec_per_write_op"], 900);
    assert_eq!(line["queue_depth"], 12);
    let mut adjustment = Adjustment::default();
    adjustment.capacity = Some(10 << 30);
    array.adjust(&adjustment).unwrap();
    let space = client.get("arrays/space").await.item().clone();
    assert_eq!(space["capacity"], 10_u64 << 30);
    assert_eq!(space["space"]["total_physical"], 5_u64 << 30);
    // What was not named stayed.
    let line = client.get("arrays/performance").await.item().clone();
    assert_eq!(line["queue_depth"], 12);
}

#[tokio::test]
async fn settings_from_outside() {
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .control("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let array = simulator.array("array-a").unwrap();
    let client = Client::login(array).await;
    client.volume("v").await;
    let url = format!(
        "{}/sim/arrays/array-a/settings",
        simulator.control_url().unwrap()
    );
    let http = reqwest::Client::new();
    let patch = |body: Value| {
        let request = http.patch(&url).body(body.to_string());
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    let (status, text) = patch(json!({
        "performance": { "usec_per_read_op": 1500, "queue_depth": 3 },
        "volumes": { "v": { "used": 4096, "performance": { "writes_per_sec": 9 } } },
        "limits": { "volumes": 1 },
        "eradication_disabled": true,
        "ports": [{ "name": "CT0.ETH9", "portal": "192.0.2.99:3260" }],
    }))
    .await;
    assert_eq!(status, 200, "{text}");
    let in_force: Value = text.parse().unwrap();
    assert_eq!(in_force["volumes"]["v"]["used"], 4096);
    let line = client.get("arrays/performance").await.item().clone();
    assert_eq!(line["usec_per_read_op"], 1500);
    let line = client.get("volumes/performance").await.item().clone();
    assert_eq!(line["writes_per_sec"], 9);
    assert_eq!(client.get("ports").await.names(), ["CT0.ETH9"]);
    let full = client.post("volumes?names=w", json!({})).await;
    assert_eq!(full.refusal().0, "Volume limit reached.");
    client.destroy("v").await.done();
    let kept = client.delete("volumes?names=v").await;
    assert_eq!(kept.refusal().0, "Eradication is disabled.");
    // Wrong as a whole, nothing is changed.
    let wrong = json!({ "capacity": 1, "volumes": { "nosuch": {} } });
    assert_eq!(patch(wrong).await.0, 400);
    assert_eq!(patch(json!({ "capcity": 1 })).await.0, 400);
    assert_ne!(client.get("arrays").await.item()["capacity"], 1);
}
