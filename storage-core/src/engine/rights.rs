//! The right of Mounts to shut another host out: whose it is, and when it lapses.
//!
//! Callers that wait for the same mount share one right, and it stands while one of them waits. A
//! caller that comes when it has lapsed does not revive it: it brings its own, and its own work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::name::VolumeName;
use crate::permit::{Permit, PermitGuard};

/// Asks for a volume to be mounted on this host. A bare name asks without the right to shut
/// another host out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountVolume {
    /// The volume.
    pub name: VolumeName,
    /// Whether a host that has the volume may be shut out, for as long as the caller waits. Even
    /// then never for a volume that this host has anything of on record.
    pub may_preempt: bool,
}

impl From<VolumeName> for MountVolume {
    fn from(name: VolumeName) -> Self {
        Self {
            name,
            may_preempt: false,
        }
    }
}

/// The rights that stand, by volume.
#[derive(Debug, Default)]
pub(crate) struct Rights(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    last: u64,
    rights: HashMap<VolumeName, (u64, Permit)>,
}

/// One caller's share of a right. Dropped, the caller does not wait any more.
#[derive(Debug)]
pub(crate) struct Right {
    /// Tells rights apart: only callers of one right wait for the same work.
    pub(crate) number: u64,
    pub(crate) permit: Permit,
    _guard: PermitGuard,
}

impl Rights {
    /// A caller's right: the one that stands for this volume, or a new one.
    pub(crate) fn take(&self, name: &VolumeName) -> Right {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, permit)) = standing.rights.get(name)
            && let Some(guard) = permit.join()
        {
            return Right {
                number: *number,
                permit: permit.clone(),
                _guard: guard,
            };
        }
        standing.rights.retain(|_, (_, permit)| permit.stands());
        standing.last += 1;
        let number = standing.last;
        let (guard, permit) = PermitGuard::new();
        let right = (number, permit.clone());
        standing.rights.insert(name.clone(), right);
        Right {
            number,
            permit,
            _guard: guard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rights;
    use crate::name::VolumeName;

    #[test]
    fn a_right_is_shared_while_it_stands_and_not_revived() {
        let rights = Rights::default();
        let name = VolumeName::new("v").unwrap();
        let first = rights.take(&name);
        let second = rights.take(&name);
        assert_eq!(first.number, second.number);
        let permit = first.permit.clone();
        drop(first);
        assert!(permit.stands());
        drop(second);
        let third = rights.take(&name);
        assert!(!permit.stands() && third.permit.stands());
        assert_ne!(third.number, 1);
        drop(third);
        drop(rights.take(&VolumeName::new("w").unwrap()));
        assert_eq!(rights.0.lock().unwrap().rights.len(), 1, "none are kept");
    }
}
