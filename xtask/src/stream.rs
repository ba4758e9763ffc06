//! Running cargo and other programs: output shown as it comes, and read on the way.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
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

/// Runs a program, shows its two outputs line by line and hands each line to `read`.
///
/// # Errors
/// When it cannot be started, or is busy beyond the deadline.
pub(crate) fn show_and_read(
    mut command: Command,
    mut read: impl FnMut(&str),
) -> Result<ExitStatus> {
    announce(&command);
    let (stdin, stdout, stderr) = (Stdio::null(), Stdio::piped(), Stdio::piped());
    let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
    let mut child = child.with_context(|| format!("start {}", line_of(&command)))?;
    let (send, lines) = channel();
    let stdout = child.stdout.take().context("a piped output")?;
    read_lines(stdout, Stream::Output, send.clone());
    let stderr = child.stderr.take().context("a piped error output")?;
    read_lines(stderr, Stream::Errors, send);
    let deadline = Instant::now() + DEADLINE;
    loop {
        match lines.recv_timeout(QUIET) {
            Ok((stream, line)) => {
                stream.show(&line).context("pass on the output")?;
                read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // what a test left running may hold the outputs open for ever
            Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() > deadline {
            child.kill().context("end a program that takes too long")?;
            child.wait().context("wait for a program that was ended")?;
            bail!("{}: ended after {DEADLINE:?}", line_of(&command));
        }
    }
    child.wait().context("wait for a program")
}

/// How long an output is waited for before the program itself is looked at.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
enum Stream {
    Output,
    Errors,
}

impl Stream {
    fn show(self, line: &str) -> std::io::Result<()> {
        match self {
            Self::Output => writeln!(std::io::stdout().lock(), "{line}"),
            Self::Errors => writeln!(std::io::stderr().lock(), "{line}"),
        }
    }
}

/// Reads in a thread of its own, which ends with the output.
fn read_lines(
    from: impl std::io::Read + Send + 'static,
    stream: Stream,
    send: Sender<(Stream, String)>,
) {
    drop(std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while let Ok(1..) = from.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if send.send((stream, text)).is_err() {
                break;
            }
        }
    }));
}

/// Runs a program and returns its output; its error output is shown.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn read(mut command: Command) -> Result<String> {
    command.stderr(Stdio::inherit());
    try_read(command)
}

/// As [`read`], for what may fail: its error output is not shown.
///
/// # Errors
/// As [`read`].
pub(crate) fn try_read(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_are_read_and_what_is_left_running_is_not_waited_for() {
        let script = "echo err >&2; sleep 60 & echo $!; exit 3";
        let mut lines = Vec::new();
        let start = Instant::now();
        let status = show_and_read(program("sh", &["-c", script]), |line| {
            lines.push(line.to_owned());
        });
        let took = start.elapsed();
        assert_eq!(status.unwrap().code(), Some(3));
        lines.sort();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[1], "err");
        // the shell's own kill: a bare machine has no program of that name
        let kill = format!("kill {}", lines[0]);
        assert!(show(program("sh", &["-c", &kill])).unwrap().success());
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}
