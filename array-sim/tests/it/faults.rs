//! Faults: each kind, counted, by rule and by seed; down, silent, and back.

use std::time::{Duration, Instant};

use array_sim::{ArrayConfig, FaultAction, FaultKind, FaultRule, LunOperation, Simulator};
use serde_json::json;

use crate::client::{Client, one_array, until};

#[tokio::test]
async fn a_reset_is_before_or_after_the_effect() {
    let (_simulator, array, client) = one_array().await;
    let path = "volumes?names=v";
    array.add_rule(FaultRule::once("POST", "volumes", FaultAction::ResetBefore));
    assert!(
        client
            .try_send("POST", path, Some(json!({})))
            .await
            .is_err()
    );
    assert!(array.volume("v").is_none());
    array.add_rule(FaultRule::once("POST", "volumes", FaultAction::ResetAfter));
    assert!(
        client
            .try_send("POST", path, Some(json!({})))
            .await
            .is_err()
    );
    assert!(array.volume("v").is_some());
    let again = client.post(path, json!({})).await;
    assert_eq!(again.refusal().0, "Volume already exists.");
    let counts = array.fault_counts();
    assert_eq!(counts[&FaultKind::ResetBefore], 1);
    assert_eq!(counts[&FaultKind::ResetAfter], 1);
    let calls = array.calls();
    let posts: Vec<_> = calls
        .iter()
        .filter(|call| call.name() == "POST volumes")
        .collect();
    assert_eq!(posts.len(), 3);
    assert_eq!(
        (posts[0].status, posts[0].fault),
        (None, Some(FaultKind::ResetBefore))
    );
    assert_eq!((posts[2].status, posts[2].fault), (Some(400), None));
    assert_eq!(posts[2].query, "names=v");
}

#[tokio::test]
async fn a_late_call_takes_effect_when_nobody_waits() {
    let (_simulator, array, client) = one_array().await;
    array.add_rule(FaultRule::once(
        "POST",
        "volumes",
        FaultAction::Late { ms: 300 },
    ));
    let lost = client
        .try_send("POST", "volumes?names=v", Some(json!({})))
        .await;
    assert!(lost.is_err());
    assert!(array.volume("v").is_none());
    until("the late effect", || array.volume("v").is_some()).await;
    until("the late call's record", || {
        array.calls().iter().any(|call| call.late)
    })
    .await;
    assert_eq!(array.fault_counts()[&FaultKind::LateEffect], 1);
}

#[tokio::test]
async fn a_busy_array_says_so() {
    let (_simulator, array, client) = one_array().await;
    let once = |action| array.add_rule(FaultRule::once("GET", "volumes", action));
    once(FaultAction::TooManyRequests { retry_after_s: 7 });
    let limited = client.get("volumes").await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.headers["retry-after"], "7");
    assert!(limited.body["message"].is_string());
    once(FaultAction::Busy);
    let busy = client.get("volumes").await;
    assert_eq!(busy.status, 500);
    assert_eq!(busy.body["errors"][0]["message"], "Server is busy");
    once(FaultAction::Unavailable);
    assert_eq!(client.get("volumes").await.status, 503);
    once(FaultAction::ExpireToken);
    assert_eq!(client.get("volumes").await.status, 401);
    let client = Client::login(&array).await;
    once(FaultAction::Refuse {
        message: "No.".to_owned(),
    });
    assert_eq!(client.get("volumes").await.refusal().0, "No.");
    once(FaultAction::Delay { ms: 200 });
    let began = Instant::now();
    client.get("volumes").await.done();
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_call_can_be_held_before_and_after_its_effect() {
    let (_simulator, array, client) = one_array().await;
    for (name, action, there) in [
        ("before", FaultAction::HoldBefore, false),
        ("after", FaultAction::HoldAfter, true),
    ] {
        array.add_rule(FaultRule::once("POST", "volumes", action));
        let caller = client.clone();
        let call = tokio::spawn(async move { caller.volume(name).await });
        until("the held call", || array.held_calls() == 1).await;
        assert_eq!(array.volume(name).is_some(), there, "{name}");
        array.release_held();
        assert_eq!(call.await.unwrap()["name"], name);
        assert_eq!(array.held_calls(), 0);
    }
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_stop_its_call() {
    let (_simulator, array, client) = one_array().await;
    array.add_rule(FaultRule::once(
        "POST",
        "volumes",
        FaultAction::Delay { ms: 300 },
    ));
    let request = client.try_send("POST", "volumes?names=v", Some(json!({})));
    let given_up = tokio::time::timeout(Duration::from_millis(100), request).await;
    assert!(given_up.is_err());
    until("the abandoned call", || array.volume("v").is_some()).await;
}

#[tokio::test]
async fn down_refuses_and_comes_back_on_the_same_port() {
    let (_simulator, array, client) = one_array().await;
    client.volume("v").await;
    for _ in 0..3 {
        array.stop().await;
        let error = client.try_send("GET", "volumes", None).await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        array.start().await.unwrap();
        assert_eq!(client.get("volumes").await.names(), ["v"]);
    }
}

#[tokio::test]
async fn a_silent_array_accepts_and_never_answers() {
    let (_simulator, array, client) = one_array().await;
    // A connection from before, and one made in silence.
    client.get("volumes").await.done();
    array.set_silent(true);
    let fresh = crate::client::http(&array);
    let url = format!("{}/api/api_version", array.url());
    let (old, new) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(300), client.get("volumes")),
        tokio::time::timeout(Duration::from_millis(300), fresh.get(&url).send()),
    );
    assert!(old.is_err() && new.is_err());
    tokio::net::TcpStream::connect(array.address())
        .await
        .unwrap();
    let lost = client.try_send("POST", "volumes?names=v", Some(json!({})));
    let lost = tokio::time::timeout(Duration::from_millis(300), lost).await;
    assert!(lost.is_err());
    array.set_silent(false);
    client.get("volumes").await.done();
    assert!(
        array.volume("v").is_none(),
        "served although it came in silence"
    );
}

