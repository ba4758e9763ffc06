//! `cargo xtask demo [swarm]`: builds the programs and runs the lab's demo, which tells the story.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::packages;
use crate::stream::{cargo, program, show};

/// The programs that the demo starts, and itself, by package.
const PACKAGES: [&str; 4] = ["array-sim", "adapter-docker", "fairlead", "lab"];

/// What the demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Story {
    /// The whole way of a volume: two arrays, one engine.
    Volume,
    /// Six replicas on a Swarm of three engines, of which one loses its power.
    Swarm,
}

pub(crate) fn run(story: Story) -> Result<bool> {
    if !packages::is_root() {
        bail!("the demo mounts file systems and runs containers: run it as root");
    }
    match story {
        Story::Volume => packages::ensure_host_packages()?,
        Story::Swarm => packages::ensure_swarm_packages()?,
    }
    packages::tell_missing_devices();
    let packages = PACKAGES.map(|package| format!("--package={package}"));
    let mut arguments = vec!["build", "--bins"];
    arguments.extend(packages.iter().map(String::as_str));
    if !show(cargo(&arguments))?.success() {
        return Ok(false);
    }
    let own = std::env::current_exe().context("find the running program")?;
    let demo = own.with_file_name("demo");
    let told: &[&str] = match story {
        Story::Volume => &[],
        Story::Swarm => &["swarm"],
    };
    Ok(show(program(demo, told))?.success())
}
