//! One connection, request after request.

use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Shared;
use super::service::{self, HangUp};
use super::stream::{Phase, TimedStream, Waits};
use crate::plugin::Peer;

/// Headers a request may have. Docker's daemon sends five.
const HEADERS_MAX: usize = 64;

/// Bytes of buffer for a header, and so the largest one.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Serves a connection until it ends, times out or the server stops.
pub(super) async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let pid = stream
        .peer_cred()
        .ok()
        .and_then(|credentials| credentials.pid());
    let peer = Peer { pid };
    let phase = Arc::new(Phase::default());
    let waits = Waits {
        header: shared.limits.header,
        idle: shared.limits.idle,
        write: shared.limits.write,
    };
    let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&phase), waits));
    let calls = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let (shared, phase) = (Arc::clone(&calls), Arc::clone(&phase));
        async move {
            phase.step();
            let response = service::respond(request, shared, peer).await;
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
