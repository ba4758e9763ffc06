//! What is done with a claim of somebody else: its volume gets its name, or it is made dead for
//! good and its votes are taken away.

use std::sync::Arc;
use std::time::Duration;

use super::poll::Poll;
use super::roster::claims;
use super::run::Committed;
use super::view::{look_at, met, undecided};
use super::{Round, Step};
use crate::backend::CreateVolume;
use crate::claim::{ArrayNumber, ClaimNonce, NameView, TentativeKind};
use crate::engine::fleet::{Located, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;
use crate::label::Labels;
use crate::limits::Limits;

/// Something that waits under votes that are older is not given its name any more: its markers
/// must outlive every listing that does not have it.
const VOTES_GOOD_FOR: Duration = Duration::from_secs(3600);

impl Round<'_> {
    /// Goes on with the attempt that has won.
    pub(super) async fn resolve(&self, nonce: ClaimNonce, poll: &Poll) -> Result<Step> {
        let Some((number, member, view)) = self.target(nonce).await? else {
            self.retire(nonce, poll).await;
            return Ok(Step::Again("an attempt on an array that left the fleet"));
        };
        if let Some(step) = self.there(&view, &member)? {
            return Ok(step);
        }
        let mut tentatives = view.tentatives.iter();
        let waits = tentatives.any(|one| one.nonce == nonce && one.kind != TentativeKind::Stopper);
        let ages = poll.markers(nonce).map(|(.., marker)| marker.age);
        let is_old = ages.max().is_some_and(|age| age >= VOTES_GOOD_FOR);
        if self.is_late() {
            return Ok(Step::Again("the arrays took too long"));
        }
        if !waits || is_old {
            if !self.kill(number, &member, nonce).await? {
                return Ok(Step::Again("an earlier attempt got its name after all"));
            }
            self.retire(nonce, poll).await;
            return Ok(Step::Again("an earlier attempt was dead"));
        }
        match self.commit(number, &member, nonce).await? {
            Committed::Has(located) => met(&self.wish.name, located).map(Step::Found),
            Committed::Another(located) => met(&self.wish.name, located).map(Step::Found),
            Committed::Gone => Ok(Step::Again("the volume that waited is gone")),
        }
    }

    /// No attempt has more than half of the votes: those that are not ahead are made dead.
    pub(super) async fn settle(&self, ahead: ClaimNonce, poll: &Poll) -> Result<Step> {
        let others: Vec<ClaimNonce> = poll
            .nonces()
            .into_iter()
            .filter(|nonce| *nonce != ahead)
            .collect();
        if others.is_empty() {
            return Err(poll.nobody_votes(&self.wish.name));
        }
        for nonce in others {
            if self.is_late() {
                return Ok(Step::Again("the arrays took too long"));
            }
            if let Some((number, member, view)) = self.target(nonce).await? {
                if let Some(step) = self.there(&view, &member)? {
                    return Ok(step);
                }
                if !self.kill(number, &member, nonce).await? {
                    return Ok(Step::Again("an earlier attempt got its name after all"));
                }
            }
            self.retire(nonce, poll).await;
        }
        Ok(Step::Again("several attempts met"))
    }

    /// The array of an attempt and a fresh look at it; `None` when it left the fleet, which it did
    /// with nothing of any claim on it.
    async fn target(
        &self,
        nonce: ClaimNonce,
    ) -> Result<Option<(ArrayNumber, Arc<Member>, NameView)>> {
        let number = nonce.array();
        let Some(member) = self.roster.member(number) else {
            if number < self.roster.record.next_number {
                return Ok(None);
            }
            let why = format!(
                "a node that knows of a newer fleet, with an array of the number {number}, takes this name; try again"
            );
            return Err(undecided(&self.wish.name, why));
        };
        let view = look_at(self.shared, member, &self.wish.name).await;
        let view = view.map_err(|error| {
            let why = format!(
                "somebody began to make this volume on {}, which does not answer now; try again when it does",
                member.backend
            );
            undecided(&self.wish.name, why).with_source(error)
        })?;
        Ok(Some((number, Arc::clone(member), view)))
    }

    fn there(&self, view: &NameView, member: &Arc<Member>) -> Result<Option<Step>> {
        let Some(volume) = view.volume.clone() else {
            return Ok(None);
        };
        let member = Arc::clone(member);
        let located = Located { volume, member };
        met(&self.wish.name, located).map(|located| Some(Step::Found(located)))
    }

    /// Makes an attempt dead for good: a destroyed object holds its waiting name, so nothing that
    /// is executed late can wait under it again. False: that was not seen, and no vote may go.
    async fn kill(
        &self,
        number: ArrayNumber,
        member: &Arc<Member>,
        nonce: ClaimNonce,
    ) -> Result<bool> {
        if self.withdraw(number, member, nonce).await?.is_done() {
            return Ok(true);
        }
        if self.is_late() {
            return Ok(false);
        }
        let event = self.event("C1", number, nonce);
        event.tell("asked");
        crash_points::point!("claim.kill");
        match claims(member)?.propose(&self.stopper(nonce)).await {
            Ok(_) => {
                event.tell("proposed");
                // Nothing there: somebody gave it the name, or destroyed it in between.
                let outcome = self.withdraw(number, member, nonce).await?;
                Ok(outcome.is_done())
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                event.tell("refused");
                Ok(true)
            }
            Err(error) => {
                event.tell(if error.kind() == ErrorKind::Timeout {
                    "timeout"
                } else {
                    "refused"
                });
                let why = format!(
                    "an earlier attempt at this name, on {}, cannot be cleared away now; try again",
                    member.backend
                );
                Err(Error::new(error.kind(), why)
                    .with_context("volume", self.wish.name.as_str())
                    .with_source(error))
            }
        }
    }

    /// What waits for nobody, and is known by its size.
    fn stopper(&self, nonce: ClaimNonce) -> CreateVolume {
        CreateVolume {
            name: self.wish.name.clone(),
            size: TentativeKind::STOPPER_SIZE,
            filesystem: FilesystemSpec::new(self.wish.options.filesystem.kind),
            format_grant: None,
            limits: Limits::default(),
            attributes: Labels::new(),
            nonce,
        }
    }

    /// Takes the votes of a dead attempt away. One that stays is met again.
    async fn retire(&self, nonce: ClaimNonce, poll: &Poll) {
        for (number, member, marker) in poll.markers(nonce) {
            if self.is_late() {
                return;
            }
            let event = self.event("retire", number, nonce);
            event.tell("asked");
            crash_points::point!("claim.retire");
            let answer = match claims(member) {
                Ok(claims) => claims.retire(marker).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(_) => event.tell("done"),
                Err(error) => {
                    event.tell("timeout");
                    tracing::warn!(volume = %self.wish.name, array = %member.backend, error = %error.chain(), "the vote of an attempt that is over could not be taken away yet");
                }
            }
        }
    }
}
