//! What it costs to take volumes from a dead host: calls to the array, and time from the first
//! request to the last grant on another host. Prints one Markdown table.
//!
//! At the level of publish: the host's own part (device, check, mount) is left out, by hosts that
//! mount on paper. Two engines in this process over one simulated array, whose every call takes a
//! while; the dead host's engine is simply not used any more. The new host has talked to the array
//! before, so what is read once a process is not counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use array_sim::{Array, ArrayConfig, FaultPlan, Simulator};
use backend_flasharray::{FlashArray, FlashArrayConfig, San};
use clap::Parser;
use races::PaperHost;
use storage_core::{
    Engine, MountVolume, Namespace, OptionDefaults, Secret, VolumeName, VolumeOptions,
};
use storage_http::Trust;
use tokio::task::JoinSet;

/// Measures fail-overs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Delays of every array call, in milliseconds, measured one after another.
    #[arg(long, value_delimiter = ',', default_value = "10")]
    delays_ms: Vec<u64>,
    /// Volumes of the dead host, measured one after another.
    #[arg(long, value_delimiter = ',', default_value = "1,200")]
    volumes: Vec<u32>,
    /// How often each is measured; the table has the median time.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// The longest one operation may take.
const LIMIT: Duration = Duration::from_secs(120);

/// One fail-over of all volumes.
struct Round {
    calls: usize,
    /// From the first request to the last grant.
    took: Duration,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!(
        "| volumes of the dead host | an array call | calls a volume | until all are granted elsewhere | rounds |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for delay in &arguments.delays_ms {
        for volumes in &arguments.volumes {
            let mut rounds = Vec::new();
            for _ in 0..arguments.rounds.max(1) {
                rounds.push(measure(*delay, *volumes).await?);
            }
            rounds.sort_by_key(|round| round.took);
            let (least, most) = (
                rounds.iter().map(|one| one.calls).min(),
                rounds.iter().map(|one| one.calls).max(),
            );
            let each = |calls: Option<usize>| {
                let calls = u32::try_from(calls.unwrap_or_default()).unwrap_or(u32::MAX);
                f64::from(calls) / f64::from(*volumes)
            };
            let median = rounds.get(rounds.len() / 2).context("there are rounds")?;
            let calls = if least == most {
                format!("{:.1}", each(most))
            } else {
                format!("{:.1}–{:.1}", each(least), each(most))
            };
            println!(
                "| {volumes} | {delay} ms | {calls} | {:.0} ms | {} |",
                median.took.as_secs_f64() * 1000.0,
                rounds.len()
            );
        }
    }
    Ok(())
}

async fn measure(delay_ms: u64, volumes: u32) -> Result<Round> {
    let simulator = Simulator::builder()
        .array(ArrayConfig::new("array-a"))
        .start()
        .await?;
    let array = simulator.array("array-a").context("the array is there")?;
    let (dead, alive) = (engine(array, "dead")?, engine(array, "alive")?);
    let mut names = Vec::new();
    for number in 0..volumes {
        names.push(make(&dead, &format!("volume-{number}")).await?);
    }
    mount_all(&dead, &names, false).await?;
    let warm = make(&alive, "warm").await?;
    mount_all(&alive, &[warm], false).await?;
    let mut faults = FaultPlan::default();
    (faults.delay_min_ms, faults.delay_max_ms) = (delay_ms, delay_ms);
    array.set_faults(faults);

    drop(array.take_calls());
    let start = Instant::now();
    mount_all(&alive, &names, true).await?;
    let took = start.elapsed();
    let calls = array.take_calls().len();
    // What was measured is what was meant: the new host has everything, alone.
    let connections = array.connections();
    let own = alive.host().object_name();
    ensure!(
        connections.len() == names.len() + 1
            && connections
                .iter()
                .all(|one| one.host.as_deref() == Some(&*own)),
        "not everything was taken over: {connections:?}"
    );
    simulator.stop().await?;
    Ok(Round { calls, took })
}

fn engine(array: &Array, host: &str) -> Result<Arc<Engine>> {
    let mut config = FlashArrayConfig::new(
        array.address().to_string(),
        Secret::new(array.api_token()),
        Namespace::new("failover")?,
        San::Loop {
            folder: "/nowhere".into(),
        },
    );
    config.trust = Trust::Fingerprint(array.fingerprint().parse()?);
    let backend = Arc::new(FlashArray::new(config)?);
    Ok(Engine::builder(vec![backend], Arc::new(PaperHost::forgetful(host))).build())
}

async fn make(engine: &Engine, name: &str) -> Result<VolumeName> {
    let name = VolumeName::new(name)?;
    let size = [("size".to_owned(), "1GiB".to_owned())];
    let options = VolumeOptions::parse(size, &OptionDefaults::default())?;
    let deadline = tokio::time::Instant::now() + LIMIT;
    let _made = engine.create(name.clone(), options, deadline).await?;
    Ok(name)
}

/// All at once, as an orchestrator does when a host is gone.
async fn mount_all(engine: &Arc<Engine>, names: &[VolumeName], may_preempt: bool) -> Result<()> {
    let mut mounts = JoinSet::new();
    for name in names.iter().cloned() {
        let engine = Arc::clone(engine);
        mounts.spawn(async move {
            let deadline = tokio::time::Instant::now() + LIMIT;
            engine
                .mount(MountVolume { name, may_preempt }, deadline)
                .await
        });
    }
    while let Some(mounted) = mounts.join_next().await {
        let _path = mounted.context("a mount ended")??;
    }
    Ok(())
}
