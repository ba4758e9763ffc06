//! LOOP: a simulator shows each LUN as a file `<folder>/<host>/<lun>` with its serial in
//! `<lun>.serial`, both there exactly while the connection is. A loop device makes it a disk.
//!
//! A loop device behaves like an old SCSI node: it keeps the file open, answers I/O errors once
//! the connection is gone, and serves *whatever volume is there now* when the same number is
//! connected again. So the serial is read anew for each proof, and every device carries a marker
//! with its volume's key and its grant's nonce, set in the same step in which it is made.

mod backing;
mod marker;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use storage_core::{AccessPath, ErrorKind, Host, Result, Volume};

use self::backing::{
    Bound, backing_of, backings, bound_devices, file_id, look_at, not_connected, prove_serial,
    read_serial, same_end,
};
use self::marker::{Marker, marker_text, read_marker};
use super::{Connector, Marked, Stranger, lun_of_file};
use crate::blocking::poll_until;
use crate::device::BlockNode;
use crate::failure::{call_error, errno, error, io_error, refused};
use crate::ledger::{Key, Record};
use crate::machine::boot_id;
use crate::sys;

/// Free numbers are taken by others between asking and using.
const CONFIGURE_ATTEMPTS_MAX: usize = 32;
const CONFIGURE_INTERVAL: Duration = Duration::from_millis(5);

/// How long a device may take to let go of its file, for instance while udev looks at it.
const CLEAR_PATIENCE: Duration = Duration::from_secs(5);
const CLEAR_INTERVAL: Duration = Duration::from_millis(5);

/// Attaches by loop devices.
#[derive(Debug)]
pub(crate) struct LoopConnector {
    /// The folder name under which a simulator shows this host its LUNs.
    host: String,
}

impl LoopConnector {
    pub(crate) fn new(host: &Host) -> Self {
        Self {
            host: host.object_name(),
        }
    }

    fn file(record: &Record) -> Result<&Path> {
        match &record.access.path {
            AccessPath::Loop { file } if file.is_absolute() => Ok(file),
            other => Err(error(
                ErrorKind::InvalidArgument,
                "LOOP needs the absolute path of a file",
            )
            .with_context("protocol", other.protocol().to_string())),
        }
    }

    /// Devices on the record's file, under whatever path, or known by the record's facts or by its
    /// volume's key; with their markers.
    fn candidates(record: &Record) -> Result<Vec<(Bound, Marker, bool)>> {
        let (file, own) = (Self::file(record)?, Key::of(record.volume()));
        let mut found = Vec::new();
        for bound in bound_devices()? {
            let remembered = remembered(record, &bound.node)?;
            let known = remembered || bound.backing == file;
            if !known && !same_end(&bound.backing, file) {
                continue;
            }
            let Some((marker, shown)) = read_marker(&bound.node)? else {
                continue;
            };
            let ours = matches!(&marker, Marker::Ours { key, .. } if key == own.short());
            let shows_file = || shown.is_some() && shown == file_id(file);
            if known || ours || shows_file() {
                found.push((bound, marker, remembered));
            }
        }
        Ok(found)
    }

    /// Whether the path is one under which this host is shown a LUN. On a machine that plays
    /// several hosts the others' devices show the same volumes rightly.
    fn is_for_this_host(&self, path: &Path) -> bool {
        path.parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == self.host.as_str())
    }
}

impl Connector for LoopConnector {
    fn available(&self) -> Result<()> {
        let control = Path::new("/dev/loop-control");
        if control.exists() {
            return Ok(());
        }
        Err(error(
            ErrorKind::Unsupported,
            "this kernel has no loop devices: /dev/loop-control is missing (modprobe loop)",
        ))
    }

    fn owned(&self, record: &Record) -> Result<Vec<BlockNode>> {
        let ours = Key::of(record.volume());
        let owned = Self::candidates(record)?
            .into_iter()
            .filter(|(_, marker, remembered)| match marker {
                Marker::Ours { key, .. } => key == ours.short(),
                // The marker would tell, but the file does not answer any more: known by number and
                // sequence in this boot, or made right before a crash, which no fact records.
                Marker::Unreadable => *remembered || record.device.is_none(),
                Marker::Foreign => *remembered,
            });
        Ok(owned.map(|(bound, ..)| bound.node).collect())
    }

