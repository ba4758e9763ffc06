//! Whether the Docker daemon that calls us is a member of a Swarm, without asking it.
//!
//! A daemon waits for its plugins while it starts, so a plugin that calls back can lock both. The
//! kernel tells who is at the other end of the socket (`SO_PEERCRED`); that process's command line
//! and its `daemon.json` tell the data root; and the daemon keeps `swarm/docker-state.json` there
//! for as long as it is a member (moby, daemon/cluster: written at init and join, removed at
//! leave). Paths are resolved inside that process's root, with symbolic links that stay in it.
//!
//! Clients that are not a daemon (a person with curl) are judged by the defaults.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use serde::Deserialize;

const DATA_ROOT: &str = "/var/lib/docker";
const CONFIG_FILE: &str = "/etc/docker/daemon.json";
const STATE_FILE: &str = "swarm/docker-state.json";

/// The largest command line and `daemon.json` that are read.
const BYTES_MAX: u64 = 1 << 20;

/// What is known about the daemon's Swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// A member: the file that says so, as the daemon sees it.
    Member(PathBuf),
    /// Not a member.
    None,
    /// It could not be told: why.
    Unknown(String),
}

/// Looks for a Swarm.
#[derive(Clone, Debug)]
pub struct SwarmProbe {
    proc: PathBuf,
    hint: Option<PathBuf>,
}

/// The part of `daemon.json` that matters here. `graph` is the old word.
#[derive(Debug, Default, Deserialize)]
struct DaemonConfig {
    #[serde(rename = "data-root")]
    data_root: Option<PathBuf>,
    graph: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    data_root: Option<PathBuf>,
    config_file: Option<PathBuf>,
}

impl SwarmProbe {
    /// Looks in `/proc`; `hint` is the data root where it cannot be told from the caller.
    #[must_use]
    pub fn new(hint: Option<PathBuf>) -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            hint,
        }
    }

    /// Looks in another folder than `/proc`, for tests.
    #[must_use]
    pub fn with_proc(mut self, proc: impl Into<PathBuf>) -> Self {
        self.proc = proc.into();
        self
    }

    /// Whether the daemon with that process id is a member of a Swarm. Without a process id (the
    /// caller is in another process namespace) the hint and the defaults count.
    ///
    /// Reads a few small files; call it where that may block.
    #[must_use]
    pub fn membership(&self, pid: Option<i32>) -> Membership {
        let process = pid
            .filter(|pid| *pid > 0)
            .map(|pid| self.proc.join(pid.to_string()))
            .filter(|process| process.join("cmdline").exists());
        let (root, data_root) = match &process {
            Some(process) => (process.join("root"), self.data_root(process)),
            None => (PathBuf::from("/"), self.hint.clone()),
        };
        let data_root = data_root.unwrap_or_else(|| PathBuf::from(DATA_ROOT));
        let file = data_root.join(STATE_FILE);
        match open_inside(&root, &file).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.len() > 0 => Membership::Member(file),
            Ok(_) => Membership::None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Membership::None,
            Err(error) => Membership::Unknown(format!("{}: {error}", file.display())),
        }
    }

    fn data_root(&self, process: &Path) -> Option<PathBuf> {
        let flags = flags(&read(File::open(process.join("cmdline")))?);
        let absolute = |path: PathBuf| {
            // A relative path is the daemon's working directory's.
            let folder = std::fs::read_link(process.join("cwd")).unwrap_or_else(|_| "/".into());
            folder.join(path)
        };
        if let Some(path) = flags.data_root {
            return Some(absolute(path));
        }
        let file = flags
            .config_file
            .map_or_else(|| PathBuf::from(CONFIG_FILE), absolute);
        let text = read(open_inside(&process.join("root"), &file));
        let config: DaemonConfig = text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        config
            .data_root
            .or(config.graph)
            .map(absolute)
            .or_else(|| self.hint.clone())
    }
}

/// The flags of dockerd that decide where it keeps its data, in every spelling of its parser.
fn flags(command_line: &[u8]) -> Flags {
    let mut flags = Flags::default();
    let mut words = command_line.split(|byte| *byte == 0).skip(1);
    while let Some(word) = words.next() {
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = word.split_at(at);
                (name, value.get(1..))
            }
            None => (word, None),
        };
        let target = match name {
            b"--data-root" | b"--graph" | b"-g" => &mut flags.data_root,
            b"--config-file" => &mut flags.config_file,
            // The short flag may have its value attached: -g/srv/docker.
            [b'-', b'g', rest @ ..] if !rest.is_empty() => {
                flags.data_root = path(rest);
                continue;
            }
            _ => continue,
        };
        if let Some(value) = value.or_else(|| words.next()) {
            *target = path(value);
        }
    }
    flags
}

fn path(bytes: &[u8]) -> Option<PathBuf> {
    (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(bytes)))
}

