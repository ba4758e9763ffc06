//! Runs.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells the seeds"
)]

use chaos::{Plan, Report, Sabotage, run};

fn one(seed: u64, operations: u32, sabotage: Option<Sabotage>) -> Report {
    let plan = Plan {
        sabotage,
        ..Plan::new(seed, operations)
    };
    run(&plan).expect("a runtime")
}

/// Independent seeds in two threads; stops at the first violation of each.
fn all(seeds: std::ops::Range<u64>, operations: u32) -> Vec<Report> {
    let half = |odd: u64| {
        let seeds = seeds.clone().filter(move |seed| seed % 2 == odd);
        std::thread::spawn(move || {
            let reports = seeds.map(|seed| one(seed, operations, None));
            reports
                .filter(|report| !report.violations.is_empty())
                .take(3)
                .collect::<Vec<_>>()
        })
    };
    let threads = [half(0), half(1)];
    let joined = threads.map(|thread| thread.join().expect("no panic"));
    joined.into_iter().flatten().collect()
}

fn expect_none(failed: &[Report]) {
    for report in failed {
        println!("{report}");
    }
    let seeds: Vec<u64> = failed.iter().map(|report| report.seed).collect();
    assert!(failed.is_empty(), "violations with the seeds {seeds:?}");
}

#[test]
fn nothing_is_violated() {
    let seeds = 1..501;
    println!("seeds {seeds:?}, 200 operations each");
    expect_none(&all(seeds, 200));
}

#[test]
fn nothing_is_violated_in_many_runs() {
    if !lab::environment::long_or_skipped() {
        return;
    }
    let seeds = 1000..11_000;
    println!("seeds {seeds:?}, 200 operations each");
    expect_none(&all(seeds, 200));
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        let (first, second) = (one(seed, 200, None), one(seed, 200, None));
        assert_eq!(first.tail, second.tail, "seed {seed}");
        assert_eq!((first.hash, first.events), (second.hash, second.events));
    }
    assert_ne!(one(1, 200, None).hash, one(2, 200, None).hash);
}

/// Every defect is found within so many seeds.
const SEEDS_MAX: u64 = 60;

#[test]
fn every_sabotage_is_found() {
    for sabotage in Sabotage::ALL {
        let mut runs = (1..=SEEDS_MAX).map(|seed| one(seed, 200, Some(sabotage)));
        let found = runs.find(|report| !report.violations.is_empty());
        let report = found.unwrap_or_else(|| panic!("{sabotage:?} is not found"));
        println!(
            "{sabotage:?}: seed {}: {:?}",
            report.seed, report.violations
        );
    }
}
