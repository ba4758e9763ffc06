//! What the engine does with nobody waiting. None of it ever shuts a host out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::attach::{Attachment, AttachmentState};
use crate::engine::Shared;
use crate::engine::callers::{Abandoned, Waiting};
use crate::engine::operations::{Call, Operations};
use crate::engine::release::{self, tell_released};
use crate::error::Result;
use crate::name::VolumeName;

/// How long a mount that nobody waited for stays, for the retry that wants it.
const ABANDONED_GRACE: Duration = Duration::from_secs(60);

/// How often a mount is looked at again while somebody waits for it, or it cannot be undone; and
/// the longest wait between two looks. Together a little more than a day: a host that cannot
/// unmount for longer than that needs a person, or its next start, which looks again.
const ABANDONED_ROUNDS: usize = 30;
const ABANDONED_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Waits between two rounds of telling arrays: first and longest.
const RELEASE_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Time between two looks for volumes that were taken away from this host.
const HEAL_PERIOD: Duration = Duration::from_secs(30);

/// A caller of Mount. When its time runs out or it goes away, its mount is undone later, unless
/// somebody else wants it by then: a caller that gave up has started no container, and a volume
/// that stayed connected here would keep every other host out.
#[derive(Debug)]
pub(crate) struct Abandonment {
    shared: Arc<Shared>,
    operations: Arc<Operations>,
    name: VolumeName,
    waiting: Option<Waiting>,
}

impl Abandonment {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        operations: &Arc<Operations>,
        name: &VolumeName,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            operations: Arc::clone(operations),
            name: name.clone(),
            waiting: Some(shared.callers.wait(name)),
        }
    }

    /// The caller learns of the mount.
    pub(crate) fn told(mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.told();
        }
    }

    /// The mount failed for good: there is nothing to undo.
    pub(crate) fn failed(mut self) {
        drop(self.waiting.take());
    }
}

impl Drop for Abandonment {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        drop(waiting);
        let (shared, operations) = (Arc::clone(&self.shared), Arc::clone(&self.operations));
        let name = self.name.clone();
        // Without a runtime the process is ending; its next start finds what is mounted.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(undo_abandoned_mount(shared, operations, name)));
        }
    }
}

async fn undo_abandoned_mount(shared: Arc<Shared>, operations: Arc<Operations>, name: VolumeName) {
    let mut wait = ABANDONED_GRACE;
    for _ in 0..ABANDONED_ROUNDS {
        sleep(wait).await;
        // In the volume's line: behind the mount, if it still goes on.
        let deadline = Instant::now() + ABANDONED_GRACE;
        let work = undo_if_unwanted(Arc::clone(&shared), name.clone());
        match operations
            .run(Call::new(&name, "undo abandoned mount", deadline), work)
            .await
        {
            Ok(Abandoned::Later) => wait = ABANDONED_GRACE,
            Ok(Abandoned::Undo | Abandoned::Never) => return,
            Err(error) => {
                tracing::warn!(volume = %name, error = %error.chain(), "an abandoned mount could not be undone yet");
                wait = wait.saturating_mul(2).min(ABANDONED_WAIT_MAX);
            }
        }
    }
    tracing::error!(volume = %name, "an abandoned mount could not be undone; the next start looks again");
}

async fn undo_if_unwanted(shared: Arc<Shared>, name: VolumeName) -> Result<Abandoned> {
    let abandoned = shared.callers.abandoned(&name);
    if abandoned == Abandoned::Undo {
        tracing::warn!(volume = %name, "nobody asked again for this mount, undoing it");
        release::unmount(shared, name).await?;
    }
    Ok(abandoned)
}

/// Tells arrays what this host no longer uses: volumes that it let go of while they could not be
/// reached, and connections in doubt.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn tell_releases(shared: Arc<Shared>, operations: Arc<Operations>) {
    let (first, longest) = RELEASE_RETRY;
    let mut wait = longest;
    loop {
        // Woken by something that could not be told, or by the clock.
        let woken = timeout(wait, shared.releases.notified()).await.is_ok();
        wait = if tell_once(&shared, &operations).await {
            longest
        } else if woken {
            first
        } else {
            wait.saturating_mul(2).min(longest)
        };
    }
}