    fn strangers(&self, record: &Record) -> Result<Vec<Stranger>> {
        let ours = Key::of(record.volume());
        let candidates = Self::candidates(record)?.into_iter();
        Ok(candidates
            .filter_map(|(bound, marker, remembered)| match marker {
                Marker::Ours { key, .. } if key != ours.short() => Some(Stranger {
                    node: bound.node,
                    owner: Some(key),
                }),
                Marker::Foreign if !remembered => Some(Stranger {
                    node: bound.node,
                    owner: None,
                }),
                Marker::Unreadable if !remembered && record.device.is_some() => Some(Stranger {
                    node: bound.node,
                    owner: None,
                }),
                _ => None,
            })
            .collect())
    }

    fn showing(&self, volume: &Volume) -> Result<Vec<BlockNode>> {
        let Some(identity) = &volume.identity else {
            return Ok(Vec::new());
        };
        let own = Key::of(&volume.id);
        let mut showing = Vec::new();
        for bound in bound_devices()? {
            if !self.is_for_this_host(&bound.backing) {
                continue;
            }
            let shows = match read_serial(&bound.backing) {
                Ok(serial) => serial == identity.serial,
                // The path is of another mount namespace; then at least what we made tells.
                Err(_unseen) => matches!(
                    read_marker(&bound.node)?,
                    Some((Marker::Ours { key, .. }, _)) if key == own.short()
                ),
            };
            if shows {
                showing.push(bound.node);
            }
        }
        Ok(showing)
    }

    fn marked(&self, known: &dyn Fn(&BlockNode) -> bool) -> Result<Vec<Marked>> {
        let mut found = Vec::new();
        for Bound { node, backing } in bound_devices()? {
            if known(&node) || !self.is_for_this_host(&backing) {
                continue;
            }
            if let Some((Marker::Ours { key, nonce }, _)) = read_marker(&node)? {
                found.push(Marked {
                    node,
                    key,
                    nonce,
                    serial: read_serial(&backing).ok(),
                    path: AccessPath::Loop { file: backing },
                });
            }
        }
        Ok(found)
    }

    fn luns_shown(&self) -> Result<BTreeSet<u16>> {
        let shown = backings()?.into_iter().map(|(_, path)| path);
        Ok(shown
            .filter(|path| self.is_for_this_host(path))
            .filter_map(|path| lun_of_file(&path))
            .collect())
    }

    fn canonical(&self, path: &AccessPath) -> Result<AccessPath> {
        let AccessPath::Loop { file } = path else {
            return Err(super::not_built(path.protocol()));
        };
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
            return Err(error(
                ErrorKind::InvalidArgument,
                "LOOP needs the absolute path of a file",
            ));
        };
        let folder = match fs::canonicalize(folder) {
            Ok(folder) => folder,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(not_connected(file));
            }
            Err(source) => return Err(io_error("looking at the LUN folder", folder, source)),
        };
        Ok(AccessPath::Loop {
            file: folder.join(name),
        })
    }

    fn reach(&self, record: &Record) -> Result<()> {
        prove_serial(Self::file(record)?, record)
    }

    fn connect(&self, record: &Record) -> Result<BlockNode> {
        let file = Self::file(record)?;
        if let Some(node) = made_before(record)? {
            return Ok(node);
        }
        let backing = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(file)
            .map_err(|source| io_error("opening the LUN's file", file, source))?;
        let metadata = backing
            .metadata()
            .map_err(|source| io_error("looking at the LUN's file", file, source))?;
        if !metadata.is_file() {
            return Err(refused("the LUN's path is not a regular file")
                .with_context("path", file.display().to_string()));
        }
        bind_free_device(&backing, &marker_text(record))
    }

    fn prove_identity(&self, record: &Record, node: &BlockNode, file: &File) -> Result<()> {
        let path = Self::file(record)?;
        let backing = backing_of(&node.name)?
            .ok_or_else(|| refused(format!("{} has no file any more", node.name)))?;
        // First the serial: once the connection is gone the kernel cannot tell the marker either.
        prove_serial(path, record)?;
        let status = sys::loop_status(file).map_err(|source| {
            call_error(format_args!("asking {} for its marker", node.name), source)
        })?;
        if backing != path && status.file != look_at(path)? {
            return Err(refused(format!(
                "{} shows {} and not {}",
                node.name,
                backing.display(),
                path.display()
            )));
        }
        if status.name != marker_text(record).as_bytes() {
            return Err(refused(format!(
                "{} was not made under this grant",
                node.name
            )));
        }
        Ok(())
    }

    fn disconnect(&self, record: &Record, node: &BlockNode) -> Result<()> {
        if !self.owned(record)?.contains(node) {
            // It went, or its name is another's by now: either way there is nothing of ours.
            return Ok(());
        }
        let holders = node.holders();
        if !holders.is_empty() {
            return Err(error(
                ErrorKind::Busy,
                format!("{} is in use by {}", node.name, holders.join(", ")),
            ));
        }
        let file = node.open(OFlags::RDONLY)?;
        match sys::loop_clear(&file) {
            Err(source) if errno(&source) != Some(Errno::NXIO) => {
                return Err(call_error(
                    format_args!("letting go of {}", node.name),
                    source,
                ));
            }
            _ => drop(file),
        }
        let gone = poll_until(CLEAR_PATIENCE, CLEAR_INTERVAL, || {
            let same = backing_of(&node.name)?.is_some()
                && BlockNode::read(&node.name)?.diskseq == node.diskseq;
            Ok((!same).then_some(()))
        })?;
        gone.ok_or_else(|| {
            error(
                ErrorKind::Busy,
                format!(
                    "{} is still open somewhere; it goes when that is closed",
                    node.name
                ),
            )
        })
    }

    fn refresh_size(&self, node: &BlockNode) -> Result<()> {
        let file = node.open(OFlags::RDONLY)?;
        // Asking for the status makes the kernel ask the file system for the file's size.
        sys::loop_status(&file)
            .map_err(|source| call_error("asking for the file's size", source))?;
        sys::loop_set_capacity(&file)
            .map_err(|source| call_error("taking over the file's size", source))
    }
}

