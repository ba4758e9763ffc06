//! Logical unit numbers that a backend asked arrays for, and must not ask for again yet.
//!
//! A number means whatever the array has under it now. Given to a second volume while the host
//! still has a device of the first one, it sends that device's writes to the second. What the host
//! shows is looked at before a publish ([`crate::PublishVolume::avoid_luns`]), and other volumes
//! are published, mounted and shut out while that publish is under way. So a number that was asked
//! for is not asked for again before its volume was let go of, or a publish that looked before
//! has certainly ended (docs/protocols/fence.md, rule 2). In memory: a new process begins anew.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::volume::VolumeId;

/// Longer than a publish takes, and than a request whose answer was lost may be executed late.
const KEPT: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Asked {
    volume: VolumeId,
    host: String,
    lun: u16,
    /// Its request has no answer.
    lost: bool,
    until: Instant,
}

/// The numbers that one process asked for. Bounded by what an array has, as none is in it twice.
#[derive(Debug, Default)]
pub struct AskedNumbers(Mutex<Vec<Asked>>);

impl AskedNumbers {
    fn current(&self) -> MutexGuard<'_, Vec<Asked>> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        asked.retain(|one| one.until > now);
        asked
    }

    /// A number for this volume on this host: the one of those that may be asked for that `choose`
    /// takes, by its index. `None` when there is none.
    pub fn ask(
        &self,
        (volume, host): (&VolumeId, &str),
        numbers: impl Iterator<Item = u16>,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<u16> {
        let mut asked = self.current();
        let own = |one: &&Asked| one.volume.array() == volume.array() && one.host == host;
        let taken: HashSet<u16> = asked.iter().filter(own).map(|one| one.lun).collect();
        let open: Vec<u16> = numbers.filter(|number| !taken.contains(number)).collect();
        let lun = match open.len() {
            0 => None,
            count => open.get(choose(count)).copied(),
        }?;
        asked.push(Asked {
            volume: volume.clone(),
            host: host.to_owned(),
            lun,
            lost: false,
            until: Instant::now() + KEPT,
        });
        Some(lun)
    }

    /// The request of this number has no answer: it may yet be executed.
    pub fn lost(&self, volume: &VolumeId, host: &str, lun: u16) {
        for one in self.current().iter_mut() {
            if one.volume == *volume && one.host == host && one.lun == lun {
                one.lost = true;
                one.until = Instant::now() + KEPT;
            }
        }
    }

    /// The request of this number was refused: the host never had it.
    pub fn refused(&self, volume: &VolumeId, host: &str, lun: u16) {
        self.current()
            .retain(|one| !(one.volume == *volume && one.host == host && one.lun == lun));
    }

    /// The host has let go of the volume, and its connection is gone. What has no answer stays.
    pub fn let_go(&self, volume: &VolumeId, host: &str) {
        self.current()
            .retain(|one| one.lost || one.volume != *volume || one.host != host);
    }

    /// Whether this number was asked for another volume of the array, for this host.
    #[must_use]
    pub fn is_anothers(&self, volume: &VolumeId, host: &str, lun: u16) -> bool {
        let asked = self.current();
        asked.iter().any(|one| {
            one.lun == lun
                && one.host == host
                && one.volume.array() == volume.array()
                && one.volume != *volume
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{AskedNumbers, KEPT};
    use crate::volume::{ArrayId, VolumeId};

    fn volume(object: &str) -> VolumeId {
        VolumeId::new(ArrayId::new("a"), object).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_is_asked_for_once_until_its_volume_is_let_go_of() {
        let asked = AskedNumbers::default();
        let (x, y) = (volume("x"), volume("y"));
        let lowest = |volume: &VolumeId, host: &str| asked.ask((volume, host), 1..=3, |_count| 0);
        assert_eq!(lowest(&x, "h"), Some(1));
        assert_eq!(lowest(&y, "h"), Some(2));
        assert_eq!(lowest(&y, "other"), Some(1), "a host's own numbers");
        assert!(asked.is_anothers(&y, "h", 1) && !asked.is_anothers(&x, "h", 1));
        asked.let_go(&x, "h");
        assert_eq!(lowest(&y, "h"), Some(1));
        asked.refused(&y, "h", 2);
        assert_eq!(lowest(&x, "h"), Some(2));
        assert_eq!(lowest(&x, "h"), Some(3));
        assert_eq!(lowest(&x, "h"), None);
        asked.lost(&x, "h", 3);
        asked.let_go(&x, "h");
        assert_eq!(lowest(&x, "h"), Some(2), "3 may yet come");
        advance(KEPT).await;
        assert_eq!(asked.ask((&x, "h"), 1..=3, |count| count - 1), Some(3));
    }
}
