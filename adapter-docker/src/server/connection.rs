//! One connection, request after request.

use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Shared;
use super::places::Place;
use super::service::{self, Caller, HangUp};
use super::stream::{Phase, TimedStream, Waits};
use crate::plugin::Peer;

/// Headers a request may have. Docker's daemon sends five.
const HEADERS_MAX: usize = 64;

/// Bytes of buffer for a header, and so the largest one.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Serves a connection until it ends, times out, has to give way or the server stops.
pub(super) async fn serve(stream: UnixStream, shared: Arc<Shared>, place: Place) {
    let pid = stream
        .peer_cred()
        .ok()
        .and_then(|credentials| credentials.pid());
    let caller = Caller {
        peer: Peer { pid },
        standing: Arc::clone(place.standing()),
    };
    let phase = Arc::new(Phase::default());
    let waits = Waits {
        header: shared.limits.header,
        idle: shared.limits.idle,
        answer: shared.limits.answer,
    };
    let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&phase), waits));
    let calls = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let (shared, phase, caller) = (Arc::clone(&calls), Arc::clone(&phase), caller.clone());
        async move {
            phase.step();
            caller.standing.waits();
            let response = service::respond(request, shared, &caller).await;
            caller.standing.waits();
            phase.step();
            response
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(io, service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.standing().sent_away() => return,
        () = shared.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match ended {
        Ok(()) => {}
        Err(error) if std::error::Error::source(&error).is_some_and(|s| s.is::<HangUp>()) => {
            tracing::debug!("hung up on purpose");
        }
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}
