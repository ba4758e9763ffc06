//! C0: what every configured array has of a name, all asked at once; and what of the arrays that
//! did not answer may be passed over.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::decide::is_quorum;
use super::roster::{Roster, claims};
use super::trace::{Event, Place};
use crate::claim::{ArrayNumber, NameView};
use crate::engine::Shared;
use crate::engine::fleet::{Located, Lookup, Member, bounded};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::Epoch;
use crate::name::VolumeName;
use crate::volume::VolumeState;

/// What one array said.
#[derive(Debug)]
pub(super) struct Sight {
    pub(super) member: Arc<Member>,
    pub(super) answer: Result<NameView>,
}

/// What all of them said, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Sights(pub(super) Vec<Sight>);

/// Asks one array.
pub(super) async fn look_at(
    shared: &Shared,
    member: &Arc<Member>,
    name: &VolumeName,
) -> Result<NameView> {
    let view = bounded(shared.fleet.ask_limit, async {
        claims(member)?.view(name).await
    })
    .await;
    if let Ok(NameView {
        volume: Some(volume),
        ..
    }) = &view
    {
        shared.fleet.learn(volume.id.array(), member);
    }
    told(shared, member, name, &view);
    view
}

/// Asks all of them, and waits for each.
pub(super) async fn look(shared: &Arc<Shared>, name: &VolumeName) -> Sights {
    let mut asked = JoinSet::new();
    for (index, member) in shared.fleet.members().iter().enumerate() {
        let (shared, member, name) = (Arc::clone(shared), Arc::clone(member), name.clone());
        asked.spawn(async move {
            let answer = look_at(&shared, &member, &name).await;
            if answer.is_ok()
                && let Err(error) = bounded(shared.fleet.ask_limit, member.identify()).await
            {
                return (index, Err(error));
            }
            (index, answer)
        });
    }
    let members = shared.fleet.members().iter();
    let mut sights: Vec<Sight> = members
        .map(|member| Sight {
            member: Arc::clone(member),
            answer: Err(member.no_answer().1),
        })
        .collect();
    while let Some(joined) = asked.join_next().await {
        // One that panicked is an answer that is missing, never an absence.
        if let Ok((index, answer)) = joined
            && let Some(sight) = sights.get_mut(index)
        {
            sight.answer = answer;
        }
    }
    Sights(sights)
}

impl Sights {
    /// As a look-up by other means would have found it.
    pub(super) fn lookup(&self, shared: &Shared) -> Lookup {
        let mut lookup = Lookup::default();
        for sight in &self.0 {
            let volume = match &sight.answer {
                Ok(view) => Ok(view.volume.clone()),
                Err(error) => Err(error.duplicate()),
            };
            shared.fleet.sort_in(&mut lookup, &sight.member, volume);
        }
        lookup
    }

    /// The highest epoch of a fleet record that was seen.
    pub(super) fn newest_epoch(&self) -> Option<Epoch> {
        let views = self.0.iter().filter_map(|sight| sight.answer.as_ref().ok());
        views.filter_map(|view| view.epoch).max()
    }

    /// Whether a member that answered lacks the record: another array answers at its address, or
    /// the record is on its way.
    pub(super) fn is_behind(&self, roster: &Roster) -> bool {
        let behind = |sight: &&Sight| {
            let view = sight.answer.as_ref().ok();
            view.is_some_and(|view| view.epoch != Some(roster.epoch()))
        };
        let members = self.0.iter();
        members
            .filter(behind)
            .any(|sight| roster.number_of(&sight.member).is_some())
    }

    pub(super) fn of(&self, member: &Arc<Member>) -> Option<&NameView> {
        let sight = self.0.iter().find(|one| Arc::ptr_eq(&one.member, member))?;
        sight.answer.as_ref().ok()
    }

    /// Whether the name can be taken as far as those who do not answer are concerned: at most one,
    /// of which a listing says that it has nothing of the name, with most claim arrays answering.
    ///
    /// # Errors
    /// `Unavailable` naming those who would have to answer.
    pub(super) fn pass_over(&self, name: &VolumeName, roster: &Roster) -> Result<()> {
        let mut silent = self.0.iter().filter_map(|sight| {
            let error = sight.answer.as_ref().err()?;
            Some((&sight.member, error))
        });
        let Some((member, error)) = silent.next() else {
            return Ok(());
        };
        if let Some((_, refused)) = std::iter::once((member, error))
            .chain(silent.by_ref())
            .find(|(_, error)| error.kind() == ErrorKind::FailedPrecondition)
        {
            return Err(refused.duplicate());
        }
        let voters = roster.voters();
        let answered = voters
            .iter()
            .filter(|(_, voter)| voter.as_ref().is_some_and(|voter| self.of(voter).is_some()));
        let is_only = self.0.iter().filter(|sight| sight.answer.is_err()).count() == 1;
        if is_only
            && is_quorum(answered.count(), voters.len())
            && member.is_cleared(name, roster.since)
        {
            tracing::info!(volume = %name, array = %member.backend, error = %error.chain(), "the array does not answer, and a recent listing shows that it has nothing of this name");
            return Ok(());
        }
        let mut lookup = Lookup::default();
        for sight in &self.0 {
            if let Err(error) = &sight.answer {
                let mut array = sight.member.backend.to_string();
                if roster.is_whole().is_ok() && roster.number_of(&sight.member).is_none() {
                    array.push_str(", none of the fleet's: if it is gone for good, take it out of the configuration");
                }
                lookup.silent.push((array, error.duplicate()));
            }
        }
        Err(lookup.unknown(name))
    }
}

fn told(shared: &Shared, member: &Arc<Member>, name: &VolumeName, answer: &Result<NameView>) {
    let roster = shared.fleet.roster();
    let number = roster.and_then(|roster| roster.number_of(member));
    let view = answer.as_ref().ok();
    let volume = view.and_then(|view| view.volume.as_ref());
    let marker = view.map(|view| view.marker.as_ref().map(|marker| marker.nonce));
    Event {
        step: "C0",
        node: &shared.node(),
        array: place(number, member),
        name: Some(name),
        marker,
        epoch: view.map(|view| view.epoch.unwrap_or(Epoch(0))),
        volume: volume.map(|volume| &volume.id),
        ..Event::default()
    }
    .tell(match (view, volume.map(|volume| volume.state)) {
        (None, _) => "silent",
        (_, None) => "nothing",
        (_, Some(VolumeState::Ready)) => "ready",
        (_, Some(VolumeState::Deleting)) => "deleting",
        (_, Some(VolumeState::Destroyed)) => "destroyed",
    });
}

pub(super) fn place<'a>(number: Option<ArrayNumber>, member: &'a Arc<Member>) -> Place<'a> {
    number.map_or_else(|| Place::Endpoint(member.backend.endpoint()), Place::Number)
}

/// What a volume that a step met means for whoever wants the name.
///
/// # Errors
/// As a look-up: `Busy` while it is being removed, `FailedPrecondition` when it is destroyed.
pub(super) fn met(name: &VolumeName, located: Located) -> Result<Located> {
    match located.volume.state {
        VolumeState::Ready => Ok(located),
        VolumeState::Deleting => Err(crate::engine::order::being_removed(&located)),
        VolumeState::Destroyed => Err(crate::engine::order::name_destroyed(name, &located)),
    }
}

/// Not decided, and not to be decided now.
pub(super) fn undecided(name: &VolumeName, why: String) -> Error {
    Error::new(ErrorKind::Unavailable, why).with_context("volume", name.as_str())
}
