//! Engines take turns: one test at a time has one, over all test programs on this machine.

use std::fs::{File, OpenOptions, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// All engine tests of a slow machine, one after another.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
const STEP: Duration = Duration::from_millis(50);

/// The turn of one test; its end is the drop of the last clone. The kernel ends it with the process.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    _lock: Arc<File>,
}

impl Turn {
    /// Waits for the turn.
    pub(super) async fn wait() -> Result<Self> {
        let path = std::env::temp_dir().join("fairlead-lab-engine.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        _lock: Arc::new(file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(error).context("lock the turn"),
                Err(TryLockError::WouldBlock) if start.elapsed() > TIMEOUT => {
                    bail!("another test has had an engine for {TIMEOUT:?}: who holds {path:?}?")
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(STEP).await,
            }
        }
    }
}
