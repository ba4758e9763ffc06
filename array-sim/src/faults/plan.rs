//! Faults as data: what configuration files, tests and the control listener write.

use serde::{Deserialize, Serialize};

use super::{Decision, Dice};
use crate::flasharray::state::SpaceLeft;

/// Probabilities (0 to 1) and delays for all calls. The default is no faults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultPlan {
    /// Shortest delay of a call, milliseconds.
    pub delay_min_ms: u64,
    /// Longest delay of a call, milliseconds.
    pub delay_max_ms: u64,
    /// The connection is reset and nothing has happened.
    pub reset_before: f64,
    /// The call takes effect and the connection is reset instead of an answer.
    pub reset_after: f64,
    /// Answered with 429 and `Retry-After`.
    pub too_many_requests: f64,
    /// Seconds that `Retry-After` asks for.
    pub retry_after_s: u64,
    /// Answered with 503.
    pub unavailable: f64,
    /// Answered with 500 and "Server is busy".
    pub busy: f64,
    /// Answered with 500 and another text.
    pub server_error: f64,
    /// The connection is reset, and the call takes effect later.
    pub late: f64,
    /// Soonest late effect, milliseconds.
    pub late_min_ms: u64,
    /// Latest late effect, milliseconds.
    pub late_max_ms: u64,
    /// The session of the call ends just before it.
    pub expire_token: f64,
    /// Whether there is room for new volumes.
    pub space: SpaceLeft,
    /// Faults of the data path.
    pub luns: LunFaultPlan,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            delay_min_ms: 0,
            delay_max_ms: 0,
            reset_before: 0.0,
            reset_after: 0.0,
            too_many_requests: 0.0,
            retry_after_s: 1,
            unavailable: 0.0,
            busy: 0.0,
            server_error: 0.0,
            late: 0.0,
            late_min_ms: 100,
            late_max_ms: 1000,
            expire_token: 0.0,
            space: SpaceLeft::Enough,
            luns: LunFaultPlan::default(),
        }
    }
}

/// Faults of reads and writes through the LUN folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LunFaultPlan {
    /// How long each read takes at least, milliseconds.
    pub read_delay_ms: u64,
    /// How long each write takes at least, milliseconds.
    pub write_delay_ms: u64,
    /// Every read fails.
    pub fail_reads: bool,
    /// Every write fails.
    pub fail_writes: bool,
}

impl FaultPlan {
    /// What is wrong with it, each with the key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let shares = self.shares();
        let mut problems: Vec<String> = shares
            .iter()
            .filter(|(_, share)| !(0.0..=1.0).contains(share))
            .map(|(name, _)| format!("faults.{name}: needs a number from 0 to 1"))
            .collect();
        if self.delay_min_ms > self.delay_max_ms || self.late_min_ms > self.late_max_ms {
            problems.push("faults: a smallest delay is above the largest".to_owned());
        }
        problems
    }

    /// The order is that of the dice: a new kind goes to the end.
    const fn shares(&self) -> [(&'static str, f64); 8] {
        [
            ("reset_before", self.reset_before),
            ("reset_after", self.reset_after),
            ("too_many_requests", self.too_many_requests),
            ("unavailable", self.unavailable),
            ("busy", self.busy),
            ("late", self.late),
            ("expire_token", self.expire_token),
            ("server_error", self.server_error),
        ]
    }

    /// Each kind has its own die, so raising one probability does not move the others' faults.
    pub(super) fn roll(&self, dice: &Dice) -> Decision {
        let action = self
            .shares()
            .iter()
            .zip(0_u64..)
            .find(|((_, share), which)| dice.falls(*which, *share))
            .map(|(_, which)| match which {
                0 => FaultAction::ResetBefore,
                1 => FaultAction::ResetAfter,
                2 => FaultAction::TooManyRequests {
                    retry_after_s: self.retry_after_s,
                },
                3 => FaultAction::Unavailable,
                4 => FaultAction::Busy,
                5 => {
                    let late = dice.between(101, self.late_min_ms, self.late_max_ms);
                    FaultAction::Late {
                        ms: u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
                    }
                }
                6 => FaultAction::ExpireToken,
                _ => FaultAction::Fail {
                    status: 500,
                    message: "Internal server error.".to_owned(),
                },
            });
        Decision {
            delay: dice.between(100, self.delay_min_ms, self.delay_max_ms),
            action,
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultAction {
    /// Nothing, whatever the plan says.
    Pass,
    /// It takes effect after a while.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection is reset and nothing has happened.
    ResetBefore,
    /// It takes effect and the connection is reset instead of an answer.
    ResetAfter,
    /// 429 with `Retry-After`; nothing has happened.
    TooManyRequests {
        /// Seconds.
        retry_after_s: u64,
    },
    /// 503; nothing has happened.
    Unavailable,
    /// 500 with "Server is busy"; nothing has happened.
    Busy,
    /// The connection is reset, and the call takes effect later.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// The session of the call ends just before it.
    ExpireToken,
    /// It waits, before any effect, until the held calls are released.
    HoldBefore,
    /// It takes effect, and its answer waits until the held calls are released.
    HoldAfter,
    /// 400 with this message; nothing has happened.
    Refuse {
        /// The text of the error.
        message: String,
    },
    /// This status with this message; nothing has happened.
    Fail {
        /// 400 to 599.
        status: u16,
        /// The text of the error.
        message: String,
    },
    /// It takes effect, and is answered with this status and message all the same.
    FailAfter {
        /// 400 to 599.
        status: u16,
        /// The text of the error.
        message: String,
    },
    /// The array goes down with this call, before any effect, and is back after a while.
    Down {
        /// Milliseconds.
        ms: u64,
    },
    /// The array falls silent with this call, before any effect, and answers again after a while.
    Silence {
        /// Milliseconds.
        ms: u64,
    },
}

/// Kinds of faults, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The call was delayed.
    Delay,
    /// Reset before any effect.
    ResetBefore,
    /// Reset after the effect.
    ResetAfter,
    /// 429.
    TooManyRequests,
    /// 503.
    Unavailable,
    /// 500 "Server is busy".
    Busy,
    /// Reset, to take effect later.
    Late,
    /// A late call has taken effect.
    LateEffect,
    /// A session was ended.
    ExpireToken,
    /// Held.
    Hold,
    /// Refused by a rule.
    Refuse,
    /// Answered with a status of a rule or of the plan.
    Fail,
    /// Took the array down.
    Down,
    /// Arrived while the array was silent, or made it so.
    Silent,
    /// A rule let the call pass.
    Pass,
}

impl FaultAction {
    /// The kind under which it is counted.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Pass => FaultKind::Pass,
            Self::Delay { .. } => FaultKind::Delay,
            Self::ResetBefore => FaultKind::ResetBefore,
            Self::ResetAfter => FaultKind::ResetAfter,
            Self::TooManyRequests { .. } => FaultKind::TooManyRequests,
            Self::Unavailable => FaultKind::Unavailable,
            Self::Busy => FaultKind::Busy,
            Self::Late { .. } => FaultKind::Late,
            Self::ExpireToken => FaultKind::ExpireToken,
            Self::HoldBefore | Self::HoldAfter => FaultKind::Hold,
            Self::Refuse { .. } => FaultKind::Refuse,
            Self::Fail { .. } | Self::FailAfter { .. } => FaultKind::Fail,
            Self::Down { .. } => FaultKind::Down,
            Self::Silence { .. } => FaultKind::Silent,
        }
    }
}
