//! One run: from its seed to its report.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use storage_core::{Error, ErrorKind, Namespace, Result};
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::operations::Orchestrator;
use crate::sabotage::Sabotage;
use crate::settle::settle;

/// What a run is made from.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// How many operations the orchestrator begins.
    pub operations: u32,
    /// What is wrong on purpose.
    pub sabotage: Option<Sabotage>,
    /// How many of the last events the report has.
    pub keep: usize,
}

impl Plan {
    /// A run of a seed, with the last events for whoever looks for the cause of a violation.
    #[must_use]
    pub const fn new(seed: u64, operations: u32) -> Self {
        Self {
            seed,
            operations,
            sabotage: None,
            keep: 400,
        }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plan's seed.
    pub seed: u64,
    /// Of all events: equal for two runs that were the same.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// What must not have happened, in its order. The run ends with the first.
    pub violations: Vec<String>,
    /// The last events.
    pub tail: Vec<String>,
    /// What happened how often.
    pub counts: BTreeMap<&'static str, u64>,
}

/// The seed, the violations and the end of the log.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "{line}")?;
        }
        for violation in &self.violations {
            writeln!(f, "seed {}: {violation}", self.seed)?;
        }
        write!(
            f,
            "seed {}: {} violations, {} events, hash {:016x}, {:?}",
            self.seed,
            self.violations.len(),
            self.events,
            self.hash,
            self.counts
        )
    }
}

/// Runs a plan to its end or its first violation.
///
/// # Errors
/// When no runtime can be made.
pub fn run(plan: &Plan) -> Result<Report> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Error::new(ErrorKind::Unexpected, "no runtime").with_source(error))?;
    let namespace = Namespace::new("prod")?;
    Ok(runtime.block_on(drive(plan, namespace)))
}

async fn drive(plan: &Plan, namespace: Namespace) -> Report {
    let mut orchestrator = Orchestrator::new(plan, namespace);
    let world = orchestrator.world();
    sleep(Duration::from_secs(20)).await;
    for _ in 0..plan.operations {
        if world.violated() {
            break;
        }
        orchestrator.operate();
        let gap = {
            let mut dice = world.dice();
            match dice.below(60) {
                0 => dice.time(300_000),
                1..20 => Duration::ZERO,
                _ => dice.time(6000),
            }
        };
        sleep(gap).await;
    }
    if !world.violated() {
        settle(&mut orchestrator).await;
    }
    let log = world.log();
    let truth = world.truth();
    Report {
        seed: plan.seed,
        hash: log.hash(),
        events: log.lines(),
        violations: truth.violations.clone(),
        tail: log.tail(),
        counts: truth.counts.clone(),
    }
}
