//! Reads `/proc/*/mountinfo` (Documentation/filesystems/proc.rst, section 3.5): what is mounted
//! where, by device number. It never touches a mount itself: that can hang.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use storage_core::{ErrorKind, Result};

use crate::failure::{error, io_error};

/// Tables larger than this are refused: about 300,000 mounts.
const TABLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Attempts to read the same table twice in a row.
const READS_MAX: usize = 5;

/// Processes looked at when searching other mount namespaces.
const PROCESSES_MAX: usize = 32 * 1024;

/// A block device's number.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct DeviceNumber {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl DeviceNumber {
    /// From the kernel's `st_rdev`.
    pub(crate) fn from_raw(device: u64) -> Self {
        Self {
            major: rustix::fs::major(device),
            minor: rustix::fs::minor(device),
        }
    }

    /// From the text `major:minor`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountEntry {
    /// The file system's device number.
    pub(crate) device: DeviceNumber,
    /// The folder within the file system that is shown.
    pub(crate) root: PathBuf,
    /// Where it is shown.
    pub(crate) target: PathBuf,
    /// Options of this mount.
    pub(crate) options: String,
    /// Peer groups that it shares with or receives from.
    pub(crate) peers: BTreeSet<u64>,
    /// The file system's type.
    pub(crate) kind: String,
    /// Options of the file system itself.
    pub(crate) super_options: String,
}

/// Somebody in another mount namespace who has a device mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignMount {
    /// A process in that namespace.
    pub(crate) pid: u32,
    /// Its name.
    pub(crate) command: String,
    /// What it sees.
    pub(crate) entry: MountEntry,
}

impl std::fmt::Display for ForeignMount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "process {} ({}) sees it at {}",
            self.pid,
            self.command,
            self.entry.target.display()
        )
    }
}

/// The mounts of this process's namespace.
///
/// # Errors
/// When the table cannot be read, keeps changing, or has a line that cannot be understood: a
/// mount that is not seen might be taken for one that is not there.
pub(crate) fn own_mounts() -> Result<Vec<MountEntry>> {
    let path = Path::new("/proc/self/mountinfo");
    // Older kernels can leave out a line while the table changes, so it has to read the same
    // twice.
    let mut previous = None;
    for _attempt in 0..READS_MAX {
        let bytes =
            read_table(path).map_err(|source| io_error("reading the mounts", path, source))?;
        if previous.as_ref() == Some(&bytes) {
            return parse(&bytes);
        }
        previous = Some(bytes);
    }
    Err(error(
        ErrorKind::Unavailable,
        "the table of mounts changes too fast to be read",
    ))
}

/// Mounts of the device in other mount namespaces, one process for each namespace. Best effort:
/// processes come and go, and what cannot be read is left out.
pub(crate) fn foreign_mounts(device: DeviceNumber) -> Vec<ForeignMount> {
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    if let Ok(own) = fs::read_link("/proc/self/ns/mnt") {
        seen.insert(own);
    }
    let mut found = Vec::new();
    for (pid, process) in processes() {
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else {
            continue;
        };
        if seen.contains(&namespace) {
            continue;
        }
        let table = read_table(&process.join("mountinfo")).ok();
        // One that ends right now tells nothing; another one of its namespace may.
        let Some(entries) = table.and_then(|bytes| parse(&bytes).ok()) else {
            continue;
        };
        seen.insert(namespace);
        found.extend(
            entries
                .into_iter()
                .filter(|entry| entry.device == device)
                .map(|entry| ForeignMount {
                    pid,
                    command: command_name(&process),
                    entry,
                }),
        );
    }
    found
}

/// Processes of any namespace that have something open, or their working folder, under `target`,
/// as text for a message. At most `limit`; best effort.
pub(crate) fn users_of(target: &Path, limit: usize) -> Vec<String> {
    let uses = |process: &Path| {
        let links = ["cwd", "root"].map(|name| process.join(name));
        let open = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        links
            .into_iter()
            .chain(open)
            .filter_map(|link| fs::read_link(link).ok())
            .any(|to| to.starts_with(target))
    };
    processes()
        .filter(|(_, process)| uses(process))
        .take(limit)
        .map(|(pid, process)| format!("{pid} ({})", command_name(&process)))
        .collect()
}

fn processes() -> impl Iterator<Item = (u32, PathBuf)> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .take(PROCESSES_MAX)
}

