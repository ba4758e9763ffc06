//! The listening socket of an array: one port for its whole life, whether it listens or not.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::BreakableAcceptor;

/// How long a port that is taken is waited for: a simulator that was dropped in this process ends
/// its listeners as soon as the runtime gets to it.
const PREDECESSOR_ENDS: Duration = Duration::from_secs(2);

/// Takes a port and keeps it without listening, so that a stopped array refuses connections and
/// comes back on the same port. With `SO_REUSEADDR` several sockets may be bound to one port as
/// long as none of them listens when another is bound (socket(7)). A predecessor that is just
/// ending is given a moment.
pub(crate) async fn reserve(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    let deadline = Instant::now() + PREDECESSOR_ENDS;
    loop {
        let socket = socket_for(address)?;
        match socket.bind(address) {
            Ok(()) => {
                let address = socket.local_addr()?;
                return Ok((socket, address));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn socket_for(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// A listening array.
#[derive(Debug)]
pub(crate) struct Listener {
    handle: Handle<SocketAddr>,
    stopped: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

impl Listener {
    pub(crate) fn start(
        address: SocketAddr,
        tls: Arc<rustls::ServerConfig>,
        silent: watch::Receiver<bool>,
        router: Router,
    ) -> io::Result<Self> {
        let socket = socket_for(address)?;
        socket.bind(address)?;
        let listener = socket.listen(1024)?.into_std()?;
        let handle = Handle::new();
        let stopped = watch::Sender::new(false);
        let acceptor =
            RustlsAcceptor::new(RustlsConfig::from_config(tls)).acceptor(BreakableAcceptor {
                silent,
                stopped: stopped.subscribe(),
            });
        let mut server = axum_server::from_tcp(listener)?
            .handle(handle.clone())
            .acceptor(acceptor)
            .http1_only();
        // Filters may name hundreds of volumes in the request line.
        server.http_builder().http1().max_buf_size(512 * 1024);
        let server = tokio::spawn(server.serve(router.into_make_service()));
        Ok(Self {
            handle,
            stopped,
            server,
        })
    }

    /// Ends all connections and stops listening. Returns when the port is free.
    pub(crate) async fn stop(self) {
        self.abort();
        match tokio::time::timeout(Duration::from_secs(5), self.server).await {
            Ok(Ok(Ok(()))) => {}
            ended => tracing::warn!(?ended, "the listener did not end in order"),
        }
    }

    /// As [`Listener::stop`], without waiting.
    pub(crate) fn abort(&self) {
        self.stopped.send_replace(true);
        self.handle.shutdown();
    }
}
