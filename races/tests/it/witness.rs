//! What the arrays' own record of connections says about what hosts were told.
//!
//! A host *can write* while it uses a volume under a grant (by its journal) and is connected to it
//! under that grant's number (by the array's record). Both clocks are this machine's.

use std::collections::BTreeMap;
use std::fmt;

use array_sim::{ConnectionEventKind, Simulator};
use races::journal::Entry;
use uuid::Uuid;

use crate::site::Worker;

/// From a millisecond to another, that one not included.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    until: u64,
}

impl Span {
    fn and(self, other: Self) -> Option<Self> {
        let both = Self {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
        };
        (both.from < both.until).then_some(both)
    }
}

/// A time during which a host can write.
#[derive(Clone)]
struct Write {
    volume: String,
    host: String,
    nonce: Uuid,
    span: Span,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { from, until } = self.span;
        write!(
            f,
            "{} under {} from {from} to {until}",
            self.host, self.nonce
        )
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Grants that hosts were told of.
    pub(crate) grants: usize,
    /// Hosts that had one.
    pub(crate) hosts: usize,
    /// Pairs of connections of one volume that were there at one moment.
    pub(crate) together: usize,
    /// Grants that ended because somebody took the connection away while the host used it.
    pub(crate) fenced: usize,
}

/// Holds the journals against the arrays' record.
///
/// # Panics
/// When two hosts could write at one moment, or a mount could write again after another host.
pub(crate) fn check(simulator: &Simulator, workers: &[Worker]) -> Seen {
    let connections = connections(simulator);
    let mut seen = Seen::default();
    for spans in connections.values() {
        for (at, (host, _, span)) in spans.iter().enumerate() {
            let others = spans[at + 1..].iter().filter(|(other, _, _)| other != host);
            seen.together += others
                .filter(|(_, _, other)| span.and(*other).is_some())
                .count();
        }
    }
    let mut writes: Vec<Write> = Vec::new();
    for worker in workers {
        let uses = uses(worker);
        seen.hosts += usize::from(!uses.is_empty());
        seen.grants += uses.len();
        for (volume, nonce, lun, span) in uses {
            let of_volume = connections.get(&volume).into_iter().flatten();
            let own =
                of_volume.filter(|(host, number, _)| *host == worker.host() && *number == lun);
            let both: Vec<Span> = own.filter_map(|(_, _, one)| span.and(*one)).collect();
            let last = both.iter().map(|one| one.until).max().unwrap_or(span.from);
            seen.fenced += usize::from(last < span.until && last < u64::MAX);
            writes.extend(both.into_iter().map(|span| Write {
                volume: volume.clone(),
                host: worker.host(),
                nonce,
                span,
            }));
        }
    }
    writes.sort_by_key(|write| write.span.from);
    assert_alone(&writes);
    seen
}

fn assert_alone(writes: &[Write]) {
    for (at, one) in writes.iter().enumerate() {
        let later = writes[at + 1..]
            .iter()
            .filter(|other| other.volume == one.volume);
        let mut another = None;
        for other in later {
            if other.host != one.host {
                let both = one.span.and(other.span);
                assert!(
                    both.is_none(),
                    "two hosts could write at once: {one}; {other}"
                );
                another = Some(other);
            } else if let (true, Some(another)) = (other.nonce == one.nonce, another) {
                panic!("a mount came back to life: {one}; then {another}; then {other}");
            }
        }
    }
}

/// Every connection that ever was, by volume id: host, number, from when until when.
fn connections(simulator: &Simulator) -> BTreeMap<String, Vec<(String, u16, Span)>> {
    let mut all: BTreeMap<String, Vec<(String, u16, Span)>> = BTreeMap::new();
    for array in simulator.arrays() {
        let ids: BTreeMap<String, String> = array
            .volumes()
            .into_iter()
            .map(|volume| (volume.serial, format!("{}:{}", array.id(), volume.id)))
            .collect();
        for event in array.connection_events() {
            let Some(id) = ids.get(&event.serial) else {
                continue;
            };
            let spans = all.entry(id.clone()).or_default();
            if event.kind == ConnectionEventKind::Connected {
                let span = Span {
                    from: event.at_ms,
                    until: u64::MAX,
                };
                spans.push((event.host, event.lun, span));
                continue;
            }
            let open = spans.iter_mut().rev().find(|(host, lun, span)| {
                *host == event.host && *lun == event.lun && span.until == u64::MAX
            });
            if let Some((_, _, span)) = open {
                span.until = event.at_ms;
            }
        }
    }
    all
}

/// The grants of a worker: volume, nonce, number, from when until when it used them.
fn uses(worker: &Worker) -> Vec<(String, Uuid, u16, Span)> {
    let mut uses: Vec<(String, Uuid, u16, Span)> = Vec::new();
    for line in worker.journal() {
        match line.entry {
            Entry::Granted {
                volume, nonce, lun, ..
            } => {
                let span = Span {
                    from: line.at_ms,
                    until: u64::MAX,
                };
                uses.push((volume, nonce, lun, span));
            }
            Entry::Released { volume, nonce } => {
                let one = uses
                    .iter_mut()
                    .rev()
                    .find(|one| one.0 == volume && one.1 == nonce && one.3.until == u64::MAX);
                if let Some(one) = one {
                    one.3.until = line.at_ms;
                }
            }
            _ => {}
        }
    }
    uses
}
