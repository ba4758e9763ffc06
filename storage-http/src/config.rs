//! What a client is made of: address, trust, time-outs, limits, retries. Units and reasons stand
//! with each default.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::trust::Trust;

/// Everything that a [`crate::Client`] needs to know before its first call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Where the array's management interface listens.
    pub endpoint: Endpoint,
    /// What makes its certificate acceptable.
    pub trust: Trust,
    /// Named time-outs.
    pub timeouts: Timeouts,
    /// Bounds on sizes and concurrency.
    pub limits: Limits,
    /// When and how often a call is repeated.
    pub retry: RetryPolicy,
}

impl ClientConfig {
    /// A configuration with the defaults of this module.
    #[must_use]
    pub fn new(endpoint: Endpoint, trust: Trust) -> Self {
        Self {
            endpoint,
            trust,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
        }
    }
}

/// How long each part of a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS set-up. Default 3 s: a management network is near; one lost SYN costs 1 s
    /// (RFC 6298 section 2, initial retransmission time-out), two cost 3 s.
    pub connect: Duration,
    /// One attempt, from the free slot to the last byte of the answer. Default 12 s: one slow
    /// answer still fits into the shortest caller's limit, the 15 s of the CSI sidecars.
    pub attempt: Duration,
    /// A call with all its waits and retries, where the call names no deadline. Default 30 s:
    /// a managed Docker plugin's limit; nobody waits longer for one call.
    pub operation: Duration,
    /// Saying good-bye to the array. Default 2 s: best effort, and it delays a stop.
    pub logout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(12),
            operation: Duration::from_secs(30),
            logout: Duration::from_secs(2),
        }
    }
}

/// Bounds on what one client takes of the array's and of its own resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls on the wire at the same time, and so connections. Default 8: thousands of hosts may
    /// share one management controller.
    pub concurrent: usize,
    /// Bytes of one answer. Default 16 MiB: a page of 1,000 volumes is about 2 MB.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent: 8,
            answer_bytes: 16 << 20,
        }
    }
}

/// When a call is repeated. The deadline bounds it as well, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. Default 4.
    pub attempts: u32,
    /// The first wait; doubles each time. Default 200 ms.
    pub backoff_min: Duration,
    /// No own wait is longer. Default 5 s.
    pub backoff_max: Duration,
    /// An array's `Retry-After` is cut to this. Default 30 s: an array that asks for an hour is
    /// answered by an error, not by silence.
    pub retry_after_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(5),
            retry_after_max: Duration::from_secs(30),
        }
    }
}