/// Opens a file with `root` as the root of its path and of every symbolic link on the way:
/// openat2(2), `RESOLVE_IN_ROOT`.
fn open_inside(root: &Path, file: &Path) -> io::Result<File> {
    let inside: PathBuf = file
        .components()
        .filter(|component| !matches!(component, Component::RootDir | Component::Prefix(_)))
        .collect();
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: OwnedFd = rustix::fs::openat(CWD, root, folder, Mode::empty())?;
    // Without NONBLOCK, a FIFO of that name would hold us for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat2(&root, &inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    Ok(File::from(opened))
}

fn read(file: io::Result<File>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A path that is found is one that stood there.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(data: &[u8]) {
    let Flags {
        data_root,
        config_file,
    } = flags(data);
    for path in data_root.iter().chain(&config_file) {
        let bytes = path.as_os_str().as_bytes();
        assert!(!bytes.is_empty() && data.windows(bytes.len()).any(|part| part == bytes));
    }
    drop(serde_json::from_slice::<DaemonConfig>(data));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::{Flags, Membership, SwarmProbe, flags};

    /// A process with a command line and a root of its own.
    fn process(proc: &Path, words: &[&str]) -> PathBuf {
        let folder = proc.join("42");
        let root = folder.join("root");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(folder.join("cmdline"), words.join("\0") + "\0").unwrap();
        symlink("/srv/cwd", folder.join("cwd")).unwrap();
        root
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn membership(proc: &Path) -> Membership {
        SwarmProbe::new(None).with_proc(proc).membership(Some(42))
    }

    fn member(path: &str) -> Membership {
        Membership::Member(PathBuf::from(path).join("swarm/docker-state.json"))
    }

    #[test]
    fn the_data_root_is_found_in_every_spelling() {
        for (words, data_root) in [
            (&["dockerd"][..], "/var/lib/docker"),
            (&["dockerd", "--data-root", "/srv/d"], "/srv/d"),
            (&["dockerd", "--data-root=/srv/d", "-D"], "/srv/d"),
            (&["dockerd", "-g", "/srv/d"], "/srv/d"),
            (&["dockerd", "-g/srv/d"], "/srv/d"),
            (&["dockerd", "--graph=/srv/d"], "/srv/d"),
            (&["dockerd", "--data-root", "d"], "/srv/cwd/d"),
        ] {
            let proc = TempDir::new().unwrap();
            let root = process(proc.path(), words);
            assert_eq!(membership(proc.path()), Membership::None, "{words:?}");
            let inside = data_root.trim_start_matches('/');
            write(&root, &format!("{inside}/swarm/docker-state.json"), "");
            assert_eq!(
                membership(proc.path()),
                Membership::None,
                "{words:?}: empty"
            );
            write(&root, &format!("{inside}/swarm/docker-state.json"), "{}");
            assert_eq!(membership(proc.path()), member(data_root), "{words:?}");
        }
    }

    #[test]
    fn the_daemons_own_configuration_file_counts() {
        let proc = TempDir::new().unwrap();
        let root = process(proc.path(), &["dockerd", "--config-file=/etc/d.json"]);
        write(&root, "srv/x/swarm/docker-state.json", "{}");
        write(
            &root,
            "etc/d.json",
            r#"{"data-root": "/srv/x", "debug": true}"#,
        );
        assert_eq!(membership(proc.path()), member("/srv/x"));
        write(&root, "etc/d.json", r#"{"graph": "/srv/x"}"#);
        assert_eq!(membership(proc.path()), member("/srv/x"));
        write(&root, "etc/d.json", "not JSON");
        assert_eq!(membership(proc.path()), Membership::None);
    }

    #[test]
    fn links_stay_inside_the_daemons_root() {
        let proc = TempDir::new().unwrap();
        let root = process(proc.path(), &["dockerd"]);
        write(&root, "big/docker/swarm/docker-state.json", "{}");
        std::fs::create_dir_all(root.join("var/lib")).unwrap();
        symlink("/big/docker", root.join("var/lib/docker")).unwrap();
        assert_eq!(membership(proc.path()), member("/var/lib/docker"));
    }

    #[test]
    fn without_a_process_the_hint_counts() {
        let folder = TempDir::new().unwrap();
        write(folder.path(), "swarm/docker-state.json", "{}");
        let probe = SwarmProbe::new(Some(folder.path().to_path_buf()));
        let expected = Membership::Member(folder.path().join("swarm/docker-state.json"));
        for pid in [None, Some(0), Some(-1)] {
            assert_eq!(probe.membership(pid), expected);
        }
        let gone = probe.with_proc(folder.path());
        assert_eq!(gone.membership(Some(7)), expected);
    }

    proptest! {
        #[test]
        fn no_command_line_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(flags(&bytes));
        }

        #[test]
        fn other_flags_change_nothing(word in "--[a-f]{1,10}(=.{0,5})?") {
            let line = format!("dockerd\0{word}\0--data-root\0/x\0");
            let expected = Flags { data_root: Some("/x".into()), config_file: None };
            prop_assert_eq!(flags(line.as_bytes()), expected);
        }
    }
}
