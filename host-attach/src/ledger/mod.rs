//! What this host remembers of the volumes that it attached: one small file each, whole or not
//! there, whatever happens.
//!
//! A record holds intent, ownership and how far formatting went, never "the current step": that
//! is always observed. Only what stands here is ever touched. One process owns a ledger at a time.
//!
//! A file is a line of JSON and a line `sha256:<hex>` of the first. It is written to a temporary
//! file, synced, renamed, and the folder is synced. A file of a newer format, or one that does
//! not match its sum, is an error for its own volume (the file's name is the volume's key), is left
//! out where all are read, and stays as it is.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage_core::{
    Access, Error, ErrorKind, Filesystem, FilesystemSpec, Result, VolumeId, VolumeName,
};
use uuid::Uuid;

use crate::blocking::poll_until;
use crate::device::BlockNode;
use crate::failure::{error, io_error};
use crate::mountinfo::DeviceNumber;

/// The format of records that this program writes and the newest that it reads.
const FORMAT_VERSION: u32 = 1;

/// How long the end of the previous owner is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// No record of ours comes near this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is to become of the attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Intent {
    /// It is to be mounted, or is.
    Attach,
    /// It is to be taken down.
    Detach,
    /// It was taken down completely.
    Released,
    /// As released, and nobody asks for it any more. Kept only because this host began to make
    /// the file system and was cut off: what it left may be taken for its own later.
    Forgotten,
}

/// How far this host knows the volume's formatting to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub(crate) enum FormatPhase {
    /// Nothing is known.
    Unknown,
    /// mkfs was begun by this host under the format grant with this UUID, on a device that was
    /// blank; nothing was ever mounted since.
    Began { filesystem: Filesystem, uuid: Uuid },
    /// A file system is there. This host never formats the volume again.
    Exists,
}

/// Which device was made, as of one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceFact {
    pub(crate) name: String,
    pub(crate) number: DeviceNumber,
    pub(crate) diskseq: u64,
    /// `/proc/sys/kernel/random/boot_id` when it was made: void after a reboot.
    pub(crate) boot_id: String,
}

impl DeviceFact {
    /// Whether that is the device: in this boot, and in this use of its name.
    pub(crate) fn is(&self, node: &BlockNode, boot_id: &str) -> bool {
        self.name == node.name
            && self.number == node.number
            && self.diskseq == node.diskseq
            && self.boot_id == boot_id
    }
}

/// Everything remembered of one volume. No secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) name: VolumeName,
    pub(crate) object: String,
    pub(crate) access: Access,
    pub(crate) filesystem: FilesystemSpec,
    pub(crate) intent: Intent,
    pub(crate) format: FormatPhase,
    pub(crate) mountpoint: PathBuf,
    pub(crate) device: Option<DeviceFact>,
    /// The UUID that a copied file system is to get. Records from before copies have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fresh_uuid: Option<Uuid>,
}

impl Record {
    /// The format version of new records.
    pub(crate) const VERSION: u32 = FORMAT_VERSION;

    /// The volume.
    pub(crate) const fn volume(&self) -> &VolumeId {
        &self.access.volume
    }

    /// The grant that it is attached under.
    pub(crate) const fn nonce(&self) -> Uuid {
        self.access.grant.nonce
    }
}

