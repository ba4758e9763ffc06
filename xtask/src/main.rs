//! The index of every command: `cargo xtask demo | test | fuzz | bench | check | docker-plugin`.
//!
//! Each installs the Debian packages that it needs and that are missing, builds in the open, and
//! runs. It depends on almost nothing, so that it compiles in seconds, and knows nothing of the
//! product beyond the names of its crates.

mod bench;
mod check;
mod demo;
mod docker_plugin;
mod fuzz;
mod packages;
mod steps;
mod stream;
mod test;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests, shows and measures Fairlead.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the whole way of a volume on this machine: two simulated arrays, a Docker engine of
    /// its own, the plugin between them; or a Swarm of three engines that loses a node. Needs root.
    /// Leaves nothing behind.
    Demo {
        /// What to show.
        #[arg(default_value = "volume")]
        story: demo::Story,
    },
    /// Everything that must hold before a change goes in: formatting, lints, layering, tests,
    /// documentation, dependency rules; with a summary. Tests that need root say when they skip.
    Test {
        /// Runs the long tests too (sets `FAIRLEAD_LONG=1`).
        #[arg(long)]
        long: bool,
    },
    /// Fuzzes everything that parses what others wrote, beginning with `fuzz/corpus`, and says
    /// where an input lies that breaks something.
    Fuzz {
        /// How long, for all targets together.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// One target: the name of a folder in `fuzz/corpus`. Default: all.
        target: Option<String>,
    },
    /// Runs the benches and the load tools against simulated arrays.
    Bench {
        /// Passed on to the benches: names to choose, criterion's options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The quick part of `test`: formatting, lints and layering, no tests.
    Check,
    /// Packages the Docker volume plugin for `docker plugin create`: the release binary, the tools
    /// that it runs, their libraries and licences, and config.json. Installs nothing in Docker.
    DockerPlugin {
        /// The folder to make; `docker-plugin` in the target folder if not given.
        #[arg(long)]
        output: Option<PathBuf>,
        /// A fairlead-docker to package in place of a release build.
        #[arg(long)]
        binary: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            steps::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// True if all went well; a failure that was already told is false, not an error.
fn run(command: &Command) -> Result<bool> {
    match command {
        Command::Demo { story } => demo::run(*story),
        Command::Test { long } => test::run(*long),
        Command::Fuzz { seconds, target } => fuzz::run(*seconds, target.as_deref()),
        Command::Bench { arguments } => bench::run(arguments),
        Command::Check => check::run(),
        Command::DockerPlugin { output, binary } => {
            docker_plugin::run(output.as_deref(), binary.as_deref())
        }
    }
}
