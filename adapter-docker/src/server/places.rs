//! The places of connections: a bounded number of them, and who gives way when all are taken.
//!
//! A connection that waits for its client may be sent away, the one that has waited longest first;
//! one whose call is under way may not. So clients that connect and say nothing, send a byte a
//! second or do not read their answers keep nobody out, however many they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Time between two looks for one that may be sent away, while every place has a call under way.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long a connection waits for its client before it may be sent away: a client that means it has
/// sent its request by then, and a busy machine has read it.
const GRACE: Duration = Duration::from_millis(250);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<u64, Arc<Standing>>>,
    /// Numbers what happens, in the order in which it does.
    moments: Arc<AtomicU64>,
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    standing: Arc<Standing>,
    _permit: OwnedSemaphorePermit,
}

/// What a connection is at.
#[derive(Debug)]
pub(super) struct Standing {
    state: Mutex<State>,
    moments: Arc<AtomicU64>,
    leave: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// For its client, since that moment.
    Waiting(u64, Instant),
    /// On a call.
    Working,
    /// Its place is somebody else's.
    Leaving,
}

impl Places {
    pub(super) fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(number.max(1))),
            taken: Mutex::default(),
            moments: Arc::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Standing>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place: a free one, or that of a connection which waits for its client. Only while every
    /// connection has a call under way, or has come just now, does this wait.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        let permit = loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                break permit;
            }
            self.make_room();
            if let Ok(Ok(permit)) = timeout(LOOK_AGAIN, free.acquire_owned()).await {
                break permit;
            }
        };
        let number = self.moments.fetch_add(1, Ordering::Relaxed);
        let standing = Arc::new(Standing {
            state: Mutex::new(State::Waiting(number, Instant::now())),
            moments: Arc::clone(&self.moments),
            leave: CancellationToken::new(),
        });
        self.taken().insert(number, Arc::clone(&standing));
        Place {
            places: Arc::clone(self),
            number,
            standing,
            _permit: permit,
        }
    }

    /// Sends the connection away that has waited longest for its client; `false` if none has for
    /// [`GRACE`].
    pub(super) fn make_room(&self) -> bool {
        let taken = self.taken();
        let longest = taken
            .values()
            .filter_map(|standing| standing.waits_since().map(|moment| (moment, standing)))
            .min_by_key(|(moment, _)| *moment);
        let left = longest.is_some_and(|(_, standing)| standing.send_away());
        if left {
            tracing::debug!("a connection is closed to make room for another");
        }
        left
    }
}

impl Place {
    pub(super) const fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.number);
    }
}

impl Standing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment since when it waits, if it may be sent away for that.
    fn waits_since(&self) -> Option<u64> {
        match *self.state() {
            State::Waiting(moment, since) => (since.elapsed() >= GRACE).then_some(moment),
            State::Working | State::Leaving => None,
        }
    }

    fn send_away(&self) -> bool {
        let mut state = self.state();
        let waits = matches!(*state, State::Waiting(..));
        if waits {
            *state = State::Leaving;
            self.leave.cancel();
        }
        waits
    }

    /// Something came of the waiting, or a new one begins: an answer is ready for the client.
    pub(super) fn waits(&self) {
        let mut state = self.state();
        if *state != State::Leaving {
            let moment = self.moments.fetch_add(1, Ordering::Relaxed);
            *state = State::Waiting(moment, Instant::now());
        }
    }

    /// A call begins; `false` if the place is somebody else's by now, and the call must not.
    pub(super) fn works(&self) -> bool {
        let mut state = self.state();
        let may = *state != State::Leaving;
        if may {
            *state = State::Working;
        }
        may
    }

    /// Completes when the connection has to go.
    pub(super) async fn sent_away(&self) {
        self.leave.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{GRACE, Places};

    #[tokio::test(start_paused = true)]
    async fn who_waited_longest_gives_way_and_who_works_does_not() {
        let places = Places::new(3);
        let (first, second, third) = (
            places.take().await,
            places.take().await,
            places.take().await,
        );
        assert!(first.standing().works());
        second.standing().waits();
        let early = timeout(GRACE / 2, places.take()).await;
        assert!(early.is_err(), "all of them have come just now");
        let away = tokio::spawn(async move {
            third.standing().sent_away().await;
            assert!(!third.standing().works(), "its place is somebody else's");
            drop(third);
        });
        let fourth = places.take().await;
        away.await.unwrap();
        assert!(second.standing().works() && fourth.standing().works());
        let full = timeout(Duration::from_secs(60), places.take()).await;
        assert!(full.is_err(), "three calls are under way");
        first.standing().waits();
        let first_leaves = async {
            first.standing().sent_away().await;
            drop(first);
        };
        let (_fifth, ()) = tokio::join!(places.take(), first_leaves);
        assert_eq!(places.taken().len(), 3);
    }
}
