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
    // A test runner shows the first line when the case fails: it holds the seed.
    say(Audience::Failure, &format!("{name} on {subject}"));
    let ended = timeout(DEADLINE, case(&harness)).await;
    say(Audience::Failure, &format!("{name}: {}", harness.report()));
    match ended {
        Ok(Verdict::Passed) => {}
        Ok(Verdict::Skipped(reason)) => {
            let count = SKIPPED.fetch_add(1, Ordering::SeqCst) + 1;
            say(
                Audience::Everybody,
                &format!("SKIPPED: {name} on {subject}: {reason} ({count} skipped so far)"),
            );
        }
        Err(_elapsed) => panic!("{name} took more than {} s", DEADLINE.as_secs()),
    }
}

#[derive(Clone, Copy)]
enum Audience {
    /// Shown by the test runner when the case fails.
    Failure,
    /// Shown always: written past the runner's capture, which swallows what passing tests print.
    Everybody,
}

fn say(audience: Audience, line: &str) {
    match audience {
        #[expect(
            clippy::print_stderr,
            reason = "captured by the test runner, which is the purpose"
        )]
        Audience::Failure => eprintln!("{line}"),
        Audience::Everybody => {
            // Losing a line of output is no reason to fail a case.
            drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
        }
    }
}
