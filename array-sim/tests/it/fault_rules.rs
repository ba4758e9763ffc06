//! Faults for certain calls: by object, body and share; statuses; an array that goes and comes; the
//! data path by volume.
#![expect(
    clippy::unwrap_used,
    reason = "support of tests: a failure is a failed test"
)]

use std::path::Path;
use std::time::Duration;

use array_sim::{
    Array, ArrayConfig, FaultAction, FaultKind, FaultRule, LunVolumeFaults, Simulator,
};
use serde_json::{Value, json};

use crate::client::{Client, one_array, until};

#[tokio::test]
async fn a_rule_is_for_one_object() {
    let (_simulator, array, client) = one_array().await;
    client.volume("one").await;
    client.volume("two").await;
    let mut rule = FaultRule::new(FaultAction::Unavailable);
    rule.object = Some("ONE".to_owned());
    array.add_rule(rule);
    assert_eq!(client.get("volumes?names=one").await.status, 503);
    assert_eq!(client.get("volumes?names=two,one").await.status, 503);
    client.get("volumes?names=two").await.done();
    client.host("h1").await;
    assert_eq!(client.connect("one", "h1").await.status, 503);
    client.connect("two", "h1").await.done();
    array.clear_faults();
    let mut rule = FaultRule::once("PATCH", "volumes", FaultAction::ResetAfter);
    rule.body_contains = Some("\"name\"".to_owned());
    array.add_rule(rule);
    client.destroy("two").await.done();
    let renamed = client
        .try_send(
            "PATCH",
            "volumes?names=one",
            Some(json!({ "name": "three" })),
        )
        .await;
    assert!(renamed.is_err());
    assert!(array.volume("three").is_some());
}

#[tokio::test]
async fn a_rule_takes_a_share_and_then_no_more() {
    let (_simulator, array, client) = one_array().await;
    let mut rule = FaultRule::once("GET", "volumes", FaultAction::Busy);
    rule.probability = Some(0.5);
    rule.times = Some(5);
    array.add_rule(rule);
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(client.get("volumes").await.status);
    }
    let struck = statuses.iter().filter(|status| **status == 500).count();
    assert_eq!(struck, 5);
    // Not the first five: the dice decide.
    assert_ne!(statuses[..5], [500; 5]);
    assert_eq!(array.fault_counts()[&FaultKind::Busy], 5);
}

#[tokio::test]
async fn any_status_before_and_after_the_effect() {
    let (_simulator, array, client) = one_array().await;
    let message = || "Gateway timeout.".to_owned();
    let path = "volumes?names=v";
    array.add_rule(FaultRule::once(
        "POST",
        "volumes",
        FaultAction::Fail {
            status: 504,
            message: message(),
        },
    ));
    let failed = client.post(path, json!({})).await;
    assert_eq!(failed.status, 504);
    assert_eq!(failed.body["errors"][0]["message"], "Gateway timeout.");
    assert!(array.volume("v").is_none());
    array.add_rule(FaultRule::once(
        "POST",
        "volumes",
        FaultAction::FailAfter {
            status: 502,
            message: message(),
        },
    ));
    assert_eq!(client.post(path, json!({})).await.status, 502);
    assert!(array.volume("v").is_some());
    let mut plan = array.faults();
    plan.server_error = 1.0;
    array.set_faults(plan);
    let error = client.get("volumes").await;
    assert_eq!(error.status, 500);
    assert_ne!(error.body["errors"][0]["message"], "Server is busy");
    assert_eq!(array.fault_counts()[&FaultKind::Fail], 3);
}

#[tokio::test]
async fn an_array_goes_with_a_call_and_comes_back() {
    let (_simulator, array, client) = one_array().await;
    for (action, kind) in [
        (FaultAction::Down { ms: 300 }, FaultKind::Down),
        (FaultAction::Silence { ms: 300 }, FaultKind::Silent),
    ] {
        array.add_rule(FaultRule::once("POST", "volumes", action));
        let lost = client
            .try_send("POST", "volumes?names=v", Some(json!({})))
            .await;
        assert!(lost.is_err(), "{kind:?}");
        assert!(array.volume("v").is_none(), "{kind:?}");
        assert!(array.fault_counts()[&kind] >= 1);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while client.try_send("GET", "volumes", None).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "{kind:?}: not back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn wrong_rules_are_refused_from_outside() {
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .control("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let url = format!(
        "{}/sim/arrays/array-a/rules",
        simulator.control_url().unwrap()
    );
    let http = reqwest::Client::new();
    for (rule, status) in [
        (
            json!({ "action": { "kind": "busy" }, "probability": 0.5 }),
            200,
        ),
        (
            json!({ "action": { "kind": "busy" }, "probability": 1.5 }),
            400,
        ),
        (
            json!({ "action": { "kind": "fail", "status": 200, "message": "" } }),
            400,
        ),
        (json!({ "action": { "kind": "nosuch" } }), 400),
    ] {
        let answer = http.post(&url).body(rule.to_string()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{rule}");
    }
}

/// Writes 4 KiB at the beginning of a LUN, past the page cache.
async fn write(array: &Array, lun: &str) -> std::io::Result<()> {
    let path = array.lun_folder().unwrap().join(lun);
    let write = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&[7; 4096], 0)
    });
    write.await.unwrap()
}

#[tokio::test]
async fn the_data_path_fails_and_slows_by_volume() {
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        println!("SKIPPED: mounting the LUN folder needs root and /dev/fuse");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .lun_folder(folder.path())
        .control("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let array = simulator.array("array-a").unwrap().clone();
    let client = Client::login(&array).await;
    client.host("h1").await;
    for name in ["bad", "good"] {
        client.volume(name).await;
        client.connect(name, "h1").await.done();
    }
    let url = format!(
        "{}/sim/arrays/array-a/luns",
        simulator.control_url().unwrap()
    );
    let http = reqwest::Client::new();
    let put = async |body: Value| {
        let answer = http.put(&url).body(body.to_string()).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(put(json!({ "nosuch": {} })).await, 400);
    assert_eq!(put(json!({ "bad": { "fail_next_writes": 1 } })).await, 200);
    assert!(write(&array, "h1/1").await.is_err());
    write(&array, "h1/2").await.unwrap();
    write(&array, "h1/1").await.unwrap();
    let serial = array.volume("bad").unwrap().serial;
    assert_eq!(array.volume_io(&serial).unwrap().writes, 1);
    let text = http.get(&url).send().await.unwrap().text().await.unwrap();
    let seen: Value = text.parse().unwrap();
    assert_eq!(seen["hosts"]["h1"]["1"], serial.as_str());
    assert_eq!(seen["volumes"]["bad"]["io"]["writes"], 1);
    assert_eq!(seen["counters"]["failed"], 1);
    // A slow volume: only it waits.
    let mut slow = LunVolumeFaults::default();
    slow.write_delay_ms = 300;
    array.luns().faults().set_volume(&serial, slow);
    let began = std::time::Instant::now();
    write(&array, "h1/1").await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    array.clear_faults();
    until("the faults to end", || {
        !array.luns().faults().is_selective()
    })
    .await;
    simulator.stop().await.unwrap();
}
