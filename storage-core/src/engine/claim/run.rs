//! C1 and C3: a volume that waits for the name, and the name given to it.

use std::sync::Arc;

use tokio::time::Instant;

use super::import::Source;
use super::roster::claims;
use super::trace::{Event, Place};
use super::view::{Sights, look_at, met};
use super::{Round, Step};
use crate::claim::{ArrayNumber, ClaimNonce, Commit, ImportVolume, Tentative};
use crate::engine::copy::Copy;
use crate::engine::fleet::{Located, Member};
use crate::engine::order::{self, Attempt};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::FleetPhase;
use crate::outcome::Outcome;
use crate::select::PlacementRequest;

/// How often a commit without an answer is looked at and repeated.
const COMMIT_ROUNDS: usize = 3;

/// A volume of this attempt that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) nonce: ClaimNonce,
    pub(super) number: ArrayNumber,
    pub(super) member: Arc<Member>,
}

impl Round<'_> {
    /// C1 on the selector's candidates, one after the other, each under a nonce of its own. `None`
    /// when that took too long.
    pub(super) async fn propose(&self, sights: &Sights) -> Result<Option<Waiting>> {
        if let Some(object) = &self.wish.options.import {
            return self.import(object, sights).await;
        }
        let copy = match &self.wish.options.source {
            Some(source) => Some(Copy::of(self.shared, source, &self.wish.options).await?),
            None => None,
        };
        let request = self.wish.placement(self.shared, copy.as_ref())?;
        let (decision, candidates) =
            order::decide(self.shared, &request, copy.as_ref(), |member| {
                self.roster.number_of(member).is_some()
            })
            .await;
        let explanation = decision.explain();
        tracing::info!(volume = %self.wish.name, decision = %explanation, "placement decided");
        let mut refusals = Vec::new();
        for endpoint in decision.ranked() {
            if self.is_late() {
                return Ok(None);
            }
            let Some(member) = self.shared.fleet.by_endpoint(endpoint) else {
                continue;
            };
            let Some(number) = self.roster.number_of(&member) else {
                continue;
            };
            let waiting = Waiting {
                nonce: self.shared.chance.claim_nonce(number),
                number,
                member,
            };
            let attempt = Attempt {
                explanation: &explanation,
                nonce: waiting.nonce,
            };
            match self
                .propose_on(&waiting, &request, attempt, copy.as_ref())
                .await
            {
                Ok(_) => return Ok(Some(waiting)),
                Err(error) => {
                    tracing::warn!(volume = %self.wish.name, array = endpoint, error = %error.chain(), "the array did not make the volume, trying the next");
                    refusals.push((endpoint.to_owned(), error));
                }
            }
        }
        Err(order::nobody(
            &self.wish.name,
            &decision,
            &candidates,
            refusals,
        ))
    }

    async fn propose_on(
        &self,
        waiting: &Waiting,
        request: &PlacementRequest,
        attempt: Attempt<'_>,
        copy: Option<&Copy>,
    ) -> Result<Tentative> {
        let mut volume = self.wish.attempt(self.shared, request, attempt);
        waiting.member.place(request.size);
        crash_points::point!("claim.placed");
        let event = self.event("C1", waiting.number, waiting.nonce);
        event.tell("asked");
        let claims = claims(&waiting.member)?;
        let made = match copy {
            None => claims.propose(&volume).await,
            Some(copy) => {
                copy.note(&mut volume);
                let fresh_uuid = self.shared.chance.uuid();
                claims.propose_copy(&copy.request(volume, fresh_uuid)).await
            }
        };
        event.tell(proposed(&made));
        crash_points::point!("claim.proposed");
        made
    }

    /// C1 for a volume that is there.
    async fn import(&self, object: &str, sights: &Sights) -> Result<Option<Waiting>> {
        let source = super::import::find(self, object, sights).await?;
        let (number, member, nonce) = match source {
            // An earlier attempt was cut off between C1 and C2.
            Source::Aside(waiting) => return Ok(Some(waiting)),
            Source::Found(number, member) => {
                (number, member, self.shared.chance.claim_nonce(number))
            }
        };
        if self.is_late() {
            return Ok(None);
        }
        let request = self.wish.placement(self.shared, None)?;
        let attempt = Attempt {
            explanation: "adopted where it was",
            nonce,
        };
        let mut record = self.wish.attempt(self.shared, &request, attempt);
        record.format_grant = None;
        order::note_import(&mut record, object);
        let request = ImportVolume {
            name: self.wish.name.clone(),
            object: object.to_owned(),
            nonce,
            record,
        };
        let event = self.event("C1", number, nonce);
        event.tell("asked");
        crash_points::point!("claim.placed");
        let made = claims(&member)?.propose_import(&request).await;
        event.tell(proposed(&made));
        crash_points::point!("claim.proposed");
        made?;
        Ok(Some(Waiting {
            nonce,
            number,
            member,
        }))
    }

    /// C3 with one's own.
    pub(super) async fn commit_own(&self, own: Waiting) -> Result<Step> {
        if self.is_late() {
            return self
                .give_up(Some(own), Step::Again("the arrays took too long"))
                .await;
        }
        match self.commit(own.number, &own.member, own.nonce).await {
            Ok(Committed::Has(located)) => Ok(Step::Created(located)),
            Ok(Committed::Another(located)) => {
                self.withdraw_own(Some(own)).await;
                met(&self.wish.name, located).map(Step::Found)
            }
            Ok(Committed::Gone) => Ok(Step::Again("the volume that waited is gone")),
            // May be executed yet: whoever comes next goes on from here.
            Err(error) if is_open(&error) => Err(error),
            Err(error) => {
                self.withdraw_own(Some(own)).await;
                Err(error)
            }
        }
    }

    /// C3, for the winner and for whoever helps.
    pub(super) async fn commit(
        &self,
        number: ArrayNumber,
        member: &Arc<Member>,
        nonce: ClaimNonce,
    ) -> Result<Committed> {
        let event = self.event("C3", number, nonce);
        let mut last = None;
        for _ in 0..COMMIT_ROUNDS {
            event.tell("asked");
            crash_points::point!("claim.C3.commit");
            let answer = claims(member)?.commit(&self.wish.name, nonce).await;
            crash_points::point!("claim.C3.committed");
            let located = |volume| Located {
                volume,
                member: Arc::clone(member),
            };
            let error = match answer {
                Ok(Commit::Committed(volume)) => {
                    Event {
                        volume: Some(&volume.id),
                        ..event
                    }
                    .tell("committed");
                    return Ok(Committed::Has(located(*volume)));
                }
                Ok(Commit::Taken(volume)) => {
                    event.tell("taken");
                    return Ok(Committed::Another(located(*volume)));
                }
                Ok(Commit::Gone) => {
                    event.tell("gone");
                    return Ok(Committed::Gone);
                }
                Err(error) if !is_open(&error) => {
                    event.tell("refused");
                    return Err(error);
                }
                Err(error) => error,
            };
            event.tell("timeout");
            let view = look_at(self.shared, member, &self.wish.name).await;
            let view = view.map_err(|_unseen| unknown(&error))?;
            if let Some(volume) = view.volume {
                return Ok(Committed::Another(located(volume)));
            }
            if view.tentatives.iter().all(|one| one.nonce != nonce) {
                return Ok(Committed::Gone);
            }
            last = Some(error);
            if self.is_late() || Instant::now() >= self.wish.deadline {
                break;
            }
        }
        Err(last.map_or_else(
            || Error::new(ErrorKind::Timeout, "the array did not answer"),
            |error| unknown(&error),
        ))
    }

    pub(super) async fn give_up(&self, own: Option<Waiting>, step: Step) -> Result<Step> {
        self.withdraw_own(own).await;
        Ok(step)
    }

    /// Takes back what this attempt made. That it could not be is no failure: it is empty, or has
    /// its old name on record, and is swept.
    pub(super) async fn withdraw_own(&self, own: Option<Waiting>) {
        let Some(own) = own else { return };
        if let Err(error) = self.withdraw(own.number, &own.member, own.nonce).await {
            tracing::warn!(volume = %self.wish.name, array = %own.member.backend, nonce = %own.nonce, error = %error.chain(), "a volume that waited for a name that another one got could not be taken back yet");
        }
    }

    pub(super) async fn withdraw(
        &self,
        number: ArrayNumber,
        member: &Arc<Member>,
        nonce: ClaimNonce,
    ) -> Result<Outcome<()>> {
        let event = self.event("withdraw", number, nonce);
        event.tell("asked");
        crash_points::point!("claim.withdraw");
        let answer = claims(member)?.withdraw(&self.wish.name, nonce).await;
        event.tell(match &answer {
            Ok(Outcome::Done(())) => "done",
            Ok(Outcome::AlreadySo(())) => "nothing",
            Err(_) => "timeout",
        });
        answer
    }

    pub(super) fn event(
        &self,
        step: &'static str,
        number: ArrayNumber,
        nonce: ClaimNonce,
    ) -> Event<'_> {
        debug_assert!(self.roster.record.phase == FleetPhase::Open);
        Event {
            step,
            node: &self.wish.node,
            array: Place::Number(number),
            name: Some(&self.wish.name),
            nonce: Some(nonce.into()),
            ..Event::default()
        }
    }
}

/// What became of a commit.
#[derive(Debug)]
pub(super) enum Committed {
    /// The attempt's volume has the name.
    Has(Located),
    /// A volume has it: perhaps this one, by a request whose answer was lost.
    Another(Located),
    /// Nothing of the attempt is there any more.
    Gone,
}

/// Whether the step may be executed yet.
pub(super) fn is_open(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
}

fn unknown(error: &Error) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the array did not say whether the volume got its name; the same call finds out",
    )
    .with_source(error.duplicate())
}

fn proposed(made: &Result<Tentative>) -> &'static str {
    match made {
        Ok(_) => "proposed",
        Err(error) if error.kind() == ErrorKind::Timeout => "timeout",
        Err(_) => "refused",
    }
}
