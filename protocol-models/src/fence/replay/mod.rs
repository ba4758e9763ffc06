//! Holding the trace of a real run (`docs/protocols/trace.md`) against the fence's rules.
//!
//! Two things are checked. *The steps of each host*: what it may do follows from what it was told
//! before (`publisher`). *The array's answers*: who was seen connected must have been possible at
//! some moment between the reader's previous step and its answer, given all requests and when they
//! could have been executed (`connections`). A second grant beside one that stands shows as one
//! or the other.
//!
//! It accepts every trace of a right run, also with requests that come late, and not only those:
//! what the trace does not tell (a request that the client repeated by itself, an administrator)
//! is not guessed. A host that loses its memory is told by a step `died`, which whoever killed it
//! puts into the trace.

mod connections;
mod publisher;

use std::collections::{BTreeMap, BTreeSet};

use connections::Connections;
use publisher::Publisher;

use crate::mismatch::{Mismatch, walk};

/// One step of a trace; fields that it does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// `F1`, `holder`, `D3`, ….
    pub step: String,
    /// The machine; empty where a backend knows none.
    pub node: String,
    /// The volume's id.
    pub volume: String,
    /// Hosts that it is about, joined by `,`.
    pub hosts: String,
    /// The grant's nonce.
    pub nonce: String,
    /// What it gave.
    pub answer: String,
}

impl Traced {
    /// Reads a step from the fields of an event.
    #[must_use]
    pub fn read<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name| field(name).unwrap_or_default().to_owned();
        Self {
            step: text("step"),
            node: text("node"),
            volume: text("volume"),
            hosts: text("hosts"),
            nonce: text("nonce"),
            answer: text("answer"),
        }
    }

    fn hosts(&self) -> BTreeSet<&str> {
        self.hosts
            .split(',')
            .filter(|one| !one.is_empty())
            .collect()
    }

    fn is(&self, step: &str, answer: &str) -> bool {
        self.step == step && self.answer == answer
    }
}

/// What a trace had in it: a replay of nothing proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Grants that were given.
    pub grants: usize,
    /// Hosts that were shut out.
    pub fenced: usize,
    /// Mounts.
    pub mounts: usize,
    /// Volumes that were destroyed.
    pub destroyed: usize,
}

/// Replays a trace, in the order in which its steps were told.
///
/// # Errors
/// The first step that no right run has.
pub fn replay(trace: &[Traced]) -> Result<Summary, Mismatch<Traced>> {
    let mut run = Run::default();
    walk(trace, |at, step| run.take(at, step))?;
    Ok(run.summary)
}

#[derive(Default)]
struct Run {
    summary: Summary,
    connections: BTreeMap<String, Connections>,
    /// By volume and node.
    publishers: BTreeMap<(String, String), Publisher>,
    /// Who was given a nonce.
    nonces: BTreeMap<String, String>,
    destroyed: BTreeSet<String>,
    /// When each node was last heard of.
    heard: BTreeMap<String, usize>,
}

impl Run {
    fn take(&mut self, at: usize, step: &Traced) -> Result<(), String> {
        let since = self.heard.insert(step.node.clone(), at).unwrap_or_default();
        if step.step == "died" {
            self.publishers.retain(|(_, node), _| *node != step.node);
            return Ok(());
        }
        let known = self
            .publishers
            .entry((step.volume.clone(), step.node.clone()));
        let publisher = known.or_insert_with(|| Publisher::new(&step.node));
        publisher.take(step)?;
        let connections = self.connections.entry(step.volume.clone()).or_default();
        let hosts = step.hosts();
        match (step.step.as_str(), step.answer.as_str()) {
            ("F1" | "F4" | "F6" | "D2", "read") => connections.read(&hosts, since, at)?,
            ("F5", answer) => connections.connect(&hosts, answer, at),
            ("F3" | "undo" | "unpublish", answer) => connections.disconnect(&hosts, answer, at),
            _ => {}
        }
        self.nonce(step)?;
        self.count(step)
    }

    /// A nonce is one node's, and a grant's is one that this node wrote.
    fn nonce(&mut self, step: &Traced) -> Result<(), String> {
        if step.is("holder", "asked") {
            let owner = self.nonces.entry(step.nonce.clone());
            let owner = owner.or_insert_with(|| step.node.clone());
            if *owner != step.node {
                return Err(format!("the nonce is the one of {owner}"));
            }
        }
        if step.is("granted", "done") && self.nonces.get(&step.nonce) != Some(&step.node) {
            return Err("a grant with a nonce that this host never wrote".to_owned());
        }
        Ok(())
    }

    fn count(&mut self, step: &Traced) -> Result<(), String> {
        match (step.step.as_str(), step.answer.as_str()) {
            ("granted", "done") if self.destroyed.contains(&step.volume) => {
                return Err("a grant of a volume that is destroyed".to_owned());
            }
            ("granted", "done") => self.summary.grants += 1,
            ("mounted", "done") => self.summary.mounts += 1,
            ("F3", "done") => self.summary.fenced += step.hosts().len(),
            ("D3", "done") => {
                self.summary.destroyed += 1;
                self.destroyed.insert(step.volume.clone());
            }
            _ => {}
        }
        Ok(())
    }
}
