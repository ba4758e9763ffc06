//! The program under attack: a plugin in a process of its own over a simulated array, and what
//! the kernel tells of that process. Nothing is mounted, so it needs no devices.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use array_sim::{Array, ArrayConfig, Simulator, Volume};
use lab::plugin::{Plugin, PluginOptions};
use lab::simulator::{SimulatedArray, write_config};
use lab::wait::{self, Seen};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::kept;
use crate::raw::{self, Answer, Connection};

/// For everything that is waited for; a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// More than the program ever may take, whatever is done to it: 1024 connections with a header
/// and a body each are 80 MiB. An optimised one needs less than half of what tests build.
pub(crate) const MEMORY_MAX: u64 = 256 << 20;

pub(crate) struct Target {
    pub(crate) plugin: Plugin,
    simulator: Simulator,
    folder: TempDir,
}

impl Target {
    /// With a volume `v`, which is known.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("fl").tempdir().unwrap();
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("a1"))
            .state_dir(folder.path().join("arrays"))
            .start()
            .await
            .unwrap();
        let config = folder.path().join("pure.json");
        let luns = folder.path().join("luns");
        std::fs::create_dir(&luns).unwrap();
        let array = &simulator.arrays()[0];
        let entry = SimulatedArray {
            name: array.name().to_owned(),
            address: array.address().to_string(),
            token: array.api_token().to_owned(),
            fingerprint: array.fingerprint().to_owned(),
            luns,
        };
        write_config(&config, "it", &[entry.entry()]).unwrap();
        let mut options = PluginOptions::new(&config, folder.path().join("plugin"));
        // Not where Docker's engines look: tests of a whole engine run at the same time.
        options.socket = Some(folder.path().join("plugin.sock"));
        let plugin = Plugin::start(options).await.unwrap();
        let target = Self {
            plugin,
            simulator,
            folder,
        };
        target
            .call("Create", json!({"Name": "v", "Opts": {"size": "1GiB"}}))
            .await
            .ok();
        target
    }

    pub(crate) fn array(&self) -> &Array {
        &self.simulator.arrays()[0]
    }

    /// The volumes on the array, destroyed ones too.
    pub(crate) fn volumes(&self) -> Vec<Volume> {
        kept::volumes(self.array())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.plugin.socket()
    }

    pub(crate) async fn call(&self, call: &str, body: serde_json::Value) -> Answer {
        let request = raw::request(&format!("/VolumeDriver.{call}"), &body.to_string());
        self.exchange(&request).await
    }

    /// One request on a connection of its own. The queue of a socket is short, so a connection
    /// may have to be asked for more than once; an answer is waited for once only.
    pub(crate) async fn exchange(&self, request: &str) -> Answer {
        let mut connection = connect(&self.socket()).await;
        connection.send(request).await;
        connection.receive_within(PATIENCE).await
    }

    /// The volume that is there is found: the service answers.
    pub(crate) async fn answers(&self) {
        let answer = self.call("Get", json!({"Name": "v"})).await.ok();
        assert_eq!(answer["Volume"]["Name"], "v");
    }

    fn process(&mut self) -> u32 {
        let process = self.plugin.process().expect("the plugin runs");
        assert!(process.is_running(), "the plugin ended");
        process.id()
    }

    fn proc(&mut self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.process()))
    }

    /// The most memory that it ever had, in bytes (`VmHWM` of proc(5)).
    pub(crate) fn memory_peak(&mut self) -> u64 {
        self.status("VmHWM:") * 1024
    }

    fn status(&mut self, field: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) fn open_files(&mut self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Processor time that it used so far, in ticks of 10 ms (`utime` and `stime` of
    /// `proc_pid_stat(5)`; no other tick has ever been shown there).
    pub(crate) fn processor_ticks(&mut self) -> u64 {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        let ticks = fields.skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Lets it open so many files from now on.
    pub(crate) fn limit_open_files(&mut self, files: u64) {
        let pid = Pid::from_raw(i32::try_from(self.process()).unwrap()).unwrap();
        let limit = Rlimit {
            current: Some(files),
            maximum: Some(files),
        };
        prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    }

    /// Waits until it has no more open files than that.
    pub(crate) async fn open_files_fall_to(&mut self, files: usize) {
        let folder = self.proc("fd");
        wait::until("connections end", PATIENCE, async || {
            let now = std::fs::read_dir(&folder)?.count();
            Ok(if now <= files {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{now} open files, more than {files}"))
            })
        })
        .await
        .unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.plugin.log()).unwrap()
    }

    #[expect(
        clippy::print_stdout,
        reason = "a figure, shown with the test's output"
    )]
    /// It stops in order, having taken no more memory than it may.
    pub(crate) async fn end(mut self) {
        self.answers().await;
        let peak = self.memory_peak();
        println!("memory at most {} MiB", peak >> 20);
        assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
        assert!(!self.log().contains("panicked"), "{}", self.log());
        self.plugin.stop().await.unwrap();
    }
}

/// A connection, as soon as the socket's queue has room.
pub(crate) async fn connect(socket: &Path) -> Connection {
    let start = Instant::now();
    loop {
        match Connection::try_open(socket).await {
            Ok(connection) => return connection,
            Err(error) if start.elapsed() > PATIENCE => panic!("{error}"),
            Err(_full) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Whether the server closes the connection in time, whatever it sends before.
pub(crate) async fn is_closed(connection: &mut Connection) -> bool {
    timeout(PATIENCE, connection.read_to_end()).await.is_ok()
}

/// As many open files for this process as its tests need. False where that is not permitted.
pub(crate) fn many_files(files: u64) -> bool {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|now| now >= files) {
        return true;
    }
    let most = now.maximum;
    let raised = Rlimit {
        current: Some(files),
        maximum: most.map(|most| most.max(files)),
    };
    setrlimit(Resource::Nofile, raised).is_ok()
}
