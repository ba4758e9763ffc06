//! What the Swarm's story is played on, and the looks at it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::array_rest::ArrayRest;
use lab::docker::{Network, Swarm, Task};
use lab::process::{Program, find_binary};
use lab::simulator::Simulator;
use lab::wait::{self, Seen};

use super::{SERVICE, program};
use crate::story::Story;

/// For whatever happens in the background.
pub(super) const SOON: Duration = Duration::from_secs(90);

/// Everything that runs; dropped in this order.
pub(super) struct Stage {
    pub(super) swarm: Swarm,
    pub(super) arrays: Simulator,
    pub(super) config: PathBuf,
    /// Last, as everything else has its files there.
    pub(super) network: Network,
}

impl Stage {
    /// What a replica's program says is written for good.
    pub(super) async fn acknowledged(&self, task: &Task) -> Result<u64> {
        let said = self
            .swarm
            .exec(SERVICE, task, "cat /tmp/acknowledged")
            .await?;
        said.parse()
            .with_context(|| format!("{task:?} says {said:?}"))
    }

    /// Waits until each replica has written `more` records than before; how many each has.
    pub(super) async fn written(&self, tasks: &[Task], more: &[u64]) -> Result<Vec<u64>> {
        let mut all = Vec::new();
        for (task, least) in tasks.iter().zip(more) {
            let count = wait::until("a replica writes", SOON, async || {
                // it may not have begun, or its answer may be half written
                Ok(match self.acknowledged(task).await {
                    Ok(count) if count >= *least => Seen::Ready(count),
                    Ok(count) => Seen::NotYet(format!("{task:?} has {count} of {least}")),
                    Err(error) => Seen::NotYet(format!("{error:#}")),
                })
            });
            all.push(count.await?);
        }
        Ok(all)
    }

    /// Reads all records of a replica, where its container is, and holds them to what they must be.
    pub(super) async fn verified(&self, task: &Task) -> Result<u64> {
        // the last line may be half written
        let whole = "n=$(cat /tmp/acknowledged); head -n $n /data/records";
        let records = self.swarm.exec(SERVICE, task, whole).await?;
        program::verify(task.slot, &records)
    }

    /// Tells where each replica runs.
    pub(super) fn tell_places(&self, tasks: &[Task]) {
        for node in self.swarm.nodes() {
            let own = tasks.iter().filter(|task| task.node == node.name());
            let volumes: Vec<String> = own.map(|task| format!("{SERVICE}-{}", task.slot)).collect();
            if !volumes.is_empty() {
                Story::detail(&format!("{}: {}", node.name(), volumes.join(", ")));
            }
        }
    }

    /// Runs `fairlead connections` on the manager, and tells what it prints.
    pub(super) async fn tell_connections(&self) -> Result<()> {
        let node = self.swarm.manager()?;
        let told = Program::new(find_binary("fairlead")?)
            .inside(Some(node.inside()))
            .args(["connections", "--config"])
            .arg(&self.config)
            .arg("--state-dir")
            .arg(node.plugin().state())
            .succeed()
            .await?;
        for line in told.lines() {
            Story::detail(line);
        }
        Ok(())
    }

    /// Volume and host of every connection that the arrays have, past the product.
    pub(super) async fn connections(&self) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for array in self.arrays.arrays() {
            let rest = ArrayRest::login(&array.address, &array.token).await?;
            for item in rest.items("connections").await? {
                let name = |what: &str| {
                    let name = item.get(what)?.get("name")?.as_str()?;
                    Some(name.to_owned())
                };
                all.extend(name("volume").zip(name("host")));
            }
        }
        Ok(all)
    }

    /// Waits until the manager takes a node for dead.
    pub(super) async fn down(&self, node: &str) -> Result<()> {
        let down = (node.to_owned(), "Down".to_owned());
        wait::until("the node is taken for dead", SOON, async || {
            let states = self.swarm.node_states().await?;
            Ok(if states.contains(&down) {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{states:?}"))
            })
        })
        .await
    }

    /// Removes the service; then no host has anything, and the volumes are removed too.
    pub(super) async fn remove(&self, replicas: usize) -> Result<()> {
        self.swarm.docker(&["service", "rm", SERVICE]).await?;
        wait::until("everything is let go", SOON, async || {
            let left = self.connections().await?;
            let containers = self.swarm.docker(&["ps", "-aq"]).await?;
            Ok(if left.is_empty() && containers.is_empty() {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{left:?} {containers}"))
            })
        })
        .await?;
        let names: Vec<String> = (1..=replicas)
            .map(|slot| format!("{SERVICE}-{slot}"))
            .collect();
        let words = ["volume", "rm"]
            .into_iter()
            .chain(names.iter().map(String::as_str));
        let words: Vec<&str> = words.collect();
        self.swarm.docker(&words).await?;
        let left = self.swarm.docker(&["volume", "ls", "-q"]).await?;
        ensure!(left.is_empty(), "volumes are left: {left}");
        Ok(())
    }
}
