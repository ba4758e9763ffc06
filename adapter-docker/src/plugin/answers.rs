//! Mounts whose callers have just been answered: noted on disk a moment later, in the background.
//!
//! Until then a mount is on disk as one from before (see the mount counts). The moment is for the
//! answer to leave this process; to note it too late is harmless.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use storage_core::VolumeName;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Plugin;
use crate::state::MountId;

/// From the end of the call to the note: long enough for the answer to leave a process that gets
/// little of a busy machine.
const MOMENT: Duration = Duration::from_secs(1);

/// Answers that may wait to be noted: more than a host has mounts. One that is not noted is a mount
/// that is dropped after a restart if no container has it.
const GIVEN_MAX: usize = 16_384;

/// Answers on their way, in the order of their calls.
#[derive(Debug, Default)]
pub(super) struct Answers {
    given: Mutex<VecDeque<(Instant, VolumeName, MountId)>>,
    more: Notify,
}

impl Answers {
    /// A Mount of this ID is being answered.
    pub(super) fn add(&self, name: VolumeName, id: MountId) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() >= GIVEN_MAX {
            tracing::warn!(volume = %name, "too many mounts wait to be noted as answered; this one is not");
            return;
        }
        given.push_back((Instant::now(), name, id));
        drop(given);
        self.more.notify_one();
    }

    fn first(&self) -> Option<Instant> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.front().map(|(at, ..)| *at)
    }

    fn take(&self) -> Option<(Instant, VolumeName, MountId)> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.pop_front()
    }
}

impl Plugin {
    /// Notes answers, for ever.
    #[expect(
        clippy::infinite_loop,
        reason = "background work that ends by being aborted"
    )]
    pub(super) async fn note_answers_for_ever(&self) {
        loop {
            match self.answers.first() {
                None => self.answers.more.notified().await,
                Some(at) => {
                    sleep_until(at + MOMENT).await;
                    self.note_answer().await;
                }
            }
        }
    }

    /// Notes what was answered so far. To be called when no call is under way any more.
    pub(super) async fn note_answers(&self) {
        while self.answers.first().is_some() {
            self.note_answer().await;
        }
    }

    async fn note_answer(&self) {
        let Some((_, name, id)) = self.answers.take() else {
            return;
        };
        let deadline = Instant::now() + super::QUICK_CALL;
        let noted = match self.counts.volume(&name, deadline).await {
            Ok(mut counts) => {
                let noted = counts.told(&id).await;
                counts.done();
                noted
            }
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(volume = %name, error = %error.chain(), "a mount stays noted as one that nobody may know of; it is dropped after a restart if no container has it");
        }
    }
}