/// A volume's key on this host: 32 hex digits of a hash of its id, as file systems and device
/// names do not take every id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn of(volume: &VolumeId) -> Self {
        let digest = Sha256::digest(format!("fairlead-volume:{volume}"));
        Self(
            digest
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 16 digits: what fits a device's name.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

/// The folder of records, owned by this process.
#[derive(Debug)]
pub(crate) struct Ledger {
    folder: PathBuf,
    /// Files that were left out and logged. No more than there were bad files in our folder.
    left_out: Mutex<BTreeSet<PathBuf>>,
    /// Holds the lock for as long as the ledger lives.
    _lock: File,
}

impl Ledger {
    /// Opens the ledger below the state folder, making both with mode 0700, and takes the lock.
    ///
    /// # Errors
    /// `FailedPrecondition` when another process owns it.
    pub(crate) fn open(state: &Path) -> Result<Self> {
        make_private_folder(state)?;
        let lock_path = state.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| io_error("opening the lock", &lock_path, source))?;
        take_lock(&lock, state)?;
        crash_points::point!("ledger.locked");
        let folder = state.join("ledger");
        make_private_folder(&folder)?;
        let ledger = Self {
            folder,
            left_out: Mutex::default(),
            _lock: lock,
        };
        ledger.remove_leftovers()?;
        Ok(ledger)
    }

    /// Temporary files of a write that was cut off. The lock is ours, so nobody is writing.
    fn remove_leftovers(&self) -> Result<()> {
        for path in self.files("tmp")? {
            fs::remove_file(&path)
                .map_err(|source| io_error("removing a half-written record", &path, source))?;
        }
        Ok(())
    }

    fn files(&self, extension: &str) -> Result<Vec<PathBuf>> {
        let failed = |source| io_error("reading the ledger", &self.folder, source);
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|found| found == extension) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.json", key.as_str()))
    }

    /// The record of a volume, if there is one.
    ///
    /// # Errors
    /// `FailedPrecondition` for a record that is damaged or of a newer format, naming the file.
    pub(crate) fn load(&self, key: &Key) -> Result<Option<Record>> {
        read_own_record(&self.path(key))
    }

    /// The record of the volume whose key begins so. [`Key::short`] is what devices carry.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_short(&self, short: &str) -> Result<Option<Record>> {
        let paths = self.files("json")?.into_iter();
        let begins = |path: &PathBuf| stem(path).is_some_and(|stem| stem.starts_with(short));
        match paths.into_iter().find(begins) {
            Some(path) => read_own_record(&path),
            None => Ok(None),
        }
    }

    /// Every record that can be read. One that cannot is logged, once, and left out: it concerns
    /// its own volume and no other, and [`Self::load`] refuses that.
    ///
    /// # Errors
    /// When the folder cannot be read, or the process lacks what reading any file needs.
    pub(crate) fn load_all(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for path in self.files("json")? {
            match read_own_record(&path) {
                Ok(record) => records.extend(record),
                // No file is bad because descriptors or memory ran out.
                Err(failure) if failure.kind() == ErrorKind::ResourceExhausted => {
                    return Err(failure);
                }
                Err(failure) => self.leave_out(path, &failure),
            }
        }
        Ok(records)
    }

    fn leave_out(&self, path: PathBuf, failure: &Error) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if !left_out.contains(&path) {
            tracing::error!(path = %path.display(), error = %failure.chain(), "a ledger record is left out, and its volume refused, until somebody has dealt with the file");
            left_out.insert(path);
        }
    }

    /// Writes a record so that after any crash the old or the new one is there, whole.
    pub(crate) fn store(&self, record: &Record) -> Result<()> {
        let key = Key::of(record.volume());
        // A file that we cannot read is somebody's, or a newer version's: it stays.
        self.load(&key)?;
        let path = self.path(&key);
        let temporary = self.folder.join(format!("{}.tmp", key.as_str()));
        let json = serde_json::to_string(record).map_err(|source| {
            error(
                ErrorKind::Unexpected,
                "a ledger record cannot be written as JSON",
            )
            .with_source(source)
        })?;
        let text = format!("{json}\n{}\n", checksum(json.as_bytes()));
        let failed = |source| io_error("writing a ledger record", &temporary, source);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        crash_points::point!("ledger.temporary");
        fs::rename(&temporary, &path).map_err(failed)?;
        crash_points::point!("ledger.renamed");
        self.sync_folder()
    }

    /// Whether there is a file for the volume that can be read and is torn: neither a whole record,
    /// whatever stands in it, nor one of a newer format.
    pub(crate) fn is_damaged(&self, key: &Key) -> bool {
        let path = self.path(key);
        match read_own_record(&path) {
            Err(failure) if failure.kind() == ErrorKind::FailedPrecondition => is_torn(&path),
            _ => false,
        }
    }

    /// Renames a damaged record out of the way, for a person to look at.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is not damaged.
    pub(crate) fn set_aside(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        if !self.is_damaged(key) {
            return Err(error(
                ErrorKind::FailedPrecondition,
                "only a damaged record is set aside",
            )
            .with_context("path", path.display().to_string()));
        }
        let aside = path.with_extension("json.damaged");
        fs::rename(&path, &aside)
            .map_err(|source| io_error("setting a damaged record aside", &path, source))?;
        crash_points::point!("ledger.set-aside");
        tracing::warn!(path = %aside.display(), "a damaged ledger record was set aside");
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.remove(&path);
        drop(left_out);
        self.sync_folder()
    }

    /// Removes a record; it may be gone already.
    pub(crate) fn remove(&self, key: &Key) -> Result<()> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("removing a ledger record", &path, source))
            }
            _ => {
                crash_points::point!("ledger.removed");
                self.sync_folder()
            }
        }
    }

    fn sync_folder(&self) -> Result<()> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| io_error("syncing the ledger", &self.folder, source))
    }
}

