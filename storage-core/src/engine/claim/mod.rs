//! The claim: how a name becomes one volume's, whoever else wants it at the same moment. The steps
//! are those of `docs/protocols/claim.md`, by the same names.
//!
//! Here is their order; what each does is in the files beside. Everything goes on in the task of
//! the operation: a caller that gives up stops none of it half way.

mod audit;
mod decide;
mod found;
mod import;
mod listing;
mod membership;
mod poll;
mod record;
mod resolve;
mod roster;
mod run;
pub(crate) mod sweep;
mod trace;
mod view;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub(crate) use listing::Listing;
pub use membership::{Membership, MembershipStep};
pub(crate) use record::{Books, Founding, RecordCache, is_in_fleet, load, note_left_out};

use crate::engine::Shared;
use crate::engine::fleet::Located;
use crate::engine::order::{Wish, compatible};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::FleetPhase;
use crate::outcome::Outcome;
use crate::volume::Volume;
use poll::Poll;
use roster::Roster;
use trace::{Event, Mark};
use view::Sights;

/// How long what C0 saw is good for.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// How often a claim starts again. Each time another one has made progress, or a left-over is gone.
const ROUNDS: u32 = 24;

/// The wait before a claim starts again: so long for each round that it has had, at most the last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How a round ended.
#[derive(Debug)]
enum Step {
    /// This claim made the volume.
    Created(Located),
    /// The volume is there.
    Found(Located),
    /// What was seen is not so any more.
    Again(&'static str),
    /// Nobody takes names now.
    Wait(&'static str),
}

/// One round, from its C0 on.
#[derive(Debug)]
struct Round<'a> {
    shared: &'a Arc<Shared>,
    wish: &'a Wish,
    roster: Roster,
    began: Instant,
}

/// Creates the volume of that name, or finds it.
pub(crate) async fn create(shared: &Arc<Shared>, wish: &Wish) -> Result<Outcome<Volume>> {
    let (each, longest) = PAUSE;
    let mut round = 0;
    let why = loop {
        let (why, pause) = match one_round(shared, wish).await? {
            Step::Created(located) => {
                let claimed = &shared.fleet.record.claimed;
                claimed.fetch_add(1, Ordering::Relaxed);
                return Ok(acknowledge(shared, located, Outcome::Done));
            }
            Step::Found(located) => {
                compatible(&located.volume, &wish.options, &located)?;
                return Ok(acknowledge(shared, located, Outcome::AlreadySo));
            }
            Step::Again(why) => {
                tracing::debug!(volume = %wish.name, round, why, "the claim starts again");
                round += 1;
                (why, (each * round).min(longest))
            }
            Step::Wait(why) => (why, longest),
        };
        let wake = Instant::now() + shared.chance.jitter(pause);
        if wake >= wish.deadline || round >= ROUNDS {
            break why;
        }
        sleep_until(wake).await;
    };
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("the name is not decided yet: {why}; try again"),
    )
    .with_context("volume", wish.name.as_str()))
}

fn acknowledge(
    shared: &Shared,
    located: Located,
    how: fn(Volume) -> Outcome<Volume>,
) -> Outcome<Volume> {
    shared
        .fleet
        .learn(located.volume.id.array(), &located.member);
    shared.known.remember(&located);
    crash_points::point!("claim.acknowledged");
    let outcome = how(located.volume);
    let volume = outcome.get();
    Event {
        step: "acknowledged",
        node: &shared.node(),
        name: Some(&volume.name),
        volume: Some(&volume.id),
        ..Event::default()
    }
    .tell(if outcome.is_done() {
        "created"
    } else {
        "found"
    });
    outcome
}

