//! The one place that runs other programs.
//!
//! Only the tools of [`Tool`], found in fixed folders; a process group of their own, no input, a
//! clean environment, bounded output, a deadline after which the whole group gets SIGTERM and then
//! SIGKILL. No shell. It does not interpret output: that is the callers' business.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use storage_core::{Error, ErrorKind, Result};

use crate::failure::call_error;
use crate::sys;

/// What is kept of each of a tool's two outputs; the rest is read and dropped.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// How long a killed tool is waited for. It may hang in the kernel for longer.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The programs that may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Blkid,
    MkfsExt4,
    E2fsck,
    Resize2fs,
    MkfsXfs,
    XfsGrowfs,
    XfsDb,
    XfsRepair,
}

impl Tool {
    /// The program's file name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Blkid => "blkid",
            Self::MkfsExt4 => "mkfs.ext4",
            Self::E2fsck => "e2fsck",
            Self::Resize2fs => "resize2fs",
            Self::MkfsXfs => "mkfs.xfs",
            Self::XfsGrowfs => "xfs_growfs",
            Self::XfsDb => "xfs_db",
            Self::XfsRepair => "xfs_repair",
        }
    }

    /// The Debian package that has it.
    const fn package(self) -> &'static str {
        match self {
            Self::Blkid => "util-linux",
            Self::MkfsExt4 | Self::E2fsck | Self::Resize2fs => "e2fsprogs",
            Self::MkfsXfs | Self::XfsGrowfs | Self::XfsDb | Self::XfsRepair => "xfsprogs",
        }
    }
}

/// What a tool said and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed, cut, with what is not UTF-8 replaced.
    pub(crate) stdout: String,
    /// What it complained about, likewise.
    pub(crate) stderr: String,
}

impl Output {
    /// The last complaint or else the last words, for an error message.
    pub(crate) fn last_words(&self) -> &str {
        let last = [&self.stderr, &self.stdout].into_iter().find_map(|text| {
            let mut lines = text.lines().rev().map(str::trim);
            lines.find(|line| !line.is_empty())
        });
        last.unwrap_or("no output")
    }
}

/// Runs tools.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    folders: Vec<PathBuf>,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new(
            ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .map(PathBuf::from)
                .into(),
        )
    }
}

impl Runner {
    /// Looks for tools in these folders only, in this order.
    pub(crate) const fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The tool's path.
    ///
    /// # Errors
    /// `Unsupported`, naming the package to install.
    pub(crate) fn find(&self, tool: Tool) -> Result<PathBuf> {
        let mut candidates = self.folders.iter().map(|folder| folder.join(tool.name()));
        candidates.find(|path| path.is_file()).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} is not installed; it is in the Debian package {}",
                    tool.name(),
                    tool.package()
                ),
            )
        })
    }

    /// Runs a tool to its end. Any exit code is a result, not an error.
    ///
    /// # Errors
    /// `Unsupported` when the tool is missing; `Timeout` when it was stopped at the deadline.
    pub(crate) fn run(
        &self,
        tool: Tool,
        arguments: &[OsString],
        patience: Duration,
    ) -> Result<Output> {
        let path = self.find(tool)?;
        tracing::debug!(tool = tool.name(), ?arguments, "running");
        let mut child = self
            .spawn(&path, arguments)
            .map_err(|source| call_error(format_args!("starting {}", tool.name()), source))?;
        crash_points::point!("tool.started", tool.name());
        let outcome = supervise(&mut child, patience);
        let output = outcome
            .map_err(|source| call_error(format_args!("running {}", tool.name()), source))?;
        match output {
            Some(output) => {
                tracing::debug!(tool = tool.name(), code = ?output.code, "ended");
                Ok(output)
            }
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{} did not end within {} s and was stopped",
                    tool.name(),
                    patience.as_secs()
                ),
            )),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of commands"
    )]
    fn spawn(&self, path: &Path, arguments: &[OsString]) -> io::Result<Child> {
        let search = std::env::join_paths(&self.folders).map_err(io::Error::other)?;
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", search)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        sys::die_with_parent(&mut command);
        command.spawn()
    }
}

