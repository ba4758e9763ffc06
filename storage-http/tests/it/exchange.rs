//! What goes over the wire, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use mockito::Matcher;
use storage_http::{Call, Client, ClientConfig, Idempotency, Method, Stage, Trust};
use tokio::time::Instant;

use crate::support::{Reply, SESSION_TOKEN, Server, TokenLogin, config, ok, with_login};

#[tokio::test]
async fn a_call_carries_token_query_and_body() {
    let mut server = mockito::Server::new_async().await;
    let login = server
        .mock("POST", "/login")
        .match_header("api-token", crate::support::API_TOKEN)
        .with_header("x-auth-token", SESSION_TOKEN)
        .expect(1)
        .create_async()
        .await;
    let encoded = server
        .mock(
            "POST",
            Matcher::Exact(
                "/v2/volumes?names=a%2Cpod%3A%3Ab&filter=name%3D%27x%20y%2B%27".to_owned(),
            ),
        )
        .match_header("x-auth-token", SESSION_TOKEN)
        .match_body(Matcher::Json(serde_json::json!({"provisioned": 512})))
        .with_body(r#"{"items":[1,2]}"#)
        .expect(1)
        .create_async()
        .await;

    let config = config(&server.url(), Trust::PlainLoopback);
    let client = Client::new(&config, Arc::new(TokenLogin)).unwrap();
    let request = Call::new(Method::Post, "/volumes", Idempotency::Once)
        .query("names", "a,pod::b")
        .query("filter", "name='x y+'")
        .json(&serde_json::json!({"provisioned": 512}));
    let answer = client.send(request).await.unwrap();
    let body: serde_json::Value = answer.json().unwrap();
    assert_eq!(body["items"][1], 2);
    login.assert_async().await;
    encoded.assert_async().await;

    let counts = client.calls().snapshot();
    let named: Vec<String> = counts
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    assert_eq!(named, ["POST /login 1", "POST /volumes 1"]);
}

#[tokio::test]
async fn plain_http_is_for_loopback_alone() {
    for (endpoint, trust) in [
        ("http://192.0.2.1", Trust::PlainLoopback),
        ("http://localhost", Trust::PlainLoopback),
        ("http://127.0.0.1", Trust::System),
        ("https://127.0.0.1", Trust::PlainLoopback),
    ] {
        let config = ClientConfig::new(endpoint.parse().unwrap(), trust);
        let error = Client::new(&config, Arc::new(TokenLogin)).unwrap_err();
        assert_eq!(error.stage(), Stage::Construction, "{endpoint}");
    }
}

#[tokio::test]
async fn a_long_answer_is_refused() {
    let server = Server::start(|head, _n| with_login(head, || ok(&"x".repeat(5000)))).await;
    let client = server.client_with(|config| config.limits.answer_bytes = 4999);
    let post = Call::new(Method::Post, "/volumes", Idempotency::Once);
    let error = client.send(post).await.unwrap_err();
    assert_eq!(error.stage(), Stage::Unreadable);
    assert!(error.may_have_executed(), "{error:?}");
    let client = server.client_with(|config| config.limits.answer_bytes = 5000);
    assert_eq!(
        client
            .send(Call::get("/volumes"))
            .await
            .unwrap()
            .body()
            .len(),
        5000
    );
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_an_error_and_no_panic() {
    let server = Server::start(|head, _n| with_login(head, || ok("<html>"))).await;
    let answer = server.client().send(Call::get("/volumes")).await.unwrap();
    let error = answer.json::<serde_json::Value>().unwrap_err();
    assert_eq!(error.stage(), Stage::Unreadable);
}

#[tokio::test]
async fn no_more_calls_at_once_than_allowed_and_waiting_counts() {
    let server = Server::start(|head, _n| with_login(head, || Reply::Silence)).await;
    let client = server.client_with(|config| {
        config.limits.concurrent = 2;
        config.retry.attempts = 1;
    });
    let deadline = Instant::now() + Duration::from_millis(300);
    let tasks: Vec<_> = (0..3)
        .map(|_i| {
            let client = client.clone();
            tokio::spawn(async move { client.send(Call::get("/slow").deadline(deadline)).await })
        })
        .collect();
    let mut stages = Vec::new();
    for task in tasks {
        let error = task.await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        stages.push(error.stage());
    }
    assert_eq!(server.requests("/slow").len(), 2);
    let not_sent = stages
        .iter()
        .filter(|stage| **stage == Stage::NotSent)
        .count();
    assert_eq!(not_sent, 1, "{stages:?}");
}
