//! One entry for all calls: request id, faults, sessions, version, route, log.
//!
//! A call runs in a task of the array, not of its connection: a client that gives up does not
//! stop it, just as it would not stop a real array.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request as HttpRequest, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::connection::Breaker;
use crate::array::{Array, Shared};
use crate::calls::Started;
use crate::clock::http_date;
use crate::faults::{FaultAction, FaultKind, Incoming};
use crate::flasharray::state::Refusal;
use crate::flasharray::{Reply, Request, RestVersion, routes};
use crate::query::Params;

/// Larger bodies are refused; the largest that a client sends is a list of tags.
const MAX_BODY: usize = 1 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_TOKEN: HeaderName = HeaderName::from_static("api-token");
const SESSION: HeaderName = HeaderName::from_static("x-auth-token");

/// A call without its connection.
struct Call {
    started: Started,
    session: Option<String>,
    api_token: Option<String>,
    body: Vec<u8>,
}

/// How a call ends.
struct Answer {
    status: u16,
    body: Option<Value>,
    session: Option<String>,
    retry_after_s: Option<u64>,
}

impl Answer {
    const fn new(status: u16, body: Option<Value>) -> Self {
        Self {
            status,
            body,
            session: None,
            retry_after_s: None,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status, Some(json!({ "errors": refusal.errors })))
    }
}

/// Serves one call.
pub(crate) async fn serve_call(
    State(array): State<Arc<Shared>>,
    Extension(breaker): Extension<Breaker>,
    request: HttpRequest<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let text = |name: &HeaderName| header_text(&parts.headers, name);
    let request_id = text(&REQUEST_ID).unwrap_or_else(|| Uuid::new_v4().to_string());
    let started = Started {
        at_ms: array.clock.now_ms(),
        since: Instant::now(),
        method: parts.method.as_str().to_owned(),
        route: route_of(&path).to_owned(),
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
    };
    array.calls.begin();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        array.calls.end(&started, None, None, false);
        breaker.break_now();
        return Response::new(Body::empty());
    };
    let call = Call {
        session: text(&SESSION),
        api_token: text(&API_TOKEN),
        body: body.into(),
        started,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task_array = Arc::clone(&array);
    array.spawn(async move {
        let answer = run(&task_array, call).await;
        // Nobody waits any more: the client has given up, which changes nothing here.
        drop(sender.send(answer));
    });
    match receiver.await {
        Ok(Some(answer)) => render(&array, answer, &request_id),
        Ok(None) | Err(_) => {
            breaker.break_now();
            Response::new(Body::empty())
        }
    }
}

/// Decides about faults and runs the call. `None`: no answer, the connection is to be broken.
async fn run(array: &Arc<Shared>, call: Call) -> Option<Answer> {
    let mut silent = array.silent.subscribe();
    if *silent.borrow_and_update() {
        array.faults.count(FaultKind::Silent);
        array
            .calls
            .end(&call.started, None, Some(FaultKind::Silent), false);
        // Ends with the silence, unserved; the sender lives as long as the array.
        drop(silent.wait_for(|silent| !silent).await);
        return None;
    }
    let started = call.started.clone();
    let decision = array.faults.decide(&Incoming {
        method: &started.method,
        path: &started.route,
        query: &started.query,
        body: &call.body,
    });
    let fault = match &decision.action {
        Some(action) => Some(action.kind()),
        None => (!decision.delay.is_zero()).then_some(FaultKind::Delay),
    };
    if !decision.delay.is_zero() {
        tokio::time::sleep(decision.delay).await;
    }
    let answer = match decision.action {
        None => Some(execute(array, call).await),
        Some(action) => faulty(array, call, action).await,
    };
    let status = answer.as_ref().map(|answer| answer.status);
    array.calls.end(&started, status, fault, false);
    answer
}

async fn faulty(array: &Arc<Shared>, call: Call, action: FaultAction) -> Option<Answer> {
    match action {
        FaultAction::ResetBefore => None,
        FaultAction::ResetAfter => {
            execute(array, call).await;
            None
        }
        FaultAction::TooManyRequests { retry_after_s } => Some(Answer {
            retry_after_s: Some(retry_after_s),
            ..Answer::new(429, Some(json!({ "message": "API rate limit exceeded" })))
        }),
        FaultAction::Unavailable => Some(Answer::new(
            503,
            Some(json!({ "errors": [{ "message": "Service unavailable.", "context": null }] })),
        )),
        FaultAction::Busy => Some(Answer::new(
            500,
            Some(json!({ "errors": [{ "message": "Server is busy", "context": null }] })),
        )),
        FaultAction::Late { ms } => {
            let late = Arc::clone(array);
            array.spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
                let started = call.started.clone();
                let answer = execute(&late, call).await;
                late.faults.count(FaultKind::LateEffect);
                let kind = Some(FaultKind::LateEffect);
                late.calls.end(&started, Some(answer.status), kind, true);
            });
            None
        }
        FaultAction::ExpireToken => {
            if let Some(session) = &call.session {
                array.sessions.close(session);
            }
            Some(execute(array, call).await)
        }
        FaultAction::HoldBefore => {
            array.faults.hold().await;
            Some(execute(array, call).await)
        }
        FaultAction::HoldAfter => {
            let answer = execute(array, call).await;
            array.faults.hold().await;
            Some(answer)
        }
        FaultAction::Refuse { message } => Some(Refusal::new(message, None).into()),
        FaultAction::Fail { status, message } => {
            Some(Refusal::with_status(status, message, None).into())
        }
        FaultAction::FailAfter { status, message } => {
            execute(array, call).await;
            Some(Refusal::with_status(status, message, None).into())
        }
        FaultAction::Down { ms } => {
            away(array, ms, false);
            None
        }
        FaultAction::Silence { ms } => {
            away(array, ms, true);
            // As any call that meets the silence: it ends with it, unserved.
            let mut silent = array.silent.subscribe();
            drop(silent.wait_for(|silent| !silent).await);
            None
        }
        FaultAction::Pass | FaultAction::Delay { .. } => Some(execute(array, call).await),
    }
}

