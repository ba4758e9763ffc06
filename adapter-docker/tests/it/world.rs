//! A Docker engine, the plugin's own program and simulated arrays, on this machine's kernel.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use array_sim::{Array, ArrayConfig, Simulator, SimulatorBuilder};
use lab::docker::Engine;
use lab::environment::{Need, ready};
use lab::leftovers::{Watch, sweep};
use lab::plugin::{Plugin, PluginOptions};
use lab::simulator::{SimulatedArray, write_config};
use lab::wait::{self, Seen};
use tempfile::TempDir;

/// A container that runs until it is stopped, and stops at once.
pub(crate) const SLEEPER: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

/// For everything that is waited for; a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) engine: Option<Engine>,
    pub(crate) plugin: Plugin,
    pub(crate) simulator: Simulator,
    watch: Watch,
    folder: TempDir,
    /// Last, so that everything else has ended when the next world begins.
    _alone: File,
}

/// All worlds of a slow machine, one after another.
const TURN: Duration = Duration::from_secs(30 * 60);

/// One world at a time on this machine. A Docker engine asks every plugin that has a socket in the
/// one folder for them, and waits 15 s for each that another test has just ended.
pub(crate) async fn alone() -> File {
    let path = std::env::temp_dir().join("fairlead-docker-tests.lock");
    let options = OpenOptions::new().create(true).append(true).open(&path);
    let file = options.unwrap();
    wait::until("the other worlds end", TURN, async || {
        Ok(match file.try_lock() {
            Ok(()) => Seen::Ready(()),
            Err(TryLockError::WouldBlock) => Seen::NotYet(format!("{path:?} is locked")),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        })
    })
    .await
    .unwrap();
    file
}

impl World {
    /// One array, the plugin over it, and a Docker engine unless told otherwise. `None`, with the
    /// reason printed, where the machine lacks something.
    pub(crate) async fn start(docker: bool, arguments: &[&str]) -> Option<Self> {
        Self::start_over(&["a1"], docker, |options| {
            options.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        })
        .await
    }

    /// The same, with a plugin that is not as usual.
    pub(crate) async fn start_with(
        docker: bool,
        adjust: impl FnOnce(&mut PluginOptions),
    ) -> Option<Self> {
        Self::start_over(&["a1"], docker, adjust).await
    }

