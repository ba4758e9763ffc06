//! `cargo xtask demo`: builds the programs and runs the lab's demo, which tells the story.

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::stream::{cargo, program, show};

/// The programs that the demo starts, and itself, by package.
const PACKAGES: [&str; 4] = ["array-sim", "adapter-docker", "fairlead", "lab"];

pub(crate) fn run() -> Result<bool> {
    if !packages::is_root() {
        bail!("the demo mounts file systems and runs containers: run it as root");
    }
    packages::ensure_host_packages()?;
    packages::tell_missing_devices();
    let packages = PACKAGES.map(|package| format!("--package={package}"));
    let mut arguments = vec!["build", "--bins"];
    arguments.extend(packages.iter().map(String::as_str));
    if !show(cargo(&arguments))?.success() {
        return Ok(false);
    }
    let own = std::env::current_exe().context("find the running program")?;
    let demo = own.with_file_name("demo");
    Ok(show(program(demo, &[]))?.success())
}
