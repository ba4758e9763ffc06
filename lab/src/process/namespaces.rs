//! A machine within this machine: namespaces of their own for a group of programs, which all end
//! with them.
//!
//! Network, mounts, host name, process ids and System V objects are the group's; the kernel, its
//! block devices and the file system are shared. A first process does nothing but keep the
//! namespaces and collect the dead. When it is killed the kernel kills all others (`pid_namespaces(7)`),
//! and with the last of them network and mounts go. It is killed with whoever started it, too:
//! a test that is killed leaves none of them behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Guard, ProcessInfo, Program, descendants, kill_9};
use crate::wait;

/// To the first process' ready. A busy machine gets more than it needs.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Killing a group to its last process' end.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// What the first process does after its preparations: a shell that waits collects whatever child
/// it is given.
const KEEP: &str = "\n: > \"$READY\"\nwhile :; do sleep 3600 & wait; done\n";

/// The namespaces of a group. Dropping them ends every process in them.
#[derive(Debug)]
pub struct Namespaces {
    holder: Guard,
    first: ProcessInfo,
}

/// Where a program can be started, and where files can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inside {
    first: u32,
}

impl Namespaces {
    /// Makes them, and runs the shell commands `prepare` in them first, with `environment`; the log
    /// goes into `folder`.
    ///
    /// # Errors
    /// When the kernel refuses, or a command fails; with what it said.
    pub async fn start(folder: &Path, prepare: &str, environment: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(folder).context("make the folder of namespaces")?;
        let ready = folder.join("ready");
        let script = format!("set -e\n{prepare}{KEEP}");
        let mut program = Program::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--net", "--mount", "--uts", "--ipc", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "sh", "-c", &script])
            .env("READY", &ready);
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let mut holder = program.start(&folder.join("namespaces.log"))?;
        let what = "the namespaces are ready";
        let first = wait::until(what, START_TIMEOUT, || {
            let ended = holder.ended();
            let first = ready.exists().then(|| descendants::child_of(holder.id()));
            let tail = holder.log_tail(10);
            async move {
                match (ended, first.flatten()) {
                    (Some(status), _) => anyhow::bail!("{what}: {status}\n{tail}"),
                    (None, Some(first)) => Ok(wait::Seen::Ready(first)),
                    (None, None) => Ok(wait::Seen::NotYet(tail)),
                }
            }
        })
        .await?;
        Ok(Self { holder, first })
    }

    /// For [`Program::inside`].
    #[must_use]
    pub const fn inside(&self) -> Inside {
        Inside {
            first: self.first.id,
        }
    }

    /// Kills everything in them, and waits until it is gone.
    ///
    /// # Errors
    /// When a process hangs in the kernel.
    pub async fn kill_9(&mut self) -> Result<()> {
        kill_9(std::slice::from_ref(&self.first));
        let what = "the namespaces' processes are gone";
        wait::until_true(what, END_TIMEOUT, || !self.holder.is_running()).await
    }

    /// As [`Namespaces::kill_9`], for clean-up in `drop`.
    pub(crate) fn kill_now(&mut self) {
        kill_9(std::slice::from_ref(&self.first));
        if !self.holder.ends_within(END_TIMEOUT) {
            tracing::warn!(first = ?self.first, "a process in namespaces hangs in the kernel");
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.kill_now();
    }
}

impl Inside {
    /// The first process' id, by which the kernel's tools name the namespaces.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.first
    }

    /// The way from outside to an absolute path inside.
    #[must_use]
    pub fn path(self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.first)).join(below)
    }
}
