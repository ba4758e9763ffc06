//! File systems on verified devices: what is there, make, check, grow. Each kind has its own file;
//! whether to make one is decided in [`crate::format`], not here.

mod ext4;
mod xfs;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use storage_core::{ErrorKind, Filesystem, FilesystemSpec, Result};
use uuid::Uuid;

use crate::blank::{AlignedBuffer, read_direct};
use crate::device::VerifiedDevice;
use crate::failure::{error, refused};
use crate::runner::{Output, Runner, Tool};

/// mkfs writes a journal of up to a gigabyte; on a slow array that takes its time.
const MAKE_PATIENCE: Duration = Duration::from_secs(300);
/// A repair after a power cut reads much of the metadata.
const CHECK_PATIENCE: Duration = Duration::from_secs(600);
const GROW_PATIENCE: Duration = Duration::from_secs(300);
/// The whole log is written, up to two gigabytes of it.
const RENEW_PATIENCE: Duration = Duration::from_secs(300);
const PROBE_PATIENCE: Duration = Duration::from_secs(30);

/// Both superblocks lie in here.
const SUPERBLOCK_AREA: usize = 8192;

/// What a superblock says of its file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) kind: Filesystem,
    pub(crate) uuid: Uuid,
    pub(crate) history: History,
    /// The file system's size in bytes.
    pub(crate) bytes: u64,
}

/// What a superblock says of its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// mkfs was at work and did not finish.
    HalfMade,
    /// Certainly never mounted for writing.
    NeverMounted,
    /// It was mounted, or nothing tells that it was not.
    MayHoldData,
}

/// Reads the superblock straight from the device; `None` when there is neither kind.
///
/// # Errors
/// When the device cannot be read.
pub(crate) fn superblock(device: &VerifiedDevice) -> Result<Option<Superblock>> {
    let file = device.open_direct(OFlags::RDONLY)?;
    let mut area = AlignedBuffer::new(SUPERBLOCK_AREA);
    read_direct(&file, &mut area, 0)?;
    Ok(ext4::parse(area.as_slice()).or_else(|| xfs::parse(area.as_slice())))
}

/// Makes the file system with that UUID. Never forced.
///
/// # Errors
/// With the tool's last words; the device may then be half made.
pub(crate) fn make(
    runner: &Runner,
    device: &VerifiedDevice,
    spec: &FilesystemSpec,
    uuid: Uuid,
) -> Result<()> {
    let (tool, arguments) = match spec.kind {
        Filesystem::Ext4 => (
            Tool::MkfsExt4,
            ext4::make_arguments(&spec.create_options, uuid),
        ),
        Filesystem::Xfs => (
            Tool::MkfsXfs,
            xfs::make_arguments(&spec.create_options, uuid),
        ),
        other => return Err(unknown(other)),
    };
    let mut arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
    arguments.push(device.node().path().into());
    let output = runner.run(tool, &arguments, MAKE_PATIENCE)?;
    expect_code(tool, &output, &[0])
}

