//! What a test left behind on the host and on the arrays: compared with before, named one by one.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::mount::UnmountFlags;

use crate::mounts::{mounts, unmount_under};
use crate::process::Program;
use crate::wait;

const SWEEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Something that is there and was not before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Leftover {
    /// A loop device over a file in a watched folder.
    LoopDevice {
        /// `/dev/loopN`.
        device: PathBuf,
        /// Its backing file, as the kernel shows it.
        file: PathBuf,
    },
    /// A mount in a watched folder, or of a loop device over a file in one.
    Mount {
        /// Where.
        point: PathBuf,
        /// What.
        source: String,
    },
    /// A file that should be gone (say, of a host's ledger).
    File(PathBuf),
    /// A LUN that an array still shows to a host.
    Connection {
        /// The host's name at the array.
        host: String,
        /// The LUN file.
        file: PathBuf,
    },
}

impl fmt::Display for Leftover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoopDevice { device, file } => {
                write!(
                    formatter,
                    "loop device {} over {}",
                    device.display(),
                    file.display()
                )
            }
            Self::Mount { point, source } => {
                write!(formatter, "mount of {source} on {}", point.display())
            }
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Connection { host, file } => {
                write!(formatter, "connection of {host}: {}", file.display())
            }
        }
    }
}

/// The places to look at, and what was there at the start.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    lun_folders: Vec<PathBuf>,
    before: BTreeSet<Leftover>,
}

impl Watch {
    /// Nothing watched yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches loop devices over files below a folder, and mounts below it. What simulators and
    /// engines mount there for themselves does not count.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Watches the regular files below a folder, for example a host's ledger.
    #[must_use]
    pub fn files(mut self, folder: impl Into<PathBuf>) -> Self {
        self.files.push(folder.into());
        self
    }

    /// Watches the LUN files that an array shows to hosts (the folder a simulator mounts).
    #[must_use]
    pub fn luns(mut self, folder: impl Into<PathBuf>) -> Self {
        self.lun_folders.push(folder.into());
        self
    }

    /// Remembers what is there now as not to be complained about.
    ///
    /// # Errors
    /// When `/proc` or `/sys` cannot be read.
    pub fn begin(mut self) -> Result<Self> {
        self.before = self.now()?;
        Ok(self)
    }

    /// What is there now and was not at the beginning.
    ///
    /// # Errors
    /// As [`Watch::begin`].
    pub fn leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(self.now()?.difference(&self.before).cloned().collect())
    }

    /// Waits until nothing is left over.
    ///
    /// # Errors
    /// When something is at the deadline: the error lists it.
    pub async fn assert_none(&self, deadline: Duration) -> Result<()> {
        wait::until("nothing is left over", deadline, || async {
            let left = self.leftovers()?;
            if left.is_empty() {
                return Ok(wait::Seen::Ready(()));
            }
            let lines: Vec<String> = left.iter().map(|left| format!("\n  {left}")).collect();
            Ok(wait::Seen::NotYet(lines.concat()))
        })
        .await
    }

    fn now(&self) -> Result<BTreeSet<Leftover>> {
        let mut found = BTreeSet::new();
        let mut devices = BTreeSet::new();
        for (device, file) in loop_devices()? {
            if self.watches(&file) {
                devices.insert(device.to_string_lossy().into_owned());
                found.insert(Leftover::LoopDevice { device, file });
            }
        }
        for mount in mounts()? {
            let own = mount.kind == "fuse.array-sim" || is_an_engines_own(&mount.point);
            if devices.contains(&mount.source) || (self.watches(&mount.point) && !own) {
                found.insert(Leftover::Mount {
                    point: mount.point,
                    source: mount.source,
                });
            }
        }
        for folder in &self.files {
            collect_files(folder, &mut found)?;
        }
        for folder in &self.lun_folders {
            collect_connections(folder, &mut found)?;
        }
        Ok(found)
    }

    fn watches(&self, path: &Path) -> bool {
        self.folders
            .iter()
            .chain(&self.lun_folders)
            .any(|folder| path.starts_with(folder))
    }
}

/// A mount below the roots of a Docker engine: the root itself, which the daemon binds over itself
/// to have it shared, and what containers are made of. A volume is mounted elsewhere.
fn is_an_engines_own(point: &Path) -> bool {
    point.ancestors().any(crate::docker::is_engine_root)
}

/// The loop devices in use with their backing files. A file that was deleted, or whose file system
/// was unmounted, is shown by the kernel with a note or a shortened path; both still compare.
///
/// # Errors
/// When `/sys/block` cannot be read.
pub fn loop_devices() -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut devices = Vec::new();
    for entry in std::fs::read_dir("/sys/block")
        .context("read /sys/block")?
        .flatten()
    {
        // no backing_file: not a loop device, or not in use
        let Ok(file) = std::fs::read_to_string(entry.path().join("loop/backing_file")) else {
            continue;
        };
        let device = Path::new("/dev").join(entry.file_name());
        devices.push((device, PathBuf::from(file.trim_end_matches('\n'))));
    }
    Ok(devices)
}

