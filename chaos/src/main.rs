//! `chaos --seed N --operations N --runs N`: runs seeds one after the other, and tells the first
//! one that fails with the end of its log.

use std::process::ExitCode;

use chaos::{Plan, run};
use clap::Parser;

/// Seeded chaos over a simulated fleet.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Operations of each run.
    #[arg(long, default_value_t = 200)]
    operations: u32,
    /// How many seeds, counting up.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Goes on after a violation, and tells of each one its seed and what it is.
    #[arg(long)]
    go_on: bool,
    /// Prints so many of the last events, also without a violation.
    #[arg(long)]
    keep: Option<usize>,
}

#[expect(clippy::print_stdout, reason = "what this program is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut failed = 0_u64;
    for seed in (arguments.seed..)
        .zip(0..arguments.runs)
        .map(|(seed, _)| seed)
    {
        let mut plan = Plan::new(seed, arguments.operations);
        if let Some(keep) = arguments.keep {
            plan.keep = keep;
        }
        match run(&plan) {
            Ok(report) if report.violations.is_empty() && arguments.keep.is_none() => {
                println!("{report}", report = first_line(&report));
            }
            Ok(report) if arguments.go_on => {
                failed += 1;
                println!("{}: {:?}", first_line(&report), report.violations);
            }
            Ok(report) => {
                println!("{report}");
                if !report.violations.is_empty() {
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                println!("seed {seed}: {}", error.chain());
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} runs, {failed} with violations", arguments.runs);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn first_line(report: &chaos::Report) -> String {
    let (seed, events, hash) = (report.seed, report.events, report.hash);
    format!(
        "seed {seed}: {events} events, hash {hash:016x}, {:?}",
        report.counts
    )
}
