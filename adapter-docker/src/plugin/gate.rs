//! How many calls may wait at the same time: for an array, for the host, or for each other.
//!
//! A call goes on when its client hangs up, so the number of connections bounds nothing. What is
//! answered from memory does not pass here: it is answered whatever waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use storage_core::{Error, ErrorKind, Result, VolumeName};

/// On all volumes together: several times what Docker's daemon has under way when it starts every
/// container of a large host. Below the number of connections, so that there is always one to
/// tell somebody on that he is too many.
pub(crate) const CALLS_MAX: usize = 512;

/// On one volume: more containers than any orchestrator starts on one volume at once.
pub(crate) const VOLUME_CALLS_MAX: usize = 64;

/// Lets so many through, and no more.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    calls: usize,
    /// Calls by what they are about: a volume, or, `None`, the daemon itself.
    about: HashMap<Option<VolumeName>, usize>,
}

/// Permission to wait; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    about: Option<VolumeName>,
}

impl Gate {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through.
    ///
    /// # Errors
    /// `Busy` when there are too many already.
    pub(super) fn enter(&self, name: Option<&VolumeName>) -> Result<Pass<'_>> {
        let mut inside = self.inside();
        if inside.calls >= CALLS_MAX {
            return Err(busy(&format!("{CALLS_MAX} calls wait already"), name));
        }
        let about = name.cloned();
        let calls = inside.about.entry(about.clone()).or_default();
        if *calls >= VOLUME_CALLS_MAX {
            let message = match name {
                Some(_) => format!("{VOLUME_CALLS_MAX} calls on this volume wait already"),
                None => format!("{VOLUME_CALLS_MAX} such calls wait already"),
            };
            return Err(busy(&message, name));
        }
        *calls += 1;
        inside.calls += 1;
        Ok(Pass { gate: self, about })
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.calls = inside.calls.saturating_sub(1);
        if let Some(calls) = inside.about.get_mut(&self.about) {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                inside.about.remove(&self.about);
            }
        }
    }
}

fn busy(message: &str, name: Option<&VolumeName>) -> Error {
    let error = Error::new(ErrorKind::Busy, format!("{message}; try again"));
    match name {
        Some(name) => error.with_context("volume", name.as_str()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use storage_core::{ErrorKind, VolumeName};

    use super::{CALLS_MAX, Gate, VOLUME_CALLS_MAX};

    fn name(number: usize) -> VolumeName {
        VolumeName::new(format!("v{number}")).unwrap()
    }

    #[test]
    fn one_volume_does_not_keep_the_others_out_and_nothing_is_kept() {
        let gate = Gate::default();
        let mut passes: Vec<_> = (0..VOLUME_CALLS_MAX)
            .map(|_| gate.enter(Some(&name(0))).unwrap())
            .collect();
        let refused = gate.enter(Some(&name(0))).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert!(refused.to_string().contains("on this volume"), "{refused}");
        for number in VOLUME_CALLS_MAX..CALLS_MAX {
            passes.push(gate.enter(Some(&name(number))).unwrap());
        }
        for other in [None, Some(&name(CALLS_MAX))] {
            assert_eq!(gate.enter(other).unwrap_err().kind(), ErrorKind::Busy);
        }
        passes.pop();
        drop(gate.enter(None).unwrap());
        passes.clear();
        let inside = gate.inside();
        assert_eq!((inside.calls, inside.about.len()), (0, 0));
    }
}
