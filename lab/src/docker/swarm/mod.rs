//! A Swarm of several real engines on this machine: each node a machine of its own to whoever
//! asks, with network, mounts, host name, process ids, machine id, plugin folder and state of its
//! own. Only the kernel is one, with its block devices: as in a data centre where everybody is
//! cabled to the same arrays.
//!
//! The order matters: first the [`Network`], on whose address arrays can answer, then the arrays,
//! whose LUN folders the nodes see because they were there before them, then the [`Swarm`]; and
//! the other way round at the end.

mod network;
mod node;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

pub use network::Network;
use node::Machine;
pub use node::Node;

use crate::leftovers::{devices_below, release_these};
use crate::wait::{self, Seen};

/// A node that has joined is ready after some exchanges with the manager.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a node reports; one that is silent for three times as long is taken for dead. Five
/// seconds by default, of which a test is to wait for less.
const HEARTBEAT: &str = "1s";

/// Engines that form a Swarm, the first its only manager. Dropping it kills every node.
#[derive(Debug)]
pub struct Swarm {
    nodes: Vec<Node>,
    folder: PathBuf,
    /// Loop devices that there were when a node was killed, with the files under them.
    abandoned: Vec<(PathBuf, PathBuf)>,
}

/// One task of a service, as the manager sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The replica's number, from 1.
    pub slot: u32,
    /// The name of the node that it was given to; empty before.
    pub node: String,
    /// What the node last said of it, for people: `Running 3 seconds ago`.
    pub state: String,
    /// Why it failed.
    pub error: String,
}

impl Task {
    /// True once its container was seen to run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state.starts_with("Running")
    }
}

impl Swarm {
    /// Starts `count` nodes, each with a plugin over the same configuration, and joins them.
    ///
    /// # Errors
    /// When something is missing, or does not start; with the end of its log.
    pub async fn start(network: &Network, config: &Path, count: u8) -> Result<Self> {
        let mut booting = JoinSet::new();
        for number in 1..=count {
            // here, not in the task: their keeper ends with the thread that started it
            let machine = Machine::start(network, number).await?;
            booting.spawn(machine.boot(network.turn(), config.to_owned()));
        }
        let mut nodes = Vec::new();
        while let Some(booted) = booting.join_next().await {
            nodes.push(booted.context("start a node")??);
        }
        nodes.sort_by(|one, other| one.name().cmp(other.name()));
        let folder = network.folder().to_owned();
        let swarm = Self {
            nodes,
            folder,
            abandoned: Vec::new(),
        };
        swarm.join().await?;
        Ok(swarm)
    }

    async fn join(&self) -> Result<()> {
        let manager = self.manager()?;
        let address = manager.address().to_string();
        let init = ["swarm", "init", "--advertise-addr", &address];
        let heartbeat = ["--dispatcher-heartbeat", HEARTBEAT];
        manager
            .engine()
            .docker(init.into_iter().chain(heartbeat))
            .await?;
        let token = manager
            .engine()
            .docker(["swarm", "join-token", "-q", "worker"])
            .await?;
        let target = format!("{address}:2377");
        for node in self.nodes.iter().skip(1) {
            let join = ["swarm", "join", "--token", &token, &target];
            node.engine().docker(join).await?;
        }
        wait::until("all nodes are ready", JOIN_TIMEOUT, async || {
            let states = self.node_states().await?;
            let ready = states.iter().filter(|(_, state)| state == "Ready").count();
            Ok(if ready == self.nodes.len() {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{states:?}"))
            })
        })
        .await
    }

    /// The node whose engine takes the Swarm's commands.
    ///
    /// # Errors
    /// When there is no node.
    pub fn manager(&self) -> Result<&Node> {
        self.nodes.first().context("a Swarm without nodes")
    }

