//! How Docker's mounts of one volume are counted: a pure state machine.
//!
//! Docker gives every mount point of a container an ID, keeps it in the container's configuration
//! and reuses it: `docker cp` into a running container sends Mount and Unmount with the ID of the
//! mount that the container has. So IDs are counted, not collected in a set. A daemon that is
//! killed sends no Unmount, and its successor sends Mount with the same ID again for a container
//! that it starts anew. So a count from before the present daemon is kept apart as *carried*, and
//! the first Mount of that ID takes its place instead of adding to it, unless something still
//! holds the mount: containers of a daemon with live-restore outlive it, and their mounts stay
//! beneath what the new daemon mounts and unmounts under the same ID. (dockerd 20.10 then forgets
//! the ID after one `docker cp`, and the container's end sends no Unmount: what is carried is
//! dropped once no container holds it.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage_core::{Error, ErrorKind, Result};

/// IDs that one volume may have: more containers than one host runs on one volume.
const IDS_MAX: usize = 4096;

/// Stands for the mounts of whoever was found using a volume that nothing was counted of. No
/// request can have it, as [`MountId::new`] takes no control characters.
const FOUND: &str = "\u{0}found in use";

/// Bytes of an ID. Docker's are 64 hexadecimal digits.
const ID_BYTES_MAX: usize = 256;

/// Names one mount. Clients of the Docker 1.11 protocol give none; they count for themselves and
/// unmount once, so all their mounts together are one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MountId(String);

impl MountId {
    /// Takes the ID of a request.
    ///
    /// # Errors
    /// `InvalidArgument` for one that Docker would not send.
    pub(crate) fn new(text: Option<String>) -> Result<Self> {
        let text = text.unwrap_or_default();
        if text.len() > ID_BYTES_MAX || text.chars().any(char::is_control) {
            let message = format!("a mount ID has at most {ID_BYTES_MAX} printable bytes");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self(text))
    }

    /// Whether the caller gave none.
    pub(crate) const fn is_anonymous(&self) -> bool {
        self.0.is_empty()
    }

    /// The first characters, as Docker abbreviates its IDs.
    fn short(&self) -> String {
        if self.is_anonymous() {
            return "(no ID)".to_owned();
        }
        if self.0 == FOUND {
            return "found in use".to_owned();
        }
        self.0.chars().take(12).collect()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    /// Mounts of the present daemon.
    mounts: u32,
    /// Mounts from before it began.
    carried: u32,
}

impl Count {
    const fn total(self) -> u32 {
        self.mounts.saturating_add(self.carried)
    }
}

/// The mounts of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Mounts(BTreeMap<MountId, Count>);

/// What an Unmount leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Other mounts are left.
    InUse(Mounts),
    /// That was the last one.
    Last,
    /// There was none under this ID, and there are others.
    UnknownId,
    /// There is none at all.
    None,
}