/// One round; returns whether nothing is left to tell.
async fn tell_once(shared: &Arc<Shared>, operations: &Operations) -> bool {
    let attachments = match shared.attacher.attachments().await {
        Ok(attachments) => attachments,
        Err(error) => {
            tracing::error!(error = %error.chain(), "the host's ledger cannot be read");
            return false;
        }
    };
    let mut all_told = true;
    for attachment in attachments {
        if attachment.state == AttachmentState::Released {
            let name = attachment.name.clone();
            let work = tell_release(Arc::clone(shared), attachment);
            all_told &= quietly(operations, &name, "tell release", work).await;
        }
    }
    for doubt in shared.doubts.all() {
        let name = doubt.held.name.clone();
        let work = {
            let shared = Arc::clone(shared);
            async move { shared.settle_doubt(&doubt.held).await }
        };
        all_told &= quietly(operations, &name, "settle doubt", work).await;
    }
    all_told && shared.doubts.all().is_empty()
}

async fn tell_release(shared: Arc<Shared>, attachment: Attachment) -> Result<()> {
    // Observed again in the volume's line, so that a mount in between is seen.
    match shared.attacher.status(&attachment.volume).await? {
        Some(now) if now.state == AttachmentState::Released => shared.finish_release(&now).await,
        _ => Ok(()),
    }
}

/// Runs background work in a volume's line; logs what fails and returns whether it succeeded.
async fn quietly(
    operations: &Operations,
    name: &VolumeName,
    what: &'static str,
    work: impl Future<Output = Result<()>> + Send + 'static,
) -> bool {
    let deadline = Instant::now() + RELEASE_RETRY.1;
    match operations.run(Call::new(name, what, deadline), work).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(volume = %name, error = %error.chain(), what, "not done yet");
            false
        }
    }
}

/// Lets go of volumes that this host was shut out of, so that nothing written under an old grant
/// can reach a device under a new one. `first`: what the start found already.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn heal(
    shared: Arc<Shared>,
    operations: Arc<Operations>,
    mut first: Option<Result<Vec<Attachment>>>,
) {
    loop {
        let healed = match first.take() {
            Some(healed) => healed,
            None => shared.attacher.heal().await,
        };
        match healed {
            Ok(released) => {
                for attachment in released {
                    shared.shut_out.note(&attachment.name);
                    tell_released(&shared, &attachment);
                    tell_fenced(&shared, &attachment).await;
                    let name = attachment.name.clone();
                    let work = note_release(Arc::clone(&shared), attachment);
                    quietly(&operations, &name, "note release", work).await;
                }
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "whether this host was shut out of volumes cannot be told");
            }
        }
        sleep(HEAL_PERIOD).await;
    }
}

/// Tells whoever reads the log that this host was shut out, and by whom as far as the array says.
async fn tell_fenced(shared: &Shared, attachment: &Attachment) {
    let located = shared.known.get(&attachment.name);
    let fencing = located.as_ref().and_then(|located| {
        let fencing = located.member.backend.fencing()?;
        Some((fencing, &located.volume))
    });
    let fence = match fencing {
        Some((fencing, volume)) => {
            let asked = fencing.last_fence(volume);
            let asked = timeout(shared.settings.ask_limit, asked).await;
            asked.ok().and_then(Result::ok).flatten()
        }
        None => None,
    };
    let by = fence.map_or_else(
        || "not known".to_owned(),
        |fence| match fence.new_host {
            Some(host) => format!("{} on {host}", fence.reason),
            None => fence.reason.to_string(),
        },
    );
    tracing::warn!(volume = %attachment.name, by, "the volume was taken from this host at the array; it is unmounted here, and what its containers had not synced is lost");
}

/// Corrects what memory knows of a volume that was let go, unless it is mounted again by now.
async fn note_release(shared: Arc<Shared>, attachment: Attachment) -> Result<()> {
    let now = shared.attacher.status(&attachment.volume).await?;
    if now.is_none_or(|now| now.state != AttachmentState::Mounted) {
        shared.set_mountpoint(&attachment.name, None);
        shared.callers.forget(&attachment.name);
        shared.releases.notify_one();
    }
    Ok(())
}
