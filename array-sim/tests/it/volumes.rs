//! Volumes: every verb, every refusal in its exact words.

use std::time::Duration;

use array_sim::{ArrayConfig, OnDestroy};
use serde_json::json;

use crate::client::{encode, one_array, with};

#[tokio::test]
async fn a_volume_has_every_property_that_clients_read() {
    let (_simulator, array, client) = one_array().await;
    let volume = client.volume("Data_1").await;
    assert_eq!(volume["name"], "Data_1");
    assert_eq!(volume["provisioned"], 1 << 20);
    assert_eq!(volume["destroyed"], false);
    assert_eq!(volume["subtype"], "regular");
    assert_eq!(volume["connection_count"], 0);
    assert_eq!(volume["promotion_status"], "promoted");
    assert_eq!(volume["requested_promotion_state"], "promoted");
    assert_eq!(
        volume["priority_adjustment"]["priority_adjustment_value"],
        0
    );
    assert_eq!(volume["qos"], json!({}));
    for object in ["source", "pod", "volume_group"] {
        assert_eq!(volume[object], json!({}), "{object}");
    }
    assert!(volume["time_remaining"].is_null());
    assert_eq!(volume["space"]["total_physical"], 0);
    assert_eq!(volume["space"]["total_provisioned"], 1 << 20);
    let serial = volume["serial"].as_str().unwrap();
    assert_eq!(serial.len(), 24);
    assert!(
        serial
            .bytes()
            .all(|c| c.is_ascii_digit() || (b'A'..=b'F').contains(&c))
    );
    let created = volume["created"].as_u64().unwrap();
    assert!(array.now_ms().abs_diff(created) < 60_000);
    // Envelope of a GET, complete.
    let answer = client.get("volumes").await;
    assert_eq!(answer.body["more_items_remaining"], false);
    assert!(answer.body["continuation_token"].is_null());
    assert!(answer.body["total_item_count"].is_null());
    assert_eq!(answer.item()["id"], volume["id"]);
    // What older versions do not have is not there.
    let mut old = client.clone();
    old.version = "2.2".to_owned();
    let volume = old.get("volumes").await.item().clone();
    assert!(volume.get("priority_adjustment").is_none());
    assert!(volume["space"].get("total_used").is_none());
}

#[tokio::test]
async fn sizes() {
    let (_simulator, _array, client) = one_array().await;
    let size = |name: &str, size: i64| {
        let path = format!("volumes?names={name}");
        let client = client.clone();
        async move { client.post(&path, json!({ "provisioned": size })).await }
    };
    assert_eq!(size("small", 512).await.item()["provisioned"], 1 << 20);
    let most = 4_503_599_627_370_496;
    assert_eq!(size("large", most).await.item()["provisioned"], most);
    for wrong in [1000, most + 512, 0, -512] {
        assert_eq!(size("wrong", wrong).await.status, 400, "{wrong}");
    }
    let grown = client
        .patch("volumes?names=small", json!({ "provisioned": 5 << 20 }))
        .await;
    assert_eq!(grown.item()["provisioned"], 5 << 20);
    let shrunk = client
        .patch("volumes?names=small", json!({ "provisioned": 2 << 20 }))
        .await;
    assert_eq!(
        shrunk.refusal(),
        ("Implicit truncation not permitted.", Some("small"))
    );
    let shrunk = client
        .patch(
            "volumes?names=small&truncate=True",
            json!({ "provisioned": 2 << 20 }),
        )
        .await;
    assert_eq!(shrunk.item()["provisioned"], 2 << 20);
}