impl Mounts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every count is from before the present daemon.
    pub(crate) fn all_carried(&self) -> bool {
        self.0.values().all(|count| count.mounts == 0)
    }

    /// Whether this ID has any count.
    pub(crate) fn has(&self, id: &MountId) -> bool {
        self.0.contains_key(id)
    }

    /// The IDs of requests that have counts here and none in `next`.
    pub(crate) fn gone_in(&self, next: &Self) -> Vec<MountId> {
        let gone = self.0.keys().filter(|id| !next.has(id));
        gone.filter(|id| !id.is_anonymous() && id.0 != FOUND)
            .cloned()
            .collect()
    }

    /// Whether this ID has counts from before the present daemon.
    pub(crate) fn is_carried(&self, id: &MountId) -> bool {
        self.0.get(id).is_some_and(|count| count.carried > 0)
    }

    /// One more mount of an ID. `held`: something outside this process still uses the mount.
    ///
    /// # Errors
    /// `ResourceExhausted` when there are too many IDs.
    pub(crate) fn add(&self, id: MountId, held: bool) -> Result<Self> {
        let mut next = self.clone();
        if !next.0.contains_key(&id) && next.0.len() >= IDS_MAX {
            let message = format!("this volume has {IDS_MAX} mounts on this host already");
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        let anonymous = id.is_anonymous();
        let count = next.0.entry(id).or_default();
        if anonymous {
            *count = Count {
                mounts: 1,
                carried: 0,
            };
            return Ok(next);
        }
        count.mounts = count.mounts.saturating_add(1);
        if !held {
            count.carried = 0;
        }
        Ok(next)
    }

    /// One mount less of an ID: the present daemon's first.
    pub(crate) fn release(&self, id: &MountId) -> Released {
        let Some(count) = self.0.get(id) else {
            return if self.is_empty() {
                Released::None
            } else {
                Released::UnknownId
            };
        };
        let mut next = self.clone();
        let left = Count {
            mounts: count.mounts.saturating_sub(1),
            carried: count.carried.saturating_sub(u32::from(count.mounts == 0)),
        };
        if left.total() == 0 {
            next.0.remove(id);
        } else {
            next.0.insert(id.clone(), left);
        }
        if next.is_empty() {
            Released::Last
        } else {
            Released::InUse(next)
        }
    }

    /// One mount less of an ID, and one more from before: of which it is not known whether anybody
    /// was told.
    pub(crate) fn doubted(mut self, id: &MountId) -> Self {
        if let Some(count) = self.0.get_mut(id)
            && count.mounts > 0
        {
            count.mounts -= 1;
            count.carried = count.carried.saturating_add(1);
        }
        self
    }

    /// A new daemon has begun; `None` when that changes nothing.
    pub(crate) fn carry(&self) -> Option<Self> {
        if self.all_carried() {
            return None;
        }
        let mut next = self.clone();
        for count in next.0.values_mut() {
            *count = Count {
                mounts: 0,
                carried: count.total(),
            };
        }
        Some(next)
    }

    /// Something uses the volume that nothing was counted of, as the counts were lost or never
    /// written. It is kept as carried, so it goes when no container holds the mount any more.
    pub(crate) fn with_found(&self) -> Self {
        let mut next = self.clone();
        let found = Count {
            mounts: 0,
            carried: 1,
        };
        next.0.insert(MountId(FOUND.to_owned()), found);
        next
    }

    /// The mounts for a message, a few of them by their IDs.
    pub(crate) fn describe(&self) -> String {
        let total: u64 = self.0.values().map(|count| u64::from(count.total())).sum();
        let ids: Vec<String> = self.0.keys().take(3).map(MountId::short).collect();
        let more = if self.0.len() > ids.len() {
            ", …"
        } else {
            ""
        };
        let plural = if total == 1 { "" } else { "s" };
        format!(
            "{total} mount{plural} on this host ({}{more})",
            ids.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{IDS_MAX, MountId, Mounts, Released};

    fn id(text: &str) -> MountId {
        MountId::new(Some(text.to_owned())).unwrap()
    }

    fn add(mounts: &Mounts, text: &str) -> Mounts {
        mounts.add(id(text), false).unwrap()
    }

    fn left(released: Released) -> Mounts {
        match released {
            Released::InUse(mounts) => mounts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn docker_cp_into_a_running_container_leaves_its_mount() {
        let running = add(&Mounts::default(), "a");
        let copying = add(&running, "a");
        let after = left(copying.release(&id("a")));
        assert_eq!(after, running);
        assert_eq!(after.release(&id("a")), Released::Last);
    }

    #[test]
    fn after_a_crash_of_the_daemon_the_same_id_counts_once() {
        let carried = add(&add(&Mounts::default(), "a"), "a").carry().unwrap();
        let again = add(&carried, "a");
        assert!(!again.is_carried(&id("a")));
        assert_eq!(again.release(&id("a")), Released::Last);
    }

    #[test]
    fn with_live_restore_a_copy_does_not_take_the_containers_mount() {
        let carried = add(&Mounts::default(), "a").carry().unwrap();
        let copying = carried.add(id("a"), true).unwrap();
        assert!(!copying.all_carried());
        // And what is left is the container's again, to be dropped when it is gone.
        assert_eq!(left(copying.release(&id("a"))), carried);
    }

    #[test]
    fn a_stop_after_live_restore_releases_a_carried_mount() {
        let carried = add(&Mounts::default(), "a").carry().unwrap();
        assert_eq!(carried.release(&id("a")), Released::Last);
        assert_eq!(carried.carry(), None);
    }

    #[test]
    fn who_was_found_using_it_outlives_every_unmount() {
        let found = Mounts::default().with_found();
        assert!(found.all_carried() && found.carry().is_none());
        assert_eq!(found.release(&id("a")), Released::UnknownId);
        assert_eq!(left(add(&found, "a").release(&id("a"))), found);
        assert!(found.describe().contains("found in use"));
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Mounts>(&text).unwrap(), found);
        assert!(MountId::new(Some(super::FOUND.to_owned())).is_err());
    }

    #[test]
    fn what_was_never_mounted_is_told_apart() {
        assert_eq!(Mounts::default().release(&id("a")), Released::None);
        assert_eq!(
            add(&Mounts::default(), "a").release(&id("b")),
            Released::UnknownId
        );
    }

    #[test]
    fn clients_without_ids_mount_often_and_unmount_once() {
        let none = MountId::new(None).unwrap();
        let once = Mounts::default().add(none.clone(), false).unwrap();
        let twice = once.add(none.clone(), false).unwrap();
        assert_eq!(twice.release(&none), Released::Last);
    }

    #[test]
    fn ids_are_bounded() {
        assert!(MountId::new(Some("x".repeat(257))).is_err());
        assert!(MountId::new(Some("a\n".to_owned())).is_err());
        let mut mounts = Mounts::default();
        for number in 0..IDS_MAX {
            mounts = add(&mounts, &number.to_string());
        }
        assert!(mounts.add(id("more"), false).is_err());
        assert!(mounts.add(id("0"), false).is_ok());
        assert!(mounts.describe().len() < 100, "{}", mounts.describe());
    }

    proptest! {
        /// As long as the daemon lives, as many releases as mounts empty it, in any order.
        #[test]
        fn mounts_and_releases_balance(ids in proptest::collection::vec("[abc]", 1..20)) {
            let mut mounts = ids.iter().fold(Mounts::default(), |m, text| add(&m, text));
            for (index, text) in ids.iter().rev().enumerate() {
                match mounts.release(&id(text)) {
                    Released::InUse(next) => mounts = next,
                    Released::Last => prop_assert_eq!(index + 1, ids.len()),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}
