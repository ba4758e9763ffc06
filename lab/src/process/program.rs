//! A program to run: arguments, environment, deadline; and what came of it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::Inside;

/// Kept of each output stream; what comes after it is read and thrown away.
const OUTPUT_LIMIT: usize = 1 << 20;
/// For programs that nobody set another deadline for.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// A program with its arguments, not started yet.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, Option<OsString>)>,
    pub(super) output: Option<PathBuf>,
    pub(super) inside: Option<Inside>,
    stdin: Option<Arc<OwnedFd>>,
    input: Vec<u8>,
    deadline: Duration,
}

/// A program that ended by itself.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its output, at most 1 MiB; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Its error output, likewise.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
}

impl Finished {
    /// True if it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.success()
    }
}

impl Program {
    /// A program by path, or by name to be found in `PATH`.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            output: None,
            inside: None,
            stdin: None,
            input: Vec::new(),
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.arguments.push(argument.as_ref().to_owned());
        }
        self
    }

    /// Sets a variable of its environment; the rest is inherited.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = Some(value.as_ref().to_owned());
        self.environment.push((name.as_ref().to_owned(), value));
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), None));
        self
    }

    /// What it reads from its standard input; nothing if not set.
    #[must_use]
    pub fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    /// What it gets as its standard input, in place of [`Program::input`]: a socket, say.
    #[must_use]
    pub fn stdin(mut self, file: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(Arc::new(file.into()));
        self
    }

    /// Where [`Program::start`] sends its output, in place of the log; its errors still go there.
    #[must_use]
    pub fn output_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Runs it in namespaces of their own; in this process' if not set.
    #[must_use]
    pub const fn inside(mut self, inside: Option<Inside>) -> Self {
        self.inside = inside;
        self
    }

    /// How long [`Program::run`] lets it run; 60 s if not set.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the program to its end, whatever its exit status.
    ///
    /// # Errors
    /// When it cannot be started, or has not ended at the deadline: it and its process group are
    /// then killed, and the error has what it printed so far. A dropped future kills them too.
    pub async fn run(&self) -> Result<Finished> {
        let start = Instant::now();
        let mut child = tokio::process::Command::from(self.command())
            .stdin(self.stdin_or(Stdio::piped())?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {self}"))?;
        let group = GroupKiller(child.id());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let stdin = child.stdin.take();
        let streams = (child.stdout.take(), child.stderr.take());
        let work = async {
            let input = feed(stdin, &self.input);
            let out = collect(streams.0, &mut stdout);
            let err = collect(streams.1, &mut stderr);
            let ((), (), ()) = tokio::join!(input, out, err);
            child.wait().await
        };
        let ended = tokio::time::timeout(self.deadline, work).await;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let Ok(status) = ended else {
            drop(group);
            bail!("{self}: killed after {:?}\n{stdout}{stderr}", self.deadline);
        };
        group.ended();
        let status = status.with_context(|| format!("wait for {self}"))?;
        Ok(Finished {
            status,
            stdout,
            stderr,
            elapsed: start.elapsed(),
        })
    }

    /// Runs the program and returns its output without white space around it.
    ///
    /// # Errors
    /// As [`Program::run`], and for an exit status other than 0, with the program's error output.
    pub async fn succeed(&self) -> Result<String> {
        let finished = self.run().await?;
        if !finished.success() {
            let (status, stdout, stderr) = (finished.status, finished.stdout, finished.stderr);
            bail!(
                "{self}: {status}\n{}",
                format!("{stdout}{stderr}").trim_end()
            );
        }
        Ok(finished.stdout.trim().to_owned())
    }

    pub(super) fn stdin_or(&self, other: Stdio) -> Result<Stdio> {
        let Some(file) = &self.stdin else {
            return Ok(other);
        };
        let own = file.try_clone().context("duplicate a standard input")?;
        Ok(Stdio::from(own))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place in tests that starts programs"
    )]
    pub(super) fn command(&self) -> std::process::Command {
        use std::os::unix::process::CommandExt;
        let mut command = match self.inside {
            None => std::process::Command::new(&self.program),
            Some(inside) => {
                let mut command = std::process::Command::new("nsenter");
                command.arg(format!("--target={}", inside.id()));
                command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
                command.arg(&self.program);
                command
            }
        };
        command.args(&self.arguments).process_group(0);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl std::fmt::Display for Program {
    /// The command line, for messages; not quoted for a shell.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut line = self.program.display().to_string();
        for argument in &self.arguments {
            write!(line, " {}", argument.to_string_lossy())?;
        }
        formatter.write_str(&line)
    }
}

/// Kills a process group unless its leader is known to have ended: after that its number may
/// belong to somebody else.
struct GroupKiller(Option<u32>);

impl GroupKiller {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for GroupKiller {
    fn drop(&mut self) {
        let id = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(Err(error)) = id.map(|id| kill_process_group(id, Signal::KILL)) {
            tracing::debug!(%error, "kill a process group");
        }
    }
}

async fn feed(stdin: Option<tokio::process::ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // a program that does not read its input to the end has its reasons
        if let Err(error) = stdin.write_all(input).await {
            tracing::debug!(%error, "write to a program's standard input");
        }
    }
}

async fn collect(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_LIMIT.saturating_sub(into.len()).min(count);
        into.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
}
