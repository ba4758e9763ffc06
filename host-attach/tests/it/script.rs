//! Observers for tests: stop at the n-th moment, or do something at one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use host_attach::{Moment, Observer, Step};
use storage_core::{Error, ErrorKind, Result};

/// Counts moments and stops at one of them, as kill -9 would.
#[derive(Debug)]
pub struct StopAt {
    at: usize,
    seen: AtomicUsize,
}

impl StopAt {
    pub fn new(at: usize) -> Arc<Self> {
        Arc::new(Self {
            at,
            seen: AtomicUsize::new(0),
        })
    }

    /// Never stops, only counts.
    pub fn never() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Observer for StopAt {
    fn step(&self, step: Step, moment: Moment) -> Result<()> {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        if number == self.at {
            return Err(Error::new(
                ErrorKind::Unexpected,
                format!("killed {moment:?} {step:?}"),
            ));
        }
        Ok(())
    }
}

/// Runs something at one moment of one step.
pub struct At<F> {
    pub step: Step,
    pub moment: Moment,
    pub action: F,
}

impl<F> fmt::Debug for At<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({:?} {:?})", self.moment, self.step)
    }
}

impl<F: Fn() -> Result<()> + Send + Sync + 'static> Observer for At<F> {
    fn step(&self, step: Step, moment: Moment) -> Result<()> {
        if (step, moment) == (self.step, self.moment) {
            return (self.action)();
        }
        Ok(())
    }
}

/// An observer that kills at that moment.
pub fn kill_at(step: Step, moment: Moment) -> Arc<dyn Observer> {
    let action = || Err(Error::new(ErrorKind::Unexpected, "killed"));
    Arc::new(At {
        step,
        moment,
        action,
    })
}
