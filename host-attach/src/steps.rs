//! The steps that change a host, and the seam at which a test can stop us between any two.
//!
//! Always compiled, inert without an observer. A stop stands for kill -9: nothing more is changed
//! through this attacher afterwards, and no roll-back runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage_core::{Error, ErrorKind, Result};

/// Something that changes the host or what we remember of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// A ledger record is written.
    Record,
    /// A device is made for the volume.
    Connect,
    /// The device was found fit to be formatted; nothing is changed yet.
    Inspect,
    /// A file system is made.
    Format,
    /// A file system is checked, and repaired where that is safe.
    Check,
    /// A copied file system's log is replayed, as a mount would.
    Replay,
    /// A copied file system gets its own UUID.
    Renew,
    /// The empty folder to mount on is made.
    MakeMountpoint,
    /// The file system is mounted.
    Mount,
    /// The file system is grown to its device.
    Grow,
    /// A file system that must not write any more is shut down.
    ShutDown,
    /// Dirty data is written back.
    Sync,
    /// The file system is unmounted.
    Unmount,
    /// The empty folder is removed.
    RemoveMountpoint,
    /// The device is given back.
    Disconnect,
    /// A ledger record is removed.
    Forget,
}

impl fmt::Display for Step {
    /// A stable name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "record",
            Self::Connect => "connect",
            Self::Inspect => "inspect",
            Self::Format => "format",
            Self::Check => "check",
            Self::MakeMountpoint => "make-mountpoint",
            Self::Mount => "mount",
            Self::Grow => "grow",
            Self::ShutDown => "shut-down",
            Self::Sync => "sync",
            Self::Unmount => "unmount",
            Self::RemoveMountpoint => "remove-mountpoint",
            Self::Disconnect => "disconnect",
            Self::Forget => "forget",
            Self::Replay => "replay",
            Self::Renew => "renew",
        })
    }
}

/// Before or after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Nothing of the step has been done.
    Before,
    /// The step has been done.
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

/// Sees every step; for tests.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Called before and after each step.
    ///
    /// # Errors
    /// Any error stops the attacher for good, as if its process had been killed here.
    fn step(&self, step: Step, moment: Moment) -> Result<()>;
}

/// Hands steps to the observer and remembers whether it stopped us.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    observer: Option<Arc<dyn Observer>>,
    stopped: AtomicBool,
}

impl Steps {
    pub(crate) const fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            observer,
            stopped: AtomicBool::new(false),
        }
    }

    /// Runs one step between its two moments.
    pub(crate) fn run<T>(&self, step: Step, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.tell(step, Moment::Before)?;
        let done = work()?;
        self.tell(step, Moment::After)?;
        Ok(done)
    }

    /// Whether the observer stopped us.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn tell(&self, step: Step, moment: Moment) -> Result<()> {
        crash_points::point!("host", format_args!("{step}.{moment}"));
        let Some(observer) = &self.observer else {
            return Ok(());
        };
        if self.stopped() {
            return Err(Error::new(ErrorKind::Unexpected, "stopped by the observer"));
        }
        tracing::trace!(%step, %moment, "host step");
        observer.step(step, moment).inspect_err(|_stop| {
            self.stopped.store(true, Ordering::Release);
        })
    }
}