#[tokio::test]
async fn names_are_unique_ignoring_case_and_keep_theirs() {
    let (_simulator, array, client) = one_array().await;
    client.volume("Data").await;
    let taken = client.post("volumes?names=data", json!({})).await;
    assert_eq!(taken.refusal(), ("Volume already exists.", Some("Data")));
    assert_eq!(client.get("volumes?names=DATA").await.names(), ["Data"]);
    let long = "a".repeat(64);
    for bad in ["-a", "a-", "a.b", "a b", "_a", long.as_str(), "123", "é"] {
        let answer = client
            .post(&format!("volumes?names={}", encode(bad)), json!({}))
            .await;
        assert_eq!(
            answer.refusal(),
            (
                "Volume name must be between 1 and 63 characters (alphanumeric, '_' and '-') \
                 in length and begin and end with a letter or number.",
                Some(bad)
            )
        );
    }
    let absent = client.get("volumes?names=Data,nosuch").await;
    assert_eq!(absent.refusal(), ("Volume does not exist.", Some("nosuch")));
    // Several at once are made together or not at all.
    let both = client.post("volumes?names=fresh,data", json!({})).await;
    assert_eq!(both.status, 400);
    assert!(array.volume("fresh").is_none());
    let both = client.post("volumes?names=one,two", json!({})).await;
    assert_eq!(both.names(), ["one", "two"]);
}

#[tokio::test]
async fn rename_is_one_step_and_leaves_everything_else() {
    let (_simulator, array, client) = one_array().await;
    let before = client.volume("tentative").await;
    client.volume("other").await;
    client.host("h1").await;
    client.connect("tentative", "h1").await.done();
    let id = before["id"].as_str().unwrap();
    let path = format!("volumes?ids={id}");
    let taken = client.patch(&path, json!({ "name": "OTHER" })).await;
    assert_eq!(taken.refusal(), ("Volume already exists.", Some("other")));
    let renamed = client.patch(&path, json!({ "name": "final" })).await;
    assert_eq!(renamed.item()["serial"], before["serial"]);
    assert_eq!(array.connections()[0].volume, "final");
    let gone = client.get("volumes?names=tentative").await;
    assert_eq!(
        gone.refusal(),
        ("Volume does not exist.", Some("tentative"))
    );
    // A second rename by the old name finds nothing: what a client sees after a lost answer.
    let again = client
        .patch("volumes?names=tentative", json!({ "name": "final" }))
        .await;
    assert_eq!(again.refusal().0, "Volume does not exist.");
    // Its own name in another case is no conflict.
    let case = client.patch(&path, json!({ "name": "Final" })).await;
    assert_eq!(case.names(), ["Final"]);
    assert_eq!(array.connection_events().len(), 1);
}

#[tokio::test]
async fn destroy_recover_eradicate() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    let both = client
        .patch("volumes?names=v", json!({ "name": "w", "destroyed": true }))
        .await;
    assert_eq!(
        both.refusal(),
        ("Invalid combination of parameters specified.", None)
    );
    let live = client.delete("volumes?names=v").await;
    assert_eq!(live.status, 400);
    let destroyed = client.destroy("v").await.item().clone();
    assert_eq!(destroyed["destroyed"], true);
    let left = destroyed["time_remaining"].as_u64().unwrap();
    assert!((86_390_000..=86_400_000).contains(&left), "{left}");
    let again = client.destroy("v").await;
    assert_eq!(again.refusal(), ("Volume has been deleted.", Some("v")));
    // The name stays taken; the volume is listed, by kind or both.
    let taken = client.post("volumes?names=V", json!({})).await;
    assert_eq!(taken.refusal().0, "Volume already exists.");
    assert_eq!(client.get("volumes").await.names(), ["v"]);
    assert_eq!(client.get("volumes?destroyed=true").await.names(), ["v"]);
    assert!(
        client
            .get("volumes?destroyed=False")
            .await
            .items()
            .is_empty()
    );
    let mismatch = client.get("volumes?names=v&destroyed=false").await;
    assert_eq!(mismatch.refusal().0, "Volume does not exist.");
    let recovered = client
        .patch("volumes?names=v", json!({ "destroyed": false }))
        .await;
    assert_eq!(recovered.item()["destroyed"], false);
    client.destroy("v").await.done();
    let file = array.data_file(&array.volume("v").unwrap().serial);
    assert!(file.exists());
    let gone = client.delete("volumes?names=v").await;
    gone.done();
    assert!(gone.body.is_null());
    assert!(!file.exists());
    assert!(client.get("volumes").await.items().is_empty());
}

