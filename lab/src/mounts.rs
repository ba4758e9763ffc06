//! `/proc/self/mountinfo`, read as the kernel writes it (proc(5)).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One mount of this mount namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: String,
    /// What is mounted; a device for disks.
    pub source: String,
}

/// All mounts, in the order in which they were made.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn mounts() -> Result<Vec<Mount>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("read mountinfo")?;
    Ok(text.lines().filter_map(parse).collect())
}

/// The mounts at or below a folder.
///
/// # Errors
/// As [`mounts`].
pub fn mounts_under(folder: &Path) -> Result<Vec<Mount>> {
    let mut all = mounts()?;
    all.retain(|mount| mount.point.starts_with(folder));
    Ok(all)
}

/// Unmounts everything below a folder, last mount first, lazily. Returns how many there were.
///
/// # Errors
/// When `/proc` cannot be read, or the kernel refuses.
pub fn unmount_under(folder: &Path) -> Result<usize> {
    let found = mounts_under(folder)?;
    for mount in found.iter().rev() {
        rustix::mount::unmount(&mount.point, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("unmount {}", mount.point.display()))?;
    }
    Ok(found.len())
}

fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    Some(Mount {
        point: PathBuf::from(unescape(before.split(' ').nth(4)?)),
        kind: after.next()?.to_owned(),
        source: unescape(after.next()?),
    })
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\');
        let value = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_escapes() {
        let line =
            r"36 35 98:0 /mnt1 /a\040b\134c rw,noatime master:1 shared:2 - ext3 /dev/my\011r rw";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, Path::new("/a b\\c"));
        assert_eq!(
            (mount.kind.as_str(), mount.source.as_str()),
            ("ext3", "/dev/my\tr")
        );
        assert_eq!(parse("36 35 98:0 / /x rw - ext4"), None);
        assert_eq!(unescape(r"a\0"), r"a\0");
        assert_eq!(unescape(r"\999x"), r"\999x");
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(
            mounts()
                .unwrap()
                .iter()
                .any(|mount| mount.point == Path::new("/"))
        );
        assert!(
            mounts_under(Path::new("/no/such/folder"))
                .unwrap()
                .is_empty()
        );
    }
}