/// Whether every superblock of the XFS on the device has that UUID. Its tool writes them one after
/// the other; cut off, it leaves some behind, and the next one finishes.
///
/// # Errors
/// When the device cannot be read, or its superblock is not to be believed.
pub(crate) fn xfs_has_uuid(device: &VerifiedDevice, uuid: Uuid) -> Result<bool> {
    let file = device.open_direct(OFlags::RDONLY)?;
    let mut area = AlignedBuffer::new(SUPERBLOCK_AREA);
    read_direct(&file, &mut area, 0)?;
    let strange = || refused("the superblock of the copied file system is not understood");
    let places = xfs::copies(area.as_slice()).ok_or_else(strange)?;
    for place in std::iter::once(0).chain(places) {
        read_direct(&file, &mut area, place)?;
        let found = xfs::parse(area.as_slice()).ok_or_else(strange)?;
        if found.uuid != uuid {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an [`xfs_renew`] was cut off while it wrote the log. The kernel cannot read that log,
/// and to run the tool again on an empty one would count log positions from the beginning, below
/// those that stand in the metadata.
///
/// # Errors
/// When the device cannot be read.
pub(crate) fn xfs_renew_was_cut_off(device: &VerifiedDevice) -> Result<bool> {
    let file = device.open_direct(OFlags::RDONLY)?;
    let mut area = AlignedBuffer::new(SUPERBLOCK_AREA);
    read_direct(&file, &mut area, 0)?;
    let Some(start) = xfs::log_start(area.as_slice()) else {
        return Ok(false);
    };
    let mut log = AlignedBuffer::new(SUPERBLOCK_AREA);
    read_direct(&file, &mut log, start)?;
    Ok(xfs::is_cut_off(area.as_slice(), log.as_slice()))
}

/// Makes a new log in place of one that an [`xfs_renew`] left behind. Nothing is lost with it: that
/// tool begins only on a log of which everything is in its place.
///
/// # Errors
/// With the tool's last words.
pub(crate) fn xfs_new_log(runner: &Runner, device: &VerifiedDevice) -> Result<()> {
    let arguments = ["-L".into(), device.node().path().into()];
    let output = runner.run(Tool::XfsRepair, &arguments, CHECK_PATIENCE)?;
    expect_code(Tool::XfsRepair, &output, &[0])?;
    device.flush_cache()
}

/// Gives the XFS on the device that UUID. Its log must be clean: the tool refuses otherwise,
/// whatever its exit code says, so the caller looks again.
///
/// # Errors
/// With the tool's last words.
pub(crate) fn xfs_renew(runner: &Runner, device: &VerifiedDevice, uuid: Uuid) -> Result<()> {
    let arguments = xfs::renew_arguments(uuid).into_iter().map(OsString::from);
    let arguments: Vec<OsString> = arguments.chain([device.node().path().into()]).collect();
    let output = runner.run(Tool::XfsDb, &arguments, RENEW_PATIENCE)?;
    expect_code(Tool::XfsDb, &output, &[0])?;
    device.flush_cache()?;
    if xfs_has_uuid(device, uuid)? {
        return Ok(());
    }
    Err(error(
        ErrorKind::Unexpected,
        format!(
            "the copied file system did not get its own UUID: {}",
            output.last_words()
        ),
    ))
}

/// Checks, and repairs what is safe to repair; XFS replays its log when it is mounted.
///
/// # Errors
/// `FailedPrecondition` when damage is left.
pub(crate) fn check(runner: &Runner, device: &VerifiedDevice, kind: Filesystem) -> Result<()> {
    match kind {
        Filesystem::Ext4 => ext4::check(runner, device),
        Filesystem::Xfs => Ok(()),
        other => Err(unknown(other)),
    }
}

/// Whether a file system that was never mounted is whole. Changes nothing.
pub(crate) fn is_whole(runner: &Runner, device: &VerifiedDevice, kind: Filesystem) -> Result<bool> {
    match kind {
        Filesystem::Ext4 => ext4::is_whole(runner, device),
        // mkfs.xfs clears its mark of work in progress last.
        Filesystem::Xfs => Ok(true),
        other => Err(unknown(other)),
    }
}

/// Whether a mounted file system of that kind can be grown by this process. ext4 asks for
/// `CAP_SYS_RESOURCE` (`ext4_resize_begin`), which containers often lack.
pub(crate) fn grows_mounted(kind: Filesystem) -> bool {
    let capable = || {
        rustix::thread::capabilities(None).is_ok_and(|sets| {
            sets.effective
                .contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
        })
    };
    kind != Filesystem::Ext4 || capable()
}

/// Grows an ext4 that is not mounted, after the full check that resize2fs demands.
pub(crate) fn grow_unmounted(runner: &Runner, device: &VerifiedDevice) -> Result<()> {
    ext4::check_fully(runner, device)?;
    let output = runner.run(
        Tool::Resize2fs,
        &[device.node().path().into()],
        GROW_PATIENCE,
    )?;
    expect_code(Tool::Resize2fs, &output, &[0])
}

/// Grows a mounted file system to its device.
pub(crate) fn grow(
    runner: &Runner,
    device: &VerifiedDevice,
    kind: Filesystem,
    mountpoint: &Path,
) -> Result<()> {
    let (tool, argument) = match kind {
        Filesystem::Ext4 => (Tool::Resize2fs, device.node().path()),
        Filesystem::Xfs => (Tool::XfsGrowfs, mountpoint.to_owned()),
        other => return Err(unknown(other)),
    };
    let output = runner.run(tool, &[argument.into()], GROW_PATIENCE)?;
    expect_code(tool, &output, &[0])
}

/// blkid's second opinion: what it found, as text and as the type's name, or `None`. Its exit
/// code says "nothing" (2) for unreadable devices too, so `None` means nothing by itself.
///
/// # Errors
/// When it is missing, fails, or cannot decide between several signatures.
pub(crate) fn probe(runner: &Runner, device: &VerifiedDevice) -> Result<Option<Signature>> {
    let arguments = ["-p", "-o", "export"].map(OsString::from);
    let arguments: Vec<OsString> = arguments
        .into_iter()
        .chain([device.node().path().into()])
        .collect();
    probed(&runner.run(Tool::Blkid, &arguments, PROBE_PATIENCE)?)
}

/// What blkid said.
fn probed(output: &Output) -> Result<Option<Signature>> {
    let pairs: Vec<(&str, &str)> = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| *key != "DEVNAME")
        .collect();
    let value = |wanted: &str| {
        pairs
            .iter()
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| (*value).to_owned())
    };
    let kind = value("TYPE").or_else(|| value("PTTYPE"));
    match (output.code, pairs.is_empty()) {
        (Some(0), false) => Ok(Some(Signature {
            kind: kind.unwrap_or_else(|| "an unnamed signature".to_owned()),
        })),
        // 8: "ambivalent probing result"; blkid(8), EXIT STATUS.
        (Some(8), _) => Ok(Some(Signature {
            kind: "several signatures at once".to_owned(),
        })),
        (Some(2), true) => Ok(None),
        _ => expect_code(Tool::Blkid, output, &[]).map(|()| None),
    }
}

/// What blkid saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// blkid's name of the type: `ext4`, `crypto_LUKS`, `gpt`.
    pub(crate) kind: String,
}

