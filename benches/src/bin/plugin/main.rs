//! Load on the Docker plugin as Docker's daemon would put it: through its socket, with the real
//! program, simulated arrays, loop devices and file systems. Prints one Markdown table.
//!
//! It measures and asserts nothing about time: budgets stand in `docs/performance.md` beside the
//! figures. Needs root, `/dev/fuse`, loop devices, and the release build of `fairlead-docker`.

mod fleet;
mod measure;
mod socket;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use serde_json::json;

use fleet::Fleet;
use measure::Times;
use socket::Socket;

/// Measures the Docker volume plugin through its socket.
#[derive(Debug, Parser)]
struct Arguments {
    /// Full cycles (create, mount, unmount, remove) for each delay.
    #[arg(long, default_value_t = 50)]
    cycles: u32,
    /// Delays of every array call, in milliseconds, measured one after another.
    #[arg(long, value_delimiter = ',', default_value = "0,10")]
    delays_ms: Vec<u64>,
    /// Volumes for Get and List.
    #[arg(long, default_value_t = 10_000)]
    volumes: u32,
    /// Calls of Get and of List.
    #[arg(long, default_value_t = 1000)]
    reads: u32,
    /// Starts with every array unreachable.
    #[arg(long, default_value_t = 20)]
    starts: u32,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("| what | n | p50 | p99 | max |\n| --- | --- | --- | --- | --- |");
    for delay in &arguments.delays_ms {
        for times in cycles(*delay, arguments.cycles).await? {
            println!("{times}");
        }
    }
    println!("{}", starts(arguments.starts).await?);
    println!(
        "| memory after start, no volumes | 1 | {} | | |",
        idle_memory().await?
    );
    for line in reads(arguments.volumes, arguments.reads).await? {
        println!("{line}");
    }
    Ok(())
}

/// Create, mount, unmount and remove, one after another.
async fn cycles(delay_ms: u64, count: u32) -> Result<Vec<Times>> {
    let mut fleet = Fleet::start(delay_ms).await?;
    let mut socket = Socket::connect(&fleet.plugin.socket()).await?;
    let methods = ["Create", "Mount", "Unmount", "Remove"];
    let mut times = methods
        .map(|method| Times::new(format!("{method}, {delay_ms} ms an array call")))
        .into_iter()
        .collect::<Vec<_>>();
    let options = json!({"size": "1GiB", "fstype": "ext4"});
    for index in 0..count {
        let name = format!("load-{index}");
        for (method, times) in methods.iter().zip(&mut times) {
            let body = json!({"Name": name, "ID": "0".repeat(64), "Opts": options});
            times.add(socket.call(method, &body).await?.0);
        }
    }
    fleet.stop().await?;
    Ok(times)
}

/// From the start of the process to the first answer, with no array reachable.
async fn starts(count: u32) -> Result<Times> {
    let mut times = Times::new("start to first answer, every array unreachable");
    let mut fleet = Fleet::start(0).await?;
    fleet.plugin.stop().await?;
    fleet.take_arrays_down().await;
    for _ in 0..count {
        let start = std::time::Instant::now();
        fleet.plugin.start_again().await?;
        times.add(start.elapsed());
        fleet.plugin.kill_9().await?;
    }
    fleet.stop().await?;
    Ok(times)
}

async fn idle_memory() -> Result<String> {
    let mut fleet = Fleet::start(0).await?;
    let mut socket = Socket::connect(&fleet.plugin.socket()).await?;
    let _listed = socket.call("List", &json!({})).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let memory = fleet.resident()?;
    fleet.stop().await?;
    Ok(memory)
}

/// Get and List with many volumes known, and what the process then weighs.
async fn reads(volumes: u32, count: u32) -> Result<Vec<String>> {
    let mut fleet = Fleet::start(0).await?;
    fleet.fill(volumes).await?;
    // A fresh process, so that what it weighs is what it knows and not what filling left behind.
    fleet.plugin.stop().await?;
    fleet.plugin.start_again().await?;
    let mut socket = Socket::connect(&fleet.plugin.socket()).await?;
    fleet.wait_for_inventory(&mut socket, volumes).await?;
    let (mut get, mut list) = (
        Times::new(format!("Get, {volumes} volumes known")),
        Times::new(format!("List, {volumes} volumes known")),
    );
    for index in 0..count {
        let name = format!("many-{}", index.wrapping_mul(7919) % volumes.max(1));
        get.add(socket.call("Get", &json!({"Name": name})).await?.0);
        list.add(socket.call("List", &json!({})).await?.0);
    }
    let memory = fleet.resident()?;
    fleet.stop().await?;
    Ok(vec![
        get.to_string(),
        list.to_string(),
        format!("| memory, {volumes} volumes known | 1 | {memory} | | |"),
    ])
}
