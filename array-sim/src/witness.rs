//! The witness: what the array itself saw of the two things that its clients must never do, give one
//! name to two volumes and one volume to two hosts. For tests that race many processes: whatever
//! those believe, this is what happened.
//!
//! It judges nothing: two hosts may share a volume on purpose, and a name may pass from one object
//! to the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::events::{ConnectionEvent, ConnectionEventKind};

/// As many of each are kept; the oldest go first.
const MAX_KEPT: usize = 1_000_000;

/// What happened to a volume's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameEventKind {
    /// The object has this name from now on: made, renamed, or there at the start.
    Named,
    /// It has it no longer: renamed or eradicated.
    Unnamed,
    /// It is destroyed, and keeps its name until it is eradicated.
    Destroyed,
    /// It is live again, under its name.
    Recovered,
}

/// A change of a volume's name or of its being live, recorded in the step in which it took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NameEvent {
    /// Larger for what happened later, over all arrays of this process.
    pub order: u64,
    /// Milliseconds since the epoch by the array's clock.
    pub at_ms: u64,
    /// What happened.
    pub kind: NameEventKind,
    /// The volume's id.
    pub id: String,
    /// The name in question.
    pub name: String,
}

/// A moment from which more than one host could reach a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SharedMoment {
    /// Larger for what happened later, over all arrays of this process.
    pub order: u64,
    /// Milliseconds since the epoch by the array's clock.
    pub at_ms: u64,
    /// The volume's name at that time.
    pub volume: String,
    /// The volume's serial.
    pub serial: String,
    /// All hosts that could reach it then.
    pub hosts: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// Hosts by the serial of what they can reach.
    reach: BTreeMap<String, BTreeSet<String>>,
    shared: VecDeque<SharedMoment>,
    names: VecDeque<NameEvent>,
}

impl Witness {
    pub(crate) fn saw(&mut self, event: &ConnectionEvent) {
        let hosts = self.reach.entry(event.serial.clone()).or_default();
        match event.kind {
            ConnectionEventKind::Connected => {
                hosts.insert(event.host.clone());
            }
            ConnectionEventKind::Disconnected => {
                hosts.remove(&event.host);
            }
        }
        let hosts: Vec<String> = hosts.iter().cloned().collect();
        if hosts.is_empty() {
            self.reach.remove(&event.serial);
        } else if hosts.len() > 1 && event.kind == ConnectionEventKind::Connected {
            let moment = SharedMoment {
                order: event.order,
                at_ms: event.at_ms,
                volume: event.volume.clone(),
                serial: event.serial.clone(),
                hosts,
            };
            push(&mut self.shared, moment);
        }
    }

    pub(crate) fn host_renamed(&mut self, from: &str, to: &str) {
        for hosts in self.reach.values_mut() {
            if hosts.remove(from) {
                hosts.insert(to.to_owned());
            }
        }
    }

    pub(crate) fn named(&mut self, event: NameEvent) {
        push(&mut self.names, event);
    }

    pub(crate) fn shared(&self) -> Vec<SharedMoment> {
        self.shared.iter().cloned().collect()
    }

    pub(crate) fn names(&self) -> Vec<NameEvent> {
        self.names.iter().cloned().collect()
    }
}

fn push<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == MAX_KEPT {
        kept.pop_front();
    }
    kept.push_back(one);
}
