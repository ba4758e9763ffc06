//! How the demo speaks: numbered steps with times, what was seen beneath, a summary.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

#[derive(Debug)]
pub(crate) struct Story {
    start: Instant,
    step: Instant,
    steps: usize,
    checks: usize,
}

impl Story {
    pub(crate) fn begin(headline: &str) -> Self {
        let now = Instant::now();
        say(&format!("{headline}\n"));
        Self {
            start: now,
            step: now,
            steps: 0,
            checks: 0,
        }
    }

    /// Tells what was done since the last step, and how long it took.
    pub(crate) fn step(&mut self, text: &str) {
        let seconds = self.step.elapsed().as_secs_f64();
        self.steps += 1;
        say(&format!("{:2}. {seconds:5.1} s  {text}", self.steps));
        self.step = Instant::now();
    }

    /// Tells a detail of the step before.
    pub(crate) fn detail(text: &str) {
        say(&format!("             {text}"));
    }

    /// Checks what the step before claimed.
    pub(crate) fn check(&mut self, holds: bool, claim: &str) -> Result<()> {
        if !holds {
            bail!("not so: {claim}");
        }
        self.checks += 1;
        Ok(())
    }

    /// The last words.
    pub(crate) fn end(self, told: Result<()>) -> ExitCode {
        let seconds = self.start.elapsed().as_secs_f64();
        let (steps, checks) = (self.steps, self.checks);
        match told {
            Ok(()) => {
                say(&format!(
                    "\nDone: {steps} steps, {checks} checks, all true, in {seconds:.1} s."
                ));
                ExitCode::SUCCESS
            }
            Err(error) => {
                say(&format!(
                    "\nFAILED after step {steps} ({seconds:.1} s): {error:#}"
                ));
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints a line; a closed output is nothing to fail for.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        drop(out);
    }
}
