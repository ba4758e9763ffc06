//! One host of a race: `race-worker ORDERS` carries the orders of a file out and ends.

use std::path::PathBuf;

use anyhow::{Context, Result};
use races::{Orders, work};
use rustix::process::{Signal, set_parent_process_death_signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Nobody is left to read the journal of a worker whose test is gone.
    set_parent_process_death_signal(Some(Signal::KILL)).context("end with the test")?;
    let orders = std::env::args_os().nth(1).map(PathBuf::from);
    let orders = orders.context("usage: race-worker ORDERS")?;
    let text =
        std::fs::read_to_string(&orders).with_context(|| format!("read {}", orders.display()))?;
    let orders: Orders = serde_json::from_str(&text).context("read the orders")?;
    work(orders).await
}
