//! Times of one kind of call, as a row of a table.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time told apart: two minutes, Docker's own limit, in microseconds.
const LONGEST_US: u64 = 120_000_000;

/// A name and its times.
#[derive(Debug)]
pub(crate) struct Times {
    what: String,
    histogram: Option<Histogram<u64>>,
}

impl Times {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        // Three digits are more than these measurements are worth.
        Self {
            what: what.into(),
            histogram: Histogram::new(3).ok(),
        }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(micros);
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(histogram) = &self.histogram else {
            return write!(f, "| {} | 0 | | | |", self.what);
        };
        let at = |quantile| Milliseconds(histogram.value_at_quantile(quantile));
        let max = Milliseconds(histogram.max());
        write!(
            f,
            "| {} | {} | {} | {} | {max} |",
            self.what,
            histogram.len(),
            at(0.5),
            at(0.99)
        )
    }
}

/// Microseconds, printed as milliseconds.
struct Milliseconds(u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} ms", self.0 / 1000, self.0 % 1000 / 10)
    }
}