/// Cleans up after a failure: unmounts what is mounted below a folder, and detaches the loop
/// devices over files in it. Returns what it could not do, in words.
#[must_use]
pub fn sweep(folder: &Path) -> Vec<String> {
    // devices first, while their backing files still have their full names
    let mut failures = release_devices(folder);
    if let Err(error) = unmount_under(folder) {
        failures.push(format!("{error:#}"));
    }
    failures
}

/// Takes away the loop devices over files below a folder. Returns what failed.
#[must_use]
pub fn release_devices(folder: &Path) -> Vec<String> {
    release_these(&devices_below(folder), folder)
}

/// The loop devices over files below a folder, with their files.
#[must_use]
pub fn devices_below(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut devices = loop_devices().unwrap_or_default();
    devices.retain(|(_, file)| file.starts_with(folder));
    devices
}

/// Takes those devices away that are still over the same files; their logs go into the folder.
/// Returns what failed.
#[must_use]
pub fn release_these(devices: &[(PathBuf, PathBuf)], folder: &Path) -> Vec<String> {
    let left = still_there(devices).into_iter();
    left.flat_map(|device| release(device, folder)).collect()
}

/// Those of the devices that are still over the same files. Of a file that was opened in a mount
/// namespace that is gone, the kernel shows the end of its path alone.
#[must_use]
pub fn still_there(devices: &[(PathBuf, PathBuf)]) -> Vec<&Path> {
    let now = loop_devices().unwrap_or_default();
    let is_there = |device: &Path, file: &Path| {
        let mut same = now.iter().filter(|(one, _)| one == device);
        same.any(|(_, shown)| {
            let end = shown.strip_prefix("/").unwrap_or(shown);
            shown == file || (end.components().count() > 1 && file.ends_with(end))
        })
    };
    devices
        .iter()
        .filter(|(device, file)| is_there(device, file))
        .map(|(device, _)| device.as_path())
        .collect()
}

/// Unmounts a loop device wherever this namespace sees it mounted, and detaches it; its log goes into
/// the folder. Returns what failed.
#[must_use]
pub fn release(device: &Path, folder: &Path) -> Vec<String> {
    let mut failures = Vec::new();
    let name = device.to_string_lossy();
    for mount in mounts()
        .unwrap_or_default()
        .iter()
        .rev()
        .filter(|mount| mount.source == name)
    {
        let detached = rustix::mount::unmount(&mount.point, UnmountFlags::DETACH);
        failures.extend(
            detached
                .err()
                .map(|error| format!("{}: {error}", mount.point.display())),
        );
    }
    let log = folder.join("sweep.log");
    let mut losetup = match Program::new("losetup")
        .arg("--detach")
        .arg(device)
        .start(&log)
    {
        Ok(losetup) => losetup,
        Err(error) => {
            failures.push(format!("{error:#}"));
            return failures;
        }
    };
    if !losetup.ends_within(SWEEP_TIMEOUT) {
        failures.push(format!("losetup --detach {name} hangs"));
    } else if losetup.ended().is_some_and(|status| !status.success()) {
        failures.push(losetup.log_tail(3));
    }
    failures
}

fn collect_files(folder: &Path, found: &mut BTreeSet<Leftover>) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read {}", folder.display())),
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", folder.display()))?;
        let kind = entry
            .file_type()
            .with_context(|| entry.path().display().to_string())?;
        if kind.is_dir() {
            collect_files(&entry.path(), found)?;
        } else {
            found.insert(Leftover::File(entry.path()));
        }
    }
    Ok(())
}

fn collect_connections(folder: &Path, found: &mut BTreeSet<Leftover>) -> Result<()> {
    let mut files = BTreeSet::new();
    collect_files(folder, &mut files)?;
    for file in files {
        let Leftover::File(file) = file else { continue };
        if file.extension().is_none() {
            let host = file.parent().and_then(Path::file_name).unwrap_or_default();
            let host = host.to_string_lossy().into_owned();
            found.insert(Leftover::Connection { host, file });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_is_named_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/old"), "").unwrap();
        let watch = Watch::new().files(folder.path()).begin().unwrap();
        watch.assert_none(Duration::ZERO).await.unwrap();
        std::fs::write(folder.path().join("sub/new"), "").unwrap();
        let error = watch
            .assert_none(Duration::ZERO)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sub/new") && !error.contains("sub/old"),
            "{error}"
        );
    }

    #[test]
    fn connections_are_files_without_the_serials() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("host-a")).unwrap();
        for name in ["7", "7.serial"] {
            std::fs::write(folder.path().join("host-a").join(name), "").unwrap();
        }
        let left = Watch::new().luns(folder.path()).leftovers().unwrap();
        assert_eq!(left.len(), 1);
        assert!(
            left[0].to_string().starts_with("connection of host-a: "),
            "{}",
            left[0]
        );
    }
}
