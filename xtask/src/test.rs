//! `cargo xtask test`: everything that must hold before a change goes in.

use anyhow::Result;

use crate::check::{self, cargo_step, outcome};
use crate::fuzz;
use crate::packages;
use crate::steps::{Counts, Outcome, Steps, say};
use crate::stream::{cargo, show, show_and_read};

pub(crate) fn run(long: bool) -> Result<bool> {
    if let Err(error) = packages::ensure_test_packages() {
        // the tests that need them say so and are counted as skipped
        say(&format!("{error:#}"));
    }
    packages::tell_missing_devices();
    let mut steps = Steps::new();
    check::add(&mut steps);
    // integration tests start the workspace's programs and examples
    steps.run("build", || {
        cargo_step(&["build", "--workspace", "--bins", "--examples"])
    });
    // and one starts the plugin that kills itself where it is told to
    steps.run("build with crash points", || {
        cargo_step(&[
            "build",
            "--workspace",
            "--bin=fairlead-docker-armed",
            "--features=adapter-docker/crash-points",
        ])
    });
    steps.run_counting("tests", |counts| {
        let targets = ["--lib", "--bins", "--tests"];
        run_tests(&targets, long, counts)
    });
    steps.run_counting("doc tests", |counts| run_tests(&["--doc"], long, counts));
    // what it does not offer is skipped by design, and no news of this machine: not counted
    steps.run("the example backend", || {
        cargo_step(&["test", "-p", "examples", "--example", "own_backend"])
    });
    let seconds = if long { 600 } else { 60 };
    steps.run_counting("fuzz", |counts| fuzz::step(seconds, None, counts));
    steps.run("documentation", documentation);
    steps.run("dependency rules", dependency_rules);
    Ok(steps.summary())
}

fn run_tests(targets: &[&str], long: bool, counts: &mut Counts) -> Result<Outcome> {
    let common = ["test", "--workspace", "--no-fail-fast"];
    // shows what passing tests print: the reasons for skips
    let harness = ["--", "--show-output"];
    let mut command = cargo(&[&common[..], targets, &harness[..]].concat());
    if long {
        command.env("FAIRLEAD_LONG", "1");
    }
    let status = show_and_read(command, |line| counts.read(line))?;
    if status.success() && counts.failed > 0 {
        return Ok(Outcome::Failed(format!("{} tests failed", counts.failed)));
    }
    Ok(outcome(status))
}

fn documentation() -> Result<Outcome> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    Ok(outcome(show(command)?))
}

fn dependency_rules() -> Result<Outcome> {
    if packages::find("cargo-deny").is_none() {
        let how = "cargo-deny is not installed (cargo install cargo-deny)";
        return Ok(Outcome::Skipped(how.to_owned()));
    }
    cargo_step(&["deny", "check", "bans", "licenses", "sources"])
}