/// Takes the array away for a while: silent, or down. Not a task of the array, since going down
/// ends those.
fn away(array: &Arc<Shared>, ms: u64, silent: bool) {
    let gone = Array {
        shared: Arc::clone(array),
    };
    if silent {
        gone.set_silent(true);
    }
    tokio::spawn(async move {
        if !silent {
            gone.stop().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        if gone.shared.has_ended() {
            return;
        }
        if silent {
            gone.set_silent(false);
        } else if let Err(error) = gone.start().await {
            tracing::error!(%error, "the array does not come back");
        }
    });
}

/// The call without faults.
async fn execute(array: &Arc<Shared>, call: Call) -> Answer {
    let Some(rest) = call.started.path.strip_prefix("/api/") else {
        return not_found(&call.started.path);
    };
    let (version, path) = match rest.split_once('/') {
        None if rest == "api_version" => return api_version(array, &call),
        None => return not_found(&call.started.path),
        Some((version, path)) => (version, path),
    };
    if version.starts_with("1.") {
        return Refusal::with_status(
            404,
            "REST 1.x is not served by this array. Use REST 2.",
            Some(version),
        )
        .into();
    }
    let served = array.config.rest_versions.iter().any(|one| one == version);
    let Some(version) = RestVersion::parse(version).filter(|_| served) else {
        return Refusal::with_status(404, "REST version is not supported.", Some(version)).into();
    };
    match (call.started.method.as_str(), path) {
        ("POST", "login") => login(array, &call),
        ("POST", "logout") => logout(array, &call),
        _ => {
            let path = path.to_owned();
            routed(array, call, version, path).await
        }
    }
}

async fn routed(array: &Arc<Shared>, call: Call, version: RestVersion, path: String) -> Answer {
    if !array.session_is_good(call.session.as_deref()) {
        return Refusal::with_status(401, "Invalid or expired session token.", None).into();
    }
    let params = match Params::parse(&call.started.query) {
        Ok(params) => params,
        Err(error) => return Refusal::from(error).into(),
    };
    let request = Request {
        version,
        params,
        body: call.body,
    };
    let route = match routes::find(&call.started.method, &path, &request) {
        Ok(route) => route,
        Err(refusal) => return refusal.into(),
    };
    let result = if route.copies {
        let array = Arc::clone(array);
        let task = tokio::task::spawn_blocking(move || array.run(route, &request));
        task.await.unwrap_or_else(|error| {
            Err(Refusal::with_status(
                500,
                format!("The call failed: {error}."),
                None,
            ))
        })
    } else {
        array.run(route, &request)
    };
    match result {
        Ok(Reply::Json(body)) => Answer::new(200, Some(body)),
        Ok(Reply::Partial(body)) => Answer::new(207, Some(body)),
        Ok(Reply::Empty) => Answer::new(200, None),
        Err(refusal) => refusal.into(),
    }
}

/// GET `/api/api_version`. Documented; observed: ascending, and the last one is usable.
fn api_version(array: &Shared, call: &Call) -> Answer {
    if call.started.method != "GET" {
        return Refusal::with_status(405, "Method is not allowed.", None).into();
    }
    Answer::new(200, Some(json!({ "version": array.config.rest_versions })))
}

/// POST `/login`: `api-token` in, `x-auth-token` out. Documented; the refusal is assumed.
fn login(array: &Shared, call: &Call) -> Answer {
    if call.api_token.as_deref() != Some(array.identity().api_token.as_str()) {
        return Refusal::with_status(401, "Invalid API token.", None).into();
    }
    let session = array
        .sessions
        .open(array.clock.now_ms(), array.config.idle_timeout_ms);
    let body = json!({ "items": [{ "username": "pureuser" }] });
    Answer {
        session: Some(session),
        ..Answer::new(200, Some(body))
    }
}

/// POST `/logout`. Documented. A token that is not good any more is a 401 (assumed).
fn logout(array: &Shared, call: &Call) -> Answer {
    let closed = call
        .session
        .as_deref()
        .is_some_and(|session| array.sessions.close(session));
    if closed {
        Answer::new(200, None)
    } else {
        Refusal::with_status(401, "Invalid or expired session token.", None).into()
    }
}

fn not_found(path: &str) -> Answer {
    Refusal::with_status(404, "No such endpoint.", Some(path)).into()
}

/// The path after `/api/2.N/`.
fn route_of(path: &str) -> &str {
    let rest = path.strip_prefix("/api/").unwrap_or(path);
    match rest.split_once('/') {
        Some((version, route)) if version.starts_with(|c: char| c.is_ascii_digit()) => route,
        _ => rest,
    }
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn render(array: &Shared, answer: Answer, request_id: &str) -> Response {
    let body = answer
        .body
        .map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, "application/json");
    put(header::DATE, &http_date(array.clock.now_ms()));
    put(REQUEST_ID, request_id);
    if let Some(session) = &answer.session {
        put(SESSION, session);
    }
    if let Some(seconds) = answer.retry_after_s {
        put(header::RETRY_AFTER, &seconds.to_string());
    }
    response
}
