//! Three real engines in a Swarm, each with the plugin, over simulated arrays in this process.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use array_sim::{ArrayConfig, NameEventKind, Simulator};
use lab::docker::{Network, Swarm, Task};
use lab::environment::{Need, ready};
use lab::leftovers::{Leftover, Watch};
use lab::simulator::write_config;
use lab::wait::{self, Seen};

use crate::world::{PATIENCE, entry};

/// The prefix of every object on the arrays.
const NAMESPACE: &str = "it";

/// Dropped in this order: nodes, arrays, network and folder.
pub(super) struct Site {
    pub(super) swarm: Swarm,
    pub(super) simulator: Simulator,
    pub(super) network: Network,
}

/// A program for replicas: says in its volume where it came to run, and lives until it is stopped.
const REPLICA: &str = "echo $SLOT >> /data/starts; sync /data/starts; trap 'exit 0' TERM; while :; do sleep 0.1; done";

impl Site {
    /// Three nodes over three arrays. `None`, with the reason printed, where the machine lacks
    /// something.
    pub(super) async fn start() -> Option<Self> {
        let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Docker];
        let tools = ["mkfs.ext4", "ip", "setpriv"].map(Need::Tool);
        if !ready(&[&needs[..], &tools].concat()) {
            return None;
        }
        let network = Network::start().await.unwrap();
        let mut builder = Simulator::builder()
            .state_dir(network.folder().join("arrays"))
            .lun_folder(network.folder().join("luns"));
        for name in ["north", "south", "east"] {
            let mut array = ArrayConfig::new(name);
            array.bind = network.address();
            builder = builder.array(array);
        }
        let simulator = builder.start().await.unwrap();
        let config = network.folder().join("pure.json");
        let entries: Vec<_> = simulator.arrays().iter().map(entry).collect();
        write_config(&config, NAMESPACE, &entries).unwrap();
        let swarm = Swarm::start(&network, &config, 3).await.unwrap();
        Some(Self {
            swarm,
            simulator,
            network,
        })
    }

    /// Starts a service each of whose replicas has a volume of its own, `<service>-<slot>`.
    pub(super) async fn serve(&self, service: &str, replicas: usize) {
        let mount = format!(
            "type=volume,source={service}-{{{{.Task.Slot}}}},target=/data,volume-driver=fairlead,volume-opt=size=32MiB,volume-opt=fstype=ext4"
        );
        let replicas = replicas.to_string();
        let words = [
            "service",
            "create",
            "-q",
            "-d",
            "--name",
            service,
            "--network",
            "host",
            "--restart-delay",
            "1s",
            "--replicas",
            &replicas,
            "--env",
            "SLOT={{.Task.Slot}}",
            "--mount",
            &mount,
            "busybox",
            "sh",
            "-c",
            REPLICA,
        ];
        self.docker(&words).await;
    }

    /// Runs a command at the manager.
    pub(super) async fn docker(&self, words: &[&str]) -> String {
        match self.swarm.docker(words).await {
            Ok(said) => said,
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    /// Waits until all replicas run, none of them on the nodes `without`.
    pub(super) async fn running(&self, service: &str, count: usize, without: &[&str]) -> Vec<Task> {
        let patience = Duration::from_secs(90);
        let running = self.swarm.wait_running(service, count, without, patience);
        match running.await {
            Ok(tasks) => tasks,
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    /// A shell command in the container of a task.
    pub(super) async fn exec(&self, service: &str, task: &Task, command: &str) -> String {
        match self.swarm.exec(service, task, command).await {
            Ok(said) => said,
            Err(error) => self.fail(&format!("{task:?}: {error:#}")),
        }
    }

    /// Panics, with all logs.
    pub(super) fn fail(&self, what: &str) -> ! {
        panic!("{what}\n{}", self.swarm.log_tails(60))
    }

    /// Who ever was the volume of this name: the witness is the arrays' own record. A volume is
    /// made under a name that only its maker knows; what counts is who got the one that was asked
    /// for.
    pub(super) fn ever_named(&self, volume: &str) -> BTreeSet<String> {
        let object = format!("{NAMESPACE}-{volume}");
        let mut ever = BTreeSet::new();
        for array in self.simulator.arrays() {
            let mut events = array.name_events();
            events.retain(|event| event.kind == NameEventKind::Named && event.name == object);
            let ids = events.into_iter().map(|event| event.id);
            ever.extend(ids.map(|id| format!("{}:{id}", array.name())));
        }
        ever
    }

    /// The hosts that are connected to a volume now.
    pub(super) fn hosts_of(&self, volume: &str) -> Vec<String> {
        let object = format!("{NAMESPACE}-{volume}");
        let connections = self
            .simulator
            .arrays()
            .iter()
            .flat_map(|array| array.connections());
        let own = connections.filter(|connection| connection.volume == object);
        own.filter_map(|connection| connection.host).collect()
    }

    /// By the arrays' own record: no volume was ever open to two hosts at once.
    pub(super) fn assert_never_two_hosts(&self) {
        for array in self.simulator.arrays() {
            let shared = array.shared_moments();
            assert!(shared.is_empty(), "{}: {shared:?}", array.name());
        }
    }

    /// Where a node has a volume mounted, as it is seen from outside.
    pub(super) fn mount_of(&self, node: &str, volume: &str) -> PathBuf {
        let node = self.swarm.node(node).unwrap();
        let folder = node.path(&node.plugin().state().join("mounts"));
        let mounts: Vec<PathBuf> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let named = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == volume || name.starts_with(&format!("{volume}-"))
        };
        let found: Vec<&PathBuf> = mounts.iter().filter(named).collect();
        assert_eq!(found.len(), 1, "{volume} in {mounts:?}");
        found[0].clone()
    }

    /// Removes a service and its volumes; then no host is connected to anything any more, and
    /// nothing is attached.
    pub(super) async fn remove(&self, service: &str, replicas: usize) {
        self.docker(&["service", "rm", service]).await;
        let arrays = self.simulator.arrays();
        let free = wait::until("the volumes are let go", PATIENCE, async || {
            let mut left: Vec<_> = arrays
                .iter()
                .flat_map(|array| array.connections())
                .map(|connection| format!("{connection:?}"))
                .collect();
            // an engine lets a volume go with its last container, stopped ones too
            left.extend(
                self.swarm
                    .docker(&["ps", "-aq"])
                    .await?
                    .lines()
                    .map(str::to_owned),
            );
            Ok(if left.is_empty() {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{left:?}"))
            })
        });
        if let Err(error) = free.await {
            self.fail(&format!("{error:#}"));
        }
        let names: Vec<String> = (1..=replicas)
            .map(|slot| format!("{service}-{slot}"))
            .collect();
        let words = ["volume", "rm"]
            .into_iter()
            .chain(names.iter().map(String::as_str));
        self.docker(&words.collect::<Vec<_>>()).await;
    }

    /// The loop devices of the nodes.
    pub(super) fn devices(&self) -> Vec<Leftover> {
        let watch = Watch::new().folder(self.network.folder());
        let mut found = watch.leftovers().unwrap();
        found.retain(|what| matches!(what, Leftover::LoopDevice { .. }));
        found
    }
}
