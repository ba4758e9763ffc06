//! What this process proposed and did not see committed: spares the winner a look before its rename.
//!
//! A memory and nothing more. What is not in it (another node's attempt, an earlier process's, too
//! many at once) is read from the array, and what is in it is believed only where the array's own
//! answer to the rename says that the volume waited until then.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use storage_core::{ArrayId, ClaimNonce, Tentative};

use super::Proposed;

/// More attempts than one array has under way for one process.
const KEPT_MAX: usize = 512;

/// The latest attempts of this process.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<(ClaimNonce, Proposed)>>);

impl Waiting {
    /// Remembers an attempt; what the engine is told of it.
    pub(crate) fn keep(&self, nonce: ClaimNonce, proposed: Proposed) -> Tentative {
        let tentative = proposed.tentative(nonce);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != nonce);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((nonce, proposed));
        tentative
    }

    /// On that array: another one may answer at the address by now.
    pub(crate) fn get(&self, array: &ArrayId, nonce: ClaimNonce) -> Option<Proposed> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = kept
            .iter()
            .filter(|(known, one)| *known == nonce && one.array == *array);
        found.next().map(|(_, one)| one.clone())
    }

    pub(crate) fn forget(&self, nonce: ClaimNonce) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != nonce);
    }
}
