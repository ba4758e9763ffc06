//! The right of callers to shut another host out, for as long as one of them waits.
//!
//! Work goes on after its caller has given up; a fence must not begin then (design: "it belongs to
//! a caller's request and to nothing else"). The caller holds a [`PermitGuard`]; what is done on
//! its behalf asks the [`Permit`] just before the first step against another host. A caller that
//! joins the work while it stands keeps it standing; what has lapsed never stands again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asks whether the request that it belongs to may still begin a fence.
#[derive(Clone, Debug)]
pub struct Permit(Arc<AtomicUsize>);

/// Keeps a [`Permit`] standing until it is dropped. Hold it where the caller waits.
#[derive(Debug)]
pub struct PermitGuard(Arc<AtomicUsize>);

impl PermitGuard {
    /// A permit that stands, and what keeps it so.
    #[must_use]
    pub fn new() -> (Self, Permit) {
        let standing = Arc::new(AtomicUsize::new(1));
        (Self(Arc::clone(&standing)), Permit(standing))
    }
}

impl Drop for PermitGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Permit {
    /// Whether a fence may begin now.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// One more caller waits for the same work. `None` when nobody does any more: its right has
    /// lapsed for good, and a new request brings its own.
    #[must_use]
    pub fn join(&self) -> Option<PermitGuard> {
        let more = |callers: usize| (callers > 0).then_some(callers.saturating_add(1));
        let joined = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        joined.is_ok().then(|| PermitGuard(Arc::clone(&self.0)))
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

    #[test]
    fn a_permit_stands_until_the_last_caller_has_gone_and_never_again() {
        let (first, permit) = PermitGuard::new();
        let second = permit.join().unwrap();
        drop(first);
        assert!(permit.stands());
        drop(second);
        assert!(permit.join().is_none() && !permit.stands());
    }
}