/// One of a tool's outputs while it is read.
struct Stream {
    file: Option<File>,
    kept: Vec<u8>,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(fd) = &fd {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self {
            file: fd.map(File::from),
            kept: Vec::new(),
        })
    }

    /// Reads what is there now.
    fn drain(&mut self) {
        let mut buffer = [0_u8; 8192];
        while let Some(file) = &mut self.file {
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(count) => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(self.kept.len());
                    self.kept.extend(buffer.iter().take(count.min(room)));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_broken) => self.file = None,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

/// Waits for the child, reading what it says; ends its group at the deadline. `None`: it had to
/// be ended. Signals go out before it is reaped only, so the number cannot be another process's.
fn supervise(child: &mut Child, patience: Duration) -> io::Result<Option<Output>> {
    let pid = Pid::from_child(child);
    let exited = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stdout = Stream::new(child.stdout.take().map(OwnedFd::from))?;
    let mut stderr = Stream::new(child.stderr.take().map(OwnedFd::from))?;
    let mut in_time = true;
    for (limit, then) in [
        (patience, Some(Signal::TERM)),
        (TERM_GRACE, Some(Signal::KILL)),
        (KILL_GRACE, None),
    ] {
        let ended = wait_for(&exited, &mut stdout, &mut stderr, limit)?;
        if ended {
            break;
        }
        in_time = false;
        if let Some(signal) = then {
            kill_group(pid, signal);
        }
    }
    if !in_time {
        // What it started dies with it. If it hangs in the kernel this waits for as long as that
        // takes, on this operation's own thread and under its volume's lock.
        kill_group(pid, Signal::KILL);
    }
    let status = child.wait()?;
    stdout.drain();
    stderr.drain();
    Ok(in_time.then(|| Output {
        code: status.code(),
        stdout: stdout.text(),
        stderr: stderr.text(),
    }))
}

fn kill_group(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process_group(pid, signal) {
        tracing::debug!(%error, "the tool's process group is gone already");
    }
}

/// Reads both outputs until the child ends (true) or the time is up (false).
fn wait_for(
    exited: &OwnedFd,
    stdout: &mut Stream,
    stderr: &mut Stream,
    patience: Duration,
) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = vec![PollFd::from_borrowed_fd(exited.as_fd(), PollFlags::IN)];
        fds.extend(
            [&*stdout, &*stderr]
                .into_iter()
                .filter_map(|stream| stream.file.as_ref())
                .map(|file| PollFd::new(file, PollFlags::IN)),
        );
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        stdout.drain();
        stderr.drain();
        if ended {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use storage_core::ErrorKind;
    use tempfile::TempDir;

    use super::{OUTPUT_BYTES_MAX, Runner, Tool};

    fn fake(script: &str) -> (TempDir, Runner) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blkid");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let runner = Runner::new(vec![
            folder.path().to_owned(),
            "/usr/bin".into(),
            "/bin".into(),
        ]);
        (folder, runner)
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let empty = tempfile::tempdir().unwrap();
        let runner = Runner::new(vec![empty.path().to_owned()]);
        let error = runner
            .run(Tool::MkfsXfs, &[], Duration::from_secs(5))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("xfsprogs"), "{error}");
    }

    #[test]
    fn the_environment_is_clean_and_codes_are_results() {
        let (_folder, runner) = fake("env; echo problem >&2; exit 7");
        let output = runner
            .run(Tool::Blkid, &[], Duration::from_secs(10))
            .unwrap();
        assert_eq!(output.code, Some(7));
        assert_eq!(output.last_words(), "problem");
        assert!(output.stdout.contains("LC_ALL=C"));
        assert!(!output.stdout.contains("CARGO"), "{}", output.stdout);
    }

    #[test]
    fn output_is_bounded_and_never_blocks_the_tool() {
        let (_folder, runner) = fake("dd if=/dev/zero bs=65536 count=64 2>/dev/null");
        let output = runner
            .run(Tool::Blkid, &[], Duration::from_secs(20))
            .unwrap();
        assert_eq!(output.code, Some(0));
        assert_eq!(output.stdout.len(), OUTPUT_BYTES_MAX);
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let marker = tempfile::tempdir().unwrap();
        let pid_file = marker.path().join("pid");
        let (_folder, runner) = fake(&format!(
            "sleep 600 & echo $! > {}; trap '' TERM; while :; do wait; done",
            pid_file.display()
        ));
        let begun = Instant::now();
        let error = runner
            .run(Tool::Blkid, &[], Duration::from_millis(300))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(20));
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        let deadline = Instant::now() + Duration::from_secs(5);
        // Gone, or a zombie that init has not reaped yet.
        while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z")) {
            assert!(
                Instant::now() < deadline,
                "the grandchild outlived the deadline"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_grandchild_that_keeps_the_pipe_does_not_hold_us() {
        let (_folder, runner) = fake("sleep 5 & exit 0");
        let begun = Instant::now();
        let output = runner
            .run(Tool::Blkid, &[], Duration::from_secs(30))
            .unwrap();
        assert_eq!(output.code, Some(0));
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
