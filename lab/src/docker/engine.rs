//! The daemon: started, stopped, killed with all that it started, started again on the same roots.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::turn::Turn;
use crate::environment::find_tool;
use crate::mounts::unmount_under;
use crate::process::{
    Finished, Guard, Inside, ProcessInfo, Program, descendants_of, kill_9, processes, wait_gone,
};
use crate::unix_http;

/// Start to first answer. It takes 2 to 8 s on an idle machine, and more beside other tests; a
/// volume plugin that is absent adds 15 s a volume.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Stop with containers: each gets its own stop time-out (10 s by default) first.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Names in an engine's folder.
const DATA: &str = "data";
const EXEC: &str = "exec";
const LOG: &str = "dockerd.log";
const GONE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest call of the volume protocol is 120 s (Create, Mount).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(180);
/// `sun_path` of `sockaddr_un` has 108 bytes, one of them a zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// A Docker engine that belongs to this process. Dropping it ends it.
#[derive(Debug)]
pub struct Engine {
    folder: PathBuf,
    daemon: Option<Guard>,
    arguments: Vec<String>,
    turn: Turn,
    inside: Option<Inside>,
}

impl Engine {
    /// Starts an engine whose files are all below `folder` (short: the socket's path is limited),
    /// and waits until it answers.
    ///
    /// # Errors
    /// When the programs are missing, or it ends or does not answer; with the end of its log.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &[]).await
    }

    /// As [`Engine::start`], with more arguments for the daemon (say `--live-restore`).
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_with(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let turn = Turn::wait().await?;
        Self::start_in(turn, None, folder, arguments).await
    }

    /// Starts a second engine of the same test in another folder; it would wait for ever for a
    /// turn of its own.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_beside(&self, folder: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_in(self.turn.clone(), None, folder, arguments).await
    }

    /// Starts an engine in its turn, in namespaces if there are any.
    pub(super) async fn start_in(
        turn: Turn,
        inside: Option<Inside>,
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let folder = folder.join("docker");
        std::fs::create_dir_all(folder.join("cli")).context("make the engine's folder")?;
        let folder = folder.canonicalize().context("the engine's folder")?;
        std::fs::write(folder.join("daemon.json"), "{}").context("write the engine's settings")?;
        let arguments = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let mut engine = Self {
            folder,
            daemon: None,
            arguments,
            turn,
            inside,
        };
        let length = engine.socket().as_os_str().len();
        ensure!(
            length <= LONGEST_SOCKET_PATH,
            "{} is too long",
            engine.socket().display()
        );
        engine.start_again().await?;
        Ok(engine)
    }

    /// Starts the daemon on the same roots, after it was stopped or killed.
    ///
    /// # Errors
    /// As [`Engine::start`]; also when it is running.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.daemon.is_none(), "the engine is running");
        let dockerd = find_tool("dockerd").context("dockerd is not installed")?;
        let path = |name: &str| self.folder.join(name).into_os_string();
        let mut host = std::ffi::OsString::from("unix://");
        host.push(self.socket());
        let guard = Program::new(dockerd)
            .inside(self.inside)
            .arg("--data-root")
            .arg(path(DATA))
            .arg("--exec-root")
            .arg(path(EXEC))
            .arg("--pidfile")
            .arg(path("dockerd.pid"))
            .arg("-H")
            .arg(host)
            // its own, empty: the machine's configuration is not meant for it
            .arg("--config-file")
            .arg(path("daemon.json"))
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .arg(format!(
                "--storage-driver={}",
                storage_driver(&self.folder)?
            ))
            .args(&self.arguments)
            .start(&self.log())?;
        self.daemon = Some(guard);
        self.wait_ready().await
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// The daemon's log, over all its starts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// The last lines of the daemon's log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        match &self.daemon {
            Some(daemon) => daemon.log_tail(lines),
            None => format!(
                "the engine is not running; its log is {}",
                self.log().display()
            ),
        }
    }

    /// The `docker` command for this engine, to be completed and run by the caller.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        let mut host = std::ffi::OsString::from("unix://");
        host.push(self.socket());
        Program::new(find_tool("docker").unwrap_or_else(|| PathBuf::from("docker")))
            .env("DOCKER_CONFIG", self.folder.join("cli"))
            .without_env("DOCKER_CONTEXT")
            .arg("-H")
            .arg(host)
            .args(arguments)
            .deadline(COMMAND_TIMEOUT)
    }

    /// Runs a `docker` command and returns what it prints.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub async fn docker<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        self.command(arguments).succeed().await
    }

    /// Runs a `docker` command that may fail.
    ///
    /// # Errors
    /// Only when it cannot be run, or hangs.
    pub async fn try_docker<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Finished> {
        self.command(arguments).run().await
    }

    /// Makes an image `name` that holds busybox and nothing else.
    ///
    /// # Errors
    /// When busybox or tar is missing, or the engine refuses.
    pub async fn import_busybox(&self, name: &str) -> Result<()> {
        let archive = super::image::busybox_archive(&self.folder).await?;
        self.docker([OsStr::new("import"), archive.as_os_str(), OsStr::new(name)])
            .await?;
        Ok(())
    }

    /// Stops the daemon as a service manager does (SIGTERM) and waits for all that it started.
    ///
    /// # Errors
    /// When it does not end in time; everything is then killed.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(());
        };
        let all = self.own_processes(&daemon);
        let stopped = daemon.stop(STOP_TIMEOUT).await;
        // containerd follows its daemon; with --live-restore containers are meant to stay
        let live_restore = self
            .arguments
            .iter()
            .any(|argument| argument == "--live-restore");
        if stopped.is_err() || !live_restore {
            let gone = wait_gone(&all, GONE_TIMEOUT).await;
            if let (Ok(_), Err(error)) = (&stopped, &gone) {
                tracing::warn!(%error, "killing what the engine left running");
            }
            kill_9(&all);
        }
        stopped.map(drop)
    }

    /// Stops and starts it.
    ///
    /// # Errors
    /// As [`Engine::stop`] and [`Engine::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Kills the daemon, its containerd, the shims and the containers, as a crash of the host does
    /// to them, and removes the sockets and pid files that would keep it from starting again.
    ///
    /// # Errors
    /// When one of them cannot be killed.
    pub async fn kill_9(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(());
        };
        let all = self.own_processes(&daemon);
        kill_9(&all);
        daemon.kill_9().await?;
        wait_gone(&all, GONE_TIMEOUT).await?;
        self.remove_runtime_files();
        Ok(())
    }

    /// Kills the daemon alone. Its containerd dies with it (it asks the kernel for that); shims
    /// and containers go on.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill_9_daemon(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(());
        };
        let all = self.own_processes(&daemon);
        daemon.signal(rustix::process::Signal::KILL);
        daemon.kill_9().await?;
        let is_containerd = |process: &&ProcessInfo| {
            let program = process.command.split(' ').next().unwrap_or_default();
            program.ends_with("containerd")
        };
        let containerd: Vec<ProcessInfo> = all.iter().filter(is_containerd).cloned().collect();
        kill_9(&containerd);
        wait_gone(&containerd, GONE_TIMEOUT).await?;
        self.remove_runtime_files();
        Ok(())
    }

    /// The daemon and all that hangs on it: children, and shims, which belong to nobody but name
    /// this engine's folder in their command line; with their children, the containers.
    fn own_processes(&self, daemon: &Guard) -> Vec<ProcessInfo> {
        let folder = self.folder.to_string_lossy();
        let all = processes();
        let roots: Vec<ProcessInfo> = all
            .iter()
            .filter(|process| process.id == daemon.id() || is_shim_of(process, &folder))
            .cloned()
            .collect();
        descendants_of(&roots, &all)
    }

    fn remove_runtime_files(&self) {
        let containerd = self.folder.join(EXEC).join("containerd");
        for path in [
            self.folder.join("dockerd.pid"),
            self.socket(),
            containerd.join("containerd.pid"),
            containerd.join("containerd.sock"),
            containerd.join("containerd.sock.ttrpc"),
            containerd.join("containerd-debug.sock"),
        ] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "remove a dead engine's file");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        let socket = self.socket();
        loop {
            let seen = match ping(&socket).await {
                Ok(()) => return Ok(()),
                Err(error) => format!("{error:#}"),
            };
            let Some(daemon) = self.daemon.as_mut() else {
                bail!("the engine is not running");
            };
            if let Some(status) = daemon.ended() {
                let tail = daemon.log_tail(20);
                self.daemon = None;
                bail!("dockerd ended ({status})\n{tail}");
            }
            if start.elapsed() > START_TIMEOUT {
                bail!(
                    "dockerd: not ready in {START_TIMEOUT:?}: {seen}\n{}",
                    daemon.log_tail(20)
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let all = self.own_processes(&daemon);
            drop(daemon);
            kill_9(&all);
        }
        if let Err(error) = unmount_under(&self.folder) {
            tracing::warn!(%error, "unmount what the engine left");
        }
    }
}