#[tokio::test]
async fn the_same_seed_meets_the_same_faults() {
    let mut outcomes = Vec::new();
    for seed in [5, 5, 6] {
        let mut config = ArrayConfig::new("array-a");
        config.faults.reset_before = 0.2;
        config.faults.too_many_requests = 0.2;
        config.faults.busy = 0.2;
        let simulator = Simulator::builder()
            .array(config)
            .seed(seed)
            .start()
            .await
            .unwrap();
        let array = simulator.array("array-a").unwrap();
        let http = crate::client::http(array);
        let url = format!("{}/api/api_version", array.url());
        let mut seen = Vec::new();
        for _ in 0..60 {
            let answer = http.get(&url).send().await;
            seen.push(answer.ok().map(|answer| answer.status().as_u16()));
        }
        let counted: u64 = array.fault_counts().values().sum();
        let struck = seen.iter().filter(|status| **status != Some(200)).count();
        assert_eq!(counted, u64::try_from(struck).unwrap());
        outcomes.push(seen);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_ne!(outcomes[0], outcomes[2]);
}

#[tokio::test]
async fn calls_are_counted_by_kind() {
    let (_simulator, array, client) = one_array().await;
    assert_eq!(array.take_calls().len(), 1);
    client.volume("v").await;
    client.get("volumes?names=v").await.done();
    client.get("volumes?names=nosuch").await;
    let counts = array.call_counts();
    assert_eq!(counts["POST volumes"], 1);
    assert_eq!(counts["GET volumes"], 2);
    let calls = array.calls();
    assert!(calls.is_sorted_by_key(|call| call.order));
    assert!(!format!("{calls:?}").contains(&client.session));
    assert_eq!(array.peak_calls(), 1);
}

#[tokio::test]
async fn faults_from_outside_by_the_control_listener() {
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .control("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let array = simulator.array("array-a").unwrap();
    let client = Client::login(array).await;
    let control = simulator.control_url().unwrap();
    let http = reqwest::Client::new();
    let url = |what: &str| format!("{control}/sim/arrays/array-a/{what}");
    let text = |request: reqwest::RequestBuilder| async move {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (_, list) = text(http.get(format!("{control}/sim/arrays"))).await;
    assert!(list.contains(array.fingerprint()), "{list}");
    let plan = json!({ "busy": 1.0, "luns": { "fail_reads": true } }).to_string();
    assert_eq!(text(http.put(url("faults")).body(plan)).await.0, 200);
    assert_eq!(client.get("volumes").await.status, 500);
    assert!(array.luns().faults().fails(LunOperation::Read, "X"));
    let wrong = text(http.put(url("faults")).body(r#"{"busy": 2}"#)).await;
    assert_eq!(wrong.0, 400);
    assert_eq!(
        text(http.put(url("faults")).body(r#"{"bsy": 1}"#)).await.0,
        400
    );
    assert_eq!(text(http.delete(url("faults"))).await.0, 200);
    let rule = r#"{"method": "GET", "path": "volumes", "times": 1,
                   "action": {"kind": "too_many_requests", "retry_after_s": 1}}"#;
    assert_eq!(text(http.post(url("rules")).body(rule)).await.0, 200);
    assert_eq!(client.get("volumes").await.status, 429);
    client.get("volumes").await.done();
    text(http.post(url("down"))).await;
    assert!(client.try_send("GET", "volumes", None).await.is_err());
    text(http.post(url("up"))).await;
    client.volume("v").await;
    let (_, state) = text(http.get(url("state"))).await;
    assert!(state.contains("\"name\":\"v\""), "{state}");
    let (_, calls) = text(http.delete(url("calls"))).await;
    assert!(calls.contains("POST volumes") && !calls.contains(&client.session));
    assert!(array.calls().is_empty());
    assert_eq!(text(http.post(url("nosuch"))).await.0, 404);
    assert_eq!(
        text(http.post(url("advance-clock")).body(r#"{"ms": 1}"#))
            .await
            .0,
        200
    );
    text(http.post(url("expire-sessions"))).await;
    assert_eq!(client.get("volumes").await.status, 401);
}
