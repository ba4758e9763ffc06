//! The Docker volume plugin under test: the real program, started, killed and started again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::{Guard, Inside, Program, find_binary};
use crate::unix_http;

/// Docker's daemon looks plugins up here and nowhere else.
pub const PLUGINS: &str = "/run/docker/plugins";
/// The socket is promised within 100 ms; a busy machine gets more.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Docker's own limit for the slowest calls of the protocol.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// A driver name that no other test on this machine uses at the same time.
#[must_use]
pub fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("fl{}x{number}", std::process::id())
}

/// A running plugin. Dropping it ends it and removes its socket.
#[derive(Debug)]
pub struct Plugin {
    name: String,
    socket: PathBuf,
    folder: PathBuf,
    config: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    program: Option<PathBuf>,
    host: Option<String>,
    inside: Option<Inside>,
    process: Option<Guard>,
}

/// How to start a plugin.
#[derive(Debug, Clone)]
pub struct PluginOptions {
    /// Its configuration file (`pure.json`).
    pub config: PathBuf,
    /// Folder for its state and its log; made if not there.
    pub folder: PathBuf,
    /// Driver name, and with that the socket's; [`unique_name`] unless people are to read it.
    pub name: String,
    /// Its socket, where no Docker engine is to find it: a plugin in Docker's folder is called by
    /// the engines of other tests too.
    pub socket: Option<PathBuf>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The program, where it is not the ordinary one.
    pub program: Option<PathBuf>,
    /// The host name that it sees, in a UTS namespace of its own, so that arrays take it for
    /// another machine; this machine's if not set. All else it shares with this machine.
    pub host: Option<String>,
    /// The namespaces that it runs in; this process' if not set.
    pub inside: Option<Inside>,
}

impl PluginOptions {
    /// A plugin with a name of its own and nothing special.
    #[must_use]
    pub fn new(config: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            config: config.into(),
            folder: folder.into(),
            name: unique_name(),
            socket: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            program: None,
            host: None,
            inside: None,
        }
    }
}

impl Plugin {
    /// Starts the plugin and waits until its socket answers.
    ///
    /// # Errors
    /// When it was not built, ends, or does not answer; with the end of its log.
    pub async fn start(options: PluginOptions) -> Result<Self> {
        let PluginOptions {
            config,
            folder,
            name,
            socket,
            arguments,
            environment,
            program,
            host,
            inside,
        } = options;
        let socket = socket.unwrap_or_else(|| Path::new(PLUGINS).join(format!("{name}.sock")));
        std::fs::create_dir_all(&folder).context("make the plugin's folder")?;
        let process = None;
        let mut plugin = Self {
            name,
            socket,
            folder,
            config,
            arguments,
            environment,
            program,
            host,
            inside,
            process,
        };
        ensure!(
            !plugin.socket().exists(),
            "{} is there already: is another plugin of this name running?",
            plugin.socket().display()
        );
        plugin.start_again().await?;
        Ok(plugin)
    }

    /// Starts it again on the same state, after it was stopped or killed.
    ///
    /// # Errors
    /// As [`Plugin::start`]; also when it is running.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the plugin is running");
        let mut program = self
            .program()?
            .inside(self.inside)
            .arg("--config")
            .arg(&self.config)
            .arg("--driver-name")
            .arg(&self.name)
            .arg("--socket")
            .arg(&self.socket)
            .arg("--state-dir")
            .arg(self.state())
            .args(&self.arguments);
        // what the machine's administrator set for another plugin is not meant for this one
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PURE_") {
                program = program.without_env(name);
            }
        }
        for (name, value) in &self.environment {
            program = program.env(name, value);
        }
        self.process = Some(program.start(&self.log())?);
        self.wait_ready().await
    }

    fn program(&self) -> Result<Program> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => find_binary("fairlead-docker")?,
        };
        let Some(host) = &self.host else {
            return Ok(Program::new(program));
        };
        // each replaces the one before: the process that is started here is the plugin itself
        let script = "echo \"$0\" > /proc/sys/kernel/hostname && exec \"$@\"";
        Ok(Program::new("unshare")
            .args(["--uts", "sh", "-c", script, host])
            .arg(program))
    }

    /// Waits until it has ended by itself, killed from inside, say. False if it still runs at the
    /// deadline.
    pub async fn ends_by_itself(&mut self, deadline: Duration) -> bool {
        let Some(process) = self.process.as_mut() else {
            return true;
        };
        let ended = crate::wait::until_true("the plugin ends", deadline, || !process.is_running());
        let ended = ended.await.is_ok();
        if ended {
            self.process = None;
        }
        ended
    }

    /// The driver's name, for `docker volume create -d`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its socket, as it is reached from here.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        match self.inside {
            Some(inside) => inside.path(&self.socket),
            None => self.socket.clone(),
        }
    }

    /// Its state folder: the ledger, caches.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its log, over all its starts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("plugin.log")
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        match &self.process {
            Some(process) => process.log_tail(lines),
            None => format!(
                "the plugin is not running; its log is {}",
                self.log().display()
            ),
        }
    }

    /// The process, while it runs.
    #[must_use]
    pub fn process(&mut self) -> Option<&mut Guard> {
        self.process.as_mut()
    }

    /// Calls it as Docker's daemon does, for example `("VolumeDriver.Get", {"Name": "data"})`.
    ///
    /// # Errors
    /// When there is no answer, it is no JSON, or its `Err` is not empty: that text is the error.
    pub async fn call(&self, method: &str, body: &Value) -> Result<Value> {
        let (path, body) = (format!("/{method}"), body.to_string());
        let answer = unix_http::request(&self.socket(), "POST", &path, &body, CALL_TIMEOUT).await?;
        let value: Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("{method} answered {answer:?}"))?;
        match value.get("Err").and_then(Value::as_str) {
            Some(error) if !error.is_empty() => bail!("{error}"),
            _ if answer.status != 200 => bail!("{method} answered {answer:?}"),
            _ => Ok(value),
        }
    }

    /// Stops it as a service manager does.
    ///
    /// # Errors
    /// When it does not end in time; it is then killed.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(STOP_TIMEOUT).await.map(drop),
            None => Ok(()),
        }
    }

    /// Kills it in the middle of what it does. Its socket stays behind, as after any crash.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill_9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill_9().await,
            None => Ok(()),
        }
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let socket = self.socket();
        loop {
            let asked = unix_http::request(
                &socket,
                "POST",
                "/VolumeDriver.Capabilities",
                "{}",
                START_TIMEOUT,
            );
            let seen = match asked.await {
                Ok(answer) if answer.status == 200 => return Ok(()),
                Ok(answer) => format!("{answer:?}"),
                Err(error) => format!("{error:#}"),
            };
            let Some(process) = self.process.as_mut() else {
                bail!("the plugin is not running");
            };
            let tail = process.log_tail(20);
            if let Some(status) = process.ended() {
                self.process = None;
                bail!("the plugin ended ({status})\n{tail}");
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("the plugin: not ready in {START_TIMEOUT:?}: {seen}\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        drop(self.process.take());
        // a dead socket costs every engine on this machine 15 s for each look at its plugins
        match std::fs::remove_file(self.socket()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "remove the plugin's socket");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
