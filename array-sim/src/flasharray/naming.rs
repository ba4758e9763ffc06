//! What changes of the state do to the names of volumes, for the witness.

use super::state::{Change, State, Volume};
use crate::events::next_order;
use crate::witness::{NameEvent, NameEventKind};

/// The names that an earlier run left.
pub(super) fn there(state: &State, at_ms: u64) -> Vec<NameEvent> {
    let mut events = Vec::new();
    for volume in state.volumes.iter() {
        events.push(event(NameEventKind::Named, volume, at_ms));
        if volume.destroyed.is_some() {
            events.push(event(NameEventKind::Destroyed, volume, at_ms));
        }
    }
    events
}

/// What these changes will do to this state.
pub(super) fn events(state: &State, changes: &[Change], at_ms: u64) -> Vec<NameEvent> {
    let mut events = Vec::new();
    for change in changes {
        match change {
            Change::Volume(now) => {
                events.extend(changed(state.volumes.get(now.sequence), now, at_ms));
            }
            Change::VolumeGone(sequence) => {
                let before = state.volumes.get(*sequence);
                events.extend(before.map(|it| event(NameEventKind::Unnamed, it, at_ms)));
            }
            _ => {}
        }
    }
    events
}

fn changed(before: Option<&Volume>, now: &Volume, at_ms: u64) -> Vec<NameEvent> {
    let mut events = Vec::new();
    let renamed = before.filter(|before| before.name != now.name);
    events.extend(renamed.map(|before| event(NameEventKind::Unnamed, before, at_ms)));
    if before.is_none() || renamed.is_some() {
        events.push(event(NameEventKind::Named, now, at_ms));
    }
    let destroyed = before.is_some_and(|before| before.destroyed.is_some());
    match (destroyed, &now.destroyed) {
        (false, Some(_)) => events.push(event(NameEventKind::Destroyed, now, at_ms)),
        (true, None) => events.push(event(NameEventKind::Recovered, now, at_ms)),
        _ => {}
    }
    events
}

fn event(kind: NameEventKind, volume: &Volume, at_ms: u64) -> NameEvent {
    NameEvent {
        order: next_order(),
        at_ms,
        kind,
        id: volume.id.clone(),
        name: volume.name.clone(),
    }
}
