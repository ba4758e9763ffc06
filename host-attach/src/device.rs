//! Block devices and the proof that one is the right one.
//!
//! A [`VerifiedDevice`] is the only thing that formatting, checking, mounting and growing take,
//! and only [`VerifiedDevice::verify`] makes one. It holds the device open, so that its number
//! cannot become another's, and it is verified again right before mkfs and before mount.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use storage_core::{ErrorKind, Result, Size};

use crate::blocking::poll_until;
use crate::connector::Connector;
use crate::failure::{call_error, errno, error, io_error, refused};
use crate::ledger::Record;
use crate::mountinfo::DeviceNumber;
use crate::sys;

/// How long somebody's passing look at a device (udev's probe) is waited out.
const EXCLUSIVE_PATIENCE: Duration = Duration::from_secs(2);
const EXCLUSIVE_INTERVAL: Duration = Duration::from_millis(20);

/// A block device as sysfs names it, with the sequence number that tells two uses of one name
/// apart (Documentation/ABI/testing/sysfs-block, `diskseq`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockNode {
    pub(crate) name: String,
    pub(crate) number: DeviceNumber,
    pub(crate) diskseq: u64,
}

impl BlockNode {
    /// Reads a device's facts.
    ///
    /// # Errors
    /// When it is not there or sysfs is not as expected.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let number = sysfs(name, "dev")?;
        let number = DeviceNumber::parse(&number).ok_or_else(|| strange(name, "dev", &number))?;
        let diskseq = sysfs(name, "diskseq")?;
        let diskseq = diskseq
            .parse()
            .map_err(|_not_a_number: std::num::ParseIntError| strange(name, "diskseq", &diskseq))?;
        Ok(Self {
            name: name.to_owned(),
            number,
            diskseq,
        })
    }

    /// Its node in `/dev`.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Opens it and makes sure that it is this device, in this use.
    pub(crate) fn open(&self, access: OFlags) -> Result<File> {
        self.try_open(access)?
            .map_err(|source| io_error("opening the device", &self.path(), source))
    }

    /// As [`Self::open`], with what the kernel said to the opening itself kept apart.
    fn try_open(&self, access: OFlags) -> Result<io::Result<File>> {
        let path = self.path();
        let flags = access | OFlags::NOFOLLOW;
        let opened = OpenOptions::new()
            .read(!access.contains(OFlags::WRONLY))
            .write(access.intersects(OFlags::WRONLY | OFlags::RDWR))
            .custom_flags(flags.difference(OFlags::ACCMODE).bits().cast_signed())
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(source) => return Ok(Err(source)),
        };
        let metadata = file
            .metadata()
            .map_err(|source| io_error("looking at the device", &path, source))?;
        if !metadata.file_type().is_block_device()
            || DeviceNumber::from_raw(metadata.rdev()) != self.number
        {
            return Err(refused(format!(
                "{} is not the block device {}:{}",
                path.display(),
                self.number.major,
                self.number.minor
            )));
        }
        if Self::read(&self.name)? != *self {
            return Err(refused(format!(
                "{} has become another device",
                path.display()
            )));
        }
        Ok(Ok(file))
    }

    /// Devices stacked on this one (device mapper, md).
    pub(crate) fn holders(&self) -> Vec<String> {
        let folder = Path::new("/sys/block").join(&self.name).join("holders");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Whether a file system on it is alive anywhere, lazily unmounted ones and those of other
    /// mount namespaces included: ext4 and XFS show each superblock in `/sys/fs`.
    pub(crate) fn superblock_alive(&self) -> bool {
        ["ext4", "xfs"]
            .iter()
            .any(|kind| Path::new("/sys/fs").join(kind).join(&self.name).exists())
    }
}

/// One attribute of a block device.
pub(crate) fn sysfs(name: &str, attribute: &str) -> Result<String> {
    let path = Path::new("/sys/block").join(name).join(attribute);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(io_error("reading a device's attribute", &path, source)),
    }
}

fn strange(name: &str, attribute: &str, value: &str) -> storage_core::Error {
    error(
        ErrorKind::Unexpected,
        format!("the attribute {attribute} of {name} is not understood"),
    )
    .with_context("value", value)
}

