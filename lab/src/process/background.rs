//! A program in the background: its log, and its end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::Program;
use super::descendants::child_of;
use crate::wait;

/// Between SIGTERM and SIGKILL when a guard is dropped.
const DROP_GRACE: Duration = Duration::from_secs(10);
/// A killed process is gone within this, or hangs in the kernel.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// The last bytes of a log that [`Guard::log_tail`] looks at.
const TAIL_BYTES: u64 = 64 * 1024;

/// A program in the background. Dropping it ends it (SIGTERM, then SIGKILL); if a test is failing
/// at that moment, the end of the program's log is printed.
#[derive(Debug)]
pub struct Guard {
    name: String,
    child: Child,
    /// In namespaces, the child is only the way in: nsenter(1), which waits for the program.
    inside: bool,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Program {
    /// Starts the program in the background, both output streams appended to `log`.
    ///
    /// # Errors
    /// When the log cannot be opened or the program not be started.
    pub fn start(&self, log: &Path) -> Result<Guard> {
        let errors = append(log)?;
        let output = append(self.output.as_deref().unwrap_or(log))?;
        let child = self
            .command()
            .stdin(self.stdin_or(Stdio::null())?)
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("start {self}"))?;
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        Ok(Guard {
            name: name.to_string_lossy().into_owned(),
            child,
            inside: self.inside.is_some(),
            log: log.to_owned(),
            ended: None,
        })
    }
}

impl Guard {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Asks it to end (SIGTERM to it alone; what it started is its own to end) and waits.
    ///
    /// # Errors
    /// When it does not end within `grace`; it is then killed.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        let what = format!("{} ends after SIGTERM", self.name);
        match wait::until_true(&what, grace, || !self.is_running()).await {
            Ok(()) => self.ended.context("it ended"),
            Err(error) => {
                let tail = self.log_tail(20);
                self.kill_9().await?;
                Err(error.context(tail))
            }
        }
    }

    /// Kills it with its process group, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after 10 s (it then hangs in the kernel).
    pub async fn kill_9(&mut self) -> Result<()> {
        self.signal_group(Signal::KILL);
        let what = format!("{} is gone after SIGKILL", self.name);
        wait::until_true(&what, KILL_GRACE, || !self.is_running()).await
    }

    /// Sends a signal to the program alone, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        let Some(mut id) = self.running_id() else {
            return;
        };
        if self.inside {
            let program = child_of(self.child.id()).and_then(|child| pid(child.id));
            id = program.unwrap_or(id);
        }
        log_failure(kill_process(id, signal));
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        match tail(&self.log, lines) {
            Ok(text) => format!("--- {} ({}):\n{text}", self.name, self.log.display()),
            Err(error) => format!("--- {}: no log: {error}", self.name),
        }
    }

    /// Waits until `line` is somewhere in the log.
    ///
    /// # Errors
    /// When the program ends before, or the deadline passes; with the end of the log.
    pub async fn wait_for_log(&mut self, line: &str, deadline: Duration) -> Result<()> {
        let what = format!("{} logs {line:?}", self.name);
        let start = Instant::now();
        loop {
            let text = std::fs::read(&self.log).context("read a log")?;
            if String::from_utf8_lossy(&text).contains(line) {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                bail!("{what}: it ended ({status})\n{}", self.log_tail(20));
            }
            if start.elapsed() > deadline {
                bail!("{what}: not within {deadline:?}\n{}", self.log_tail(20));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its id while it was not waited for: after that the number may be somebody else's.
    fn running_id(&mut self) -> Option<Pid> {
        if self.ended().is_some() {
            return None;
        }
        pid(self.child.id())
    }

    fn signal_group(&mut self, signal: Signal) {
        if let Some(id) = self.running_id() {
            log_failure(kill_process_group(id, signal));
        }
    }

    /// Waits without async, for clean-up in `drop`. False if it still runs at the deadline.
    pub(crate) fn ends_within(&mut self, deadline: Duration) -> bool {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > deadline {
                return false;
            }
            pause();
        }
        true
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.log_tail(40));
        }
        self.signal(Signal::TERM);
        if !self.ends_within(DROP_GRACE) {
            report(&format!(
                "{} ignores SIGTERM: killed\n{}",
                self.name,
                self.log_tail(20)
            ));
            self.signal_group(Signal::KILL);
            if !self.ends_within(KILL_GRACE) {
                report(&format!(
                    "{} (process {}) cannot be killed",
                    self.name,
                    self.child.id()
                ));
            }
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the harness speaks through the test's captured output"
)]
fn report(text: &str) {
    eprintln!("{text}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "drop cannot await; polls with a deadline"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn log_failure(signalled: rustix::io::Result<()>) {
    if let Err(error) = signalled {
        tracing::debug!(%error, "signal a process");
    }
}

fn append(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("open the log {}", path.display()))
}

fn tail(path: &Path, lines: usize) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all
        .get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n"))
}
