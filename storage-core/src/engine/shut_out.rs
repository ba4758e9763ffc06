//! Volumes that this host was shut out of a short while ago: no Mount here takes them back.
//!
//! Docker gives a container that its restart policy starts again a new mount ID, so nothing in the
//! call tells it from one that a scheduler placed here. Two hosts with such containers would take
//! the volume from each other for ever. So after a fence this host has no right for a while, and
//! each Mount that is refused for that begins the while anew. A host that a scheduler chooses later,
//! when nobody has asked here for so long, has the right again. In memory: a new process knows
//! nothing of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::name::VolumeName;

/// How long nobody must have asked. Docker waits at most a minute between two starts by policy.
const QUIET: Duration = Duration::from_secs(600);

/// When this host was last shut out, or a Mount was last refused for that.
#[derive(Debug, Default)]
pub(crate) struct ShutOut(Mutex<HashMap<VolumeName, Instant>>);

impl ShutOut {
    fn lock(&self) -> MutexGuard<'_, HashMap<VolumeName, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This host was shut out.
    pub(crate) fn note(&self, name: &VolumeName) {
        let mut noted = self.lock();
        forget_old(&mut noted);
        noted.insert(name.clone(), Instant::now());
    }

    /// Whether a Mount has no right for that. It begins the while anew.
    pub(crate) fn withholds(&self, name: &VolumeName) -> bool {
        let mut noted = self.lock();
        forget_old(&mut noted);
        let Some(since) = noted.get_mut(name) else {
            return false;
        };
        *since = Instant::now();
        true
    }

    /// This host has the volume, rightly.
    pub(crate) fn forget(&self, name: &VolumeName) {
        self.lock().remove(name);
    }
}

fn forget_old(noted: &mut HashMap<VolumeName, Instant>) {
    noted.retain(|_, since| since.elapsed() < QUIET);
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{QUIET, ShutOut};
    use crate::name::VolumeName;

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_and_again_is_refused_again_and_again() {
        let shut_out = ShutOut::default();
        let name = VolumeName::new("v").unwrap();
        assert!(!shut_out.withholds(&name));
        shut_out.note(&name);
        for _ in 0..5 {
            advance(QUIET * 2 / 3).await;
            assert!(shut_out.withholds(&name));
        }
        advance(QUIET).await;
        assert!(!shut_out.withholds(&name));
        shut_out.note(&name);
        shut_out.forget(&name);
        assert!(!shut_out.withholds(&name));
    }

    /// Also where no Mount ever asks by right.
    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_not_kept() {
        let shut_out = ShutOut::default();
        for number in 0..50 {
            shut_out.note(&VolumeName::new(format!("v{number}")).unwrap());
            advance(QUIET / 5).await;
        }
        assert!(shut_out.lock().len() <= 5);
    }
}
