//! The seam between the order of steps and a protocol: how a device comes to be, how it proves
//! what it is, and how it goes. One file a protocol; what a build cannot do it says by name.

mod loop_device;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::Path;

use storage_core::{AccessPath, ErrorKind, Protocol, Result, Volume};

use crate::device::BlockNode;
use crate::failure::error;
use crate::ledger::Record;

pub(crate) use loop_device::LoopConnector;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use loop_device::fuzz;

/// A device over this volume's access path that is not this record's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stranger {
    pub(crate) node: BlockNode,
    /// The short key of the volume that we made it for, if it carries our marker.
    pub(crate) owner: Option<String>,
}

/// A device of this host that carries our mark and that nobody knows by its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) node: BlockNode,
    /// The short key of the volume that it was made for.
    pub(crate) key: String,
    /// The nonce of the grant that it was made under, as its mark has it.
    pub(crate) nonce: String,
    /// The way that it was made.
    pub(crate) path: AccessPath,
    /// The serial that it answers with now.
    pub(crate) serial: Option<String>,
}

/// What a protocol does.
pub(crate) trait Connector: fmt::Debug + Send + Sync {
    /// Whether this machine has what the protocol needs.
    fn available(&self) -> Result<()>;

    /// The path as the kernel will show it, symbolic links resolved.
    fn canonical(&self, path: &AccessPath) -> Result<AccessPath>;

    /// Whether the record's volume can be reached now, before a device is made.
    fn reach(&self, record: &Record) -> Result<()>;

    /// The record's devices on this host, of this or of an earlier grant.
    fn owned(&self, record: &Record) -> Result<Vec<BlockNode>>;

    /// Devices on the record's access path that are not its own.
    fn strangers(&self, record: &Record) -> Result<Vec<Stranger>>;

    /// Devices of this host that answer with the volume's identity, ours or not.
    fn showing(&self, volume: &Volume) -> Result<Vec<BlockNode>>;

    /// Devices of this host that carry our mark, but for those whose facts are known: these are
    /// left in peace.
    fn marked(&self, known: &dyn Fn(&BlockNode) -> bool) -> Result<Vec<Marked>>;

    /// The LUN numbers under which this host has devices of any array, by what the kernel has on
    /// record; no device is asked.
    fn luns_shown(&self) -> Result<BTreeSet<u16>>;

    /// Makes the device of the record's grant. One that this grant made before is used again.
    fn connect(&self, record: &Record) -> Result<BlockNode>;

    /// Asks the device itself, now: made under the record's grant, and this volume.
    fn prove_identity(&self, record: &Record, node: &BlockNode, file: &File) -> Result<()>;

    /// Takes away the device and sees it gone. It is the caller's business that nothing uses it.
    fn disconnect(&self, record: &Record, node: &BlockNode) -> Result<()>;

    /// Asks for the volume's size anew and hands it to the kernel.
    fn refresh_size(&self, node: &BlockNode) -> Result<()>;
}

/// The logical unit number of a path, for every protocol that has them.
pub(crate) fn lun_of(path: &AccessPath) -> Option<u16> {
    match path {
        AccessPath::Iscsi { lun, .. } => Some(*lun),
        AccessPath::Loop { file } => lun_of_file(file),
        _ => None,
    }
}

/// A simulator names each LUN's file by its number.
fn lun_of_file(file: &Path) -> Option<u16> {
    file.file_name()?.to_str()?.parse().ok()
}

/// Says that a protocol is not in this build.
pub(crate) fn not_built(protocol: Protocol) -> storage_core::Error {
    error(
        ErrorKind::Unsupported,
        format!("this build attaches volumes by LOOP only; {protocol} is not available in it"),
    )
}
