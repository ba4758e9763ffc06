//! The fleet: all configured arrays, asked in parallel.
//!
//! Knows which backend holds which array id, keeps each array's telemetry for a few seconds, and
//! looks names up on every array at once. One slow array slows only what needs its answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::backend::{Backend, VolumeKey};
use crate::capability::Telemetry;
use crate::engine::claim::{Listing, RecordCache};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Namespace, VolumeName};
use crate::select::Candidate;
use crate::size::Size;
use crate::volume::{ArrayId, Volume, VolumeState};

/// How old telemetry may be: at most one read an array in ten seconds.
const TELEMETRY_AGE_MAX: Duration = Duration::from_secs(10);

/// How long what was placed counts on top of the telemetry, which shows it only later.
const PLACED_MEMORY: Duration = Duration::from_secs(60);

/// Once a volume was found, how long the other arrays get to say that they have one of the same
/// name too.
const DUPLICATE_GRACE: Duration = Duration::from_millis(500);

/// When an array was asked about itself, and what it said.
type Reading = (Instant, Result<Telemetry, Arc<Error>>);

/// One array of the fleet.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) backend: Arc<dyn Backend>,
    draining: bool,
    telemetry: AsyncMutex<Option<Reading>>,
    placed: Mutex<Vec<(Instant, Size)>>,
    /// Who answered last.
    identity: Mutex<Option<Identity>>,
    /// The last complete listing, where the backend tells what is needed.
    listing: Mutex<Option<Listing>>,
}

/// Which array it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) array: ArrayId,
    pub(crate) name: String,
}

/// All configured arrays.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Arc<Member>>,
    by_array: RwLock<HashMap<ArrayId, Arc<Member>>>,
    pub(crate) ask_limit: Duration,
    /// The fleet record in force, as far as this process knows.
    pub(crate) record: RecordCache,
}

/// A volume and the array that it is on.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) volume: Volume,
    pub(crate) member: Arc<Member>,
}

/// What a look-up on every array gave.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Distinct volumes under the name, in any state.
    pub(crate) found: Vec<Located>,
    /// Arrays that gave no answer, and why.
    pub(crate) silent: Vec<(String, Error)>,
}

impl Lookup {
    fn has_usable(&self) -> bool {
        self.found
            .iter()
            .any(|located| located.volume.state == VolumeState::Ready)
    }

    /// The error for a name that is neither found nor proven absent.
    pub(crate) fn unknown(&self, name: &VolumeName) -> Error {
        let silent: Vec<String> = self
            .silent
            .iter()
            .map(|(array, error)| format!("{array}: {}", in_short(error)))
            .collect();
        tracing::debug!(volume = %name, silent = ?self.silent, "neither found nor proven absent");
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "the volume may be on an array that does not answer ({}); nothing was done, try again when it is back",
                silent.join("; ")
            ),
        )
        .with_context("volume", name.as_str())
    }
}

/// What went wrong and its first cause, for a person; the whole chain is for the log.
fn in_short(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let cause = cause.to_string();
    if cause.contains(error.message()) || error.message().contains(&cause) {
        return error.message().to_owned();
    }
    format!("{} ({cause})", error.message())
}

impl Fleet {
    pub(crate) fn new(backends: Vec<(Arc<dyn Backend>, bool)>, ask_limit: Duration) -> Self {
        let members = backends
            .into_iter()
            .map(|(backend, draining)| {
                Arc::new(Member {
                    backend,
                    draining,
                    telemetry: AsyncMutex::new(None),
                    placed: Mutex::new(Vec::new()),
                    identity: Mutex::new(None),
                    listing: Mutex::new(None),
                })
            })
            .collect();
        Self {
            members,
            by_array: RwLock::new(HashMap::new()),
            ask_limit,
            record: RecordCache::default(),
        }
    }

