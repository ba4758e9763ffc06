//! The socket's file: made for us alone, taken over only from the dead, removed at the end.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

/// Where Docker's daemon looks for plugins' sockets.
pub const PLUGIN_FOLDER: &str = "/run/docker/plugins";

/// Why there is no socket.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Somebody answers on it.
    #[error("another server listens on {}; stop it, or use another --driver-name", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else has the path.
    #[error("{} is there and is not a socket; move it away", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Its folder is missing, and is not ours to make.
    #[error("the folder {} for the socket is not there; make it, or correct --socket", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The service manager passed what cannot be ours.
    #[error("the service manager passed {reason}")]
    Passed {
        /// What, and what to do about it.
        reason: String,
    },
    /// The system refuses.
    #[error("the socket {} cannot be made", path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket that listens. Its file goes when this is dropped, unless it is another server's, or
/// the service manager's.
#[derive(Debug)]
pub struct BoundSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// A file that stays.
    pub(super) fn of_somebody_else(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            identity: None,
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_none() || identity(&self.path) != self.identity {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// Listens on a path: mode 0600. A socket that a dead server left is replaced; a live server's is
/// not. Docker's own folder is made, 0700, if it is not there; any other has to be there: a folder
/// made after a slip in the path would hold a socket that nobody finds.
///
/// # Errors
/// When somebody else has the path, or the system refuses.
pub async fn bind(path: &Path) -> Result<BoundSocket, SocketError> {
    let failed = |source: io::Error| SocketError::System {
        path: path.to_path_buf(),
        source,
    };
    let folder = path.parent();
    if folder == Some(Path::new(PLUGIN_FOLDER)) {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(PLUGIN_FOLDER)
            .map_err(failed)?;
    } else if let Some(folder) = folder
        && folder.try_exists().is_ok_and(|there| !there)
    {
        return Err(SocketError::NoFolder {
            folder: folder.to_path_buf(),
        });
    }
    clear(path).await?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile {
        path: path.to_path_buf(),
        identity: identity(path),
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(BoundSocket { listener, file })
}

/// Makes room for the socket.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let own = path.to_path_buf();
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::System { path: own, source }),
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: own });
    }
    match UnixStream::connect(path).await {
        Ok(_live) => Err(SocketError::InUse { path: own }),
        // Nobody listens: connect(2) on the socket of a dead process.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(socket = %path.display(), "replacing the socket of a server that is gone");
            std::fs::remove_file(path).map_err(|source| SocketError::System { path: own, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full queue (EAGAIN) is a live server too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::InUse { path: own })
        }
        Err(source) => Err(SocketError::System { path: own, source }),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
