//! A host of the sweep: the armed plugin, what it passed, and where it is to die.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::plugin::{Plugin, PluginOptions};
use lab::wait::{self, Seen};
use serde_json::{Value, json};

/// For what has to come: a hang is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether hosts take volumes from each other.
pub(super) const PREEMPT: &str = "PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT";

/// The host objects' name before the hash of the machine id.
pub(super) const HOSTS: [&str; 2] = ["node-a", "node-b"];

pub(super) struct Node {
    pub(super) plugin: Plugin,
    pub(super) host: &'static str,
    pub(super) points: Points,
}

/// The folder that an armed plugin reads orders in, and records in what it passes.
pub(super) struct Points {
    folder: PathBuf,
    orders: u32,
}

/// A point at its n-th passage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Passage {
    pub(super) point: String,
    pub(super) number: usize,
}

impl Points {
    /// Has a plugin, which is to be started, keep to this folder. It takes nothing from other
    /// hosts: what a crash leaves has to be given back, and a fence would hide that it is not.
    pub(super) fn arm(folder: PathBuf, program: &Path, options: &mut PluginOptions) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let text = folder.to_str().unwrap().to_owned();
        options.program = Some(program.to_owned());
        options.environment = vec![
            ("FAIRLEAD_CRASH_POINTS".to_owned(), text),
            (PREEMPT.to_owned(), "false".to_owned()),
        ];
        Self { folder, orders: 0 }
    }

    /// How much was passed so far.
    pub(super) fn mark(&self) -> usize {
        self.lines().len()
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("passed")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What was passed since, each with its number.
    pub(super) fn passed_since(&self, mark: usize) -> Vec<Passage> {
        let mut passed: Vec<Passage> = Vec::new();
        for point in self.lines().split_off(mark) {
            let number = 1 + passed.iter().filter(|one| one.point == point).count();
            passed.push(Passage { point, number });
        }
        passed
    }

    /// From now on the plugin dies at this passage.
    pub(super) fn order(&mut self, passage: &Passage) {
        self.orders += 1;
        let Passage { point, number } = passage;
        let order = format!("{} {number} {point}\n", self.orders);
        // Whole or not at all: the plugin may read it at any moment.
        let new = self.folder.join("kill.new");
        std::fs::write(&new, order).unwrap();
        std::fs::rename(new, self.folder.join("kill")).unwrap();
    }

    pub(super) fn spare(&self) {
        std::fs::remove_file(self.folder.join("kill")).unwrap();
    }

    /// Whether every file of the plugin's own that was begun is done with.
    fn has_written(&self) -> bool {
        let lines = self.lines();
        ["counts", "names", "used-ids"].iter().all(|file| {
            let mut own = lines.iter().rev().filter(|line| line.ends_with(file));
            own.next()
                .is_none_or(|line| line.starts_with("docker.file.after"))
        })
    }
}

impl Node {
    pub(super) async fn start(
        folder: &Path,
        host: &'static str,
        armed: &Path,
        preempts: bool,
    ) -> Self {
        let own = folder.join(host);
        let mut options = PluginOptions::new(folder.join("pure.json"), &own);
        options.socket = Some(own.join("plugin.sock"));
        options.host = Some(host.to_owned());
        options.arguments = vec!["--log-level".to_owned(), "debug".to_owned()];
        let points = Points::arm(own.join("points"), armed, &mut options);
        if preempts {
            // As by default.
            options.environment.retain(|(key, _)| key != PREEMPT);
        }
        let plugin = Plugin::start(options).await.unwrap();
        Self {
            plugin,
            host,
            points,
        }
    }

    /// A call as Docker's daemon makes it; an error as it would show it.
    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Value, String> {
        let method = format!("VolumeDriver.{method}");
        let answer = self.plugin.call(&method, body).await;
        answer.map_err(|error| format!("{error:#}"))
    }

    /// A call that has to succeed.
    pub(super) async fn must(&self, method: &str, body: &Value) -> Result<Value, String> {
        let answer = self.call(method, body).await;
        answer.map_err(|error| format!("{} {method} {body}: {error}", self.host))
    }

    pub(super) async fn mount(&self, volume: &str, id: &str) -> Result<PathBuf, String> {
        let answer = self
            .call("Mount", &json!({"Name": volume, "ID": id}))
            .await?;
        Ok(PathBuf::from(answer["Mountpoint"].as_str().unwrap()))
    }

    pub(super) fn state(&self) -> PathBuf {
        self.plugin.state()
    }

    /// Until what it does at its start by itself is done, and what it remembers of these volumes
    /// is on disk: what is passed from here on belongs to the calls that are made.
    pub(super) async fn settled(&self, names: &[&str]) -> Result<(), String> {
        let settled = wait::until("the plugin is at rest", PATIENCE, || async {
            let list = self.plugin.call("VolumeDriver.List", &json!({})).await?;
            let text = list.to_string();
            let file = self.state().join("docker/names.json");
            let known = std::fs::read_to_string(file).unwrap_or_default();
            let doubted = counts_in_doubt(&self.state().join("docker/mounts"));
            let quoted = |name: &&str| known.contains(&format!("\"{name}\""));
            let listed = !text.contains("not listed yet") && self.points.has_written();
            Ok(match names.iter().all(quoted) && listed && !doubted {
                true => Seen::Ready(()),
                false => Seen::NotYet(format!("{text} {known}")),
            })
        });
        settled.await.map_err(|error| format!("{error:#}"))
    }
}

/// Whether a mount's caller may not have its answer yet, as far as the disk says.
fn counts_in_doubt(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.any(|text| text.contains("\"carried\":1"))
}
