//! Whether a mount of ours is in use outside this process's mount namespace: by a container.
//!
//! Compared by device number, as a container has the same file system under another path. A
//! namespace that merely received a copy of our mount does not count: it has it under our path (a
//! service with a private `/tmp`, say), or under our folder's name and in our mount's peer group
//! (the host's namespace, where we are a managed plugin of Docker's), and loses it with us.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::durable;

/// Whether another mount namespace has the file system that is mounted at `mountpoint`, at another
/// path. `false` when nothing is mounted there.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) async fn held_elsewhere(mountpoint: PathBuf) -> io::Result<bool> {
    durable::blocking(move || held(Path::new("/proc"), &mountpoint)).await
}

fn held(proc: &Path, mountpoint: &Path) -> io::Result<bool> {
    let ours = std::fs::read(proc.join("self/mountinfo"))?;
    let path = mountpoint.as_os_str().as_bytes();
    let Some(own) = mounts(&ours).filter(|mount| mount.path == path).last() else {
        return Ok(false);
    };
    let mut seen: HashSet<PathBuf> = HashSet::new();
    seen.extend(std::fs::read_link(proc.join("self/ns/mnt")));
    for entry in std::fs::read_dir(proc)? {
        let process = entry?.path();
        let is_process = process
            .file_name()
            .is_some_and(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        if !is_process {
            continue;
        }
        // A process that ended meanwhile holds nothing.
        let Ok(namespace) = std::fs::read_link(process.join("ns/mnt")) else {
            continue;
        };
        if seen.contains(&namespace) {
            continue;
        }
        // One that ends right now tells nothing; another one of its namespace may.
        let Ok(theirs) = std::fs::read(process.join("mountinfo")) else {
            continue;
        };
        seen.insert(namespace);
        if mounts(&theirs).any(|mount| mount.device == own.device && !own.is_copied_to(&mount)) {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Mount<'a> {
    device: &'a [u8],
    path: Vec<u8>,
    /// The peer groups that it shares with or receives from: digits.
    peers: Vec<&'a [u8]>,
}

impl Mount<'_> {
    /// Whether the other is this mount in another namespace, where it goes when this one goes.
    fn is_copied_to(&self, other: &Mount<'_>) -> bool {
        let name = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
        let follows = self.peers.iter().any(|peer| other.peers.contains(peer));
        self.path == other.path || (follows && name(&self.path) == name(&other.path))
    }
}

/// The lines of a mountinfo file (`proc_pid_mountinfo(5)`): the third field is `major:minor`, the
/// fifth the mount point; between the sixth and a hyphen are the peer groups.
fn mounts<'a>(text: &'a [u8]) -> impl Iterator<Item = Mount<'a>> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let device = fields.nth(2)?;
        let path = unescape(fields.nth(1)?);
        let tags = fields.skip(1).take_while(|field| *field != b"-");
        let group = |tag: &'a [u8]| {
            let shared = tag.strip_prefix(b"shared:".as_slice());
            shared.or_else(|| tag.strip_prefix(b"master:".as_slice()))
        };
        let peers = tags.filter_map(group).collect();
        Some(Mount {
            device,
            path,
            peers,
        })
    })
}

/// Blanks, tabs, newlines and backslashes stand as three octal digits behind a backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                digits.iter().try_fold(0_u8, |value, digit| {
                    let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
                    value.checked_mul(8)?.checked_add(digit)
                })
            });
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// Every field that the kernel escapes is read back, whatever it is.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_mounts(data: &[u8]) {
    for mount in mounts(data) {
        assert!(mount.path.len() <= data.len() && mount.device.len() <= data.len());
    }
    let escaped: Vec<u8> = data
        .iter()
        .flat_map(|byte| match byte {
            b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
            other => vec![*other],
        })
        .collect();
    let line = [b"36 35 98:0 / ", &*escaped, b" rw - ext4 /dev/x rw\n"].concat();
    let read: Vec<Mount<'_>> = mounts(&line).collect();
    assert!(read.iter().map(|mount| &*mount.path).eq([data]));
    assert!(read.iter().all(|mount| mount.device == b"98:0"));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use tempfile::TempDir;

    use super::{held, unescape};

    fn process(proc: &Path, pid: &str, namespace: &str, mountinfo: &str) {
        let folder = proc.join(pid);
        std::fs::create_dir_all(folder.join("ns")).unwrap();
        symlink(namespace, folder.join("ns/mnt")).unwrap();
        std::fs::write(folder.join("mountinfo"), mountinfo).unwrap();
    }

    const OURS: &str =
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 7:3 / /var/lib/m\\040x rw - ext4 /dev/loop3 rw\n";

    #[test]
    fn a_container_holds_and_a_copy_does_not() {
        let proc = TempDir::new().unwrap();
        process(proc.path(), "self", "mnt:[1]", OURS);
        process(proc.path(), "10", "mnt:[1]", OURS);
        process(proc.path(), "11", "mnt:[2]", OURS);
        std::fs::create_dir(proc.path().join("12")).unwrap();
        let mountpoint = Path::new("/var/lib/m x");
        assert!(!held(proc.path(), mountpoint).unwrap());
        process(
            proc.path(),
            "13",
            "mnt:[3]",
            "9 1 7:3 / /data rw - ext4 /dev/loop3 rw\n",
        );
        assert!(held(proc.path(), mountpoint).unwrap());
        assert!(!held(proc.path(), Path::new("/not/mounted")).unwrap());
    }

    #[test]
    fn a_process_that_ends_does_not_hide_the_others_of_its_container() {
        let proc = TempDir::new().unwrap();
        process(proc.path(), "self", "mnt:[1]", OURS);
        let line = "9 1 7:3 / /data rw - ext4 /dev/loop3 rw\n";
        for pid in ["10", "11", "12"] {
            process(proc.path(), pid, "mnt:[2]", line);
        }
        // Whichever order the folder is read in, it comes first or second.
        for ending in ["10", "11"] {
            std::fs::remove_file(proc.path().join(ending).join("mountinfo")).unwrap();
            assert!(held(proc.path(), Path::new("/var/lib/m x")).unwrap());
        }
    }

    /// A managed plugin: its folder is shown to the host under another path, and goes with it.
    #[test]
    fn the_hosts_view_of_a_shared_folder_is_a_copy() {
        let line = |path: &str, tags: &str| format!("2 1 7:3 / {path} rw {tags}- ext4 /dev/l rw\n");
        let mountpoint = Path::new("/volumes/v-1");
        for (path, tags, held_there) in [
            ("/d/propagated-mount/v-1", "shared:9 ", false),
            (
                "/rootfs/d/propagated-mount/v-1",
                "shared:5 master:9 ",
                false,
            ),
            ("/d/propagated-mount/v-1", "", true),
            ("/d/propagated-mount/v-1", "shared:8 ", true),
            ("/data", "master:9 ", true),
        ] {
            let proc = TempDir::new().unwrap();
            process(
                proc.path(),
                "self",
                "mnt:[1]",
                &line("/volumes/v-1", "shared:9 "),
            );
            process(proc.path(), "10", "mnt:[2]", &line(path, tags));
            assert_eq!(
                held(proc.path(), mountpoint).unwrap(),
                held_there,
                "{path} {tags}"
            );
        }
    }

    #[test]
    fn the_real_one_can_be_read() {
        assert!(!held(Path::new("/proc"), Path::new("/no/such/mount")).unwrap());
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\040b\\134"), b"a b\\");
        assert_eq!(unescape(b"\\"), b"\\");
        assert_eq!(unescape(b"\\777\\9"), b"\\777\\9");
    }
}
