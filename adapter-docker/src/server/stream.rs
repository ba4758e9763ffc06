//! A connection's bytes, with a deadline on every wait for the client.
//!
//! Between two requests a client may rest; once a request's first byte is there, its header must
//! follow soon; while a call is under way nothing is expected of the client. Which of the three it
//! is, [`Phase`] tells.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Counts the beginnings and the ends of calls on a connection: odd while one is under way.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicU64);

impl Phase {
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) answer: Duration,
}

/// The stream.
#[derive(Debug)]
pub(super) struct TimedStream {
    inner: UnixStream,
    phase: Arc<Phase>,
    waits: Waits,
    /// The phase for which `read` was set, and whether bytes of a header came in it.
    seen: (u64, bool),
    read: Pin<Box<Sleep>>,
    write: Pin<Box<Sleep>>,
    /// The phase whose answer had to wait for the client, for which `write` was set.
    waited: Option<u64>,
}

impl TimedStream {
    pub(super) fn new(inner: UnixStream, phase: Arc<Phase>, waits: Waits) -> Self {
        let now = Instant::now();
        Self {
            inner,
            waits,
            seen: (phase.now(), true),
            phase,
            // A client that connects has something to say.
            read: Box::pin(sleep_until(now + waits.header)),
            write: Box::pin(sleep_until(now + waits.answer)),
            waited: None,
        }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> bool {
        let phase = self.phase.now();
        if !between_calls(phase) {
            return false;
        }
        if self.seen.0 != phase {
            self.seen = (phase, false);
            self.read.as_mut().reset(Instant::now() + self.waits.idle);
        }
        self.read.as_mut().poll(context).is_ready()
    }

    fn received(&mut self) {
        let phase = self.phase.now();
        if between_calls(phase) && self.seen != (phase, true) {
            self.seen = (phase, true);
            self.read.as_mut().reset(Instant::now() + self.waits.header);
        }
    }

    /// Judges a write. An answer that never waits has no deadline; one that does has to be taken
    /// as a whole within it, or a client that takes a byte at a time could go on for ever.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let phase = self.phase.now();
        if progress.is_pending() && self.waited != Some(phase) {
            self.waited = Some(phase);
            let deadline = Instant::now() + self.waits.answer;
            self.write.as_mut().reset(deadline);
        }
        if self.waited == Some(phase) && self.write.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(timed_out("the client does not read")));
        }
        progress
    }
}

const fn between_calls(phase: u64) -> bool {
    phase.is_multiple_of(2)
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let progress = Pin::new(&mut self.inner).poll_read(context, buffer);
        if progress.is_ready() && buffer.filled().len() > before {
            self.received();
        }
        // Also when bytes came: a client that sends one at a time must not go on for ever.
        if self.expired(context) {
            return Poll::Ready(Err(timed_out("the client does not send")));
        }
        progress
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, progress)
    }

    /// With this, hyper sends a long answer from where it is: one that many clients are sent, a
    /// list of all volumes, is not copied for each.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.written(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