async fn one_round(shared: &Arc<Shared>, wish: &Wish) -> Result<Step> {
    let began = Instant::now();
    let name = &wish.name;
    crash_points::point!("claim.C0.before");
    let (sights, loaded) = match shared.fleet.record.get() {
        Some(_) => (view::look(shared, name).await, Ok(())),
        // Once a process: the record is read beside the first look.
        None => tokio::join!(view::look(shared, name), async {
            let loaded = load(&shared.books(), None, Founding::Allowed).await;
            loaded.map(drop)
        }),
    };
    crash_points::point!("claim.C0.after");
    let lookup = sights.lookup(shared);
    let destroyed = lookup.destroyed();
    if let Some(located) = lookup.usable(name)?
        && wish.wants(&located)
    {
        return Ok(Step::Found(located));
    }
    loaded?;
    let Some(roster) = shared.fleet.roster() else {
        return Ok(Step::Again("the fleet record is not known"));
    };
    if sights.newest_epoch() > Some(roster.epoch()) || sights.is_behind(&roster) {
        load(&shared.books(), Some(roster.epoch()), Founding::Allowed).await?;
        return Ok(Step::Again("the fleet record was not the same everywhere"));
    }
    roster.is_whole()?;
    if roster.record.phase == FleetPhase::Changing {
        return Ok(Step::Wait(
            "arrays are being added to the fleet or removed from it, and new names wait for that (`fairlead array ls` tells more)",
        ));
    }
    let round = Round {
        shared,
        wish,
        roster,
        began,
    };
    if !round.is_entered() {
        record::enter_namespace(&shared.books(), &round.roster.record).await?;
        return Ok(Step::Again("the namespace was entered in the fleet record"));
    }
    sights.pass_over(name, &round.roster)?;
    if let Some(located) = lookup.deleting(name)? {
        return Err(crate::engine::order::being_removed(&located));
    }
    if let Some(located) = destroyed {
        return Err(crate::engine::order::name_destroyed(name, &located));
    }
    round.claim(&sights).await
}

impl Round<'_> {
    fn is_entered(&self) -> bool {
        let namespace = self.shared.fleet.namespace();
        namespace.is_none_or(|one| self.roster.record.namespaces.contains(one))
    }

    /// What C0 saw is too old to act on.
    fn is_late(&self) -> bool {
        self.began.elapsed() > GOOD_FOR
    }

    /// C1 to C3.
    async fn claim(&self, sights: &Sights) -> Result<Step> {
        let mut poll = Poll::seen(&self.roster, sights, self.began + GOOD_FOR);
        let (own, nonce) = match poll.first() {
            // Somebody was here before: whoever it was is helped.
            Some(nonce) => (None, nonce),
            None => {
                let Some(own) = self.propose(sights).await? else {
                    return Ok(Step::Again("the arrays took too long"));
                };
                let nonce = own.nonce;
                (Some(own), nonce)
            }
        };
        if self.is_late() {
            return self
                .give_up(own, Step::Again("the arrays took too long"))
                .await;
        }
        let mine = own.as_ref().map(|own| own.nonce);
        let voted = poll.vote(self.shared, &self.wish.name, nonce, mine).await;
        let winner = poll.winner();
        self.tell_decision(mine, winner);
        match (voted, winner, own) {
            (Err(error), _, own) => {
                self.withdraw_own(own).await;
                Err(error)
            }
            (Ok(_), Some(winner), Some(own)) if winner == own.nonce => self.commit_own(own).await,
            (Ok(_), Some(winner), own) => {
                self.withdraw_own(own).await;
                self.resolve(winner, &poll).await
            }
            (Ok(voted), None, own) => {
                self.withdraw_own(own).await;
                self.settle(voted, &poll).await
            }
        }
    }

    fn tell_decision(&self, own: Option<crate::ClaimNonce>, winner: Option<crate::ClaimNonce>) {
        Event {
            step: "decide",
            node: &self.shared.node(),
            name: Some(&self.wish.name),
            nonce: Some(Mark::Claim(own)),
            marker: Some(winner),
            ..Event::default()
        }
        .tell(match winner {
            None => "open",
            winner if winner == own => "mine",
            Some(_) => "other",
        });
    }
}
