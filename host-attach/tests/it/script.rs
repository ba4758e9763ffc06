//! Observers for tests: stop at the n-th moment, or do something at one.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

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

/// An operation that hangs at one moment, as in the kernel, until this is dropped.
pub struct Hung {
    reached: mpsc::Receiver<()>,
    _release: mpsc::Sender<()>,
}

impl Hung {
    pub fn at(step: Step, moment: Moment) -> (Self, Arc<dyn Observer>) {
        let (tell, reached) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let action = move || {
            let _sent = tell.send(());
            let _released = gate.lock().unwrap().recv();
            Ok(())
        };
        let observer = Arc::new(At {
            step,
            moment,
            action,
        });
        let hung = Self {
            reached,
            _release: release,
        };
        (hung, observer)
    }

    /// Waits until it hangs there.
    pub fn wait(&self) {
        self.reached.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
