//! The audit of grants: when which host got, or lost, access to which volume.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The audit keeps this many events; the oldest go first.
const MAX_EVENTS: usize = 1_000_000;

/// A number that is larger for what happened later, over all arrays of this process.
pub(crate) fn next_order() -> u64 {
    static ORDER: AtomicU64 = AtomicU64::new(1);
    ORDER.fetch_add(1, Ordering::SeqCst)
}

/// Whether access began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionEventKind {
    /// The host can reach the volume from now on.
    Connected,
    /// It no longer can.
    Disconnected,
}

/// A change of one host's access to one volume, recorded in the same step in which it took
/// effect. Private and shared connections, group membership and destroyed volumes all end up here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// Larger for what happened later, over all arrays of this process.
    pub order: u64,
    /// Milliseconds since the epoch by the array's clock.
    pub at_ms: u64,
    /// Whether access began or ended.
    pub kind: ConnectionEventKind,
    /// The host's name.
    pub host: String,
    /// The host group through which it is, or was, connected.
    pub host_group: Option<String>,
    /// The volume's name at that time.
    pub volume: String,
    /// The volume's serial.
    pub serial: String,
    /// LUN, or NSID for a host that speaks NVMe only.
    pub lun: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Audit(VecDeque<ConnectionEvent>);

impl Audit {
    pub(crate) fn push(&mut self, event: ConnectionEvent) {
        if self.0.len() == MAX_EVENTS {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(crate) fn all(&self) -> Vec<ConnectionEvent> {
        self.0.iter().cloned().collect()
    }
}
