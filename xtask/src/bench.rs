//! `cargo xtask bench`: times and counts, against simulated arrays.

use anyhow::Result;

use crate::packages;
use crate::stream::{cargo, show};

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    packages::ensure_host_packages()?;
    let mut command = cargo(&["bench", "--package=benches"]);
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    Ok(show(command)?.success())
}
