//! A service on a Swarm, each replica on a volume of its own, and what becomes of them when a node
//! loses its power.

mod program;
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::docker::{Network, Swarm, Task};
use lab::environment::{Need, missing};
use lab::leftovers::Watch;
use lab::simulator::Simulator;

use self::stage::{SOON, Stage};
use crate::story::{Story, say};

const SERVICE: &str = "ledger";
const REPLICAS: usize = 6;
/// The cluster's prefix on every array object.
const NAMESPACE: &str = "demo";
/// The node that dies.
const VICTIM: &str = "node3";
/// Records that each replica writes before, and after.
const RECORDS: u64 = 20;

pub(crate) async fn tell(story: &mut Story) -> Result<()> {
    let needs = [Need::Root, Need::Loop, Need::Fuse, Need::Docker];
    let tools = ["mkfs.ext4", "ip", "setpriv"].map(Need::Tool);
    if let Some(reason) = missing(&[&needs[..], &tools].concat()) {
        bail!("this machine cannot run the demo: {reason}");
    }
    let mut stage = set_up(story).await?;
    let told = perform(story, &mut stage).await;
    if told.is_err() {
        say(&stage.swarm.log_tails(15));
    }
    told?;
    finish(story, stage).await
}

async fn set_up(story: &mut Story) -> Result<Stage> {
    let network = Network::start().await?;
    let names = ["north", "south", "east"];
    let arrays = Simulator::start_at(network.folder(), &names, network.address()).await?;
    let config = network.folder().join("pure.json");
    arrays.write_config(&config, NAMESPACE)?;
    story.step("Three simulated FlashArrays speak REST over HTTPS on a network of our own.");
    let swarm = Swarm::start(&network, &config, 3).await?;
    story
        .step("Three Docker engines form a Swarm, each with the volume plugin; one configuration.");
    for line in swarm.docker(&["node", "ls"]).await?.lines() {
        Story::detail(line.trim_end());
    }
    Ok(Stage {
        swarm,
        arrays,
        config,
        network,
    })
}

async fn perform(story: &mut Story, stage: &mut Stage) -> Result<()> {
    let tasks = serve(story, stage).await?;
    let before = stage.written(&tasks, &[RECORDS; REPLICAS]).await?;
    story.step("Every replica writes numbered records with checksums to its volume.");
    let told: Vec<String> = before.iter().map(u64::to_string).collect();
    Story::detail(&format!(
        "acknowledged so far, by replica: {}",
        told.join(", ")
    ));
    let (after, times) = fail_over(story, stage, &tasks).await?;
    verify(story, stage, &after).await?;
    stage.remove(REPLICAS).await?;
    story.step("$ docker service rm ledger; docker volume rm ledger-1 … ledger-6");
    story.check(
        stage.connections().await?.is_empty(),
        "no host has anything",
    )?;
    say("");
    for line in times {
        say(&line);
    }
    Ok(())
}

async fn serve(story: &mut Story, stage: &Stage) -> Result<Vec<Task>> {
    let mount = "type=volume,volume-driver=fairlead,source=ledger-{{.Task.Slot}},target=/data,volume-opt=size=64MiB,volume-opt=fstype=ext4";
    let replicas = REPLICAS.to_string();
    let create = [
        "service",
        "create",
        "--quiet",
        "--detach",
        "--name",
        SERVICE,
        "--replicas",
        &replicas,
        "--network",
        "host",
        "--mount",
        mount,
        "--env",
        "SLOT={{.Task.Slot}}",
        "--env",
        "NODE={{.Node.Hostname}}",
        "busybox",
        "sh",
        "-c",
        program::SCRIPT,
    ];
    stage.swarm.docker(&create).await?;
    let tasks = stage
        .swarm
        .wait_running(SERVICE, REPLICAS, &[], SOON)
        .await?;
    story.step("$ docker service create --name ledger --replicas 6 --mount source=ledger-{{.Task.Slot}},volume-driver=fairlead,…");
    stage.tell_places(&tasks);
    stage.tell_connections().await?;
    let connections = stage.connections().await?;
    story.check(connections.len() == REPLICAS, "six volumes, one host each")?;
    let on_victim = tasks.iter().any(|task| task.node == VICTIM);
    story.check(on_victim, "the node that will die has replicas")?;
    Ok(tasks)
}

/// Kills a node, and waits until its replicas write elsewhere. The times are told at the end.
async fn fail_over(
    story: &mut Story,
    stage: &mut Stage,
    tasks: &[Task],
) -> Result<(Vec<Task>, Vec<String>)> {
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.push(stage.acknowledged(task).await?);
    }
    stage.swarm.kill_9(VICTIM).await?;
    let power_off = Instant::now();
    story.step(&format!(
        "{VICTIM} loses its power: engine, plugin and containers are gone at once."
    ));
    stage.down(VICTIM).await?;
    let down = power_off.elapsed();
    story.step("The Swarm takes it for dead, and starts its replicas on the other nodes.");
    let after = stage
        .swarm
        .wait_running(SERVICE, REPLICAS, &[VICTIM], SOON)
        .await?;
    let running = power_off.elapsed();
    let found: Vec<u64> = acknowledged.iter().map(|count| count + RECORDS).collect();
    stage.written(&after, &found).await?;
    story.step(
        "The arrays shut it out, its volumes are mounted elsewhere, and the replicas write on.",
    );
    stage.tell_places(&after);
    stage.tell_connections().await?;
    let connections = stage.connections().await?;
    let dead = format!("{VICTIM}-");
    let shut_out = connections.iter().all(|(_, host)| !host.starts_with(&dead));
    story.check(shut_out, "the dead node can reach no volume any more")?;
    story.check(connections.len() == REPLICAS, "six volumes, one host each")?;
    let times = vec![
        time(down, "until the Swarm took the node for dead"),
        time(
            running,
            "until all its replicas ran elsewhere, on their own volumes",
        ),
    ];
    Ok((after, times))
}

fn time(took: Duration, what: &str) -> String {
    format!("{:6.1} s  {what}", took.as_secs_f64())
}

async fn verify(story: &mut Story, stage: &Stage, tasks: &[Task]) -> Result<()> {
    let mut records = 0;
    let mut moved = Vec::new();
    for task in tasks {
        records += stage.verified(task).await?;
        let starts = stage.swarm.exec(SERVICE, task, "cat /data/starts").await?;
        if starts.lines().count() > 1 {
            let starts: Vec<&str> = starts.lines().collect();
            moved.push(format!("replica {}: {}", task.slot, starts.join("; then ")));
        }
    }
    story.step(&format!(
        "All {records} records are there, in order, with the right checksums."
    ));
    for line in &moved {
        Story::detail(line);
    }
    story.check(!moved.is_empty(), "replicas moved with their volumes")
}

async fn finish(story: &mut Story, stage: Stage) -> Result<()> {
    let Stage {
        swarm,
        mut arrays,
        network,
        ..
    } = stage;
    let folder = network.folder().to_owned();
    let watch = Watch::new().folder(&folder);
    drop(swarm);
    let left = watch.assert_none(SOON).await;
    // switched off, not stopped: the kernel may let go of a dead node's mounts later than of its
    // processes, and an array that is stopped waits for that
    arrays.kill_9().await?;
    drop((arrays, network));
    left.context("the nodes left something")?;
    story.check(!folder.exists(), "the folder is gone")?;
    story.step("Nodes, arrays and network are ended, each by its process id; nothing is left.");
    Ok(())
}
