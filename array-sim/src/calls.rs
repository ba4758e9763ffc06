//! The log of calls: what clients asked, what they were told, how long it took. Never tokens.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::events::next_order;
use crate::faults::FaultKind;

/// This many calls are kept; the oldest go first. Counters count all.
const MAX_CALLS: usize = 500_000;
/// Longer queries are cut in the log.
const MAX_QUERY: usize = 4096;

/// One call, recorded before its answer leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// Larger for what ended later, over all arrays of this process.
    pub order: u64,
    /// Milliseconds since the epoch by the array's clock, when it arrived.
    pub at_ms: u64,
    /// `GET` and so on.
    pub method: String,
    /// The whole path.
    pub path: String,
    /// The path after `/api/2.N/`; `api_version` for discovery.
    pub route: String,
    /// The query as it was sent.
    pub query: String,
    /// Status of the answer; `None` if the connection was reset instead, or the client was gone.
    pub status: Option<u16>,
    /// From arrival to answer, faults included, microseconds.
    pub took_us: u64,
    /// The fault that it met.
    pub fault: Option<FaultKind>,
    /// Whether it was a late one taking effect without anybody waiting.
    pub late: bool,
}

impl Call {
    /// `GET volumes` and the like.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.route)
    }
}

/// What is known of a call while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) at_ms: u64,
    pub(crate) since: std::time::Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) route: String,
    pub(crate) query: String,
}

#[derive(Debug, Default)]
pub(crate) struct CallLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    calls: VecDeque<Call>,
    counts: BTreeMap<String, u64>,
    file: Option<File>,
    running: usize,
    peak: usize,
}

impl CallLog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also writes each call as a line of JSON to this file.
    pub(crate) fn write_to(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        self.lock().file = Some(file);
        Ok(())
    }

    pub(crate) fn begin(&self) {
        let mut inner = self.lock();
        inner.running += 1;
        inner.peak = inner.peak.max(inner.running);
    }

    pub(crate) fn end(
        &self,
        started: &Started,
        status: Option<u16>,
        fault: Option<FaultKind>,
        late: bool,
    ) {
        let mut query = started.query.clone();
        if query.len() > MAX_QUERY {
            let end = (0..=MAX_QUERY).rev().find(|at| query.is_char_boundary(*at));
            query.truncate(end.unwrap_or(0));
        }
        let call = Call {
            order: next_order(),
            at_ms: started.at_ms,
            method: started.method.clone(),
            path: started.path.clone(),
            route: started.route.clone(),
            query,
            status,
            took_us: micros(started.since.elapsed()),
            fault,
            late,
        };
        let mut inner = self.lock();
        if !late {
            inner.running = inner.running.saturating_sub(1);
        }
        *inner.counts.entry(call.name()).or_default() += 1;
        if let Some(file) = &mut inner.file
            && let Ok(mut line) = serde_json::to_vec(&call)
        {
            line.push(b'\n');
            if let Err(error) = file.write_all(&line) {
                tracing::warn!(%error, "the log of calls cannot be written; it ends here");
                inner.file = None;
            }
        }
        if inner.calls.len() == MAX_CALLS {
            inner.calls.pop_front();
        }
        inner.calls.push_back(call);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    pub(crate) fn take(&self) -> Vec<Call> {
        let mut inner = self.lock();
        inner.counts.clear();
        inner.peak = inner.running;
        std::mem::take(&mut inner.calls).into()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().counts.clone()
    }

    /// The largest number of calls that ran at once since the last [`CallLog::take`].
    pub(crate) fn peak(&self) -> usize {
        self.lock().peak
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