impl Signature {
    /// Whether it is what the driver of that file system mounts.
    pub(crate) fn is(&self, kind: Filesystem) -> bool {
        match kind {
            Filesystem::Ext4 => matches!(self.kind.as_str(), "ext2" | "ext3" | "ext4"),
            Filesystem::Xfs => self.kind == "xfs",
            _ => false,
        }
    }
}

fn expect_code(tool: Tool, output: &Output, good: &[i32]) -> Result<()> {
    if output.code.is_some_and(|code| good.contains(&code)) {
        return Ok(());
    }
    let ended = output
        .code
        .map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
    Err(error(
        ErrorKind::Unexpected,
        format!(
            "{} ended with {ended}: {}",
            tool.name(),
            output.last_words()
        ),
    ))
}

fn unknown(kind: Filesystem) -> storage_core::Error {
    error(
        ErrorKind::Unsupported,
        format!("this build does not handle {kind:?}"),
    )
}

/// Bytes of a superblock as a number; `None` beyond its end.
fn bytes_at<const N: usize>(area: &[u8], offset: usize) -> Option<[u8; N]> {
    area.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

/// Nothing is found only where blkid says so and names nothing; how it ended is the first byte.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_probe(data: &[u8]) {
    let Some((code, text)) = data.split_first() else {
        return;
    };
    let output = Output {
        code: (*code != b'-').then(|| i32::from(code.wrapping_sub(b'0'))),
        stdout: String::from_utf8_lossy(text).into_owned(),
        stderr: String::new(),
    };
    let named = output
        .stdout
        .lines()
        .any(|line| line.contains('=') && !line.starts_with("DEVNAME="));
    match probed(&output) {
        Ok(None) => assert!(output.code == Some(2) && !named, "{output:?}"),
        Ok(Some(found)) => {
            assert!(output.code == Some(8) || (output.code == Some(0) && named));
            assert!(!(found.is(Filesystem::Ext4) && found.is(Filesystem::Xfs)));
        }
        Err(error) => assert!(error.to_string().contains("blkid"), "{error}"),
    }
}

/// A superblock is only seen where its mark is, and copies lie in order behind the first.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    if let Some(found) = ext4::parse(data) {
        assert_eq!(data.get(1080..1082), Some(&[0x53, 0xEF][..]));
        assert_ne!(found.history, History::HalfMade);
    }
    if xfs::parse(data).is_some() {
        assert!(data.starts_with(b"XFSB"));
    }
    if let Some(copies) = xfs::copies(data) {
        assert!(copies.is_sorted() && copies.first().is_none_or(|first| *first >= 4096));
        assert!(copies.len() <= 1 << 16);
    }
}
