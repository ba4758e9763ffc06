//! The socket that a service manager made and passed on (`sd_listen_fds(3)`): taken over only if it
//! is ours. Its file is the service manager's, and stays when we end.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::SocketAddrUnix;

use super::socket::{BoundSocket, SocketError, SocketFile};

/// A socket from the service manager, not looked at closely yet.
#[derive(Debug)]
pub struct PassedSocket {
    listener: UnixListener,
}

impl PassedSocket {
    /// Takes the socket that was passed to this very process, if there is one. Call it once, and
    /// before any thread is started: it takes variables out of the environment.
    ///
    /// # Errors
    /// When more than one was passed, or something that is no stream socket of this machine.
    pub fn take() -> Result<Option<Self>, SocketError> {
        let for_us = std::env::var_os("LISTEN_PID").is_some();
        let mut passed = ListenFd::from_env();
        if !for_us || passed.len() == 0 {
            return Ok(None);
        }
        if passed.len() > 1 {
            let reason = format!(
                "{} sockets instead of one; leave one ListenStream= in the socket unit",
                passed.len()
            );
            return Err(SocketError::Passed { reason });
        }
        let taken = passed.take_unix_listener(0).map_err(|error| {
            let reason = format!("something else ({error}); ListenStream= has to be a path");
            SocketError::Passed { reason }
        })?;
        Ok(taken.map(|listener| Self { listener }))
    }

    /// Makes sure that it is the driver's socket and listens.
    ///
    /// # Errors
    /// When it is another one; when the system refuses. Call it in a runtime.
    pub fn adopt(self, path: &Path) -> Result<BoundSocket, SocketError> {
        let failed = |source: io::Error| SocketError::System {
            path: path.to_path_buf(),
            source,
        };
        let listens = rustix::net::sockopt::socket_acceptconn(&self.listener);
        if !listens.map_err(|error| failed(error.into()))? {
            let reason = "a socket that does not listen; it needs Accept=no".to_owned();
            return Err(SocketError::Passed { reason });
        }
        let address = rustix::net::getsockname(&self.listener).map_err(|e| failed(e.into()))?;
        let bound = SocketAddrUnix::try_from(address)
            .ok()
            .and_then(|address| address.path().map(|path| path.to_bytes().to_vec()))
            .map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)));
        if !bound.as_deref().is_some_and(|bound| is_same(bound, path)) {
            let reason = format!(
                "the socket {}, and the driver's is {}; make ListenStream= of the socket unit agree with --driver-name or --socket",
                bound.unwrap_or_default().display(),
                path.display()
            );
            return Err(SocketError::Passed { reason });
        }
        self.listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::UnixListener::from_std(self.listener).map_err(failed)?;
        Ok(BoundSocket {
            listener,
            file: SocketFile::of_somebody_else(path),
        })
    }
}

/// The same path, or another way to the same file: `/var/run` is a link.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || match (one.canonicalize(), other.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
}
