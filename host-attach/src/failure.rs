//! From the kernel's error numbers to the one public error. Not a place for decisions: whoever
//! knows better than the number makes the error on the spot.

use std::fmt::Display;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use storage_core::{Error, ErrorKind};

/// An error of that kind with a message.
pub(crate) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message)
}

/// The host is not in the state that the step needs.
pub(crate) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::FailedPrecondition, message)
}

/// A failed system call, with what was being done and to what.
pub(crate) fn io_error(what: &str, path: &Path, source: impl Into<io::Error>) -> Error {
    let source = source.into();
    Error::new(kind_of(&source), format!("{what} failed"))
        .with_context("path", path.display().to_string())
        .with_source(source)
}

/// A failed system call without a path.
pub(crate) fn call_error(what: impl Display, source: impl Into<io::Error>) -> Error {
    let source = source.into();
    Error::new(kind_of(&source), format!("{what} failed")).with_source(source)
}

/// `NotFound` is never used: it would say that the *volume* is not there.
fn kind_of(source: &io::Error) -> ErrorKind {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ACCESS | Errno::PERM) => ErrorKind::PermissionDenied,
        Some(Errno::NOSPC | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::DQUOT) => {
            ErrorKind::ResourceExhausted
        }
        Some(Errno::BUSY) => ErrorKind::Busy,
        Some(Errno::IO | Errno::NODEV | Errno::NXIO | Errno::NOTCONN | Errno::TIMEDOUT) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Unexpected,
    }
}

/// The raw number of an I/O error, if it came from the kernel.
pub(crate) fn errno(source: &io::Error) -> Option<Errno> {
    source.raw_os_error().map(Errno::from_raw_os_error)
}
