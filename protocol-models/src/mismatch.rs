//! A step of a trace that no right run has, of whichever protocol.

use std::fmt;

/// Where a trace leaves the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch<S> {
    /// Which step, from zero.
    pub at: usize,
    /// The step.
    pub step: Box<S>,
    /// Why not.
    pub why: String,
}

impl<S: fmt::Debug> fmt::Display for Mismatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}: {:?}", self.at, self.why, self.step)
    }
}

impl<S: fmt::Debug> std::error::Error for Mismatch<S> {}

/// Takes the steps one after the other, up to the first that is refused.
pub(crate) fn walk<S: Clone>(
    trace: &[S],
    mut take: impl FnMut(usize, &S) -> Result<(), String>,
) -> Result<(), Mismatch<S>> {
    for (at, step) in trace.iter().enumerate() {
        take(at, step).map_err(|why| Mismatch {
            at,
            step: Box::new(step.clone()),
            why,
        })?;
    }
    Ok(())
}
