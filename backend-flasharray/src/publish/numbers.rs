//! LUN numbers whose POST has no answer: not given again while that request may yet be executed
//! (docs/protocols/fence.md, rule 2).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a request whose answer was lost may be executed late.
const MAY_COME: Duration = Duration::from_secs(600);

/// More than can be lost in ten minutes by a process that waits seconds for each answer. Beyond
/// it the oldest are forgotten.
const LOST_MAX: usize = 4096;

#[derive(Debug)]
struct Lost {
    array: String,
    host: String,
    lun: u16,
    until: Instant,
}

/// The numbers of one backend.
#[derive(Debug, Default)]
pub(crate) struct LostNumbers(Mutex<Vec<Lost>>);

impl LostNumbers {
    /// A POST of this number for a host object has no answer.
    pub(super) fn add(&self, array: &str, host: &str, lun: u16) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        lost.retain(|one| one.until > now);
        if lost.len() >= LOST_MAX {
            lost.remove(0);
        }
        lost.push(Lost {
            array: array.to_owned(),
            host: host.to_owned(),
            lun,
            until: now + MAY_COME,
        });
    }

    /// The numbers that must not be given to a host object now.
    pub(super) fn of(&self, array: &str, host: &str) -> HashSet<u16> {
        let lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        lost.iter()
            .filter(|one| one.until > now && one.array == array && one.host == host)
            .map(|one| one.lun)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LOST_MAX, LostNumbers, MAY_COME};

    #[tokio::test(start_paused = true)]
    async fn a_number_is_out_of_use_for_a_while() {
        let lost = LostNumbers::default();
        lost.add("a", "h", 7);
        assert!(lost.of("a", "h").contains(&7));
        assert!(lost.of("b", "h").is_empty() && lost.of("a", "g").is_empty());
        tokio::time::advance(MAY_COME).await;
        assert!(lost.of("a", "h").is_empty());
        for _ in 0..=LOST_MAX {
            lost.add("a", "h", 8);
        }
        assert_eq!(lost.0.lock().unwrap().len(), LOST_MAX);
    }
}
