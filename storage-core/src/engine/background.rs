//! What the engine does with nobody waiting. None of it ever shuts a host out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::attach::AttachmentState;
use crate::engine::operations::{Call, Operations};
use crate::engine::{Shared, mount};
use crate::name::VolumeName;

/// How long a mount that nobody waited for stays, for the retry that wants it.
const ABANDONED_GRACE: Duration = Duration::from_secs(60);

/// Waits between two rounds of telling arrays: first and longest.
const RELEASE_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Undoes a mount whose caller had gone when it was done, unless somebody asked for it again.
///
/// A caller that gave up has started no container; leaving the volume connected here would keep
/// every other host out.
pub(crate) fn undo_abandoned_mount(
    shared: Arc<Shared>,
    operations: Arc<Operations>,
    name: VolumeName,
) {
    drop(tokio::spawn(async move {
        sleep(ABANDONED_GRACE).await;
        let work = {
            let (shared, name) = (Arc::clone(&shared), name.clone());
            async move {
                if shared.is_mounted(&name) {
                    return Ok(());
                }
                tracing::warn!(volume = %name, "nobody asked again for this mount, undoing it");
                mount::unmount(shared, name).await
            }
        };
        let deadline = Instant::now() + ABANDONED_GRACE;
        let what = "undo abandoned mount".to_owned();
        if let Err(error) = operations.run(Call::new(&name, what, deadline), work).await {
            tracing::warn!(volume = %name, error = %error.chain(), "an abandoned mount could not be undone");
        }
    }));
}

/// Tells arrays about volumes that this host let go of while they could not be reached.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn tell_releases(shared: Arc<Shared>, operations: Arc<Operations>) -> Infallible {
    let (first, longest) = RELEASE_RETRY;
    let mut wait = longest;
    loop {
        // Woken by a release that could not be told, or by the clock.
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
        if attachment.state != AttachmentState::Released {
            continue;
        }
        let name = attachment.name.clone();
        let work = {
            let shared = Arc::clone(shared);
            async move {
                // In its volume's line, so that a mount in between is seen.
                let now = shared.attacher.status(&attachment.volume).await?;
                match now {
                    Some(now) if now.state == AttachmentState::Released => {
                        shared.finish_release(&now).await
                    }
                    _ => Ok(()),
                }
            }
        };
        let deadline = Instant::now() + RELEASE_RETRY.1;
        let what = "tell release".to_owned();
        if let Err(error) = operations.run(Call::new(&name, what, deadline), work).await {
            tracing::warn!(volume = %name, error = %error.chain(), "the array cannot be told of the release yet");
            all_told = false;
        }
    }
    all_told
}

/// Time between two looks for volumes that were taken away from this host.
const HEAL_PERIOD: Duration = Duration::from_secs(30);

/// Lets go of volumes that this host was shut out of, so that nothing written under an old grant
/// can reach a device under a new one.
#[expect(
    clippy::infinite_loop,
    reason = "background work that ends by being aborted"
)]
pub(crate) async fn heal(shared: Arc<Shared>) -> Infallible {
    loop {
        match shared.attacher.heal().await {
            Ok(released) => {
                for attachment in &released {
                    tracing::warn!(volume = %attachment.name, "the array gave this volume to somebody else; it is unmounted here");
                    shared.set_mountpoint(&attachment.name, None);
                }
                if !released.is_empty() {
                    shared.releases.notify_one();
                }
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "whether this host was shut out of volumes cannot be told");
            }
        }
        sleep(HEAL_PERIOD).await;
    }
}

impl Shared {
    fn is_mounted(&self, name: &VolumeName) -> bool {
        let mounted = self
            .mounted
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        mounted.contains_key(name)
    }
}
