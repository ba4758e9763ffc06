//! What this machine can do. A test that needs more is skipped, with the reason printed in a line
//! of its own that begins with `SKIPPED:`, which `cargo xtask test` counts.

use std::path::{Path, PathBuf};

/// Something a test needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// To run as root.
    Root,
    /// Loop devices.
    Loop,
    /// FUSE.
    Fuse,
    /// The programs of a Docker engine, and busybox for the image.
    Docker,
    /// A program in `PATH`, `/usr/sbin` or `/sbin`.
    Tool(&'static str),
}

/// Folders where Debian keeps what only root runs, and which are not in every `PATH`.
const ROOT_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// True if the machine has everything; otherwise prints the reason for the skip.
///
/// ```no_run
/// use lab::environment::{Need, ready};
///
/// if !ready(&[Need::Root, Need::Docker]) {
///     return;
/// }
/// ```
#[must_use]
#[expect(
    clippy::print_stdout,
    reason = "skips are counted from the test's output"
)]
pub fn ready(needs: &[Need]) -> bool {
    match missing(needs) {
        None => true,
        Some(reason) => {
            println!("SKIPPED: {reason}");
            false
        }
    }
}

/// What is missing of the needs, in words, or `None`.
#[must_use]
pub fn missing(needs: &[Need]) -> Option<String> {
    let missing: Vec<String> = needs.iter().filter_map(|&need| lacks(need)).collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// True when the long tests were asked for (`cargo xtask test --long`, or `FAIRLEAD_LONG=1`).
#[must_use]
pub fn long() -> bool {
    std::env::var_os("FAIRLEAD_LONG").is_some_and(|value| value == "1")
}

/// True when the long tests were asked for; otherwise says that this one is left out.
#[must_use]
#[expect(
    clippy::print_stdout,
    reason = "skips are counted from the test's output"
)]
pub fn long_or_skipped() -> bool {
    let long = long();
    if !long {
        println!("SKIPPED: a long test: `cargo xtask test --long` runs it");
    }
    long
}

/// Where a program is.
#[must_use]
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ROOT_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

fn lacks(need: Need) -> Option<String> {
    match need {
        Need::Root => (!rustix::process::geteuid().is_root()).then(|| "not run as root".to_owned()),
        Need::Loop => lacks_file("/dev/loop-control", "loop devices"),
        Need::Fuse => lacks_file("/dev/fuse", "FUSE"),
        Need::Docker => ["dockerd", "docker", "containerd", "runc", "tar", "busybox"]
            .into_iter()
            .find_map(|tool| lacks(Need::Tool(tool))),
        Need::Tool(name) => find_tool(name)
            .is_none()
            .then(|| format!("{name} is not installed")),
    }
}

fn lacks_file(path: &str, what: &str) -> Option<String> {
    (!Path::new(path).exists()).then(|| format!("no {what} ({path})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(missing(&[Need::Tool("sh")]), None);
        let reason = missing(&[Need::Tool("sh"), Need::Tool("no-such-tool")]).unwrap();
        assert_eq!(reason, "no-such-tool is not installed");
    }
}
