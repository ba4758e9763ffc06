//! From an HTTP request to a call of the protocol, and from its reply to a response.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use thiserror::Error;
use tokio::time::timeout;

use super::Shared;
use crate::message::Call;
use crate::plugin::{Peer, Reply, answer};

/// What Docker's plugins answer with; the daemon does not look at it.
const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.plugins.v1.2+json");

/// The service's error: hyper closes the connection without an answer.
#[derive(Debug, Error)]
#[error("closed without an answer")]
pub(super) struct HangUp;

/// Answers one request.
pub(super) async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    peer: Peer,
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
    // In a task of its own: a client that goes away must not leave half a call behind.
    let plugin = Arc::clone(&shared.plugin);
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

async fn body(body: Incoming, shared: &Shared) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let limit = shared.limits.body_bytes;
    let too_large = (
        StatusCode::PAYLOAD_TOO_LARGE,
        "the request's body is too large",
    );
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large);
    }
    let unknown_length = body.size_hint().exact().is_none();
    match timeout(shared.limits.body, to_bytes(Body::new(body), limit)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_error)) if unknown_length => Err(too_large),
        Ok(Err(_error)) => Err((
            StatusCode::BAD_REQUEST,
            "the request's body is not complete",
        )),
        Err(_elapsed) => Err((
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not arrive in time",
        )),
    }
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
