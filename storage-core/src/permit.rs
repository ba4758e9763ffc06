//! The right of one request to shut another host out, for as long as its caller waits.
//!
//! Work goes on after its caller has given up; a fence must not begin then (design: "it belongs to
//! a caller's request and to nothing else"). The caller holds a [`PermitGuard`]; what is done on
//! its behalf asks the [`Permit`] just before the first step against another host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks whether the request that it belongs to may still begin a fence.
#[derive(Clone, Debug)]
pub struct Permit(Arc<AtomicBool>);

/// Keeps a [`Permit`] standing until it is dropped. Hold it where the caller waits.
#[derive(Debug)]
pub struct PermitGuard(Arc<AtomicBool>);

impl PermitGuard {
    /// A permit that stands, and what keeps it so.
    #[must_use]
    pub fn new() -> (Self, Permit) {
        let standing = Arc::new(AtomicBool::new(true));
        (Self(Arc::clone(&standing)), Permit(standing))
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Permit {
    /// Whether a fence may begin now.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::PermitGuard;

    #[test]
    fn a_permit_ends_with_its_caller() {
        let (guard, permit) = PermitGuard::new();
        let copy = permit.clone();
        assert!(permit.stands() && copy.stands());
        drop(guard);
        assert!(!permit.stands() && !copy.stands());
    }
}
