//! One session for all calls, and one login when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use storage_core::Secret;
use storage_http::{
    Call, Client, HttpError, Idempotency, Login, LoginCalls, Method, Session, Stage, Trust,
};
use tokio::time::Instant;

use crate::support::{Reply, Server, config, ok, with_login};

fn unauthorized() -> Reply {
    Reply::Whole(401, "", String::new())
}

#[tokio::test]
async fn many_calls_share_one_login() {
    let server = Server::start(|head, _n| with_login(head, || ok("{}"))).await;
    let client = server.client();
    let tasks: Vec<_> = (0..20)
        .map(|_i| {
            let client = client.clone();
            tokio::spawn(async move { client.send(Call::get("/volumes")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(server.requests("POST /login").len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_renewed_once_for_all() {
    // Sessions have numbers; the server accepts only the second one.
    let logins = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&logins);
    let server = Server::start(move |head, _n| {
        if head.starts_with("POST /login") {
            let headers = match counter.fetch_add(1, Ordering::SeqCst) {
                0 => "x-auth-token: one\r\n",
                _ => "x-auth-token: two\r\n",
            };
            return Reply::Whole(200, headers, String::new());
        }
        if head.contains("x-auth-token: two") {
            ok("{}")
        } else {
            unauthorized()
        }
    })
    .await;
    let client = server.client();
    let tasks: Vec<_> = (0..20)
        .map(|_i| {
            let client = client.clone();
            let call = Call::new(Method::Post, "/volumes", Idempotency::Once);
            tokio::spawn(async move { client.send(call).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_second_refusal_is_an_answer() {
    let server = Server::start(|head, _n| with_login(head, unauthorized)).await;
    let error = server
        .client()
        .send(Call::get("/volumes"))
        .await
        .unwrap_err();
    assert_eq!(error.answer().unwrap().status(), 401);
    assert_eq!(server.requests("POST /login").len(), 2);
    assert_eq!(server.requests("/volumes").len(), 2);
}

#[tokio::test]
async fn callers_that_wait_share_a_failed_login() {
    let server = Server::start(|_head, _n| unauthorized()).await;
    let client = server.client();
    let mut tasks = tokio::task::JoinSet::new();
    for _i in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { client.send(Call::get("/volumes")).await });
    }
    while let Some(result) = tasks.join_next().await {
        let error = result.unwrap().unwrap_err();
        assert_eq!(error.stage(), Stage::NotSent);
        assert_eq!(error.login().unwrap().answer().unwrap().status(), 401);
    }
    let logins = server.requests("POST /login").len();
    assert!(logins < 10, "{logins} logins for 50 callers");
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_login_to_the_next() {
    // The login takes longer than the first caller's patience; it is finished all the same.
    let server = Server::start(|head, _n| with_login(head, || ok("{}"))).await;
    let client = server.client();
    let now = Instant::now();
    let error = client
        .send(Call::get("/volumes").deadline(now))
        .await
        .unwrap_err();
    assert_eq!(error.stage(), Stage::NotSent);
    assert!(error.is_timeout());
    client.send(Call::get("/volumes")).await.unwrap();
    assert_eq!(server.requests("POST /login").len(), 1);
}

#[tokio::test]
async fn close_logs_out_and_a_later_call_logs_in() {
    let server = Server::start(|head, _n| with_login(head, || ok("{}"))).await;
    let client = server.client();
    client.close().await;
    assert!(
        server.requests("/logout").is_empty(),
        "there was no session to end"
    );
    client.send(Call::get("/volumes")).await.unwrap();
    client.close().await;
    let logout = server.requests("POST /v2/logout");
    assert_eq!(logout.len(), 1);
    assert!(
        logout[0].contains("x-auth-token: session-token"),
        "{}",
        logout[0]
    );
    client.send(Call::get("/volumes")).await.unwrap();
    assert_eq!(server.requests("POST /login").len(), 2);
}

#[tokio::test]
async fn close_does_not_wait_for_a_silent_array() {
    let server = Server::start(|head, _n| {
        with_login(head, || {
            if head.contains("/logout") {
                Reply::Silence
            } else {
                ok("{}")
            }
        })
    })
    .await;
    let client = server.client_with(|config| config.timeouts.logout = Duration::from_millis(100));
    client.send(Call::get("/volumes")).await.unwrap();
    let started = Instant::now();
    client.close().await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Logs in and tells who answered, by a header of the login's answer.
#[derive(Debug)]
struct TellingLogin;

#[async_trait]
impl Login for TellingLogin {
    async fn login(&self, calls: &LoginCalls<'_>) -> Result<Session, HttpError> {
        let call = Call::new(Method::Post, "/login", Idempotency::Idempotent);
        let answer = calls.send("", call).await?;
        let who = answer.header("x-auth-token").unwrap().to_owned();
        let session = Session::new("/v2", "x-auth-token", Secret::new(who.as_str()));
        Ok(session.with_identity(who))
    }

    async fn logout(&self, _calls: &LoginCalls<'_>, _s: &Session) -> Result<(), HttpError> {
        Ok(())
    }
}

/// A server that is `one` for the first login and `two`, which knows no earlier session, from the
/// second on. `one` leaves the first `/lost` without an answer.
async fn two_behind_one_address() -> (Server, Client) {
    let logins = AtomicUsize::new(0);
    let lost = AtomicUsize::new(0);
    let server = Server::start(move |head, _n| {
        if head.starts_with("POST /login") {
            let headers = match logins.fetch_add(1, Ordering::SeqCst) {
                0 => "x-auth-token: one\r\n",
                _ => "x-auth-token: two\r\n",
            };
            return Reply::Whole(200, headers, String::new());
        }
        if head.contains("/lost") && lost.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::Reset;
        }
        if head.contains("x-auth-token: two") || head.contains("/before") {
            ok("{}")
        } else {
            unauthorized()
        }
    })
    .await;
    let endpoint = format!("http://{}", server.address);
    let config = config(&endpoint, Trust::PlainLoopback);
    let client = Client::new(&config, Arc::new(TellingLogin)).unwrap();
    (server, client)
}

fn pinned(path: &'static str, to: &str) -> Call {
    Call::new(Method::Post, path, Idempotency::Idempotent).pinned(to)
}

#[tokio::test]
async fn a_pinned_call_is_not_sent_to_somebody_else() {
    let (server, client) = two_behind_one_address().await;
    client.send(pinned("/before", "one")).await.unwrap();
    let error = client.send(pinned("/after", "one")).await.unwrap_err();
    assert_eq!(error.stage(), Stage::OtherIdentity, "{error:?}");
    assert!(
        !error.may_have_executed(),
        "what is refused is not executed"
    );
    let sent = server.requests("/after");
    assert_eq!(sent.len(), 1, "not sent again: {sent:?}");
    assert!(sent[0].contains("x-auth-token: one"), "{}", sent[0]);
    // Nor when the session was there before the call.
    let error = client.send(pinned("/later", "one")).await.unwrap_err();
    assert_eq!(error.stage(), Stage::OtherIdentity, "{error:?}");
    assert!(server.requests("/later").is_empty());
    client.send(pinned("/after", "two")).await.unwrap();
    client.send(Call::get("/after")).await.unwrap();
    assert_eq!(server.requests("POST /login").len(), 2);
}

#[tokio::test]
async fn a_pinned_call_that_was_lost_before_stays_uncertain() {
    let (server, client) = two_behind_one_address().await;
    client.send(pinned("/before", "one")).await.unwrap();
    let error = client.send(pinned("/lost", "one")).await.unwrap_err();
    assert_eq!(error.stage(), Stage::OtherIdentity, "{error:?}");
    assert!(error.may_have_executed(), "the first try may have been");
    let sent = server.requests("/lost");
    assert!(sent.iter().all(|head| head.contains("x-auth-token: one")));
}

#[tokio::test]
async fn a_session_that_tells_nobody_takes_no_pinned_calls() {
    let server = Server::start(|head, _n| with_login(head, || ok("{}"))).await;
    let error = server.client().send(pinned("/after", "one")).await;
    assert_eq!(error.unwrap_err().stage(), Stage::OtherIdentity);
    assert!(server.requests("/after").is_empty());
}
