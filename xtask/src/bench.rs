//! `cargo xtask bench`: times and counts, against simulated arrays.

use anyhow::Result;

use crate::packages;
use crate::stream::{cargo, show};

/// Runs the benches; without arguments, which choose among them, also the load on the plugin.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    packages::ensure_host_packages()?;
    packages::tell_missing_devices();
    // by pattern: the package's programs are no benches, and refuse criterion's options
    let mut benches = cargo(&["bench", "--package=benches", "--bench", "*"]);
    if !arguments.is_empty() {
        benches.arg("--").args(arguments);
    }
    let mut passed = show(benches)?.success();
    if arguments.is_empty() {
        passed &= load()?;
    }
    Ok(passed)
}

/// The load tool starts the plugin that was built beside it.
fn load() -> Result<bool> {
    let build = [
        "build",
        "--release",
        "--package=adapter-docker",
        "--package=benches",
        "--bins",
    ];
    if !show(cargo(&build))?.success() {
        return Ok(false);
    }
    let load = ["run", "--release", "--package=benches", "--bin=plugin-load"];
    Ok(show(cargo(&load))?.success())
}