/// Who else may use the device while it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Nobody: it is to be formatted, checked or mounted for the first time. Proven by an
    /// exclusive open, which the kernel refuses for everything mounted or stacked upon.
    Exclusive,
    /// Our own mount of it is expected.
    Mounted,
}

/// A device proven to be the volume. Held open.
#[derive(Debug)]
pub(crate) struct VerifiedDevice {
    node: BlockNode,
    file: File,
    size: Size,
}

impl VerifiedDevice {
    /// Proves that the device is the record's volume: ours by its marker, the volume's own
    /// identity asked live, large enough, writable, with nothing stacked on it.
    ///
    /// # Errors
    /// `FailedPrecondition` with what is wrong.
    pub(crate) fn verify(
        connector: &dyn Connector,
        record: &Record,
        node: &BlockNode,
        usage: Use,
    ) -> Result<Self> {
        if usage == Use::Exclusive {
            prove_unused(node)?;
        }
        let file = node.open(OFlags::RDONLY)?;
        let size = sys::block_size_bytes(&file)
            .map_err(|source| call_error("asking for the device's size", source))?;
        let device = Self {
            node: node.clone(),
            file,
            size: Size::from_bytes(size),
        };
        device.verify_again(connector, record)?;
        Ok(device)
    }

    /// The same proof once more, through the descriptor that is held.
    pub(crate) fn verify_again(&self, connector: &dyn Connector, record: &Record) -> Result<()> {
        if BlockNode::read(&self.node.name)? != self.node {
            return Err(refused(format!(
                "{} has become another device",
                self.node.name
            )));
        }
        let holders = self.node.holders();
        if !holders.is_empty() {
            return Err(refused(format!(
                "{} is in use by {}",
                self.node.name,
                holders.join(", ")
            )));
        }
        if sysfs(&self.node.name, "ro")? != "0" {
            return Err(refused(format!("{} is read-only", self.node.name)));
        }
        let least = sectors(record.access.size);
        if self.size < least {
            return Err(refused(format!(
                "the device has {} bytes and the volume {}",
                self.size.bytes(),
                least.bytes()
            )));
        }
        // Last, so that nothing is between this answer and what the caller does.
        connector.prove_identity(record, &self.node, &self.file)
    }

    pub(crate) const fn node(&self) -> &BlockNode {
        &self.node
    }

    /// The size when it was verified.
    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// Whether it has exactly the size that publish told, as formatting demands.
    pub(crate) fn has_size(&self, size: Size) -> bool {
        self.size == sectors(size)
    }

    /// A second descriptor that bypasses the page cache.
    pub(crate) fn open_direct(&self, access: OFlags) -> Result<File> {
        self.node.open(access | OFlags::DIRECT)
    }

    /// Writes back and drops what the page cache holds of it.
    pub(crate) fn flush_cache(&self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|source| call_error("syncing the device", source))?;
        sys::flush_block_cache(&self.file)
            .map_err(|source| call_error("dropping the device's cache", source))
    }
}

/// A block device is a whole number of 512-byte sectors.
fn sectors(size: Size) -> Size {
    Size::from_bytes(size.bytes() / 512 * 512)
}

/// Opens exclusively and closes again: mkfs and mount want that claim for themselves. It is
/// repeated for a moment because udev looks into every new device.
fn prove_unused(node: &BlockNode) -> Result<()> {
    let claimed = poll_until(EXCLUSIVE_PATIENCE, EXCLUSIVE_INTERVAL, || {
        match node.try_open(OFlags::RDONLY | OFlags::EXCL)? {
            Ok(file) => {
                drop(file);
                Ok(Some(()))
            }
            Err(source) if errno(&source) == Some(Errno::BUSY) => Ok(None),
            Err(source) => Err(io_error("opening the device", &node.path(), source)),
        }
    })?;
    claimed.ok_or_else(|| {
        let holders = node.holders();
        let by = if holders.is_empty() {
            "a file system or program".to_owned()
        } else {
            holders.join(", ")
        };
        error(ErrorKind::Busy, format!("{} is in use by {by}", node.name))
    })
}
