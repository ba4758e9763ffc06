//! C2: the claim arrays' votes on one name, and how they are asked for what is missing.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::decide::{decide, first_seen};
use super::roster::{Roster, claims};
use super::trace::{Event, Place};
use super::view::Sights;
use crate::claim::{ArrayNumber, ClaimNonce, Marker};
use crate::engine::Shared;
use crate::engine::fleet::Member;
use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;

/// One claim array and what is known of its vote.
#[derive(Clone, Debug)]
struct Ballot {
    number: ArrayNumber,
    member: Option<Arc<Member>>,
    marker: Option<Marker>,
    /// It did not answer in C0.
    silent: bool,
}

/// All of them, in the record's order.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    ballots: Vec<Ballot>,
    /// Why votes are missing, for people.
    pub(super) reasons: Vec<String>,
    /// No vote is asked for later.
    until: Instant,
}

impl Poll {
    /// As C0 saw them.
    pub(super) fn seen(roster: &Roster, sights: &Sights, until: Instant) -> Self {
        let ballots = roster.voters().into_iter().map(|(number, member)| {
            let view = member.as_ref().and_then(|member| sights.of(member));
            Ballot {
                number,
                marker: view.and_then(|view| view.marker.clone()),
                silent: view.is_none(),
                member,
            }
        });
        Self {
            ballots: ballots.collect(),
            reasons: Vec::new(),
            until,
        }
    }

    fn votes(&self) -> Vec<Option<ClaimNonce>> {
        let marker = |ballot: &Ballot| ballot.marker.as_ref().map(|marker| marker.nonce);
        self.ballots.iter().map(marker).collect()
    }

    pub(super) fn winner(&self) -> Option<ClaimNonce> {
        decide(&self.votes())
    }

    pub(super) fn first(&self) -> Option<ClaimNonce> {
        first_seen(&self.votes())
    }

    /// All attempts that have a vote, each once.
    pub(super) fn nonces(&self) -> Vec<ClaimNonce> {
        let mut nonces: Vec<_> = self.votes().into_iter().flatten().collect();
        nonces.sort_unstable();
        nonces.dedup();
        nonces
    }

    /// The markers of an attempt and where they are.
    pub(super) fn markers(
        &self,
        nonce: ClaimNonce,
    ) -> impl Iterator<Item = (ArrayNumber, &Arc<Member>, &Marker)> {
        self.ballots.iter().filter_map(move |ballot| {
            let marker = ballot.marker.as_ref().filter(|one| one.nonce == nonce)?;
            Some((ballot.number, ballot.member.as_ref()?, marker))
        })
    }

    /// Votes for an attempt, or for the one that is ahead of it: first on one array alone, the
    /// first that answers; what is on its marker then is voted for on the others, at once. Returns
    /// what was voted for. Nobody votes where more than half did.
    pub(super) async fn vote(
        &mut self,
        shared: &Arc<Shared>,
        name: &VolumeName,
        nonce: ClaimNonce,
        own: Option<ClaimNonce>,
    ) -> Result<ClaimNonce> {
        if let Some(winner) = self.winner() {
            return Ok(winner);
        }
        let mut opened = None;
        for place in 0..self.ballots.len() {
            let Some(ballot) = self.ballots.get(place).filter(|ballot| !ballot.silent) else {
                continue;
            };
            if let Some(marker) = &ballot.marker {
                opened = Some(marker.nonce);
                break;
            }
            if self.is_over() {
                break;
            }
            let answer = mark(shared, ballot, name, nonce).await;
            if let Some(marker) = self.note(place, answer) {
                opened = Some(marker.nonce);
                break;
            }
        }
        let Some(opened) = opened else {
            return Err(self.nobody_votes(name));
        };
        self.vote_on_others(shared, name, opened, own).await;
        Ok(opened)
    }

    /// Only one's own success cuts the waiting short: the votes of another attempt may have to be
    /// taken away, and one that came after that would be met again.
    async fn vote_on_others(
        &mut self,
        shared: &Arc<Shared>,
        name: &VolumeName,
        nonce: ClaimNonce,
        own: Option<ClaimNonce>,
    ) {
        let mut asked = JoinSet::new();
        for (place, ballot) in self.ballots.iter().enumerate() {
            if ballot.marker.is_some() || self.is_over() {
                continue;
            }
            let (shared, ballot, name) = (Arc::clone(shared), ballot.clone(), name.clone());
            asked.spawn(async move { (place, mark(&shared, &ballot, &name, nonce).await) });
        }
        while own.is_none() || self.winner() != own {
            match asked.join_next().await {
                Some(Ok((place, answer))) => drop(self.note(place, answer)),
                Some(Err(_)) => {}
                None => break,
            }
        }
        // What is decided needs no more votes; those on their way are not broken off.
        asked.detach_all();
    }

    fn is_over(&self) -> bool {
        Instant::now() > self.until
    }

    fn note(&mut self, place: usize, answer: Result<Marker>) -> Option<Marker> {
        let ballot = self.ballots.get_mut(place)?;
        match answer {
            Ok(marker) => {
                ballot.marker = Some(marker.clone());
                Some(marker)
            }
            Err(error) => {
                let array = ballot.member.as_ref().map_or_else(
                    || format!("array {}", ballot.number),
                    |member| member.backend.to_string(),
                );
                self.reasons.push(format!("{array}: {}", error.chain()));
                None
            }
        }
    }

    pub(super) fn nobody_votes(&self, name: &VolumeName) -> Error {
        super::view::undecided(
            name,
            format!(
                "the name is not decided, as claim arrays do not answer ({}); try again when they do",
                self.reasons.join("; ")
            ),
        )
    }
}

async fn mark(
    shared: &Shared,
    ballot: &Ballot,
    name: &VolumeName,
    nonce: ClaimNonce,
) -> Result<Marker> {
    let Some(member) = &ballot.member else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            "it did not answer since this process started",
        ));
    };
    let event = Event {
        step: "C2",
        node: &shared.node(),
        array: Place::Number(ballot.number),
        name: Some(name),
        nonce: Some(nonce.into()),
        ..Event::default()
    };
    event.tell("asked");
    crash_points::point!("claim.C2.before");
    let answer = claims(member)?.mark(name, nonce).await;
    crash_points::point!("claim.C2.after");
    match &answer {
        Ok(marker) => Event {
            marker: Some(Some(marker.nonce)),
            ..event
        }
        .tell(if marker.nonce == nonce {
            "marked"
        } else {
            "taken"
        }),
        Err(_) => event.tell("timeout"),
    }
    answer
}
