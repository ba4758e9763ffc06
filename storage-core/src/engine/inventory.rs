//! What is known of the fleet's volumes without asking: for Docker's List and Get.
//!
//! A cache. It is filled in the background at a rate that depends on how many calls a listing
//! costs, corrected by every operation of this process, and checked again before anything acts on
//! it. It is never the reason to say that a volume does not exist.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::backend::ListVolumes;
use crate::engine::claim::Listing;
use crate::engine::fleet::{Fleet, Located, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;
use crate::volume::{Volume, VolumeId, VolumeState};

/// The shortest time between two listings of one array.
const PERIOD_MIN: Duration = Duration::from_secs(300);

/// Time that one call of a listing must last: the budget of an idle node is two calls a minute,
/// and telemetry and log-ins need some of it.
const PERIOD_A_CALL: Duration = Duration::from_secs(40);

/// After a failed listing, the first wait; it doubles up to [`PERIOD_MIN`].
const RETRY_FIRST: Duration = Duration::from_secs(15);

/// A listing has at most this many pages: ten million volumes at a thousand a page.
const PAGES_MAX: usize = 10_000;

/// What is known, at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Inventory {
    /// Usable volumes, sorted by name.
    pub volumes: Vec<Arc<Volume>>,
    /// Age of the oldest array's last complete listing; `None` before every array was listed.
    pub age: Option<Duration>,
}

#[derive(Debug, Default)]
struct State {
    /// Sorted, as listings are: they are asked for far more often than volumes are made.
    by_name: BTreeMap<VolumeName, Entry>,
    listed: HashMap<String, Instant>,
    /// Counts changes, so that what was made from a snapshot is known to be current.
    changes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    volume: Arc<Volume>,
    member: Arc<Member>,
    seen: Instant,
}

impl State {
    fn age(&self, arrays: usize) -> Option<Duration> {
        let complete = self.listed.len() >= arrays;
        let ages = self.listed.values().map(Instant::elapsed);
        ages.max().filter(|_| complete)
    }
}

/// From the end of a listing that took so many calls to the next one.
fn period(calls: u32) -> Duration {
    PERIOD_MIN.max(PERIOD_A_CALL.saturating_mul(calls))
}

/// The cache behind [`Inventory`].
#[derive(Debug, Default)]
pub(crate) struct Known {
    state: RwLock<State>,
}