fn command_name(process: &Path) -> String {
    fs::read_to_string(process.join("comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

fn read_table(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(TABLE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > TABLE_BYTES_MAX {
        return Err(io::Error::other(
            "the table of mounts is larger than 64 MiB",
        ));
    }
    Ok(bytes)
}

/// The whole table.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<MountEntry>> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            parse_line(line).ok_or_else(|| {
                error(
                    ErrorKind::Unexpected,
                    "a line of the table of mounts cannot be understood",
                )
                .with_context("line", String::from_utf8_lossy(line))
            })
        })
        .collect()
}

/// `id parent major:minor root target options [tag…] - type source super-options`
fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let _id = fields.next()?;
    let _parent = fields.next()?;
    let device = DeviceNumber::parse(std::str::from_utf8(fields.next()?).ok()?)?;
    let root = unescape_path(fields.next()?);
    let target = unescape_path(fields.next()?);
    let options = String::from_utf8_lossy(fields.next()?).into_owned();
    let mut peers = BTreeSet::new();
    loop {
        let tag = fields.next()?;
        if tag == b"-" {
            break;
        }
        let text = std::str::from_utf8(tag).ok()?;
        if let Some(("shared" | "master", group)) = text.split_once(':') {
            peers.insert(group.parse().ok()?);
        }
    }
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    let _source = fields.next()?;
    let super_options = String::from_utf8_lossy(fields.next()?).into_owned();
    Some(MountEntry {
        device,
        root,
        target,
        options,
        peers,
        kind,
        super_options,
    })
}

/// Undoes the kernel's `\ooo` for space, tab, newline, backslash and `#` (`fs/proc_namespace.c`).
fn unescape_path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        if let (
            b'\\',
            [
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ],
        ) = (first, tail)
        {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// A table is read whole or not at all, and every path that the kernel escapes is read back.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(entries) = parse(data) {
        let lines = data.split(|byte| *byte == b'\n');
        assert_eq!(entries.len(), lines.filter(|line| !line.is_empty()).count());
    }
    let escaped: Vec<u8> = data
        .iter()
        .flat_map(|byte| match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
            other => vec![*other],
        })
        .collect();
    let line = [
        b"36 35 98:0 / ",
        &*escaped,
        b" rw shared:7 - ext4 /dev/x rw\n",
    ]
    .concat();
    let read = parse(&line).unwrap_or_default();
    let target = PathBuf::from(OsString::from_vec(data.to_vec()));
    assert!(read.iter().map(|entry| &entry.target).eq([&target]));
    assert!(read.iter().all(|entry| entry.peers.contains(&7)));
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use proptest::prelude::*;

    use super::{DeviceNumber, own_mounts, parse};

    #[test]
    fn a_line_with_tags_and_escapes() {
        let line = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime shared:7 master:1 - ext3 /dev/root rw,errors=continue\n";
        let entries = parse(line).unwrap();
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!(
            entry.device,
            DeviceNumber {
                major: 98,
                minor: 0
            }
        );
        assert_eq!(entry.target, Path::new("/mnt 2"));
        assert_eq!(entry.peers.iter().copied().collect::<Vec<_>>(), [1, 7]);
        assert_eq!(entry.kind, "ext3");
        assert_eq!(entry.super_options, "rw,errors=continue");
    }

    #[test]
    fn the_kernels_own_table_is_understood() {
        assert!(
            own_mounts()
                .unwrap()
                .iter()
                .any(|entry| entry.target == Path::new("/"))
        );
    }

    #[test]
    fn half_a_line_is_an_error_and_not_an_absent_mount() {
        assert!(parse(b"36 35 98:0 /mnt1 /mnt2 rw,noatime shared:7").is_err());
        assert!(parse(b"36 35 98 / /mnt2 rw - ext4 x rw").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(parse(&bytes));
        }

        #[test]
        fn any_path_survives_the_kernels_escaping(name in proptest::collection::vec(1_u8..=255, 1..40)) {
            let mut escaped = Vec::new();
            for byte in &name {
                if b" \t\n\\#".contains(byte) {
                    escaped.extend(format!("\\{byte:03o}").bytes());
                } else {
                    escaped.push(*byte);
                }
            }
            let line = [b"1 0 7:1 / /".as_slice(), &escaped, b" rw - xfs /dev/x rw"].concat();
            let entries = parse(&line).unwrap();
            prop_assert_eq!(entries[0].target.as_os_str().as_bytes(), [b"/".as_slice(), &name].concat());
        }
    }
}
