//! F2 to F4: other hosts that have the volume are refused by name, or shut out and seen gone.
//!
//! The right to shut out is the caller's, and lapses with it. The victims are frozen at the first
//! read of the request: what comes later is a newcomer, which may hold a grant that is newer than
//! the right, and so is a victim that was seen gone and is back. A host group, and a host that
//! neither has a name of our form nor is this volume's recorded holder, is somebody else's and is
//! never touched.

use std::time::Duration;

use storage_core::{
    Clock as _, Error, ErrorKind, Fence, FenceReason, Permit, Preemption, Result, SystemClock,
};
use tokio::time::{Instant, sleep};

use super::{Attempt, Case, RACE_WAIT, Round, fate, moved};
use crate::api::WireVolumeKey;
use crate::error::Refusal;
use crate::hosts::machine_of;
use crate::present::Present;
use crate::record::Holder;

/// How often the DELETE is sent: again where one of several victims left by itself, as the array
/// then refuses the whole.
const DELETES: usize = 4;

/// What a request may take from others, and what it took.
#[derive(Default)]
pub(super) struct Taken {
    /// Who may be shut out; it only ever shrinks. `None` until the first read.
    victims: Option<Vec<String>>,
    /// The fence that was brought about.
    pub(super) fence: Option<Fence>,
}

impl Taken {
    /// The first read decides.
    pub(super) fn freeze(&mut self, present: &Present) {
        if self.victims.is_none() {
            self.victims = Some(present.hosts.clone());
        }
    }

    fn victims(&self) -> &[String] {
        self.victims.as_deref().unwrap_or_default()
    }

    /// Whoever was seen gone is no victim any more.
    fn keep(&mut self, present: &Present) {
        if let Some(victims) = &mut self.victims {
            victims.retain(|victim| named(victim, &present.hosts));
        }
    }

    /// The error of a publish that shut somebody out: it says so.
    pub(super) fn told(&self, error: Error) -> Error {
        match &self.fence {
            Some(fence) => error.with_context("shut out all the same", fence.old_hosts.join(", ")),
            None => error,
        }
    }
}

