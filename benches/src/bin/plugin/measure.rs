//! Times of one kind of call, as a row of a table.

use std::fmt;
use std::time::Duration;

/// A name and its times. A few thousand at most, so they are simply kept.
#[derive(Debug)]
pub(crate) struct Times {
    what: String,
    times: Vec<Duration>,
}

impl Times {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            times: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.times.push(time);
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let count = sorted.len();
        // The nearest-rank quantile: the smallest time that so many of a hundred do not exceed.
        let at = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1);
            Milliseconds(sorted.get(rank - 1).copied().unwrap_or_default())
        };
        write!(
            f,
            "| {} | {count} | {} | {} | {} |",
            self.what,
            at(50),
            at(99),
            at(100)
        )
    }
}

struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:02} ms", micros / 1000, micros % 1000 / 10)
    }
}