impl Known {
    pub(crate) fn get(&self, name: &VolumeName) -> Option<Located> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.by_name.get(name).map(|entry| Located {
            volume: entry.volume.as_ref().clone(),
            member: Arc::clone(&entry.member),
        })
    }

    /// The volume whose device answers with that serial.
    pub(crate) fn by_serial(&self, serial: &str) -> Option<Located> {
        let shows = |entry: &&Entry| {
            let identity = entry.volume.identity.as_ref();
            identity.is_some_and(|identity| identity.serial == serial)
        };
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.by_name.values().find(shows).map(|entry| Located {
            volume: entry.volume.as_ref().clone(),
            member: Arc::clone(&entry.member),
        })
    }

    /// Remembers a usable volume; one in any other state is looked up each time.
    pub(crate) fn remember(&self, located: &Located) {
        if located.volume.state != VolumeState::Ready {
            self.forget(&located.volume.name, &located.volume.id);
            return;
        }
        let entry = Entry {
            volume: Arc::new(located.volume.clone()),
            member: Arc::clone(&located.member),
            seen: Instant::now(),
        };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.by_name.insert(located.volume.name.clone(), entry);
        state.changes += 1;
    }

    /// Forgets the name if it still stands for that volume.
    pub(crate) fn forget(&self, name: &VolumeName, id: &VolumeId) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state
            .by_name
            .get(name)
            .is_some_and(|entry| entry.volume.id == *id)
        {
            state.by_name.remove(name);
            state.changes += 1;
        }
    }

    /// How often a snapshot has changed otherwise than by growing older.
    pub(crate) fn changes(&self) -> u64 {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.changes
    }

    pub(crate) fn age(&self, arrays: usize) -> Option<Duration> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.age(arrays)
    }

    pub(crate) fn snapshot(&self, arrays: usize) -> Inventory {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let volumes = state
            .by_name
            .values()
            .map(|entry| Arc::clone(&entry.volume))
            .collect();
        let age = state.age(arrays);
        drop(state);
        Inventory { volumes, age }
    }

    /// Puts a complete listing of one array in place of what was known of it. What an operation
    /// of this process learnt after the listing began is newer and stays.
    fn replace(&self, member: &Arc<Member>, began: Instant, volumes: Vec<Volume>) {
        let names: HashSet<VolumeName> = volumes.iter().map(|volume| volume.name.clone()).collect();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.by_name.retain(|name, entry| {
            !Arc::ptr_eq(&entry.member, member) || entry.seen >= began || names.contains(name)
        });
        for volume in volumes {
            let newer_known = state.by_name.get(&volume.name).is_some_and(|entry| {
                entry.seen >= began
                    || (!Arc::ptr_eq(&entry.member, member) && entry.volume.id != volume.id)
            });
            if newer_known {
                continue;
            }
            let member = Arc::clone(member);
            let name = volume.name.clone();
            let entry = Entry {
                volume: Arc::new(volume),
                member,
                seen: began,
            };
            state.by_name.insert(name, entry);
        }
        state
            .listed
            .insert(member.backend.endpoint().to_owned(), Instant::now());
        state.changes += 1;
    }

    /// Lists one array completely; returns the number of calls that it took.
    pub(crate) async fn refresh(&self, fleet: &Fleet, member: &Arc<Member>) -> Result<u32> {
        let mut listing = Some(Listing::begin());
        let began = Instant::now();
        let mut volumes = Vec::new();
        let mut request = ListVolumes::default();
        let mut calls: u32 = 0;
        for _page in 0..PAGES_MAX {
            let page = member.backend.list(request).await?;
            volumes.extend(page.volumes);
            listing = listing.zip(page.objects).map(|(mut listing, objects)| {
                listing.add(member.backend.namespace(), &objects);
                listing
            });
            calls = calls.saturating_add(page.calls);
            let Some(next) = page.next else {
                if let Some(volume) = volumes.first() {
                    fleet.learn(volume.id.array(), member);
                }
                self.replace(member, began, volumes);
                member.listed(listing.map(Listing::finish));
                return Ok(calls);
            };
            request = ListVolumes {
                after: Some(next),
                limit: None,
            };
        }
        Err(Error::new(
            ErrorKind::Unexpected,
            format!("a listing of more than {PAGES_MAX} pages"),
        ))
    }

    /// Lists one array again and again, for ever.
    #[expect(
        clippy::infinite_loop,
        reason = "background work that ends by being aborted"
    )]
    pub(crate) async fn keep_fresh(self: Arc<Self>, fleet: Arc<Fleet>, member: Arc<Member>) {
        let mut retry = RETRY_FIRST;
        loop {
            let renewed = fleet.record.renewed();
            let wait = match self.refresh(&fleet, &member).await {
                Ok(calls) => {
                    retry = RETRY_FIRST;
                    period(calls)
                }
                Err(error) => {
                    tracing::warn!(array = %member.backend, error = %error.chain(), retry_in_s = retry.as_secs(), "could not list the array's volumes");
                    let wait = retry;
                    retry = retry.saturating_mul(2).min(PERIOD_MIN);
                    wait
                }
            };
            // A listing speaks for a silent array under its own epoch alone: one that began before
            // this process knew of it is made again.
            drop(timeout(wait, renewed).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page is a thousand volumes, and one more call reads the tags of 125. Three quarters of the
    /// budget are for listings.
    #[test]
    fn listings_stay_within_the_budget_of_an_idle_node() {
        const HOUR: u64 = 3600;
        for volumes in [0_u32, 1, 125, 126, 1000, 1001, 10_000, 100_000, 1_000_000] {
            let calls = volumes.div_ceil(1000).max(1) + volumes.div_ceil(125);
            let listed = period(calls).as_secs();
            assert!(
                u64::from(calls) * HOUR <= 90 * listed,
                "{volumes} volumes: {calls} calls every {listed} s"
            );
        }
        assert_eq!(period(90), Duration::from_secs(HOUR), "10,000 volumes");
        assert_eq!(period(u32::MAX), PERIOD_A_CALL * u32::MAX);
    }
}
