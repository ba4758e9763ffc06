//! Files that are either the old or the new one after a crash, never half of each.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a file is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A volume's mount counts.
    Counts,
    /// The cache of names.
    Names,
    /// A volume's used mount IDs.
    UsedIds,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counts => "counts",
            Self::Names => "names",
            Self::UsedIds => "used-ids",
        })
    }
}

/// Puts `bytes` in place of the file, and has them on disk before it returns: new file, fsync,
/// rename, fsync of the folder (rename(2) and fsync(2) promise no less together, and no more
/// apart). One writer a file.
///
/// # Errors
/// When the file system refuses; the old content is then still there.
pub(super) async fn replace(kind: Kind, path: PathBuf, bytes: Vec<u8>) -> io::Result<()> {
    blocking(move || {
        crash_points::point!("docker.file.before", kind);
        let temporary = temporary(&path);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        crash_points::point!("docker.file.temporary", kind);
        std::fs::rename(&temporary, &path)?;
        crash_points::point!("docker.file.renamed", kind);
        sync_folder(&path)?;
        crash_points::point!("docker.file.after", kind);
        Ok(())
    })
    .await
}

/// Removes a file for good; one that is not there is removed already.
///
/// # Errors
/// When the file system refuses.
pub(super) async fn remove(kind: Kind, path: PathBuf) -> io::Result<()> {
    blocking(move || {
        crash_points::point!("docker.file.before", kind);
        match std::fs::remove_file(&path) {
            Ok(()) => {
                crash_points::point!("docker.file.removed", kind);
                sync_folder(&path)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        crash_points::point!("docker.file.after", kind);
        Ok(())
    })
    .await
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Runs file work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