    /// The same, over arrays of these names.
    pub(crate) async fn start_over(
        arrays: &[&str],
        docker: bool,
        adjust: impl FnOnce(&mut PluginOptions),
    ) -> Option<Self> {
        let mut needs = vec![Need::Root, Need::Loop, Need::Fuse];
        needs.extend([Need::Tool("mkfs.ext4"), Need::Tool("mkfs.xfs")]);
        if docker {
            needs.push(Need::Docker);
        }
        if !ready(&needs) {
            return None;
        }
        let alone = alone().await;
        let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
        let luns = folder.path().join("luns");
        let with = |builder: SimulatorBuilder, name: &&str| builder.array(ArrayConfig::new(*name));
        let simulator = arrays
            .iter()
            .fold(Simulator::builder(), with)
            .state_dir(folder.path().join("arrays"))
            .lun_folder(&luns)
            .start()
            .await
            .unwrap();
        let config = folder.path().join("pure.json");
        let entries: Vec<_> = simulator.arrays().iter().map(entry).collect();
        write_config(&config, "it", &entries).unwrap();
        let mut options = PluginOptions::new(&config, folder.path().join("plugin"));
        adjust(&mut options);
        if !docker {
            // Out of sight of whatever Docker engines this machine has: each of them calls every
            // plugin in Docker's folder, and by that says that a new daemon began.
            options.socket = Some(folder.path().join("plugin.sock"));
        }
        let plugin = Plugin::start(options).await.unwrap();
        let watch = Watch::new()
            // Not the engine's folder: it mounts its own there.
            .folder(folder.path().join("plugin"))
            .luns(&luns)
            .files(plugin.state().join("ledger"))
            .files(plugin.state().join("docker/mounts"))
            .begin()
            .unwrap();
        let engine = if docker {
            let engine = Engine::start(folder.path()).await.unwrap();
            engine.import_busybox("busybox").await.unwrap();
            Some(engine)
        } else {
            None
        };
        Some(Self {
            engine,
            plugin,
            simulator,
            watch,
            folder,
            _alone: alone,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn array(&self) -> &Array {
        &self.simulator.arrays()[0]
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    /// Runs a docker command and gives what it prints.
    pub(crate) async fn docker(&self, words: &[&str]) -> String {
        match self.engine.as_ref().unwrap().docker(words).await {
            Ok(output) => output,
            Err(error) => panic!("docker {words:?}: {error:#}\n{}", self.plugin.log_tail(40)),
        }
    }

    /// Runs a docker command that has to fail and gives what it says.
    pub(crate) async fn docker_fails(&self, words: &[&str]) -> String {
        let finished = self
            .engine
            .as_ref()
            .unwrap()
            .try_docker(words)
            .await
            .unwrap();
        assert!(
            !finished.status.success(),
            "docker {words:?}: {}",
            finished.stdout
        );
        finished.stderr
    }

    /// Makes a small volume.
    pub(crate) async fn create(&self, name: &str, options: &[&str]) {
        let driver = self.plugin.name().to_owned();
        let mut words = vec!["volume", "create", "-d", &driver];
        for option in options {
            words.extend(["-o", option]);
        }
        words.push(name);
        self.docker(&words).await;
    }

    /// Starts a container on a volume, mounted at `/data`.
    pub(crate) async fn run(&self, container: &str, volume: &str) {
        let mount = format!("{volume}:/data");
        let words = [
            "run",
            "-d",
            "--name",
            container,
            "--network",
            "none",
            "-v",
            &mount,
        ];
        self.docker(&[&words[..], &["busybox", "sh", "-c", SLEEPER]].concat())
            .await;
    }

    /// A shell command in a running container.
    pub(crate) async fn exec(&self, container: &str, command: &str) -> String {
        self.docker(&["exec", container, "sh", "-c", command]).await
    }

    /// A shell command in a container of its own, on a volume.
    pub(crate) async fn once(&self, volume: &str, command: &str) -> String {
        let mount = format!("{volume}:/data");
        let words = [
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            &mount,
            "busybox",
            "sh",
            "-c",
        ];
        self.docker(&[&words[..], &[command]].concat()).await
    }

    /// Nothing is attached, mounted, connected or counted.
    pub(crate) async fn nothing_left(&self) {
        if let Err(error) = self.watch.assert_none(PATIENCE).await {
            panic!("{error:#}\n{}", self.plugin.log_tail(60));
        }
        for array in self.simulator.arrays() {
            let connections = array.connections();
            assert!(connections.is_empty(), "{connections:?}");
        }
    }

    /// Ends everything in order; nothing may be left of it.
    pub(crate) async fn end(mut self) {
        if let Some(mut engine) = self.engine.take() {
            engine.stop().await.unwrap();
        }
        self.nothing_left().await;
        self.plugin.stop().await.unwrap();
        assert!(!self.plugin.socket().exists());
        drop(self.array().take_calls());
    }
}

impl Drop for World {
    /// Also after a failed test: no mount and no loop device stays behind.
    #[expect(clippy::print_stderr, reason = "a drop has no other way to say it")]
    fn drop(&mut self) {
        drop(self.engine.take());
        for failure in sweep(self.folder.path()) {
            eprintln!("left behind: {failure}");
        }
    }
}

pub(crate) fn entry(array: &Array) -> serde_json::Value {
    SimulatedArray {
        name: array.name().to_owned(),
        address: array.address().to_string(),
        token: array.api_token().to_owned(),
        fingerprint: array.fingerprint().to_owned(),
        luns: PathBuf::from(array.lun_folder().unwrap()),
    }
    .entry()
}