/// Takes the lock; a process that is just ending, or a child between fork and exec, may still hold
/// it for a moment.
fn take_lock(lock: &File, state: &Path) -> Result<()> {
    let taken = poll_until(LOCK_PATIENCE, LOCK_INTERVAL, || {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(())),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(io_error("locking", state, source)),
        }
    })?;
    taken.ok_or_else(|| {
        error(
            ErrorKind::FailedPrecondition,
            "another process works with this state folder; stop it, or use another folder",
        )
        .with_context("path", state.display().to_string())
    })
}

/// Makes a folder that is root's alone, or narrows one that is there.
pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|source| io_error("making a folder", path, source))
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A file's name without `.json`: the key of the volume that it is about.
fn stem(path: &Path) -> Option<&str> {
    path.file_stem().and_then(|stem| stem.to_str())
}

/// A record, if the file is there, which must be that of the volume that the file is named for.
pub(crate) fn read_own_record(path: &Path) -> Result<Option<Record>> {
    let Some(record) = read_record(path)? else {
        return Ok(None);
    };
    if stem(path) != Some(Key::of(record.volume()).as_str()) {
        return Err(damaged(path, "it is another volume's record"));
    }
    Ok(Some(record))
}

fn damaged(path: &Path, what: &str) -> Error {
    error(
        ErrorKind::FailedPrecondition,
        format!("a ledger record is damaged ({what}); it is replaced by itself if the volume is mounted here and everything about the mount can be proven; else look at it, see that nothing of the volume is attached here, and move it away"),
    )
    .with_context("path", path.display().to_string())
}

fn read_record(path: &Path) -> Result<Option<Record>> {
    let mut text = String::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("opening a ledger record", path, source)),
    };
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => parse_record(&text, path).map(Some),
        Err(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            Err(damaged(path, "it is not text"))
        }
        Err(source) if source.kind() == std::io::ErrorKind::IsADirectory => {
            Err(damaged(path, "it is a folder"))
        }
        Err(source) => Err(io_error("reading a ledger record", path, source)),
    }
}

/// The one field that every format version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Whether the file is no whole record, of this format or of a newer one.
fn is_torn(path: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let json = text.lines().next().unwrap_or_default();
    let version = serde_json::from_str(json).map(|Versioned { version }| version);
    let newer = version.is_ok_and(|version| version > FORMAT_VERSION);
    read.is_ok() && !newer && text != format!("{json}\n{}\n", checksum(json.as_bytes()))
}

fn parse_record(text: &str, path: &Path) -> Result<Record> {
    let json = text.lines().next().unwrap_or_default();
    // First the version: a newer format may sum differently.
    let versioned: Versioned = serde_json::from_str(json)
        .map_err(|source| damaged(path, "it has no version").with_source(source))?;
    if versioned.version > FORMAT_VERSION {
        return Err(error(
            ErrorKind::FailedPrecondition,
            format!(
                "a ledger record was written by a newer version of this program (format {}, known up to {FORMAT_VERSION})",
                versioned.version
            ),
        )
        .with_context("path", path.display().to_string()));
    }
    if text != format!("{json}\n{}\n", checksum(json.as_bytes())) {
        return Err(damaged(path, "its check sum does not match"));
    }
    serde_json::from_str(json)
        .map_err(|source| damaged(path, "a field is wrong").with_source(source))
}

/// What has no right sum is not read; what is read is written and read again as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let path = Path::new("record.json");
    let summed = |json: &str| format!("{json}\n{}\n", checksum(json.as_bytes()));
    let json = text.lines().next().unwrap_or_default();
    if parse_record(&text, path).is_ok() {
        assert_eq!(text, summed(json));
    }
    if let Ok(record) = parse_record(&summed(json), path) {
        assert!(record.version <= FORMAT_VERSION);
        let written = serde_json::to_string(&record).unwrap_or_default();
        assert_eq!(parse_record(&summed(&written), path).ok(), Some(record));
    }
}

#[cfg(test)]
mod tests;