/// True for the two roots of an engine that was started here and has not been removed.
pub(crate) fn is_engine_root(folder: &Path) -> bool {
    let root = folder
        .file_name()
        .is_some_and(|name| name == DATA || name == EXEC);
    root && folder.with_file_name(LOG).exists()
}

fn is_shim_of(process: &ProcessInfo, folder: &str) -> bool {
    process.command.contains("containerd-shim") && process.command.contains(folder)
}

/// `overlay2` where the kernel and the folder's file system can, which is much faster.
fn storage_driver(folder: &Path) -> Result<&'static str> {
    /// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h: overlays do not stack on overlays.
    const OVERLAY: u32 = 0x794c_7630;
    let kernel = std::fs::read_to_string("/proc/filesystems").context("read /proc/filesystems")?;
    let kind = rustix::fs::statfs(folder)
        .context("look at the engine's folder")?
        .f_type;
    let stacked = u32::try_from(kind).is_ok_and(|kind| kind == OVERLAY);
    let known = kernel
        .lines()
        .any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    Ok(if known && !stacked { "overlay2" } else { "vfs" })
}

/// Asks the API whether it answers. The daemon's socket is there long before it does.
async fn ping(socket: &Path) -> Result<()> {
    let answer = unix_http::request(socket, "GET", "/_ping", "", START_TIMEOUT).await?;
    ensure!(answer.status == 200, "answered {answer:?}");
    Ok(())
}
