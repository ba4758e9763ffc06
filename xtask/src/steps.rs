//! Steps of a command, their outcomes, and the summary a person reads.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What cargo's test programs reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// What failed: tests by their names, and what cargo says of whole programs.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// Takes in one line of output, of the test programs or of cargo.
    pub(crate) fn read(&mut self, line: &str) {
        if line.trim_start().starts_with("SKIPPED: ") {
            self.skipped += 1;
        }
        if let Some(failure) = failure(line) {
            self.failures.push(failure);
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }
}

/// What the line says that failed, if it does.
fn failure(line: &str) -> Option<String> {
    let line = line.trim();
    // a test: `test sizes::tests::rounding ... FAILED`
    if let Some(name) = line
        .strip_prefix("test ")
        .and_then(|rest| rest.strip_suffix(" ... FAILED"))
    {
        return Some(format!("test {name}"));
    }
    // cargo, of a program with failed tests, or which crashed and named none
    if let Some(target) = line.strip_prefix("error: test failed, to rerun pass ") {
        return Some(format!("cargo test {}", target.trim_matches('`')));
    }
    if let Some(how) = line.strip_prefix("process didn't exit successfully: ") {
        let signal = how.rfind("(signal").and_then(|at| how.get(at..))?;
        return Some(format!("a test program crashed {signal}"));
    }
    line.strip_prefix("error: ")
        .filter(|text| text.starts_with("could not compile"))
        .map(ToOwned::to_owned)
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    time: Duration,
}

/// The steps so far. A failed one does not keep the next from running.
#[derive(Debug)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    counts: Counts,
    say: fn(&str),
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::telling(say)
    }

    fn telling(say: fn(&str)) -> Self {
        Self {
            steps: Vec::new(),
            counts: Counts::default(),
            say,
        }
    }

    /// Runs a step.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<Outcome>) {
        self.run_counting(name, |_| step());
    }

    /// Runs a step that counts tests.
    pub(crate) fn run_counting(
        &mut self,
        name: &str,
        step: impl FnOnce(&mut Counts) -> Result<Outcome>,
    ) {
        (self.say)(&format!("\n=== {name}"));
        let start = Instant::now();
        let mut counts = Counts::default();
        let outcome =
            step(&mut counts).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        match &outcome {
            // a step whose tests did not fail, or have none, fails as one
            Outcome::Failed(_) if counts.failed == 0 => counts.failed = 1,
            Outcome::Skipped(reason) => {
                (self.say)(&format!("SKIPPED: {name}: {reason}"));
                counts.skipped += 1;
            }
            Outcome::Failed(_) | Outcome::Passed => {}
        }
        self.counts.add(counts);
        self.steps.push(Step {
            name: name.to_owned(),
            outcome,
            time: start.elapsed(),
        });
    }

    /// Prints what happened, by name what failed; the last line has the counts and nothing else.
    /// True if nothing failed.
    pub(crate) fn summary(&self) -> bool {
        (self.say)("\n=== summary");
        for line in self.lines() {
            (self.say)(&line);
        }
        self.counts.failed == 0
    }

    fn lines(&self) -> Vec<String> {
        let width = self
            .steps
            .iter()
            .map(|step| step.name.len())
            .max()
            .unwrap_or_default();
        let mut lines: Vec<String> = self
            .steps
            .iter()
            .map(|step| {
                let (word, why) = match &step.outcome {
                    Outcome::Passed => ("passed ", String::new()),
                    Outcome::Failed(why) => ("FAILED ", format!("  {why}")),
                    Outcome::Skipped(why) => ("skipped", format!("  {why}")),
                };
                let (name, seconds) = (&step.name, step.time.as_secs_f64());
                format!("{name:width$}  {word} {seconds:8.1} s{why}")
            })
            .collect();
        let Counts {
            passed,
            failed,
            skipped,
            failures,
        } = &self.counts;
        if !failures.is_empty() {
            lines.push("failed:".to_owned());
            lines.extend(failures.iter().map(|failure| format!("  {failure}")));
        }
        lines.push(format!(
            "{passed} passed, {failed} failed, {skipped} skipped"
        ));
        lines
    }
}

/// Prints a line; a closed output is nothing to fail for.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        drop(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted() {
        let mut counts = Counts::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 4 filtered out; finished in 0.49s",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "test luns::tests::x ... ok",
            "SKIPPED: no loop devices",
            "  SKIPPED: not run as root",
        ] {
            counts.read(line);
        }
        assert_eq!((counts.passed, counts.failed, counts.skipped), (15, 1, 4));
        assert!(counts.failures.is_empty(), "{:?}", counts.failures);
    }

    #[test]
    fn what_failed_is_named() {
        let mut counts = Counts::default();
        for line in [
            "test luns::tests::x ... ok",
            "test luns::tests::y ... FAILED",
            "test src/lib.rs - Name (line 12) ... FAILED",
            "error: test failed, to rerun pass `-p lab --test it`",
            "  process didn't exit successfully: `/x/deps/it-1 --show-output` (exit status: 101)",
            "  process didn't exit successfully: `/x/deps/it-1` (signal: 6, SIGABRT: abort)",
            "error: could not compile `lab` (lib) due to 1 previous error",
            "error: 2 targets failed:",
            "panicked: error: could not find it",
        ] {
            counts.read(line);
        }
        let expected = [
            "test luns::tests::y",
            "test src/lib.rs - Name (line 12)",
            "cargo test -p lab --test it",
            "a test program crashed (signal: 6, SIGABRT: abort)",
            "could not compile `lab` (lib) due to 1 previous error",
        ];
        assert_eq!(counts.failures, expected);
    }

    #[test]
    fn the_last_line_has_the_counts_alone() {
        // silent: what it would print is what it counts in others
        let mut steps = Steps::telling(|_| {});
        steps.run_counting("tests", |counts| {
            counts.read("test result: ok. 5 passed; 0 failed; 0 ignored");
            Ok(Outcome::Passed)
        });
        steps.run_counting("docs", |counts| {
            counts.read("test a::b ... FAILED");
            counts.read("test result: FAILED. 0 passed; 1 failed; 0 ignored");
            Ok(Outcome::Failed("exit 101".to_owned()))
        });
        steps.run("format", || Ok(Outcome::Failed("exit 1".to_owned())));
        steps.run("rules", || Ok(Outcome::Skipped("not installed".to_owned())));
        let lines = steps.lines();
        assert_eq!(
            lines.last().map(String::as_str),
            Some("5 passed, 2 failed, 1 skipped")
        );
        assert!(lines.contains(&"  test a::b".to_owned()), "{lines:?}");
        assert!(!steps.summary());
        assert!(
            lines.iter().any(|line| line.contains("format  FAILED ")),
            "{lines:?}"
        );
    }
}
