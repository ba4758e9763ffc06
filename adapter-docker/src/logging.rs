//! The log: how lines look, which are written, and a bound on how many.
//!
//! Every refused request is worth a line, and whoever can reach the socket can be refused ten
//! thousand times a second. So each place in the code that logs has a bucket of lines; what is
//! beyond is counted, and the count is logged. Debug and trace are what somebody asked for, and
//! are not bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::LogFormat;

/// Lines that one place may write at once: a large host whose containers all start.
const BURST: u32 = 2000;

/// Lines that one place may write in the long run, each second.
const EACH_SECOND: u32 = 10;

/// Between two lines that say how many were left out.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The one bound of this process.
static BOUND: LazyLock<Bound> = LazyLock::new(Bound::default);

/// Starts logging to standard error; of a managed plugin only warnings and errors go there, and the
/// rest to standard output, by which Docker's daemon tells them apart.
///
/// # Errors
/// A sentence, when logging was started already.
pub(crate) fn start(filter: EnvFilter, format: LogFormat, managed: bool) -> Result<(), String> {
    let output = if managed {
        let serious = std::io::stderr.with_max_level(Level::WARN);
        BoxMakeWriter::new(serious.or_else(std::io::stdout))
    } else {
        BoxMakeWriter::new(std::io::stderr)
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(output);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(Bounded(&BOUND))
        .with(lines)
        .try_init()
        .map_err(|error| format!("logging: {error}"))
}

/// Says from time to time how many lines were left out, for ever.
#[expect(
    clippy::infinite_loop,
    reason = "ends by being dropped, when the server stops"
)]
pub(crate) async fn tell_what_was_left_out() {
    loop {
        tokio::time::sleep(TELL_AGAIN).await;
        let lines = BOUND.left_out.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(
                lines,
                each_second = EACH_SECOND,
                "log lines were left out: more than that from one place"
            );
        }
    }
}

#[derive(Debug, Default)]
struct Bound {
    places: Mutex<HashMap<Identifier, Bucket>>,
    left_out: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    lines: u32,
    filled: Instant,
}

impl Bound {
    fn admits(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = places.entry(place).or_insert(Bucket {
            lines: BURST,
            filled: now,
        });
        let seconds = now.saturating_duration_since(bucket.filled).as_secs();
        if seconds > 0 {
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            let lines = seconds.saturating_mul(EACH_SECOND);
            bucket.lines = bucket.lines.saturating_add(lines).min(BURST);
            bucket.filled = now;
        }
        let Some(left) = bucket.lines.checked_sub(1) else {
            drop(places);
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        bucket.lines = left;
        true
    }
}

/// The bound as a part of the subscriber: what it does not admit, no other part sees.
#[derive(Debug)]
struct Bounded(&'static Bound);

impl<S: Subscriber> Layer<S> for Bounded {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        *metadata.level() > Level::INFO || self.0.admits(metadata.callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::{BURST, Bound, Bounded, EACH_SECOND};

    #[derive(Default)]
    struct Lines(AtomicUsize);

    impl<S: Subscriber> Layer<S> for &'static Lines {
        fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_place_that_floods_is_bounded_and_the_others_and_debug_are_not() {
        let bound: &'static Bound = Box::leak(Box::default());
        let lines: &'static Lines = Box::leak(Box::default());
        let subscriber = tracing_subscriber::registry()
            .with(Bounded(bound))
            .with(lines);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..BURST * 3 {
                tracing::info!(number, "flood");
            }
            let after_flood = lines.0.swap(0, Ordering::Relaxed);
            assert!(after_flood >= BURST as usize, "{after_flood}");
            // A slow machine may have filled the bucket a little meanwhile.
            assert!(after_flood < BURST as usize * 2, "{after_flood}");
            tracing::warn!("something else");
            for number in 0..BURST * 2 {
                tracing::event!(Level::DEBUG, number, "asked for");
            }
        });
        assert_eq!(lines.0.load(Ordering::Relaxed), 1 + BURST as usize * 2);
        assert!(bound.left_out.load(Ordering::Relaxed) > u64::from(BURST));
    }

    #[test]
    fn a_place_recovers() {
        let bound = Bound::default();
        let place = || tracing::callsite::Identifier(&Nowhere);
        let start = Instant::now();
        while bound.admits(place(), start) {}
        assert!(!bound.admits(place(), start + Duration::from_millis(900)));
        let later = start + Duration::from_secs(2);
        let admitted = (0..BURST).filter(|_| bound.admits(place(), later)).count();
        assert_eq!(admitted, 2 * EACH_SECOND as usize);
        let much_later = later + Duration::from_secs(1 << 40);
        let admitted = (0..BURST * 2)
            .filter(|_| bound.admits(place(), much_later))
            .count();
        assert_eq!(admitted, BURST as usize);
    }

    struct Nowhere;

    impl tracing::Callsite for Nowhere {
        fn set_interest(&self, _interest: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("only its address is used")
        }
    }
}
