//! HTTP/1.1 over the unix socket: limits, deadlines, and an orderly end.
//!
//! It asks nothing of a request that Docker's daemon does not send: no Content-Type, and the Host
//! header may be empty. Whoever is slow, silent or half open costs one of a bounded number of
//! places for a bounded time.

mod connection;
mod passed;
mod service;
mod socket;
mod stream;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use passed::PassedSocket;
pub use socket::{BoundSocket, PLUGIN_FOLDER, SocketError, bind};

use crate::plugin::Plugin;

/// What one client, and all of them together, may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at the same time; more wait in the socket's queue. Docker's daemon keeps a
    /// handful.
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
    /// How long a client may take none of an answer.
    pub write: Duration,
    /// How long calls under way may take when the server stops. Docker gives a managed plugin
    /// 10 s in all before it kills it.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            body_bytes: 1 << 20,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(6),
        }
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
async fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return; // the semaphore is never closed
        };
        match listener.accept().await {
            Ok((stream, _address)) => {
                let shared = Arc::clone(shared);
                let tasks = shared.tasks.clone();
                tasks.spawn(async move {
                    connection::serve(stream, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: existing connections may end and free some.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
