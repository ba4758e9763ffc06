//! Connections of clients that the array can break at any point, so that a call ends without an
//! answer; and an acceptor that can keep silent.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Breaks one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breaker(Arc<AtomicBool>);

impl Breaker {
    /// From now on nothing is read from or written to the connection, and it ends with a reset.
    pub(crate) fn break_now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_broken(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A client's connection below TLS.
#[derive(Debug)]
pub(crate) struct BreakableStream {
    stream: TcpStream,
    breaker: Breaker,
}

impl BreakableStream {
    fn check(&self) -> io::Result<()> {
        if self.breaker.is_broken() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Drop for BreakableStream {
    fn drop(&mut self) {
        if self.breaker.is_broken() {
            // With a linger time of zero, close(2) sends RST instead of FIN (socket(7)).
            let linger =
                rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
            if let Err(error) = linger {
                tracing::debug!(%error, "connection ends without a reset");
            }
        }
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Accepts connections, and gives each call the means to break its own. While the array is
/// silent, TLS does not even begin.
#[derive(Debug, Clone)]
pub(crate) struct BreakableAcceptor {
    pub(crate) silent: watch::Receiver<bool>,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Accept<TcpStream, Router> for BreakableAcceptor {
    type Stream = BreakableStream;
    type Service = Router;
    type Future = Pin<Box<dyn Future<Output = io::Result<(BreakableStream, Router)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: Router) -> Self::Future {
        let mut silent = self.silent.clone();
        let mut stopped = self.stopped.clone();
        Box::pin(async move {
            if *silent.borrow_and_update() {
                // What arrived in silence is never served: it ends when the silence does.
                tokio::select! {
                    _ = silent.wait_for(|silent| !silent) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            stream.set_nodelay(true)?;
            let breaker = Breaker::default();
            let service = service.layer(Extension(breaker.clone()));
            Ok((BreakableStream { stream, breaker }, service))
        })
    }
}