/// Whether the record names this very device, in this boot and this use.
fn remembered(record: &Record, node: &BlockNode) -> Result<bool> {
    let Some(fact) = &record.device else {
        return Ok(false);
    };
    Ok(fact.is(node, &boot_id()?))
}

/// The device that this grant made before a crash, if it did.
fn made_before(record: &Record) -> Result<Option<BlockNode>> {
    let nonce = record.nonce().simple().to_string();
    let mut made =
        LoopConnector::candidates(record)?
            .into_iter()
            .filter_map(|(bound, marker, _)| {
                matches!(marker, Marker::Ours { nonce: found, .. } if found == nonce)
                    .then_some(bound.node)
            });
    match (made.next(), made.next()) {
        (first, None) => Ok(first),
        (_, Some(second)) => Err(refused(format!(
            "this grant has two devices; the second is {}",
            second.name
        ))),
    }
}

/// Binds the file to a device that is free. Several may run after the same number.
fn bind_free_device(backing: &File, marker: &str) -> Result<BlockNode> {
    let control_path = Path::new("/dev/loop-control");
    let control = OpenOptions::new()
        .read(true)
        .write(true)
        .open(control_path)
        .map_err(|source| io_error("opening the loop control", control_path, source))?;
    let mut attempts = 0;
    let bound = poll_until(Duration::from_secs(5), CONFIGURE_INTERVAL, || {
        attempts += 1;
        if attempts > CONFIGURE_ATTEMPTS_MAX {
            return Err(error(
                ErrorKind::Busy,
                "other programs took every free loop device",
            ));
        }
        let number = sys::loop_get_free(&control)
            .map_err(|source| call_error("asking for a free loop device", source))?;
        let name = format!("loop{number}");
        let path = Path::new("/dev").join(&name);
        let device = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(device) => device,
            // devtmpfs shows a new device a moment later; or it was removed again.
            Err(source)
                if matches!(
                    errno(&source),
                    Some(Errno::NOENT | Errno::NXIO | Errno::NODEV)
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(io_error("opening a loop device", &path, source)),
        };
        match sys::loop_configure(&device, backing, marker) {
            Ok(()) => Ok(Some(BlockNode::read(&name)?)),
            Err(source) if errno(&source) == Some(Errno::BUSY) => Ok(None),
            Err(source) => Err(io_error("configuring a loop device", &path, source)),
        }
    })?;
    bound.ok_or_else(|| {
        error(
            ErrorKind::Unavailable,
            "no loop device became usable; is /dev a devtmpfs?",
        )
    })
}

/// A name is ours in whole or not at all, and a path is one that the kernel wrote.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    use std::os::unix::ffi::OsStrExt;

    if let Marker::Ours { key, nonce } = marker::parse_marker(data) {
        let whole = format!("fairlead:{key}:{nonce}");
        assert_eq!(whole, String::from_utf8_lossy(data));
    }
    let path = backing::clean_backing(data);
    assert!(data.starts_with(path.as_os_str().as_bytes()));
}
