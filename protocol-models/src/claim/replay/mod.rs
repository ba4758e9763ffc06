//! Holding the trace of a real run (`docs/protocols/trace.md`) against the claim's rules.
//!
//! Checked are *the steps of each node*, which follow from what it was told (`node`); *the votes*:
//! one that is seen was asked for, and one that a node saw goes only after somebody asked for that
//! (`votes`); and what callers were told: one volume a name. It accepts every trace of a right
//! run within one epoch, also with requests that come late, and not only those: what a trace does
//! not tell (a request that the client repeated by itself, an administrator) is not guessed.

mod node;
mod votes;

use std::collections::{BTreeMap, BTreeSet};

use node::Node;
use votes::Votes;

use crate::mismatch::{Mismatch, walk};

/// One step of a trace; fields that it does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// `C0`, `withdraw`, `D1`, ….
    pub step: String,
    /// The machine.
    pub node: String,
    /// The array's number, or `*`.
    pub array: String,
    /// The volume's name.
    pub name: String,
    /// The attempt.
    pub nonce: String,
    /// A nonce that was found, or `none`.
    pub marker: String,
    /// What it gave.
    pub answer: String,
    /// The volume's id.
    pub volume: String,
}

impl Traced {
    /// Reads a step from the fields of an event.
    #[must_use]
    pub fn read<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name| field(name).unwrap_or_default().to_owned();
        Self {
            step: text("step"),
            node: text("node"),
            array: text("array"),
            name: text("name"),
            nonce: text("nonce"),
            marker: text("marker"),
            answer: text("answer"),
            volume: text("volume"),
        }
    }

    fn is(&self, step: &str, answer: &str) -> bool {
        self.step == step && self.answer == answer
    }

    fn found(&self) -> Option<&str> {
        Some(self.marker.as_str()).filter(|marker| !matches!(*marker, "" | "none"))
    }
}

/// The fleet of the run, by the arrays' numbers.
#[derive(Clone, Debug)]
pub struct Members {
    /// All of them.
    pub all: Vec<String>,
    /// The claim arrays.
    pub claim_arrays: Vec<String>,
}

/// What a trace had in it: a replay of nothing proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Times that a caller was told of a volume.
    pub acknowledged: usize,
    /// Commits that were answered.
    pub committed: usize,
    /// Markers of dead attempts that went.
    pub retired: usize,
}

/// Replays a trace, in the order in which its steps were told. A node that loses its memory is told
/// by a step `died`, which whoever killed it puts into the trace.
///
/// # Errors
/// The first step that no right run has.
pub fn replay(members: &Members, trace: &[Traced]) -> Result<Summary, Mismatch<Traced>> {
    let mut run = Run::default();
    walk(trace, |_at, step| run.take(members, step))?;
    Ok(run.summary)
}

#[derive(Default)]
struct Run {
    summary: Summary,
    /// By name and node.
    nodes: BTreeMap<(String, String), Node>,
    /// By name and array.
    votes: BTreeMap<(String, String), Votes>,
    /// What callers were told of, by name.
    acknowledged: BTreeMap<String, BTreeSet<String>>,
    /// Volumes that somebody began to remove.
    removed: BTreeSet<String>,
}

impl Run {
    fn take(&mut self, members: &Members, step: &Traced) -> Result<(), String> {
        match (step.step.as_str(), step.answer.as_str()) {
            ("died", _) => {
                self.nodes.retain(|(_, node), _| *node != step.node);
                return Ok(());
            }
            ("D1", "asked") => drop(self.removed.insert(step.volume.clone())),
            ("give-back", "done") => drop(self.removed.remove(&step.volume)),
            // A sweep tells no name: a marker of this nonce may go, whatever its name.
            ("C4", "asked") => {
                for votes in self.votes.values_mut() {
                    votes.may_go(&step.nonce);
                }
            }
            _ => {}
        }
        if step.name.is_empty() || step.node.is_empty() {
            return Ok(());
        }
        let place = (step.name.clone(), step.array.clone());
        self.votes.entry(place).or_default().take(step)?;
        let who = (step.name.clone(), step.node.clone());
        self.nodes.entry(who).or_default().take(members, step)?;
        self.count(step)
    }

    fn count(&mut self, step: &Traced) -> Result<(), String> {
        self.summary.committed += usize::from(step.is("C3", "committed"));
        self.summary.retired += usize::from(step.is("retire", "done"));
        if step.step != "acknowledged" {
            return Ok(());
        }
        self.summary.acknowledged += 1;
        let told = self.acknowledged.entry(step.name.clone()).or_default();
        told.insert(step.volume.clone());
        let other = told
            .iter()
            .find(|one| **one != step.volume && !self.removed.contains(*one));
        match other {
            Some(other) if !self.removed.contains(&step.volume) => {
                Err(format!("{other} has the name and was never removed"))
            }
            _ => Ok(()),
        }
    }
}
