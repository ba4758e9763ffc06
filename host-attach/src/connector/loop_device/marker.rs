//! The marker that each loop device of ours carries from the moment it has a file: the volume's
//! key and the grant's nonce. It tells our devices from everybody else's, and grants apart.

use rustix::fs::OFlags;
use rustix::io::Errno;
use storage_core::Result;

use super::backing::FileId;
use crate::device::BlockNode;
use crate::failure::errno;
use crate::ledger::{Key, Record};
use crate::sys;

/// What our markers begin with; `LO_NAME_SIZE` leaves room for a nonce and half a key.
const MARKER: &str = "fairlead";

/// What a loop device says of its maker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// Ours: the volume's short key and the grant's nonce, as text.
    Ours { key: String, nonce: String },
    /// Somebody else's, or none.
    Foreign,
    /// It cannot be read, as the file is out of reach.
    Unreadable,
}

pub(super) fn marker_text(record: &Record) -> String {
    format!(
        "{MARKER}:{}:{}",
        Key::of(record.volume()).short(),
        record.nonce().simple()
    )
}

pub(super) fn parse_marker(name: &[u8]) -> Marker {
    let text = String::from_utf8_lossy(name);
    let mut parts = text.split(':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(MARKER), Some(key), Some(nonce), None) => Marker::Ours {
            key: key.to_owned(),
            nonce: nonce.to_owned(),
        },
        _ => Marker::Foreign,
    }
}

/// The marker, and the file that the device shows where that can be told; `None` when the device
/// has gone, or is another one, since it was found.
pub(super) fn read_marker(node: &BlockNode) -> Result<Option<(Marker, Option<FileId>)>> {
    let file = match node.open(OFlags::RDONLY) {
        Ok(file) => file,
        Err(_gone) if !BlockNode::read(&node.name).is_ok_and(|now| now == *node) => {
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    match sys::loop_status(&file) {
        Ok(status) => Ok(Some((parse_marker(&status.name), Some(status.file)))),
        // It is losing its file right now.
        Err(source) if errno(&source) == Some(Errno::NXIO) => Ok(Some((Marker::Foreign, None))),
        Err(source) => {
            tracing::debug!(device = node.name, error = %source, "the device's marker cannot be read");
            Ok(Some((Marker::Unreadable, None)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Marker, parse_marker};

    #[test]
    fn only_whole_markers_are_ours() {
        let ours = Marker::Ours {
            key: "k".to_owned(),
            nonce: "n".to_owned(),
        };
        assert_eq!(parse_marker(b"fairlead:k:n"), ours);
        for other in [
            "",
            "fairlead",
            "fairlead:k",
            "fairlead:k:n:x",
            "/some/file",
            "Fairlead:k:n",
        ] {
            assert_eq!(parse_marker(other.as_bytes()), Marker::Foreign);
        }
    }
}