    pub(crate) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The array with that id, asking those that have not told theirs yet.
    pub(crate) async fn member(&self, array: &ArrayId) -> Result<Arc<Member>> {
        if let Some(member) = self.known_member(array) {
            return Ok(member);
        }
        let mut asked = JoinSet::new();
        for (index, member) in self.members.iter().enumerate() {
            let member = Arc::clone(member);
            let limit = self.ask_limit;
            asked.spawn(async move {
                let answer = bounded(limit, member.telemetry()).await;
                (index, answer)
            });
        }
        let mut open: Vec<Option<&Arc<Member>>> = self.members.iter().map(Some).collect();
        let mut silent = Vec::new();
        while let Some(joined) = asked.join_next().await {
            let Ok((index, answer)) = joined else {
                continue;
            };
            let Some(member) = open.get_mut(index).and_then(Option::take) else {
                continue;
            };
            match answer {
                Ok(telemetry) => self.learn(&telemetry.array, member),
                Err(error) => silent.push((member.backend.endpoint().to_owned(), error)),
            }
        }
        silent.extend(open.into_iter().flatten().map(Member::no_answer));
        let silent: Vec<String> = silent
            .iter()
            .map(|(array, error)| format!("{array} ({})", in_short(error)))
            .collect();
        self.known_member(array).ok_or_else(|| {
            let message = if silent.is_empty() {
                "no configured array has this id".to_owned()
            } else {
                format!(
                    "the array is not among those that answer; silent: {}",
                    silent.join("; ")
                )
            };
            let kind = if silent.is_empty() {
                ErrorKind::NotFound
            } else {
                ErrorKind::Unavailable
            };
            Error::new(kind, message).with_context("array", array.as_str())
        })
    }

    fn known_member(&self, array: &ArrayId) -> Option<Arc<Member>> {
        self.by_array
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(array)
            .map(Arc::clone)
    }

    /// Remembers which backend an array id stands for; the first one wins when two addresses lead
    /// to one array.
    pub(crate) fn learn(&self, array: &ArrayId, member: &Arc<Member>) {
        if self.known_member(array).is_some() {
            return;
        }
        let mut by_array = self
            .by_array
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        by_array
            .entry(array.clone())
            .or_insert_with(|| Arc::clone(member));
    }

    /// Forgets which backend an array id stands for, once that backend says otherwise.
    pub(crate) fn unlearn(&self, array: &ArrayId) {
        self.by_array
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(array);
    }

    /// Looks the name up on every array and waits for each, so that absence is certain and a
    /// duplicate is seen.
    pub(crate) async fn look_up_everywhere(&self, name: &VolumeName) -> Lookup {
        self.look_up(name, None).await
    }

    /// Looks the name up on every array, and once a usable volume is found gives the others only
    /// a moment more.
    pub(crate) async fn look_up_first(&self, name: &VolumeName) -> Lookup {
        self.look_up(name, Some(DUPLICATE_GRACE)).await
    }

    async fn look_up(&self, name: &VolumeName, grace: Option<Duration>) -> Lookup {
        let mut asked = JoinSet::new();
        for (index, member) in self.members.iter().enumerate() {
            let member = Arc::clone(member);
            let key = VolumeKey::Name(name.clone());
            let limit = self.ask_limit;
            asked.spawn(async move {
                let answer = bounded(limit, member.backend.get(key)).await;
                (index, answer)
            });
        }
        let mut lookup = Lookup::default();
        let mut open: Vec<Option<&Arc<Member>>> = self.members.iter().map(Some).collect();
        loop {
            // Only a usable volume cuts the waiting short: anything else may hide one elsewhere.
            let next = match grace.filter(|_| lookup.has_usable()) {
                Some(grace) => match timeout(grace, asked.join_next()).await {
                    Ok(next) => next,
                    Err(_elapsed) => break,
                },
                None => asked.join_next().await,
            };
            let Some(joined) = next else { break };
            // A look-up that panicked is an answer that is missing, never an absence.
            let Ok((index, answer)) = joined else {
                continue;
            };
            if let Some(member) = open.get_mut(index).and_then(Option::take) {
                self.sort_in(&mut lookup, member, answer);
            }
        }
        lookup
            .silent
            .extend(open.into_iter().flatten().map(Member::no_answer));
        lookup
    }

    pub(crate) fn sort_in(
        &self,
        lookup: &mut Lookup,
        member: &Arc<Member>,
        answer: Result<Option<Volume>>,
    ) {
        match answer {
            Ok(Some(volume)) => {
                self.learn(volume.id.array(), member);
                if lookup
                    .found
                    .iter()
                    .all(|located| located.volume.id != volume.id)
                {
                    lookup.found.push(Located {
                        volume,
                        member: Arc::clone(member),
                    });
                }
            }
            Ok(None) => {}
            Err(error) => lookup.silent.push((member.backend.to_string(), error)),
        }
    }

