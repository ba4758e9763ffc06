//! Which array takes a new volume: candidates in, a ranked and explained decision out.
//!
//! A selector decides; it reads nothing and changes nothing. The engine gathers the candidates.

use std::fmt;

use crate::capability::{Capabilities, Telemetry};
use crate::label::{LabelSelector, Labels};
use crate::limits::Limits;
use crate::name::VolumeName;
use crate::size::Size;

/// What is to be placed.
#[derive(Clone, Debug)]
pub struct PlacementRequest {
    /// The volume's name: the tie-break hashes it.
    pub name: VolumeName,
    /// Bytes wanted.
    pub size: Size,
    /// The user's selector over the arrays' labels.
    pub selector: LabelSelector,
    /// What the volume may do at most: an array that cannot limit it is left out.
    pub limits: Limits,
    /// It is to be made as a copy: an array that cannot make one is left out.
    pub copy: bool,
}

/// One array as the selector sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The configured address, unique in the fleet.
    pub endpoint: String,
    /// Configured and well-known labels.
    pub labels: Labels,
    /// What the array can do.
    pub capabilities: Capabilities,
    /// Its own account, or why there is none.
    pub telemetry: Result<Telemetry, String>,
    /// Why this host cannot attach its volumes, if so.
    pub unsupported: Option<String>,
    /// An administrator takes it out of service: no new volumes.
    pub draining: bool,
    /// Bytes placed here lately which the telemetry does not show yet.
    pub recently_placed: Size,
}

/// Why an array was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// No telemetry: the text says why.
    Unreachable(String),
    /// This host cannot attach its volumes: the text says why.
    Protocol(String),
    /// The administrator drains it.
    Draining,
    /// The selector does not match its labels: the requirement that failed.
    Labels(String),
    /// The size is outside what it makes.
    Size(String),
    /// It cannot make this kind of volume: the text says what it lacks.
    Capability(String),
    /// Not enough room: free and wanted bytes.
    Full {
        /// Bytes free beyond the headroom.
        available: Size,
        /// Bytes wanted.
        wanted: Size,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "not reachable: {why}"),
            Self::Protocol(why) => f.write_str(why),
            Self::Draining => f.write_str("being drained"),
            Self::Labels(requirement) => write!(f, "its labels do not satisfy `{requirement}`"),
            Self::Size(why) | Self::Capability(why) => f.write_str(why),
            Self::Full { available, wanted } => {
                let (available, wanted) = (available.rounded_down(), wanted.rounded_up());
                write!(f, "{available} available, {wanted} wanted")
            }
        }
    }
}

/// The outcome for one array.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which array.
    pub endpoint: String,
    /// Its score (larger is better, 0 to 1), or why it was left out.
    pub score: Result<f64, Rejection>,
}

/// The decision: every array with its verdict, acceptable ones first, best first.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Decision {
    /// All candidates.
    pub verdicts: Vec<Verdict>,
}

impl Decision {
    /// The acceptable arrays, best first.
    pub fn ranked(&self) -> impl Iterator<Item = &str> {
        self.verdicts
            .iter()
            .filter(|v| v.score.is_ok())
            .map(|v| v.endpoint.as_str())
    }

    /// One line that says what became of each array.
    #[must_use]
    pub fn explain(&self) -> String {
        let lines: Vec<String> = self
            .verdicts
            .iter()
            .map(|v| match &v.score {
                Ok(score) => format!("{}: score {score:.3}", v.endpoint),
                Err(rejection) => format!("{}: {rejection}", v.endpoint),
            })
            .collect();
        lines.join("; ")
    }
}

/// Chooses among arrays.
pub trait Selector: fmt::Debug + Send + Sync + 'static {
    /// Ranks the candidates. Pure: the same input gives the same decision.
    fn select(&self, request: &PlacementRequest, candidates: &[Candidate]) -> Decision;
}

const _: fn(&dyn Selector) = |_| {};
