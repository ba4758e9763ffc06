//! HTTP/1.1 over the unix socket: limits, deadlines, and an orderly end.
//!
//! It asks nothing of a request that Docker's daemon does not send: no Content-Type, and the Host
//! header may be empty. Whoever is slow, silent or half open costs one of a bounded number of
//! places for a bounded time, and no longer than nobody else wants it. `docs/limits.md` has the
//! figures.

mod connection;
mod passed;
mod places;
mod service;
mod socket;
mod stream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::UnixListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::places::Places;
pub use passed::PassedSocket;
pub use socket::{BoundSocket, PLUGIN_FOLDER, SocketError, bind};

use crate::logging;
use crate::plugin::Plugin;

/// What one client, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at the same time. One more takes the place of the one that has waited longest
    /// for its client; while all of them have calls under way it waits in the socket's queue.
    /// Docker's daemon keeps a handful.
    pub connections: usize,
    /// Bytes of a request's body. Docker's largest is a Create with its options.
    pub body_bytes: usize,
    /// From a request's first byte (or from the connection) to the end of its header.
    pub header: Duration,
    /// From there to the end of its body.
    pub body: Duration,
    /// How long a connection may rest between two requests. Long: closing one that the daemon is
    /// about to use costs it a failed call.
    pub idle: Duration,
    /// From the first time that an answer has to wait for its client to the answer's end.
    pub answer: Duration,
    /// How long calls under way may take when the server stops. Docker gives a managed plugin
    /// 10 s in all before it kills it.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            body_bytes: 64 << 10,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            answer: Duration::from_secs(30),
            drain: Duration::from_secs(6),
        }
    }
}

/// Open files that this process asks for: the places of connections, and as many for everything
/// else that it does.
const OPEN_FILES: u64 = 2048;

/// Between two log lines that say that connections cannot be accepted.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(60);

impl Limits {
    /// The default limits, with no more connections than half of the files that this process may
    /// have open. It may have 1024 where nobody said more, for the sake of programs that use
    /// select(2); those that do not are meant to raise that themselves (getrlimit(2), systemd's
    /// file-descriptor advice), and so does this.
    #[must_use]
    pub fn of_this_process() -> Self {
        let mut files = getrlimit(Resource::Nofile);
        let wanted = files
            .maximum
            .map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
        if files.current.is_some_and(|now| now < wanted) {
            let raised = Rlimit {
                current: Some(wanted),
                maximum: files.maximum,
            };
            match setrlimit(Resource::Nofile, raised) {
                Ok(()) => files = raised,
                Err(error) => tracing::warn!(%error, "the number of open files stays as it is"),
            }
        }
        let mut limits = Self::default();
        let half = files.current.unwrap_or(OPEN_FILES) / 2;
        limits.connections = limits
            .connections
            .min(usize::try_from(half).unwrap_or(usize::MAX));
        limits
    }
}

/// A listening socket that serves a plugin.
#[derive(Debug)]
pub struct Server {
    socket: BoundSocket,
    plugin: Arc<Plugin>,
    limits: Limits,
}

/// What connections share.
#[derive(Debug)]
struct Shared {
    plugin: Arc<Plugin>,
    limits: Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Serves the plugin on a socket from [`bind`].
    #[must_use]
    pub fn new(socket: BoundSocket, plugin: Arc<Plugin>) -> Self {
        Self {
            socket,
            plugin,
            limits: Limits::default(),
        }
    }

    /// Replaces the default limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Serves until `stop` completes; then takes the socket away, lets calls under way end within
    /// [`Limits::drain`], and returns whether they all did.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> bool {
        let Self {
            socket,
            plugin,
            limits,
        } = self;
        let BoundSocket { listener, file } = socket;
        let shared = Arc::new(Shared {
            plugin,
            limits,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        tokio::select! {
            () = stop => {}
            () = accept(&listener, &shared) => {}
            () = logging::tell_what_was_left_out() => {}
        }
        // The path goes first: the daemon then finds no socket, instead of one that refuses.
        drop(file);
        drop(listener);
        shared.stop.cancel();
        shared.tasks.close();
        timeout(shared.limits.drain, shared.tasks.wait())
            .await
            .is_ok()
    }
}

/// Takes connections for ever, never more than the limit at a time.
#[expect(
    clippy::infinite_loop,
    reason = "ends by being dropped, when the server stops"
)]
async fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let places = Places::new(shared.limits.connections);
    let mut complained: Option<Instant> = None;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _address)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: a connection that ends frees one.
                if complained.is_none_or(|then| then.elapsed() > COMPLAIN_AGAIN) {
                    tracing::error!(%error, "a connection could not be accepted");
                    complained = Some(Instant::now());
                }
                // Never at once again: with nobody to send away, the error would come back for ever.
                let pause = if places.make_room() { 10 } else { 100 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                continue;
            }
        };
        let place = places.take().await;
        let shared = Arc::clone(shared);
        let tasks = shared.tasks.clone();
        tasks.spawn(connection::serve(stream, shared, place));
    }
}
