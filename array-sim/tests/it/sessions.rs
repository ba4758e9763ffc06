//! Discovery, login, expiry, versions, headers.

use std::time::Duration;

use array_sim::ArrayConfig;
use serde_json::json;

use crate::client::{Client, http, one_array, with};

#[tokio::test]
async fn versions_are_ascending_and_need_no_session() {
    let (_simulator, array, client) = one_array().await;
    let url = format!("{}/api/api_version", array.url());
    let response = client.http.get(url).send().await.unwrap();
    let versions: serde_json::Value = response.text().await.unwrap().parse().unwrap();
    assert_eq!(versions, json!({ "version": ["2.0", "2.2", "2.26"] }));
}

#[tokio::test]
async fn a_login_answers_with_the_user_and_a_session() {
    let (_simulator, array, client) = one_array().await;
    let login = |token: &'static str| {
        let request = client.http.post(format!("{}/api/2.2/login", array.url()));
        request.header("api-token", token).send()
    };
    let refused = login("wrong").await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(!refused.headers().contains_key("x-auth-token"));
    let none = client
        .http
        .post(format!("{}/api/2.2/login", array.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(none.status(), 401);
    assert_eq!(array.open_sessions(), 1);
}

#[tokio::test]
async fn a_session_ends_by_logout_by_time_and_by_force() {
    let (_simulator, array, client) = one_array().await;
    assert_eq!(client.get("arrays").await.item()["name"], "array-a");
    client.send("POST", "logout", None).await.done();
    let refused = client.get("arrays").await;
    assert_eq!(refused.status, 401);
    assert!(refused.body["errors"][0]["message"].is_string());

    let client = Client::login(&array).await;
    array.advance_clock(Duration::from_secs(29 * 60));
    client.get("arrays").await.done();
    array.advance_clock(Duration::from_secs(31 * 60));
    assert_eq!(client.get("arrays").await.status, 401);

    let client = Client::login(&array).await;
    array.expire_sessions();
    assert_eq!(client.get("volumes").await.status, 401);
}

#[tokio::test]
async fn every_answer_has_a_date_and_a_request_id() {
    let mut config = ArrayConfig::new("array-a");
    config.clock_offset_ms = 784_111_777_000 * 3;
    let (_simulator, array, client) = with(config).await;
    let answer = client.get("arrays").await;
    assert!(answer.headers.contains_key("x-request-id"));
    // The array's clock, not this machine's.
    let date = answer.headers["date"].to_str().unwrap();
    assert!(date.contains("GMT") && !date.contains(" 2026 "), "{date}");
    let url = format!("{}/api/api_version", array.url());
    let request = client.http.get(url).header("X-Request-ID", "mine");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "mine");
}

#[tokio::test]
async fn what_is_not_served_is_refused() {
    let (_simulator, _array, mut client) = one_array().await;
    assert_eq!(client.get("file-systems").await.status, 404);
    assert_eq!(client.send("PUT", "volumes", None).await.status, 405);
    let answer = client.get("volumes?nosuch=1").await;
    let (text, _) = answer.refusal();
    assert_eq!(text, "Query parameter nosuch is not supported.");
    client.version = "2.0".to_owned();
    client.get("volumes").await.done();
    assert_eq!(client.get("volumes/tags").await.status, 404);
    assert_eq!(client.get("controllers").await.status, 404);
    client.version = "2.2".to_owned();
    client.get("controllers").await.done();
    assert_eq!(client.get("connections?volume_ids=x").await.status, 400);
    client.version = "2.50".to_owned();
    assert_eq!(client.get("volumes").await.status, 404);
    client.version = "1.19".to_owned();
    let old = client.get("array").await;
    assert_eq!(old.status, 404);
    let message = old.body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("REST 1.x"), "{message}");
}

#[tokio::test]
async fn from_2_38_on_objects_say_which_array_they_are_on() {
    let mut config = ArrayConfig::new("array-a");
    config.rest_versions = vec!["2.26".to_owned(), "2.50".to_owned()];
    let (_simulator, array, mut client) = with(config).await;
    let old = client.volume("v").await;
    assert!(old.get("context").is_none());
    client.version = "2.50".to_owned();
    let path = "volumes?names=v&context_names=array-a";
    let new = client.get(path).await.item().clone();
    assert_eq!(new["context"]["id"], array.id());
    client.host("h1").await;
    let connection = client.connect("v", "h1").await.item().clone();
    assert!(connection["nsid"].is_null() && connection["lun"] == 1);
}

#[tokio::test]
async fn the_fingerprint_is_that_of_the_certificate() {
    let (_simulator, array, _client) = one_array().await;
    assert_eq!(array.fingerprint().len(), 64);
    assert!(array.fingerprint().bytes().all(|c| c.is_ascii_hexdigit()));
    assert_eq!(
        std::fs::read_to_string(array.certificate_path()).unwrap(),
        array.certificate_pem()
    );
    // A client that trusts another array's certificate does not connect.
    let (_other_simulator, other, _other_client) = one_array().await;
    assert_ne!(array.fingerprint(), other.fingerprint());
    let url = format!("{}/api/api_version", array.url());
    assert!(http(&other).get(url).send().await.is_err());
}

#[tokio::test]
async fn the_array_describes_itself() {
    let (_simulator, array, client) = one_array().await;
    let about = client.get("arrays").await.item().clone();
    assert_eq!(about["id"], array.id());
    assert_eq!(about["os"], "Purity//FA");
    assert!(about["version"].is_string());
    let space = client.get("arrays/space").await.item().clone();
    assert_eq!(space["capacity"], 100_u64 << 40);
    assert_eq!(space["space"]["total_physical"], 0);
    array.set_used(5 << 40);
    let space = client.get("arrays/space").await.item().clone();
    assert_eq!(space["space"]["total_used"], 5_u64 << 40);
    client.get("arrays/performance").await.item();
    assert_eq!(client.get("controllers").await.names(), ["CT0", "CT1"]);
    client.get("hardware").await.done();
    let ports = client.get("ports?filter=not%20nqn").await;
    assert_eq!(ports.items().len(), 4);
    assert_eq!(ports.items()[0]["iqn"], ports.items()[3]["iqn"]);
    assert!(ports.items()[0]["wwn"].is_null());
    let interfaces = client.get("network-interfaces?names=ct0.eth4").await;
    assert_eq!(interfaces.item()["eth"]["address"], "192.0.2.11");
}
