//! Running cargo and other programs: output shown as it comes, and read on the way.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The longest of all: a first build of every dependency on a small machine, or all long tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

/// The workspace's folder.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// A program, to run in the workspace's folder.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask's one place that starts programs"
)]
pub(crate) fn program(name: impl Into<OsString>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name.into());
    command.args(arguments).current_dir(workspace());
    command
}

/// The cargo that runs us, or the one in PATH.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    program(
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        arguments,
    )
}

/// Runs a program with its output passed through.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn show(mut command: Command) -> Result<ExitStatus> {
    announce(&command);
    let status = command.stdin(Stdio::null()).status();
    status.with_context(|| format!("run {}", line_of(&command)))
}

/// Runs a program, shows its standard output line by line and hands each line to `read`.
///
/// # Errors
/// When it cannot be started, or is silent and busy beyond the deadline.
pub(crate) fn show_and_read(
    mut command: Command,
    mut read: impl FnMut(&str),
) -> Result<ExitStatus> {
    announce(&command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("start {}", line_of(&command)))?;
    let stdout = child.stdout.take().context("a piped output")?;
    let (send, lines) = channel();
    let reader = std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        while let Ok(1..) = stdout.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + DEADLINE;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{line}").context("write to the standard output")?;
                read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().context("end a program that takes too long")?;
                child.wait().context("wait for a program that was ended")?;
                bail!("{}: ended after {DEADLINE:?}", line_of(&command));
            }
        }
    }
    if reader.join().is_err() {
        bail!("{}: its output could not be read", line_of(&command));
    }
    child.wait().context("wait for a program")
}

/// Runs a program and returns its output; its error output is shown.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn read(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", line_of(&command)))?;
    if !output.status.success() {
        bail!("{}: {}", line_of(&command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn announce(command: &Command) {
    crate::steps::say(&format!("$ {}", line_of(command)));
}

fn line_of(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let mut line = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