    /// All nodes, the manager first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.name() == name)
            .with_context(|| format!("no node {name:?}"))
    }

    /// Runs a `docker` command at the manager and returns what it prints.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub async fn docker(&self, arguments: &[&str]) -> Result<String> {
        self.manager()?.engine().docker(arguments).await
    }

    /// Name and state (`Ready`, `Down`) of every node.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn node_states(&self) -> Result<Vec<(String, String)>> {
        let format = "{{.Hostname}} {{.Status}}";
        let listed = self.docker(&["node", "ls", "--format", format]).await?;
        let lines = listed.lines().filter_map(|line| line.split_once(' '));
        Ok(lines
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .collect())
    }

    /// The tasks of a service that are wanted, by slot.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn tasks(&self, service: &str) -> Result<Vec<Task>> {
        self.list_tasks(service, &["--filter", "desired-state=running"])
            .await
    }

    /// All tasks that there were of a service, failed ones too, by slot, the newest first.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn all_tasks(&self, service: &str) -> Result<Vec<Task>> {
        self.list_tasks(service, &[]).await
    }

    async fn list_tasks(&self, service: &str, filter: &[&str]) -> Result<Vec<Task>> {
        let words = [
            "service",
            "ps",
            service,
            "--no-trunc",
            "--format",
            "{{json .}}",
        ];
        let listed = self.docker(&[&words[..], filter].concat()).await?;
        let mut tasks = Vec::new();
        for line in listed.lines() {
            let told: Value = serde_json::from_str(line).context("read docker's answer")?;
            let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
            let slot = text("Name").rsplit('.').next().unwrap_or_default();
            tasks.push(Task {
                slot: slot
                    .parse()
                    .with_context(|| format!("a task's slot in {line}"))?,
                node: text("Node").to_owned(),
                state: text("CurrentState").to_owned(),
                error: text("Error").to_owned(),
            });
        }
        tasks.sort_by_key(|task| task.slot);
        Ok(tasks)
    }

    /// Waits until `count` replicas of a service run, none of them on the nodes `without`.
    ///
    /// # Errors
    /// When they do not within `deadline`; with what the manager says of each.
    pub async fn wait_running(
        &self,
        service: &str,
        count: usize,
        without: &[&str],
        deadline: Duration,
    ) -> Result<Vec<Task>> {
        let what = format!("{count} replicas of {service} run");
        wait::until(&what, deadline, async || {
            let tasks = self.tasks(service).await?;
            let good = |task: &&Task| task.is_running() && !without.contains(&&*task.node);
            let running = tasks.iter().filter(good).count();
            if running == count && tasks.len() == count {
                return Ok(Seen::Ready(tasks));
            }
            let all = self.all_tasks(service).await?;
            let lines: Vec<String> = all.iter().map(|task| format!("\n  {task:?}")).collect();
            Ok(Seen::NotYet(lines.concat()))
        })
        .await
    }

    /// Runs a shell command in the container of a task.
    ///
    /// # Errors
    /// When it does not run, or the command fails.
    pub async fn exec(&self, service: &str, task: &Task, command: &str) -> Result<String> {
        let engine = self.node(&task.node)?.engine();
        let name = format!("name=^{service}\\.{}\\.", task.slot);
        let found = engine.docker(["ps", "-q", "--filter", &name]).await?;
        ensure!(
            !found.is_empty() && !found.contains('\n'),
            "{task:?}: its container on the node is {found:?}"
        );
        engine.docker(["exec", &found, "sh", "-c", command]).await
    }

    /// Kills everything on a node, as when its power fails: engine, plugin, containers, and its
    /// network.
    ///
    /// # Errors
    /// When there is no such node, or a process hangs in the kernel.
    pub async fn kill_9(&mut self, name: &str) -> Result<()> {
        self.abandoned.extend(devices_below(&self.folder));
        let mut nodes = self.nodes.iter_mut();
        let node = nodes.find(|node| node.name() == name);
        node.with_context(|| format!("no node {name:?}"))?
            .kill_9()
            .await
    }

    /// The end of every node's logs, for a failed test.
    #[must_use]
    pub fn log_tails(&self, lines: usize) -> String {
        let tails: Vec<String> = self
            .nodes
            .iter()
            .map(|node| node.log_tails(lines))
            .collect();
        tails.join("\n")
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let mut devices = std::mem::take(&mut self.abandoned);
        devices.extend(devices_below(&self.folder));
        self.nodes.clear();
        // a machine that is off has no devices; this kernel still has those of its nodes
        for failure in release_these(&devices, &self.folder) {
            tracing::warn!(failure, "release a dead node's device");
        }
    }
}
