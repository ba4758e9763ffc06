//! Who waits for a mount, and whether anybody was told of one.
//!
//! A mount whose callers all gave up has no container, and keeps every other host out: it is to
//! be undone. A mount that anybody was told of must not be. Both questions are answered here,
//! under one lock, so that an answer on its way to its caller counts as a caller that waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::name::VolumeName;

/// The callers of Mount, by volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers(Arc<Mutex<HashMap<VolumeName, Known>>>);

#[derive(Debug, Default)]
struct Known {
    waiting: usize,
    told: bool,
}

/// What may be done with a mount that a caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// Nobody waits for it and nobody was told of it.
    Undo,
    /// Somebody waits for it now.
    Later,
    /// Somebody was told of it.
    Never,
}

/// One caller that waits. Dropped without [`Self::told`], it has given up.
#[derive(Debug)]
pub(crate) struct Waiting {
    callers: Callers,
    name: VolumeName,
}

impl Callers {
    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeName, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a caller for as long as the result lives.
    pub(crate) fn wait(&self, name: &VolumeName) -> Waiting {
        self.lock().entry(name.clone()).or_default().waiting += 1;
        Waiting {
            callers: self.clone(),
            name: name.clone(),
        }
    }

    /// Somebody knows of the mount: a caller of this process, or of an earlier one.
    pub(crate) fn tell(&self, name: &VolumeName) {
        self.lock().entry(name.clone()).or_default().told = true;
    }

    /// The volume is not mounted any more, so nobody has been told of anything.
    pub(crate) fn forget(&self, name: &VolumeName) {
        let mut known = self.lock();
        if let Some(entry) = known.get_mut(name) {
            entry.told = false;
            if entry.waiting == 0 {
                known.remove(name);
            }
        }
    }

    pub(crate) fn abandoned(&self, name: &VolumeName) -> Abandoned {
        match self.lock().get(name) {
            Some(known) if known.told => Abandoned::Never,
            Some(known) if known.waiting > 0 => Abandoned::Later,
            _ => Abandoned::Undo,
        }
    }
}

impl Waiting {
    /// The caller gets its answer.
    pub(crate) fn told(self) {
        self.callers.tell(&self.name);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut known = self.callers.lock();
        if let Some(entry) = known.get_mut(&self.name) {
            entry.waiting = entry.waiting.saturating_sub(1);
            if entry.waiting == 0 && !entry.told {
                known.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Abandoned, Callers};
    use crate::name::VolumeName;

    #[test]
    fn only_what_nobody_knows_and_nobody_waits_for_is_undone() {
        let callers = Callers::default();
        let name = VolumeName::new("v").unwrap();
        let first = callers.wait(&name);
        assert_eq!(callers.abandoned(&name), Abandoned::Later);
        let second = callers.wait(&name);
        drop(first);
        assert_eq!(callers.abandoned(&name), Abandoned::Later);
        second.told();
        assert_eq!(callers.abandoned(&name), Abandoned::Never);
        callers.forget(&name);
        assert_eq!(callers.abandoned(&name), Abandoned::Undo);
        assert!(
            callers.lock().is_empty(),
            "nothing is kept of a name that is not used"
        );
    }
}
