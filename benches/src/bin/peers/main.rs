//! Our backend and a peer on the same simulated array in the same run: how many calls an operation
//! costs the array, and how long it takes.
//!
//! The peer is the `FlashArray` driver of `OpenStack` Cinder, which runs without `OpenStack` and without
//! hardware (`benches/peers/cinder_pure.py`). It needs a Python environment with Cinder in it, made
//! once: `python3 -m venv DIR && DIR/bin/pip install cinder==29.0.0 py-pure-client==1.96.0`. Without
//! `--python` only our own side is measured. Nothing of hosts' devices is measured here.

mod ours;
mod peer;

use anyhow::{Context as _, Result};
use array_sim::{ArrayConfig, FaultPlan, Simulator};
use clap::Parser;
use std::path::PathBuf;

/// Compares the calls and times of array operations with a peer's.
#[derive(Debug, Parser)]
struct Arguments {
    /// Volumes that are made, connected, disconnected and removed, one after another.
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// Delays of every array call, in milliseconds, measured one after another.
    #[arg(long, value_delimiter = ',', default_value = "0,10")]
    delays_ms: Vec<u64>,
    /// The Python of an environment with Cinder in it.
    #[arg(long)]
    python: Option<PathBuf>,
}

/// What one operation took in each round.
#[derive(Clone, Debug, Default, serde::Deserialize)]
struct Rounds {
    /// Calls that the array counted, sessions left out.
    calls: Vec<u64>,
    /// Milliseconds.
    ms: Vec<f64>,
}

impl Rounds {
    /// Calls of all rounds but the first, which reads what is read once, as `least–most`.
    fn calls(&self) -> String {
        let later = self.calls.iter().skip(1);
        match (later.clone().min(), later.max()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (Some(least), Some(most)) => format!("{least}–{most}"),
            _ => "?".to_owned(),
        }
    }

    /// The median, the first round left out likewise.
    fn median(&self) -> String {
        let mut later: Vec<f64> = self.ms.iter().skip(1).copied().collect();
        later.sort_by(f64::total_cmp);
        let middle = later.get(later.len() / 2);
        middle.map_or_else(|| "?".to_owned(), |ms| format!("{ms:.1} ms"))
    }
}

/// The operations, as both sides name them.
const OPERATIONS: [&str; 4] = ["create", "publish", "unpublish", "delete"];

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("| operation, delay of a call | Fairlead calls | median | Cinder calls | median |");
    println!("| --- | --- | --- | --- | --- |");
    for delay in &arguments.delays_ms {
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("array-a"))
            .control("127.0.0.1:0")
            .start()
            .await?;
        let array = simulator.array("array-a").context("the array is there")?;
        let mut faults = FaultPlan::default();
        (faults.delay_min_ms, faults.delay_max_ms) = (*delay, *delay);
        array.set_faults(faults);
        let ours = ours::measure(array, arguments.rounds).await?;
        let peer = match &arguments.python {
            Some(python) => {
                let control = simulator
                    .control_url()
                    .context("it has a control listener")?;
                Some(peer::measure(python, array, &control, arguments.rounds).await?)
            }
            None => None,
        };
        let none = Rounds::default();
        for operation in OPERATIONS {
            let mine = ours.get(operation).unwrap_or(&none);
            let theirs = peer.as_ref().and_then(|peer| peer.get(operation));
            let (calls, median) = theirs.map_or_else(
                || ("not measured".to_owned(), String::new()),
                |theirs| (theirs.calls(), theirs.median()),
            );
            println!(
                "| {operation}, {delay} ms | {} | {} | {calls} | {median} |",
                mine.calls(),
                mine.median()
            );
        }
        simulator.stop().await?;
    }
    Ok(())
}
