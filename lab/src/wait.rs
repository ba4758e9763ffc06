//! Waiting for a condition: with a deadline, and with what was last seen when it passes.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Time between two looks. Short against everything that is waited for here (processes, mounts).
const STEP: Duration = Duration::from_millis(10);

/// What one look at a condition showed.
#[derive(Debug)]
pub enum Seen<T> {
    /// It holds; this is what the caller wanted.
    Ready(T),
    /// Not yet; the text says what was seen instead, for the error.
    NotYet(String),
}

/// Looks until the condition holds.
///
/// # Errors
/// When it does not within `deadline`: with `what` and what was last seen. An error of `look` ends
/// the wait at once.
pub async fn until<T, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Seen<T>>>,
{
    let start = Instant::now();
    loop {
        match look().await? {
            Seen::Ready(value) => return Ok(value),
            Seen::NotYet(seen) if start.elapsed() >= deadline => {
                bail!("{what}: not within {deadline:?}; last seen: {seen}")
            }
            Seen::NotYet(_) => tokio::time::sleep(STEP).await,
        }
    }
}

/// Looks until `holds` is true.
///
/// # Errors
/// As [`until`].
pub async fn until_true(
    what: &str,
    deadline: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    until(what, deadline, || {
        let seen = if holds() {
            Seen::Ready(())
        } else {
            Seen::NotYet("not so".to_owned())
        };
        async { Ok(seen) }
    })
    .await
}
