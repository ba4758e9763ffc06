//! `cargo xtask check`: what can be said without running anything.

use std::process::ExitStatus;

use anyhow::Result;

use crate::steps::{Outcome, Steps};
use crate::stream::{cargo, show};
use crate::tree;

pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::new();
    add(&mut steps);
    Ok(steps.summary())
}

/// Formatting, lints, layering.
pub(crate) fn add(steps: &mut Steps) {
    steps.run("formatting", || cargo_step(&["fmt", "--all", "--check"]));
    steps.run("lints", || {
        cargo_step(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    });
    steps.run("layering", tree::core_without_network);
}

/// Runs cargo in the open.
pub(crate) fn cargo_step(arguments: &[&str]) -> Result<Outcome> {
    Ok(outcome(show(cargo(arguments))?))
}

pub(crate) fn outcome(status: ExitStatus) -> Outcome {
    if status.success() {
        Outcome::Passed
    } else {
        Outcome::Failed(status.to_string())
    }
}
