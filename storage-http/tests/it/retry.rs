//! Which failures are repeated, and what is said when it was in vain.

use std::time::Duration;

use storage_http::{Call, Idempotency, Method, Stage};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{Reply, Server, ok, with_login};

fn post(idempotency: Idempotency) -> Call {
    Call::new(Method::Post, "/volumes", idempotency)
}

async fn failing_first(reply: Reply, failures: usize) -> Server {
    Server::start(move |head, n| {
        let reply = reply.clone();
        with_login(head, || if n <= failures { reply } else { ok("{}") })
    })
    .await
}

#[tokio::test]
async fn a_lost_answer_is_repeated_only_where_that_is_harmless() {
    for reply in [Reply::Reset, Reply::Half] {
        let server = failing_first(reply.clone(), 1).await;
        server
            .client()
            .send(post(Idempotency::Idempotent))
            .await
            .unwrap();
        assert_eq!(server.requests("/volumes").len(), 2, "{reply:?}");

        let server = failing_first(reply.clone(), 1).await;
        let error = server
            .client()
            .send(post(Idempotency::Once))
            .await
            .unwrap_err();
        assert!(
            matches!(error.stage(), Stage::MaybeSent | Stage::Unreadable),
            "{error:?}"
        );
        assert!(error.may_have_executed());
        assert_eq!(server.requests("/volumes").len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn an_earlier_lost_answer_is_not_forgotten() {
    let server = Server::start(|head, n| {
        with_login(head, || match n {
            1 => Reply::Reset,
            _ => Reply::Whole(400, "", r#"{"errors":[]}"#.to_owned()),
        })
    })
    .await;
    let error = server
        .client()
        .send(post(Idempotency::Idempotent))
        .await
        .unwrap_err();
    assert_eq!(error.stage(), Stage::Answered);
    assert!(
        error.may_have_executed(),
        "the first attempt may have been executed"
    );
}

#[tokio::test]
async fn a_busy_array_is_asked_again_even_once_calls() {
    for status in [429, 503] {
        let server = failing_first(Reply::Whole(status, "", String::new()), 2).await;
        server.client().send(post(Idempotency::Once)).await.unwrap();
        assert_eq!(server.requests("/volumes").len(), 3, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_certain() {
    let server = failing_first(Reply::Whole(400, "", "{}".to_owned()), 9).await;
    let error = server
        .client()
        .send(post(Idempotency::Idempotent))
        .await
        .unwrap_err();
    assert_eq!(error.answer().unwrap().status(), 400);
    assert!(!error.may_have_executed());
    assert_eq!(server.requests("/volumes").len(), 1);
}

#[tokio::test]
async fn a_server_error_leaves_the_outcome_open() {
    for status in [500, 502, 504] {
        let server = failing_first(Reply::Whole(status, "", String::new()), 9).await;
        let error = server
            .client()
            .send(post(Idempotency::Once))
            .await
            .unwrap_err();
        assert!(error.may_have_executed(), "{status}");
        assert_eq!(server.requests("/volumes").len(), 1, "{status}");
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let server = failing_first(Reply::Whole(503, "", String::new()), 99).await;
    let error = server
        .client()
        .send(Call::get("/volumes"))
        .await
        .unwrap_err();
    assert_eq!(server.requests("/volumes").len(), 4);
    assert!(error.to_string().contains("after 4 attempts"), "{error}");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let server = failing_first(Reply::Whole(503, "retry-after: 20\r\n", String::new()), 99).await;
    let started = Instant::now();
    let call = Call::get("/volumes").deadline(started + Duration::from_secs(5));
    let error = server.client().send(call).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(4), "it slept");
    assert_eq!(
        error.answer().unwrap().status(),
        503,
        "the last thing seen is told"
    );
}

#[tokio::test]
async fn silence_ends_with_the_attempt_and_is_no_answer() {
    let server = failing_first(Reply::Silence, 1).await;
    let quick = |config: &mut storage_http::ClientConfig| {
        config.timeouts.attempt = Duration::from_millis(150);
    };
    server
        .client_with(quick)
        .send(Call::get("/volumes"))
        .await
        .unwrap();

    let server = failing_first(Reply::Silence, 1).await;
    let error = server
        .client_with(quick)
        .send(post(Idempotency::Once))
        .await
        .unwrap_err();
    assert_eq!(error.stage(), Stage::MaybeSent);
    assert!(error.is_timeout() && error.may_have_executed());
}

#[tokio::test]
async fn a_refused_connection_was_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = crate::support::config(
        &format!("http://{address}"),
        storage_http::Trust::PlainLoopback,
    );
    config.retry.attempts = 2;
    let login = std::sync::Arc::new(crate::support::TokenLogin);
    let client = storage_http::Client::new(&config, login).unwrap();
    let error = client.send(post(Idempotency::Once)).await.unwrap_err();
    assert_eq!(error.stage(), Stage::NotSent);
    assert!(!error.may_have_executed());
    assert_eq!(error.login().unwrap().stage(), Stage::NotSent);
    assert!(format!("{error:?}").contains("refused"), "{error:?}");
}
