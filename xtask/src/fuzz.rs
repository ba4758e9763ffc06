//! `cargo xtask fuzz`: libFuzzer over everything that parses what others wrote, on the stable
//! toolchain. A target is a folder in `fuzz/corpus`; each run begins with what stands there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::steps::{Counts, Outcome, Steps, say};
use crate::stream::{cargo, show, show_and_read, workspace};

/// Fewer places in the code than any target has: what was built without counters has none.
const PLACES_MIN: usize = 1000;

/// The longest input that is made, in bytes: longer ones find no other branches, only later.
const INPUT_MAX: usize = 4096;

/// One input may take so long, in seconds, and all of them so much memory, in MiB.
const INPUT_SECONDS_MAX: u32 = 20;
const MEMORY_MAX: u32 = 1024;

/// Runs the command by itself.
pub(crate) fn run(seconds: u32, chosen: Option<&str>) -> Result<bool> {
    let mut steps = Steps::new();
    steps.run_counting("fuzz", |counts| step(seconds, chosen, counts));
    Ok(steps.summary())
}

/// All targets, or one: so many seconds in all. Each counts as a test.
pub(crate) fn step(seconds: u32, chosen: Option<&str>, counts: &mut Counts) -> Result<Outcome> {
    if let Err(why) = packages::ensure_fuzzing_packages() {
        return Ok(Outcome::Skipped(format!("{why:#}")));
    }
    let targets = targets(chosen)?;
    if !show(built(&["build"]))?.success() {
        return Ok(Outcome::Failed("the fuzz targets do not build".to_owned()));
    }
    let each = seconds / u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
    let mut findings = Vec::new();
    for target in &targets {
        let run = run_target(target, each.max(1))?;
        say(&format!("{target}: {run}"));
        if run.went_well {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            counts.failures.push(format!("fuzz {target}"));
            findings.push(target.as_str());
        }
    }
    if findings.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed(format!(
        "found something: {}",
        findings.join(", ")
    )))
}

/// What libFuzzer says of a run.
#[derive(Debug, Default)]
struct Run {
    went_well: bool,
    seeds: usize,
    inputs: u64,
    coverage: (u64, u64),
    places: usize,
}

impl Run {
    /// Takes in one line of its output.
    fn read(&mut self, line: &str) {
        let after = |mark: &str| {
            let rest = line.split_once(mark)?.1.trim_start();
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<u64>().ok()
        };
        if let Some(places) = after("INFO: Loaded 1 PC tables (") {
            self.places = usize::try_from(places).unwrap_or(usize::MAX);
        }
        if let Some(inputs) = after("stat::number_of_executed_units:") {
            self.inputs = inputs;
        }
        if let Some(coverage) = after(" cov: ") {
            if line.contains("INITED") {
                self.coverage.0 = coverage;
            }
            self.coverage.1 = coverage;
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.went_well { "passed" } else { "FAILED" };
        let Self {
            seeds,
            inputs,
            places,
            coverage: (first, last),
            ..
        } = self;
        write!(
            f,
            "{word}: {seeds} seeds, {inputs} inputs, coverage {first} to {last} of {places}"
        )
    }
}

fn run_target(target: &str, seconds: u32) -> Result<Run> {
    let seeds = corpus().join(target);
    // what is found on the way is kept for the next run, and is nothing to commit
    let found = workspace().join("target/fuzz").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("make {}", found.display()))?;
    let artifacts = format!(
        "-artifact_prefix={}/",
        workspace().join("target/fuzz").display()
    );
    let mut command = built(&["run", "--quiet"]);
    command
        .arg("--")
        .arg(&found)
        .arg(&seeds)
        .arg(&artifacts)
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_MAX}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MAX}"),
            "-print_final_stats=1".to_owned(),
            "-print_pcs=0".to_owned(),
        ]);
    command.env("FUZZ_TARGET", target);
    let mut run = Run {
        seeds: std::fs::read_dir(&seeds).map_or(0, Iterator::count),
        ..Run::default()
    };
    let mut artifact = None;
    let status = show_and_read(command, |line| {
        run.read(line);
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            artifact = Some(PathBuf::from(path.trim()));
        }
    })?;
    run.went_well = status.success() && run.places >= PLACES_MIN;
    if status.success() && !run.went_well {
        bail!(
            "{target} was built without counters ({} places): is RUSTC_WORKSPACE_WRAPPER set elsewhere?",
            run.places
        );
    }
    if let Some(artifact) = artifact {
        minimise(target, &artifact)?;
    }
    Ok(run)
}

/// Makes what was found as small as it gets in half a minute, and says what to do with it.
fn minimise(target: &str, artifact: &Path) -> Result<()> {
    let small = artifact.with_extension("small");
    let mut command = built(&["run", "--quiet"]);
    command
        .env("FUZZ_TARGET", target)
        .args(["--", "-minimize_crash=1", "-max_total_time=30"])
        .arg(format!("-exact_artifact_path={}", small.display()))
        .arg(artifact);
    // a page for each attempt, which all say the same
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // it ends with a failure even where it succeeds: the small one crashes too
    let _status = show(command)?;
    let best = if small.exists() {
        small
    } else {
        artifact.to_owned()
    };
    let corpus = corpus().join(target);
    say(&format!(
        "{target}: the input is {}; mend what it breaks, and keep it in {}",
        best.display(),
        corpus.display()
    ));
    Ok(())
}

fn corpus() -> PathBuf {
    workspace().join("fuzz/corpus")
}

fn targets(chosen: Option<&str>) -> Result<Vec<String>> {
    let folder = corpus();
    let entries = std::fs::read_dir(&folder);
    let entries = entries.with_context(|| format!("read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    match chosen {
        None => Ok(names),
        Some(name) if names.iter().any(|known| known == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!(
            "there is no target `{name}`; there are {}",
            names.join(", ")
        ),
    }
}

/// A cargo command about the fuzzing program, with the workspace's crates instrumented. Cargo keeps
/// what a wrapper made apart from all else, and everything below our crates is shared.
fn built(words: &[&str]) -> Command {
    let chosen = ["--package=fuzz", "--bin=fuzz", "--features=libfuzzer"];
    let mut command = cargo(&[words, &chosen[..]].concat());
    let wrapper = workspace().join("fuzz/instrument.sh");
    command.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    // the instrumentation covers whole crates; what is kept between builds would be thrown away
    command.env("CARGO_INCREMENTAL", "0");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_read() {
        let mut run = Run::default();
        for line in [
            "INFO: Loaded 1 PC tables (376 PCs): 376 [0x5599e54476e0,0x5599e5448e60), ",
            "#2\tINITED cov: 40 ft: 40 corp: 1/1b exec/s: 0 rss: 27Mb",
            "#4\tNEW    cov: 41 ft: 41 corp: 2/3b lim: 4 exec/s: 0 rss: 27Mb L: 2/2 MS: 2",
            "#99\tDONE   cov: 76 ft: 102 corp: 22/184b lim: 277 exec/s: 0 rss: 27Mb",
            "stat::number_of_executed_units: 36835",
        ] {
            run.read(line);
        }
        assert_eq!(
            (run.places, run.inputs, run.coverage),
            (376, 36835, (40, 76))
        );
    }

    #[test]
    fn targets_are_the_folders_of_the_corpus() {
        let all = targets(None).unwrap();
        assert!(all.contains(&"docker-requests".to_owned()), "{all:?}");
        assert_eq!(targets(Some("names")).unwrap(), ["names"]);
        let error = targets(Some("nmaes")).unwrap_err().to_string();
        assert!(error.contains("docker-requests"), "{error}");
    }
}
