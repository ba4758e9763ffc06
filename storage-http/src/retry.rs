//! Decides whether a failed attempt is repeated, and after how long.
//!
//! By how far the request got: not sent, always; maybe executed, only where the call was declared
//! repeatable; answered "busy", after the wait that the array asked for. Bounded by attempts and
//! by the deadline: a wait that would pass the deadline is not begun.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::answer::Answer;
use crate::call::Call;
use crate::config::RetryPolicy;
use crate::error::{HttpError, Stage};
use crate::session::Login;

/// What the attempts of one call have in common.
pub(crate) struct Attempts<'a> {
    pub(crate) policy: &'a RetryPolicy,
    pub(crate) call: &'a Call,
    pub(crate) deadline: Instant,
    pub(crate) login: &'a dyn Login,
}

impl Attempts<'_> {
    /// Repeats `attempt` until it succeeds or there is no sense, number or time left. Returns the
    /// last thing seen.
    pub(crate) async fn run<F, A>(&self, mut attempt: F) -> Result<Answer, HttpError>
    where
        F: FnMut() -> A,
        A: Future<Output = Result<Answer, HttpError>>,
    {
        let mut number: u32 = 1;
        let mut uncertain = false;
        loop {
            let failure = match attempt().await {
                Ok(answer) if answer.is_success() => return Ok(answer),
                Ok(answer) => HttpError::answered(self.call.name(), answer),
                Err(error) => error,
            };
            let failure = failure.after(number, uncertain);
            uncertain = failure.may_have_executed();
            let Some(wait) = self.wait(&failure, number) else {
                return Err(failure);
            };
            if number >= self.policy.attempts || Instant::now() + wait >= self.deadline {
                return Err(failure);
            }
            let call = self.call.name();
            debug!(%call, number, wait_ms = wait.as_millis(), error = %failure, "will be repeated");
            sleep(wait).await;
            number += 1;
        }
    }

    /// How long to wait before the next attempt; `None` when there must be none.
    fn wait(&self, failure: &HttpError, number: u32) -> Option<Duration> {
        let repeatable = self.call.idempotency().repeatable();
        let own = self.backoff(number);
        match failure.stage() {
            // A refused certificate stays refused, and a login has had its own retries.
            Stage::NotSent if failure.untrusted().is_some() || failure.login().is_some() => None,
            Stage::NotSent => Some(own),
            Stage::MaybeSent | Stage::Unreadable => repeatable.then_some(own),
            Stage::Answered => {
                let answer = failure.answer()?;
                if self.login.busy(answer) {
                    return Some(self.asked_wait(answer).unwrap_or(own));
                }
                let gateway = matches!(answer.status(), 502 | 504);
                (gateway && repeatable).then_some(own)
            }
            // A repetition would meet the same session.
            Stage::Construction | Stage::Unusable | Stage::OtherIdentity => None,
        }
    }

    /// Doubles with each attempt; half of it is chance, so that hosts that failed together do not
    /// come back together.
    fn backoff(&self, number: u32) -> Duration {
        let factor = 2_u32.saturating_pow(number.saturating_sub(1));
        let full = self
            .policy
            .backoff_min
            .saturating_mul(factor)
            .min(self.policy.backoff_max);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// The wait that the array asks for, cut to the policy's maximum, plus a little chance.
    fn asked_wait(&self, answer: &Answer) -> Option<Duration> {
        let asked = retry_after(answer)?.min(self.policy.retry_after_max);
        Some(
            asked
                + self
                    .policy
                    .backoff_min
                    .mul_f64(rand::random_range(0.0..=1.0)),
        )
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), else `RateLimit-Reset` in
/// seconds. A date is compared with the answer's own `Date`, so that clocks need not agree.
pub(crate) fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = |header| answer.header(header)?.trim().parse().ok();
    if let Some(text) = answer.header("retry-after") {
        if let Ok(seconds) = text.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(text.trim()).ok();
        let now = answer
            .header("date")
            .and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        if let (Some(until), Some(now)) = (until, now) {
            return Some(until.duration_since(now).unwrap_or(Duration::ZERO));
        }
    }
    seconds("ratelimit-reset").map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::retry_after;
    use crate::answer::Answer;
    use crate::call::Call;

    fn answer(headers: &[(&'static str, &'static str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Answer::new(Call::get("/x").name(), 429, map, Vec::new())
    }

    #[test]
    fn waits_are_read_in_every_form() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (headers, seconds) in [
            (vec![("retry-after", " 7 ")], Some(7)),
            (
                vec![("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"), date],
                Some(3),
            ),
            (
                vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date],
                Some(0),
            ),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")], None),
            (
                vec![("retry-after", "soon"), ("ratelimit-reset", "2")],
                Some(2),
            ),
            (vec![("retry-after", "-1")], None),
            (vec![], None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(&answer(&headers)), expected, "{headers:?}");
        }
    }
}
