//! From an HTTP request to a call of the protocol, and from its reply to a response.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use thiserror::Error;
use tokio::time::timeout;

use super::Shared;
use super::places::Standing;
use crate::message::Call;
use crate::plugin::{Peer, Reply, answer};

/// What Docker's plugins answer with; the daemon does not look at it.
const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// The service's error: hyper closes the connection without an answer.
#[derive(Debug, Error)]
#[error("closed without an answer")]
pub(super) struct HangUp;

/// Whose request it is.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    pub(super) standing: Arc<Standing>,
}

/// Why a body cannot be used: the answer's status and text.
type Refusal = (StatusCode, &'static str);

/// Answers one request.
pub(super) async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    caller: &Caller,
) -> Result<Response<Body>, HangUp> {
    let Some(call) = Call::from_path(request.uri().path()) else {
        return response(answer::error(
            StatusCode::NOT_FOUND,
            "no such call in this protocol",
        ));
    };
    if request.method() != Method::POST {
        let text = "calls of this protocol are POST requests";
        let mut refusal = response(answer::error(StatusCode::METHOD_NOT_ALLOWED, text))?;
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return Ok(refusal);
    }
    let body = match body(request.into_body(), &shared).await {
        Ok(body) => body,
        Err((status, text)) => return response(answer::error(status, text)),
    };
    if !caller.standing.works() {
        return Err(HangUp); // the connection was closed for another one meanwhile
    }
    // In a task of its own: a client that goes away must not leave half a call behind.
    let plugin = Arc::clone(&shared.plugin);
    let peer = caller.peer;
    let work = shared
        .tasks
        .spawn(async move { plugin.call(call, &body, peer).await });
    match work.await {
        Ok(reply) => response(reply),
        Err(error) => {
            tracing::error!(call = call.as_str(), %error, "a call ended without a reply");
            if call == Call::Get {
                return Err(HangUp); // an answered error would be taken for "no such volume"
            }
            response(answer::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the call failed; see the log",
            ))
        }
    }
}

async fn body(body: Incoming, shared: &Shared) -> Result<Vec<u8>, Refusal> {
    let limit = shared.limits.body_bytes;
    if body.size_hint().lower() > limit as u64 {
        return Err(TOO_LARGE);
    }
    timeout(shared.limits.body, collect(body, limit))
        .await
        .unwrap_or(Err((
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not arrive in time",
        )))
}

const TOO_LARGE: Refusal = (
    StatusCode::PAYLOAD_TOO_LARGE,
    "the request's body is too large",
);

/// Copies the body together. A list of its pieces, as they came, would be many times the limit
/// where each has a byte.
async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let incomplete = (
            StatusCode::BAD_REQUEST,
            "the request's body is not complete",
        );
        // What is no data are trailers, which mean nothing here.
        let Ok(data) = frame.map_err(|_cause| incomplete)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(TOO_LARGE);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn response(reply: Reply) -> Result<Response<Body>, HangUp> {
    match reply {
        Reply::HangUp => Err(HangUp),
        Reply::Answer(status, bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
            Ok(response)
        }
    }
}