/// Names of hosts are compared as the array does.
fn named(name: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

impl Case<'_> {
    /// Somebody else is connected. Who is left when they were shut out; or what becomes of the
    /// round otherwise.
    pub(super) async fn others(
        &mut self,
        present: Present,
    ) -> Result<std::result::Result<Present, Round>> {
        let hosts = present.hosts.join(",");
        if let Some(permit) = self.may_shut_out(&present).await? {
            self.tell("F2", &hosts, "permitted");
            return self.shut_out(&permit, present).await.map(Ok);
        }
        self.tell("F2", &hosts, "refused");
        self.refuse(&present).await.map(Err)
    }

    /// The right to shut all of them out, if the request has it.
    async fn may_shut_out(&self, present: &Present) -> Result<Option<Permit>> {
        let Preemption::ShutOut(permit) = &self.request.preemption else {
            return Ok(None);
        };
        let victims = self.attempt.taken.victims();
        let frozen = present.hosts.iter().all(|host| named(host, victims));
        if !present.groups.is_empty() || !frozen {
            return Ok(None);
        }
        let strange: Vec<&String> = present
            .hosts
            .iter()
            .filter(|host| machine_of(host).is_none())
            .collect();
        if strange.is_empty() {
            return Ok(Some(permit.clone()));
        }
        let holder = self.record().await?.holder;
        let recorded = |host: &&String| {
            let same = |holder: &Holder| holder.object.eq_ignore_ascii_case(host);
            holder.as_ref().is_some_and(same)
        };
        Ok(strange.iter().all(recorded).then(|| permit.clone()))
    }

    /// F3 and F4: takes their connections away in one call, and reads that they are gone. Who is
    /// there then: at most this host.
    async fn shut_out(&mut self, permit: &Permit, before: Present) -> Result<Present> {
        let mut victims = before.hosts.clone();
        // By id, so that a late one does not meet the volume that has the name by then.
        let volume = &self.request.volume;
        let key = if self.api.identity.rest.connections_by_id() {
            WireVolumeKey::Id(volume.id.object().to_owned())
        } else {
            WireVolumeKey::Name(volume.object.clone())
        };
        let began = Instant::now();
        for _ in 0..DELETES {
            crash_points::point!("fence.F3");
            if !permit.stands() {
                let message = format!(
                    "host {} has the volume, and whoever wanted it to be shut out does not wait any more",
                    victims.join(", ")
                );
                self.drop_leftover(&before).await?;
                return Err(Error::new(ErrorKind::FailedPrecondition, message));
            }
            let hosts = victims.join(",");
            self.tell("F3", &hosts, "asked");
            match self.api.disconnect(&key, &hosts).await {
                Ok(()) => self.tell("F3", &hosts, "done"),
                Err(failure) => {
                    self.tell("F3", &hosts, fate(&failure));
                    if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) {
                        return Err(moved());
                    }
                    // One of them is gone already, and the array refuses the whole; or an answer
                    // was lost and the call sent again. The read decides.
                    if !failure.is(&[Refusal::ConnectionMissing, Refusal::HostMissing]) {
                        tracing::warn!(volume = %self.request.volume.name, hosts, "whether these hosts were shut out is not known");
                        return Err(failure.into());
                    }
                }
            }
            crash_points::point!("fence.F4");
            let present = Present::of(&self.connections("F4").await?, self.host);
            self.attempt.taken.keep(&present);
            let (gone, left): (Vec<String>, Vec<String>) = victims
                .into_iter()
                .partition(|victim| !named(victim, &present.hosts));
            self.note(gone, &present, began.elapsed());
            if present.hosts.iter().any(|host| !named(host, &left)) || !present.groups.is_empty() {
                self.drop_leftover(&present).await?;
                return Err(present.busy());
            }
            if left.is_empty() {
                return Ok(present);
            }
            victims = left;
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "the array still lists the connection of host {}",
                victims.join(", ")
            ),
        ))
    }

    /// Hosts were seen gone after this request's DELETE.
    fn note(&mut self, gone: Vec<String>, present: &Present, duration: Duration) {
        if gone.is_empty() {
            return;
        }
        let evidence = match (present.alone(), &present.own) {
            (true, None) => "read back: nobody connected",
            (true, Some(_)) => "read back: new host alone",
            (false, _) => "read back: others connected",
        };
        let fence = self.attempt.taken.fence.get_or_insert_with(|| Fence {
            old_hosts: Vec::new(),
            new_host: Some(self.host.to_owned()),
            reason: FenceReason::Mount,
            evidence: String::new(),
            duration_ms: 0,
            at_ms: SystemClock.now_ms(),
        });
        fence.old_hosts.extend(gone);
        evidence.clone_into(&mut fence.evidence);
        fence.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tell_people(self.request.volume.name.as_str(), fence);
    }

    /// They stay. After a race the other one may be backing out, which is waited for.
    async fn refuse(&mut self, present: &Present) -> Result<Round> {
        if present.own.is_none() && !self.raced {
            return Err(self.held(present));
        }
        let holder = self.drop_leftover(present).await?;
        if present.own.is_some() && holder.as_ref().is_some_and(|holder| self.is_mine(holder)) {
            // The newcomer sees this host and backs out by itself.
            return Err(present.busy());
        }
        let granted = holder.is_some_and(|holder| named(&holder.object, &present.hosts));
        let in_time = Instant::now() + RACE_WAIT < self.api.deadline();
        if self.raced && !granted && present.groups.is_empty() && in_time {
            sleep(RACE_WAIT).await;
            return Ok(Round::Raced);
        }
        Err(self.held(present))
    }

    /// A refusal leaves nothing of this host's own beside the others: a connection without a grant
    /// proves nothing, would block the holder, and nobody would ever take it away (rule 8). Who has
    /// the grant.
    async fn drop_leftover(&mut self, present: &Present) -> Result<Option<Holder>> {
        let holder = self.record().await?.holder;
        let granted = holder.as_ref().is_some_and(|holder| self.is_mine(holder));
        if present.own.is_some() && !granted {
            self.undo().await?;
        }
        Ok(holder)
    }

    fn held(&self, present: &Present) -> Error {
        present.held(&self.request.volume.name)
    }

    /// Takes away a connection of this host's that was seen.
    pub(super) async fn undo(&mut self) -> Result<()> {
        let key = WireVolumeKey::Name(self.request.volume.object.clone());
        crash_points::point!("fence.undo");
        self.tell_host("undo", "asked");
        match self.api.disconnect(&key, self.host).await {
            Ok(()) => {}
            Err(failure) if failure.is(&[Refusal::ConnectionMissing]) => {}
            Err(failure) => {
                self.tell_host("undo", "timeout");
                return Err(failure.into());
            }
        }
        self.tell_host("undo", "done");
        let taken = std::mem::take(&mut self.attempt.taken);
        *self.attempt = Attempt {
            taken,
            ..Attempt::default()
        };
        Ok(())
    }
}

/// Every fence is told to whoever reads the log, as it is recorded.
pub(crate) fn tell_people(volume: &str, fence: &Fence) {
    tracing::info!(
        volume,
        old_hosts = fence.old_hosts.join(", "),
        new_host = fence.new_host,
        reason = fence.reason.as_str(),
        evidence = fence.evidence,
        duration_ms = fence.duration_ms,
        "fenced: the array took the volume from its old host"
    );
}
