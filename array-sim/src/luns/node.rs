//! Inode numbers and file names: which place of the tree a number or a name stands for.
//!
//! A number stands for a place, not for a volume, and never changes its meaning while the file
//! system is mounted; so nothing has to be kept for each file, and a host that comes back gets the
//! numbers it had. Whether anything *is* at a place only the LUN table knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Inode number of the root folder; fixed by the FUSE protocol.
const ROOT: u64 = 1;
/// The lower half of an inode number: the place within a host's folder.
const PLACE_BITS: u32 = 32;
const FOLDER: u64 = 0;
const BLOCK: u64 = 1;
const SERIAL: u64 = 2;

/// A place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// The folder of all hosts.
    Root,
    /// One host's folder.
    Host(Arc<str>),
    /// A LUN's bytes.
    Block(Arc<str>, u16),
    /// A LUN's serial file.
    Serial(Arc<str>, u16),
}

/// What a file name in a host's folder means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileName {
    Block(u16),
    Serial(u16),
}

impl FileName {
    /// Reads `7` or `7.serial`; only the canonical spelling is a name (`07` is not).
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (digits, serial) = match name.strip_suffix(".serial") {
            Some(digits) => (digits, true),
            None => (name, false),
        };
        let number: u16 = digits.parse().ok()?;
        if number.to_string() != digits {
            return None;
        }
        Some(if serial {
            Self::Serial(number)
        } else {
            Self::Block(number)
        })
    }
}

/// The numbering of the hosts that were ever looked at. Grows with the number of distinct host
/// names of one array, which the array limits.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Arc<str>, u32>,
    hosts: Vec<Arc<str>>,
}

impl Numbering {
    /// The inode number of a host's folder.
    pub(super) fn host(&self, host: &str) -> u64 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match known.numbers.get(host) {
            Some(number) => *number,
            None => {
                // the first host gets 1: 0 in the upper half is the root
                let number = u32::try_from(known.hosts.len() + 1).unwrap_or(u32::MAX);
                let host: Arc<str> = Arc::from(host);
                known.hosts.push(Arc::clone(&host));
                known.numbers.insert(host, number);
                number
            }
        };
        u64::from(number) << PLACE_BITS | FOLDER
    }

    /// The inode number of a file in a host's folder.
    pub(super) fn file(&self, host: &str, name: FileName) -> u64 {
        let (number, kind) = match name {
            FileName::Block(number) => (number, BLOCK),
            FileName::Serial(number) => (number, SERIAL),
        };
        self.host(host) | u64::from(number) << 2 | kind
    }

    /// The place that an inode number stands for, if it was ever given out.
    pub(super) fn node(&self, inode: u64) -> Option<Node> {
        if inode == ROOT {
            return Some(Node::Root);
        }
        let index = usize::try_from(inode >> PLACE_BITS).ok()?.checked_sub(1)?;
        let place = inode & u64::from(u32::MAX);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = Arc::clone(known.hosts.get(index)?);
        let number = u16::try_from(place >> 2).ok()?;
        match place & 3 {
            FOLDER if number == 0 => Some(Node::Host(host)),
            BLOCK => Some(Node::Block(host, number)),
            SERIAL => Some(Node::Serial(host, number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_names() {
        assert_eq!(FileName::parse("0"), Some(FileName::Block(0)));
        assert_eq!(FileName::parse("4095"), Some(FileName::Block(4095)));
        assert_eq!(FileName::parse("7.serial"), Some(FileName::Serial(7)));
        for odd in [
            "",
            "07",
            "+7",
            "-1",
            "7.",
            "7.Serial",
            ".serial",
            "65536",
            "7.serial.serial",
        ] {
            assert_eq!(FileName::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn numbers_lead_back_to_their_places() {
        let numbering = Numbering::default();
        let one = numbering.host("one");
        let block = numbering.file("two", FileName::Block(0));
        let serial = numbering.file("two", FileName::Serial(65535));
        assert_eq!(numbering.node(1), Some(Node::Root));
        assert_eq!(numbering.node(one), Some(Node::Host("one".into())));
        assert_eq!(numbering.node(block), Some(Node::Block("two".into(), 0)));
        assert_eq!(
            numbering.node(serial),
            Some(Node::Serial("two".into(), 65535))
        );
        assert_eq!(numbering.host("one"), one);
        assert_eq!(numbering.node(0), None);
        assert_eq!(numbering.node(9 << PLACE_BITS), None);
    }
}