    /// Every array as the selector is to see it, with telemetry of at most ten seconds' age.
    pub(crate) async fn candidates(&self) -> Vec<Candidate> {
        let mut asked = JoinSet::new();
        for (index, member) in self.members.iter().enumerate() {
            let member = Arc::clone(member);
            let limit = self.ask_limit;
            asked.spawn(async move {
                let telemetry = bounded(limit, member.telemetry()).await;
                (index, member, telemetry)
            });
        }
        let mut answers = Vec::new();
        while let Some(joined) = asked.join_next().await {
            answers.extend(joined);
        }
        answers.sort_by_key(|(index, ..)| *index);
        answers
            .into_iter()
            .map(|(_, member, telemetry)| {
                if let Ok(telemetry) = &telemetry {
                    self.learn(&telemetry.array, &member);
                }
                Candidate {
                    endpoint: member.backend.endpoint().to_owned(),
                    labels: member.backend.labels(),
                    capabilities: member.backend.capabilities(),
                    telemetry: telemetry.map_err(|error| in_short(&error)),
                    unsupported: None,
                    draining: member.draining,
                    recently_placed: member.recently_placed(),
                }
            })
            .collect()
    }

    /// The namespace that all backends are views through.
    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        let first = self.members.first();
        first.map(|member| member.backend.namespace())
    }

    /// Asks the arrays that have not told yet who they are, all at once.
    pub(crate) async fn identify(&self) {
        let mut asked = JoinSet::new();
        for member in &self.members {
            if member.identity().is_none() {
                let (member, limit) = (Arc::clone(member), self.ask_limit);
                asked.spawn(async move { bounded(limit, member.telemetry()).await.is_ok() });
            }
        }
        // Who does not answer stays unknown.
        drop(asked.join_all().await);
    }

    pub(crate) fn by_endpoint(&self, endpoint: &str) -> Option<Arc<Member>> {
        self.members
            .iter()
            .find(|member| member.backend.endpoint() == endpoint)
            .map(Arc::clone)
    }
}

impl Member {
    /// What is noted of an array that gave no answer at all.
    pub(crate) fn no_answer(self: &Arc<Self>) -> (String, Error) {
        let error = Error::new(ErrorKind::Unavailable, "no answer yet");
        (self.backend.to_string(), error)
    }

    /// Telemetry of at most ten seconds' age; concurrent callers share one read.
    pub(crate) async fn telemetry(&self) -> Result<Telemetry> {
        let mut cached = self.telemetry.lock().await;
        if let Some((read, answer)) = cached.as_ref()
            && read.elapsed() < TELEMETRY_AGE_MAX
        {
            return answer.clone().map_err(|error| error.duplicate());
        }
        self.read_telemetry(&mut cached).await
    }

    async fn read_telemetry(&self, cached: &mut Option<Reading>) -> Result<Telemetry> {
        let answer = self.backend.telemetry().await.map_err(Arc::new);
        *cached = Some((Instant::now(), answer.clone()));
        if let Ok(told) = &answer {
            *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(Identity {
                array: told.array.clone(),
                name: told.array_name.clone(),
            });
        }
        answer.map_err(|error| error.duplicate())
    }

    /// Who answered last; `None` until it was reached.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let identity = self.identity.lock();
        identity.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who it is, asking once if that is not known.
    pub(crate) async fn identify(&self) -> Result<Identity> {
        if let Some(identity) = self.identity() {
            return Ok(identity);
        }
        let mut cached = self.telemetry.lock().await;
        // A failure that is remembered says nothing of an array that has come back.
        let told = match cached.as_ref() {
            Some((read, Ok(told))) if read.elapsed() < TELEMETRY_AGE_MAX => told.clone(),
            _ => self.read_telemetry(&mut cached).await?,
        };
        Ok(Identity {
            array: told.array,
            name: told.array_name,
        })
    }

    /// Keeps a complete listing.
    pub(crate) fn listed(&self, listing: Option<Listing>) {
        *self.listing.lock().unwrap_or_else(PoisonError::into_inner) = listing;
    }

    /// Whether a complete listing that began after that moment says that nothing here bears on
    /// the name.
    pub(crate) fn is_cleared(&self, name: &VolumeName, since: Instant) -> bool {
        let listing = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        listing.as_ref().is_some_and(|listing| {
            listing.began() >= since && listing.clears(self.backend.namespace(), name)
        })
    }

    /// Counts a volume that is being placed here, before the array's telemetry shows it.
    pub(crate) fn place(&self, size: Size) {
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        placed.retain(|(when, _)| when.elapsed() < PLACED_MEMORY);
        placed.push((Instant::now(), size));
    }

    fn recently_placed(&self) -> Size {
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = placed
            .iter()
            .filter(|(when, _)| when.elapsed() < PLACED_MEMORY);
        Size::from_bytes(recent.fold(0, |sum: u64, (_, size)| sum.saturating_add(size.bytes())))
    }
}

/// Puts a limit on a read; dropping a read is harmless.
pub(crate) async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_elapsed| {
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} s", limit.as_secs()),
        ))
    })
}