#[tokio::test]
async fn what_is_destroyed_goes_by_itself_when_its_time_is_up() {
    let (_simulator, array, client) = one_array().await;
    client.volume("early").await;
    client.volume("late").await;
    client.destroy("early").await.done();
    array.advance_clock(Duration::from_secs(20 * 60));
    client.destroy("late").await.done();
    array.advance_clock(Duration::from_secs(24 * 3600 - 600));
    let client = crate::client::Client::login(&array).await;
    assert_eq!(client.get("volumes").await.names(), ["late"]);
    array.advance_clock(Duration::from_secs(1200));
    assert!(client.get("volumes").await.items().is_empty());
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_its_own_serial() {
    let (_simulator, array, client) = one_array().await;
    let source = client
        .post("volumes?names=source", json!({ "provisioned": 4 << 20 }))
        .await
        .item()
        .clone();
    let serial = source["serial"].as_str().unwrap();
    std::fs::write(array.data_file(serial), b"some bytes").unwrap();
    let body = json!({ "source": { "name": "SOURCE" }, "provisioned": 1 << 20, "pod": {} });
    let copy = client.post("volumes?names=copy", body).await.item().clone();
    assert_ne!(copy["serial"], source["serial"]);
    assert_eq!(copy["provisioned"], 4 << 20);
    assert_eq!(
        copy["source"],
        json!({ "id": source["id"], "name": "source" })
    );
    let bytes = std::fs::read(array.data_file(copy["serial"].as_str().unwrap())).unwrap();
    assert_eq!(bytes, b"some bytes");
    let used = client.get("volumes/space?names=copy").await.item().clone();
    assert!(used["space"]["unique"].as_u64().unwrap() > 0);
    let missing = client
        .post("volumes?names=x", json!({ "source": { "name": "nosuch" } }))
        .await;
    assert_eq!(
        missing.refusal(),
        ("No such volume or snapshot.", Some("nosuch"))
    );
}

#[tokio::test]
async fn overwrite_keeps_the_identity() {
    let (_simulator, array, client) = one_array().await;
    let target = client.volume("target").await;
    let source = client
        .post("volumes?names=source", json!({ "provisioned": 2 << 20 }))
        .await
        .item()
        .clone();
    let file = |volume: &serde_json::Value| array.data_file(volume["serial"].as_str().unwrap());
    std::fs::write(file(&target), b"old, and longer").unwrap();
    std::fs::write(file(&source), b"new").unwrap();
    let body = json!({ "source": { "id": source["id"] } });
    let refused = client.post("volumes?names=target", body.clone()).await;
    assert_eq!(
        refused.refusal(),
        ("Volume already exists.", Some("target"))
    );
    let path = "volumes?names=target&overwrite=true";
    let after = client.post(path, body.clone()).await.item().clone();
    assert_eq!(after["serial"], target["serial"]);
    assert_eq!(after["id"], target["id"]);
    assert_eq!(after["provisioned"], 2 << 20);
    assert_eq!(std::fs::read(file(&target)).unwrap(), b"new");
    let path = "volumes?names=target&overwrite=true&with_default_protection=false";
    let refused = client.post(path, body).await;
    assert_eq!(
        refused.refusal().0,
        "Invalid combination of parameters specified."
    );
}

#[tokio::test]
async fn limits_of_a_volume_are_kept() {
    let (_simulator, _array, client) = one_array().await;
    let qos = json!({ "bandwidth_limit": 1_048_576, "iops_limit": 100 });
    let volume = client.post("volumes?names=v", json!({ "qos": qos })).await;
    assert_eq!(volume.item()["qos"], qos);
    let path = "volumes?names=v";
    for wrong in [
        json!({ "qos": { "iops_limit": 99 } }),
        json!({ "qos": { "bandwidth_limit": 549_755_813_889_u64 } }),
        json!({ "qos": { "iops_limit": "many" } }),
    ] {
        assert_eq!(client.patch(path, wrong).await.status, 400);
    }
    let changed = client
        .patch(
            path,
            json!({ "qos": { "bandwidth_limit": "", "iops_limit": 200 } }),
        )
        .await;
    assert_eq!(changed.item()["qos"], json!({ "iops_limit": 200 }));
}

#[tokio::test]
async fn the_array_can_be_full() {
    let mut config = ArrayConfig::new("array-a");
    config.limits.volumes = 2;
    let (_simulator, array, client) = with(config).await;
    client.volume("one").await;
    client.volume("two").await;
    let third = client.post("volumes?names=three", json!({})).await;
    assert_eq!(third.refusal(), ("Volume limit reached.", None));
    // What is pending eradication counts.
    client.destroy("two").await.done();
    assert_eq!(client.post("volumes?names=x", json!({})).await.status, 400);
    client.delete("volumes?names=two").await.done();
    let mut faults = array.faults();
    faults.space = array_sim::SpaceLeft::Full;
    array.set_faults(faults);
    let full = client.post("volumes?names=x", json!({})).await;
    assert_eq!(full.refusal().0, "Array is out of space.");
    array.clear_faults();
    client.volume("x").await;
}

#[tokio::test]
async fn destroying_a_connected_volume_is_a_choice() {
    for choice in [OnDestroy::Disconnect, OnDestroy::Keep, OnDestroy::Refuse] {
        let mut config = ArrayConfig::new("array-a");
        config.on_destroy = choice;
        let (_simulator, array, client) = with(config).await;
        client.volume("v").await;
        client.host("h1").await;
        client.connect("v", "h1").await.done();
        let destroyed = client.destroy("v").await;
        let listed = client.get("connections?volume_names=v").await.items().len();
        let path = "connections?volume_names=v&host_names=h1";
        match choice {
            OnDestroy::Disconnect => {
                destroyed.done();
                assert_eq!(listed, 0);
                let removed = client.delete(path).await;
                assert_eq!(removed.refusal(), ("Volume has been destroyed.", Some("v")));
            }
            OnDestroy::Keep => {
                destroyed.done();
                assert_eq!(listed, 1);
                client.delete(path).await.done();
            }
            _ => {
                assert!(destroyed.refusal().0.contains("existing connections"));
                assert_eq!(listed, 1);
                continue;
            }
        }
        // In any case the host is cut off in the same step.
        assert_eq!(array.luns().luns("h1"), [0_u16; 0]);
        assert_eq!(array.connection_events().len(), 2);
    }
}

#[tokio::test]
async fn eradication_can_be_forbidden() {
    let mut config = ArrayConfig::new("array-a");
    config.eradication_disabled = true;
    let (_simulator, _array, client) = with(config).await;
    client.volume("v").await;
    client.destroy("v").await.done();
    let refused = client.delete("volumes?names=v").await;
    assert_eq!(refused.refusal(), ("Eradication is disabled.", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creations_at_once_one_wins() {
    let (_simulator, array, client) = one_array().await;
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..32_u64 {
        let client = client.clone();
        // The size carries who made it, as a claim's nonce does.
        let body = json!({ "provisioned": (1 << 20) + 512 * number });
        racers.spawn(async move { (number, client.post("volumes?names=claim", body).await) });
    }
    let mut winners = Vec::new();
    while let Some(raced) = racers.join_next().await {
        let (number, answer) = raced.unwrap();
        if answer.status == 200 {
            winners.push(number);
        } else {
            assert_eq!(answer.refusal(), ("Volume already exists.", Some("claim")));
        }
    }
    assert_eq!(winners.len(), 1);
    let volume = array.volume("claim").unwrap();
    assert_eq!(volume.provisioned, (1 << 20) + 512 * winners[0]);
    // Renames race for a name in the same way.
    for number in 0..8 {
        client.volume(&format!("t{number}")).await;
    }
    let mut racers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let client = client.clone();
        let path = format!("volumes?names=t{number}");
        racers.spawn(async move { client.patch(&path, json!({ "name": "Final" })).await.status });
    }
    let statuses = racers.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
}

#[tokio::test]
async fn renaming_to_the_own_name_is_a_choice() {
    for refused in [false, true] {
        let mut config = ArrayConfig::new("array-a");
        config.refuse_rename_to_own_name = refused;
        let (_simulator, _array, client) = with(config).await;
        client.volume("v").await;
        let renamed = client.patch("volumes?names=v", json!({"name": "v"})).await;
        if refused {
            assert_eq!(renamed.refusal(), ("Volume already exists.", Some("v")));
        } else {
            renamed.done();
        }
        let upper = client.patch("volumes?names=v", json!({"name": "V"})).await;
        upper.done();
    }
}
