//! Runs one case: deadline, output, counting of skips.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::harness::{Harness, Verdict};

/// No case takes longer; most take milliseconds against a simulator.
const DEADLINE: Duration = Duration::from_secs(180);

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Runs a case and prints how it ended. What the suite's macros expand to.
pub async fn run<H: Harness>(name: &str, harness: H, case: impl AsyncFnOnce(&H) -> Verdict) {
    let subject = harness.describe();
    // It holds the seed, which whoever sees the case fail will want.
    log(&format!("{name} on {subject}"));
    if let Some(reason) = harness.missing() {
        return skipped(name, &subject, &reason);
    }
    let report = Report {
        name,
        harness: &harness,
    };
    let ended = timeout(DEADLINE, case(&harness)).await;
    drop(report);
    if ended.is_ok() {
        harness.finish().await;
    }
    match ended {
        Ok(Verdict::Passed) => {}
        Ok(Verdict::Skipped(reason)) => skipped(name, &subject, &reason),
        Err(_elapsed) => panic!("{name} took more than {} s", DEADLINE.as_secs()),
    }
}

fn skipped(name: &str, subject: &str, reason: &str) {
    let count = SKIPPED.fetch_add(1, Ordering::SeqCst) + 1;
    let line = format!("SKIPPED: {name} on {subject}: {reason}");
    log(&line);
    announce(&format!("{line} ({count} skipped so far)"));
}

/// Says what happened on the way, also when the case panics.
struct Report<'a, H: Harness> {
    name: &'a str,
    harness: &'a H,
}

impl<H: Harness> Drop for Report<'_, H> {
    fn drop(&mut self) {
        log(&format!("{}: {}", self.name, self.harness.report()));
    }
}

/// For the test runner's log of this test: shown when it fails, or when all logs are asked for
/// (`--show-output`).
#[expect(
    clippy::print_stdout,
    reason = "captured by the test runner, which is the purpose"
)]
fn log(line: &str) {
    println!("{line}");
}

/// For whoever looks on: written past the runner's capture, which swallows what passing tests
/// print.
fn announce(line: &str) {
    // Losing a line of output is no reason to fail a case.
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}
