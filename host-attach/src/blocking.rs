//! Threads for work that may hang in the kernel (opening a device, syncing, unmounting).
//!
//! Each operation gets a thread of its own, named and counted, and never one of the runtime's
//! blocking pool: a pool full of uninterruptible calls is a dead process. The caller waits with a
//! deadline; the work goes on, and whatever it owns (a volume's lock) stays with it until it is
//! done. Over the limit, new work is refused.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use storage_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// What a piece of work is doing, for the message of a time-out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Cow<'static, str>>>);

impl Progress {
    /// Notes what begins now.
    pub(crate) fn set(&self, doing: impl Into<Cow<'static, str>>) {
        let doing = doing.into();
        tracing::debug!(%doing, "host work");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doing;
    }

    /// What began last.
    pub(crate) fn get(&self) -> Cow<'static, str> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One pool of counted threads.
#[derive(Clone)]
pub(crate) struct Workers {
    busy: Arc<AtomicUsize>,
    limit: usize,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({} of {})", self.busy(), self.limit)
    }
}

/// Counts a thread as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Workers {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            busy: Arc::new(AtomicUsize::new(0)),
            limit,
        }
    }

    /// How many threads work, or hang, now.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }

    fn enter(&self) -> Result<Counted> {
        let counted = Counted(Arc::clone(&self.busy));
        if self.busy.fetch_add(1, Ordering::AcqRel) < self.limit {
            return Ok(counted);
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} operations are under way on this host, and no more are taken; some may hang \
                 in the kernel",
                self.limit
            ),
        ))
    }

    /// Runs the work on a thread of its own and waits for it at most that long.
    ///
    /// # Errors
    /// What the work returns; `Unavailable` over the limit; `Timeout` with what was last begun.
    ///
    /// # Cancellation
    /// The work goes on when this future is dropped.
    pub(crate) async fn run<T, W>(
        &self,
        operation: &'static str,
        patience: Duration,
        work: W,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Progress) -> Result<T> + Send + 'static,
    {
        let counted = self.enter()?;
        let progress = Progress::default();
        let inside = progress.clone();
        let span = tracing::Span::current();
        let (send, receive) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("fl-{operation}"))
            .spawn(move || {
                let _entered = span.entered();
                let result = work(&inside);
                // First the thread is no longer counted, then the caller may go on.
                drop(counted);
                if send.send(result).is_err() {
                    tracing::debug!(operation, "finished after its caller had left");
                }
            })
            .map_err(|error| {
                Error::new(ErrorKind::ResourceExhausted, "no thread could be started")
                    .with_source(error)
            })?;
        match tokio::time::timeout(patience, receive).await {
            Ok(Ok(result)) => result.map_err(|error| error.with_operation(operation)),
            Ok(Err(gone)) => Err(Error::new(
                ErrorKind::Unexpected,
                "the operation ended without a result",
            )
            .with_operation(operation)
            .with_source(gone)),
            Err(_elapsed) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "not done within {} s; it goes on; last seen: {}",
                    patience.as_secs(),
                    progress.get()
                ),
            )
            .with_operation(operation)),
        }
    }
}

/// Looks every `interval` until there is an answer or the time is up: `None` then.
///
/// # Errors
/// The first error of `look`.
pub(crate) fn poll_until<T>(
    patience: Duration,
    interval: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        pause(interval);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only ever on a dedicated thread of this module, between two looks with a deadline"
)]
fn pause(interval: Duration) {
    std::thread::sleep(interval);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use storage_core::ErrorKind;

    use super::Workers;

    #[tokio::test]
    async fn a_hanging_call_costs_its_caller_no_more_than_the_deadline() {
        let workers = Workers::new(1);
        let (release, hang) = mpsc::channel::<()>();
        let stuck = workers
            .run("test", Duration::from_millis(20), move |progress| {
                progress.set("hanging on purpose");
                hang.recv().or(Ok(()))
            })
            .await
            .unwrap_err();
        assert_eq!(stuck.kind(), ErrorKind::Timeout);
        assert!(stuck.message().contains("hanging on purpose"));
        let refused = workers
            .run("test", Duration::from_secs(5), |_| Ok(()))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert_eq!(workers.busy(), 1, "a refusal is not counted for ever");
        drop(release);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while workers.busy() > 0 && tokio::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        workers
            .run("test", Duration::from_secs(5), |_| Ok(()))
            .await
            .unwrap();
    }
}
