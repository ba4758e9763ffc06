//! The plugin as Docker itself installs, starts, upgrades and ends it: packaged as it is for users,
//! from a registry, in runc with a mount namespace of its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use array_sim::{Array, ArrayConfig, Simulator};
use lab::docker::{Engine, Registry};
use lab::environment::{Need, ready};
use lab::leftovers::{Watch, loop_devices, release, sweep};
use lab::mounts::mounts_under;
use lab::process::{ProcessInfo, Program, find_binary, kill_9, processes, wait_gone};
use lab::simulator::write_config;
use lab::wait::{self, Seen};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{PATIENCE, SLEEPER, alone, entry};

/// The name that it is given at its installation: what users say after `-d`.
const NAME: &str = "fl";

/// A Docker engine, a registry with two versions of the plugin, and an array.
struct Stage {
    engine: Option<Engine>,
    simulator: Simulator,
    registry: Registry,
    watch: Watch,
    /// Loop devices that were there before.
    devices: BTreeSet<PathBuf>,
    folder: TempDir,
    /// Last, so that everything else has ended when the next begins.
    _alone: File,
}

impl Stage {
    async fn start() -> Option<Self> {
        let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Docker];
        let tools = ["mkfs.ext4", "mkfs.xfs", "update-ca-certificates"].map(Need::Tool);
        if !ready(&[&needs[..], &tools].concat()) {
            return None;
        }
        let alone = alone().await;
        let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
        for name in ["config", "state", "luns"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let luns = folder.path().join("luns");
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("a1"))
            .state_dir(folder.path().join("arrays"))
            .lun_folder(&luns)
            .start()
            .await
            .unwrap();
        let mut entry = entry(&simulator.arrays()[0]);
        let shown = simulator.arrays()[0].lun_folder().unwrap();
        // As the plugin sees it.
        entry["LoopFolder"] = json!(Path::new("/luns").join(shown.strip_prefix(&luns).unwrap()));
        write_config(&folder.path().join("config/pure.json"), "it", &[entry]).unwrap();
        let state = folder.path().join("state");
        let watch = Watch::new().luns(&luns).files(state.join("ledger"));
        let watch = watch.files(state.join("docker/mounts")).begin().unwrap();
        let before = loop_devices().unwrap().into_iter();
        let before = before.map(|(device, _)| device).collect();
        let engine = Engine::start(folder.path()).await.unwrap();
        engine.import_busybox("busybox").await.unwrap();
        let registry = Registry::start().await.unwrap();
        Some(Self {
            engine: Some(engine),
            simulator,
            registry,
            watch,
            devices: before,
            folder,
            _alone: alone,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn array(&self) -> &Array {
        &self.simulator.arrays()[0]
    }

    async fn docker(&self, words: &[&str]) -> String {
        match self.engine().docker(words).await {
            Ok(output) => output,
            Err(error) => panic!(
                "docker {words:?}: {error:#}\n{}",
                self.engine().log_tail(60)
            ),
        }
    }

    async fn docker_fails(&self, words: &[&str]) -> String {
        let finished = self.engine().try_docker(words).await.unwrap();
        assert!(!finished.success(), "docker {words:?}: {}", finished.stdout);
        finished.stderr
    }

    async fn exec(&self, container: &str, command: &str) -> String {
        self.docker(&["exec", container, "sh", "-c", command]).await
    }

    /// A container on the volume, in the background or with a command of its own.
    async fn run(&self, volume: &str, options: &[&str], command: &str) -> String {
        let mount = format!("type=volume,volume-driver={NAME},source={volume},target=/data");
        let words = ["run", "--network", "none", "--mount", &mount];
        let command = ["busybox", "sh", "-c", command];
        self.docker(&[&words[..], options, &command[..]].concat())
            .await
    }

    /// Packages the plugin with the command that users have, with the program that this test was
    /// built with, and puts it into the registry as two versions.
    async fn publish(&self) {
        let folder = self.path("plugin");
        let packaged = Program::new(find_binary("xtask").unwrap())
            .args(["docker-plugin", "--output"])
            .arg(&folder)
            .arg("--binary")
            .arg(find_binary("fairlead-docker").unwrap())
            .deadline(PATIENCE)
            .succeed()
            .await;
        packaged.unwrap();
        for tag in ["1", "2"] {
            std::fs::write(folder.join("rootfs/version"), tag).unwrap();
            let reference = self.registry.reference("fairlead", tag);
            let path = folder.to_str().unwrap();
            self.docker(&["plugin", "create", &reference, path]).await;
            self.docker(&["plugin", "push", &reference]).await;
            self.docker(&["plugin", "rm", &reference]).await;
        }
    }

    /// Where the plugin finds what is ours, and a file system that is not the default.
    fn settings(&self) -> [String; 4] {
        let source = |name: &str| format!("{name}.source={}", self.path(name).display());
        let filesystem = "PURE_DEFAULT_BLOCK_FS_TYPE=ext4".to_owned();
        [
            source("config"),
            source("state"),
            source("luns"),
            filesystem,
        ]
    }

    /// What was set is in force: XFS would need more room.
    async fn settings_hold(&self) {
        let words = ["volume", "create", "-d", NAME, "-o", "size=32MiB", "small"];
        self.docker(&words).await;
        let kind = ["volume", "inspect", "-f", "{{.Status.Filesystem}}", "small"];
        assert_eq!(self.docker(&kind).await, "ext4");
        self.docker(&["volume", "rm", "small"]).await;
    }

    async fn install(&self) {
        let reference = self.registry.reference("fairlead", "1");
        let words = [
            "plugin",
            "install",
            "--grant-all-permissions",
            "--alias",
            NAME,
        ];
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        self.docker(&[&words[..], &[&reference], &settings].concat())
            .await;
    }

    /// The plugin's process, once there is one.
    async fn process(&self) -> ProcessInfo {
        let id = self
            .docker(&["plugin", "inspect", "-f", "{{.ID}}", NAME])
            .await;
        wait::until("the plugin runs", PATIENCE, async || {
            let runs = processes().into_iter().find(|process| {
                let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", process.id));
                process.command.starts_with("/usr/bin/fairlead-docker")
                    && table.is_ok_and(|table| table.contains(&id))
            });
            Ok(runs.map_or_else(|| Seen::NotYet("no process".to_owned()), Seen::Ready))
        })
        .await
        .unwrap()
    }

    /// The plugin's loop devices. Seen from here the file of one has the path that it has in the
    /// plugin's mount namespace, or had: then only its end is left, host and number.
    fn left_devices(&self) -> Vec<PathBuf> {
        let hosts = self.array().hosts();
        let ended = |path: &Path| {
            let mut hosts = hosts.iter().map(|host| Path::new("/").join(&host.name));
            hosts.any(|host| path.parent() == Some(&host))
        };
        let devices = loop_devices().unwrap().into_iter();
        devices
            .filter(|(device, path)| {
                (path.starts_with("/luns") || ended(path)) && !self.devices.contains(device)
            })
            .map(|(device, _)| device)
            .collect()
    }

    /// Nothing is attached, mounted, connected or counted.
    async fn nothing_left(&self) {
        if let Err(error) = self.watch.assert_none(PATIENCE).await {
            panic!("{error:#}\n{}", self.engine().log_tail(60));
        }
        let connections = self.array().connections();
        assert!(connections.is_empty(), "{connections:?}");
        let devices = self.left_devices();
        assert!(devices.is_empty(), "{devices:?}");
        let mounts = mounts_under(&self.path("docker/data/plugins")).unwrap();
        let volumes: Vec<_> = mounts
            .iter()
            .filter(|m| m.source.contains("loop"))
            .collect();
        assert!(volumes.is_empty(), "{volumes:?}");
    }
}

impl Drop for Stage {
    /// Also after a failed test.
    #[expect(clippy::print_stderr, reason = "a drop has no other way to say it")]
    fn drop(&mut self) {
        drop(self.engine.take());
        let mut failures = Vec::new();
        for device in self.left_devices() {
            failures.extend(release(&device, self.folder.path()));
        }
        failures.extend(sweep(self.folder.path()));
        for failure in failures {
            eprintln!("left behind: {failure}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_used_killed_upgraded_and_removed() {
    let Some(mut stage) = Stage::start().await else {
        return;
    };
    stage.publish().await;
    stage.install().await;
    volumes_are_used(&stage).await;
    it_is_killed_under_a_container(&stage).await;
    it_is_upgraded_under_a_container(&stage).await;
    the_daemon_is_restarted_and_killed(&mut stage).await;

    stage.docker(&["rm", "-f", "one"]).await;
    stage.nothing_left().await;
    stage.docker(&["volume", "rm", "vol"]).await;
    stage.docker(&["plugin", "disable", NAME]).await;
    stage.docker(&["plugin", "rm", NAME]).await;
    stage.engine.as_mut().unwrap().stop().await.unwrap();
    stage.nothing_left().await;
    let log = std::fs::read_to_string(stage.engine().log()).unwrap();
    let ready: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(": ready "))
        .collect();
    assert!(ready.len() >= 5, "started so often: {ready:#?}");
    assert!(
        ready.iter().all(|line| line.contains("level=info")),
        "{ready:#?}"
    );
}

async fn volumes_are_used(stage: &Stage) {
    stage.settings_hold().await;
    for (volume, kind) in [("vol", "ext4"), ("other", "xfs")] {
        let (size, kind) = ("size=300MiB", format!("fstype={kind}"));
        let words = [
            "volume", "create", "-d", NAME, "-o", size, "-o", &kind, volume,
        ];
        stage.docker(&words).await;
    }
    stage.run("other", &["--rm"], "echo hello > /data/a").await;
    assert_eq!(stage.run("other", &["--rm"], "cat /data/a").await, "hello");
    stage.nothing_left().await;
    stage.docker(&["volume", "rm", "other"]).await;

    stage.run("vol", &["-d", "--name", "one"], SLEEPER).await;
    stage.exec("one", "echo hello > /data/a; sync").await;
    stage.docker(&["restart", "one"]).await;
    assert_eq!(stage.exec("one", "cat /data/a").await, "hello");
    // This machine's name and id, not those of a container.
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let name = name.split('.').next().unwrap_or_default().to_owned();
    let hosts = stage.array().hosts();
    assert!(
        hosts.len() == 1 && hosts[0].name.starts_with(&name),
        "{hosts:?}"
    );
    let said = stage.docker_fails(&["plugin", "disable", NAME]).await;
    assert!(said.contains("in use"), "{said}");
}

/// Docker starts it again, in a new mount namespace; the container goes on, and another one gets
/// the same volume.
async fn it_is_killed_under_a_container(stage: &Stage) {
    let before = stage.process().await;
    kill_9(std::slice::from_ref(&before));
    wait_gone(std::slice::from_ref(&before), PATIENCE)
        .await
        .unwrap();
    stage.exec("one", "echo while >> /data/a; sync").await;
    assert_ne!(stage.process().await.id, before.id);
    let seen = stage
        .run("vol", &["--rm"], "echo beside >> /data/a; cat /data/a")
        .await;
    assert_eq!(seen, "hello\nwhile\nbeside");
    assert_eq!(stage.exec("one", "cat /data/a").await, seen);
}

/// Docker has to be forced to disable what is in use. State and mounts survive.
async fn it_is_upgraded_under_a_container(stage: &Stage) {
    stage.docker(&["plugin", "disable", "-f", NAME]).await;
    stage.exec("one", "echo disabled >> /data/a; sync").await;
    let reference = stage.registry.reference("fairlead", "2");
    let words = [
        "plugin",
        "upgrade",
        "--grant-all-permissions",
        "--skip-remote-check",
    ];
    stage
        .docker(&[&words[..], &[NAME, &reference]].concat())
        .await;
    // Docker has forgotten what was set.
    for setting in stage.settings() {
        stage.docker(&["plugin", "set", NAME, &setting]).await;
    }
    stage.docker(&["plugin", "enable", NAME]).await;
    stage.settings_hold().await;
    let process = stage.process().await;
    let version = std::fs::read_to_string(format!("/proc/{}/root/version", process.id));
    assert_eq!(version.unwrap(), "2");
    stage.exec("one", "echo upgraded >> /data/a; sync").await;
    let expected = "hello\nwhile\nbeside\ndisabled\nupgraded";
    assert_eq!(stage.run("vol", &["--rm"], "cat /data/a").await, expected);
    stage.docker(&["stop", "one"]).await;
    stage.nothing_left().await;
    stage.docker(&["start", "one"]).await;
    assert_eq!(stage.exec("one", "cat /data/a").await, expected);
    assert_eq!(stage.array().hosts().len(), 1, "the same host as before");
}

/// After a crash the container comes with the mount ID that it had, which was never unmounted.
async fn the_daemon_is_restarted_and_killed(stage: &mut Stage) {
    for crash in [false, true] {
        let engine = stage.engine.as_mut().unwrap();
        if crash {
            engine.kill_9().await.unwrap();
            engine.start_again().await.unwrap();
        } else {
            engine.restart().await.unwrap();
        }
        let options = ["volume", "inspect", "-f", "{{.Options.size}}", "vol"];
        assert_eq!(stage.docker(&options).await, "300MiB");
        stage.docker(&["start", "one"]).await;
        let seen = stage.exec("one", "cat /data/a").await;
        assert!(seen.ends_with("upgraded"), "{seen}");
        stage.docker(&["stop", "one"]).await;
        stage.nothing_left().await;
        stage.docker(&["start", "one"]).await;
    }
}
