//! One plugin a state folder: two would count the same mounts twice.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Holds the state folder for as long as it lives. The kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the folder.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it; else what the file system says.
    pub(crate) fn take(folder: &Path) -> io::Result<Self> {
        crash_points::point!("docker.lock.before");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        crash_points::point!("docker.lock.after");
        Ok(Self { _file: file })
    }
}
