//! Work on volumes: one operation a volume at a time, in the order asked, in tasks of its own.
//!
//! A caller only waits. When its deadline passes, or it goes away, the work goes on; the same
//! call made again while it does joins it instead of starting it twice. There is no lock over
//! several volumes, and no lock is held by a future that somebody could drop.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::engine::told::{Teller, Told, told};
use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;

/// Operations that may stand in line for one volume: more than any orchestrator has containers
/// starting on one volume at once, and few enough to notice a caller that loops.
const QUEUE_MAX: usize = 64;

type Answer<T> = std::result::Result<T, Arc<Error>>;

/// The operations under way, by volume.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    queues: Arc<Mutex<HashMap<VolumeName, Queue>>>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Queue {
    pending: usize,
    tail: Option<Tail>,
}

/// The operation at the end of a volume's line: the only one that a new call may join, as
/// anything earlier is followed by something that may undo it.
#[derive(Debug)]
struct Tail {
    what: String,
    /// A `Told<Answer<T>>` of the operation's own type.
    answer: Box<dyn Any + Send + Sync>,
    finished: Told<()>,
}

/// What is asked for, of which volume, and how long the caller waits.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    name: &'a VolumeName,
    /// The operation with its arguments: equal text means that joining gives the same.
    what: String,
    deadline: Instant,
}

impl<'a> Call<'a> {
    pub(crate) fn new(name: &'a VolumeName, what: impl Into<String>, deadline: Instant) -> Self {
        Self {
            name,
            what: what.into(),
            deadline,
        }
    }
}

/// Takes an operation out of its line, also when its task panics.
struct Slot {
    queues: Arc<Mutex<HashMap<VolumeName, Queue>>>,
    name: VolumeName,
    finished: Teller<()>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get_mut(&self.name) {
            queue.pending = queue.pending.saturating_sub(1);
            if queue.pending == 0 {
                queues.remove(&self.name);
            }
        }
        drop(queues);
        self.finished.tell(());
    }
}

impl Operations {
    /// Runs `work` for the volume after everything that was asked for before, or joins the same
    /// operation if that is last in line.
    ///
    /// # Errors
    /// The work's own; `Busy` when the line is too long; `Timeout` when the deadline passes (the
    /// work goes on).
    pub(crate) async fn run<T, F>(&self, call: Call<'_>, work: F) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let Call {
            name,
            what,
            deadline,
        } = call;
        let answer = self.submit(name, &what, work)?;
        match timeout_at(deadline, answer.wait()).await {
            Ok(Some(Ok(value))) => Ok(value),
            Ok(Some(Err(error))) => Err(error.duplicate()),
            Ok(None) => Err(lost(name)),
            Err(_elapsed) => Err(Error::new(
                ErrorKind::Timeout,
                "still under way when the caller's time ran out; it goes on in the background, and the same call joins it",
            )
            .with_context("volume", name.as_str())),
        }
    }

    fn submit<T, F>(&self, name: &VolumeName, what: &str, work: F) -> Result<Told<Answer<T>>>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(name.clone()).or_default();
        if let Some(answer) = queue.tail.as_ref().and_then(|tail| tail.join(what)) {
            return Ok(answer);
        }
        if queue.pending >= QUEUE_MAX {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("{QUEUE_MAX} operations on this volume are waiting already"),
            )
            .with_context("volume", name.as_str()));
        }
        queue.pending += 1;
        let before = queue.tail.as_ref().map(|tail| tail.finished.clone());
        let (answer_to, answer) = told::<Answer<T>>();
        let (finished_to, finished) = told();
        queue.tail = Some(Tail {
            what: what.to_owned(),
            answer: Box::new(answer.clone()),
            finished,
        });
        drop(queues);
        let slot = Slot {
            queues: Arc::clone(&self.queues),
            name: name.clone(),
            finished: finished_to,
        };
        drop(self.tasks.spawn(async move {
            let _slot = slot;
            if let Some(before) = before {
                before.wait().await;
            }
            answer_to.tell(work.await.map_err(Arc::new));
        }));
        Ok(answer)
    }

    /// Waits until nothing is under way, at most until the deadline; returns whether that is so.
    pub(crate) async fn drain(&self, deadline: Instant) -> bool {
        self.tasks.close();
        let drained = timeout_at(deadline, self.tasks.wait()).await.is_ok();
        self.tasks.reopen();
        drained
    }
}

impl Tail {
    /// The answer to wait for, if this is the same operation and it is not answered yet: an
    /// answer that was given already belongs to the calls before this one.
    fn join<T>(&self, what: &str) -> Option<Told<Answer<T>>>
    where
        T: Clone + Send + Sync + 'static,
    {
        let joinable = self.what == what && self.finished.is_open();
        let answer = self.answer.downcast_ref::<Told<Answer<T>>>()?;
        (joinable && answer.is_open()).then(|| answer.clone())
    }
}

fn lost(name: &VolumeName) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the operation ended without an answer; repeat the call",
    )
    .with_context("volume", name.as_str())
}

#[cfg(test)]
mod tests;
