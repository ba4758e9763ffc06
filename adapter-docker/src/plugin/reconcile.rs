//! Bringing counts and mounts together with nobody waiting: at the start, and from time to time.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;

use storage_core::{AttachmentState, Result, VolumeName};
use tokio::time::{Instant, timeout};

use super::Plugin;

/// Time between two rounds. A round with nothing to do reads memory only.
const PERIOD: Duration = Duration::from_secs(30);

/// The first wait while something could not be taken down; it doubles up to [`PERIOD`].
const RETRY: Duration = Duration::from_secs(2);

/// How long a new daemon has to mount again for the containers that it starts anew. Taking a
/// mount down earlier would be harmless, and work for nothing.
const GRACE: Duration = Duration::from_secs(30);

/// How long one volume may take in a round.
const LIMIT: Duration = Duration::from_secs(50);

impl Plugin {
    /// After a start: what is mounted without a count is to be taken down (a crash between mount
    /// and answer), and a count without a mount is one of an earlier life (a reboot). A managed
    /// plugin's counts all are, as its daemon may have begun anew with it.
    pub(super) async fn compare_with_host(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut mounted = HashSet::new();
        let mut there = HashSet::new();
        for attachment in self.engine.attachments().await? {
            if attachment.state == AttachmentState::Released {
                continue;
            }
            if attachment.state == AttachmentState::Mounted {
                mounted.insert(attachment.name.clone());
            }
            there.insert(attachment.name);
        }
        let counted: HashSet<VolumeName> = self.counts.names().into_iter().collect();
        let managed = self.managed;
        let earlier = counted
            .iter()
            .filter(|name| managed || !mounted.contains(*name));
        for name in earlier {
            let mut counts = self.counts.volume(name, deadline).await?;
            if let Some(carried) = counts.mounts().carry() {
                counts.save(carried).await?;
            }
            counts.done();
        }
        let uncounted: Vec<VolumeName> = there.difference(&counted).cloned().collect();
        if !uncounted.is_empty() {
            tracing::warn!(volumes = ?uncounted, "attached and not counted: to be taken down");
            self.unreleased().extend(uncounted);
            self.attention.notify_one();
        }
        Ok(())
    }

    /// Rounds for ever: when something asks for attention, and from time to time.
    #[expect(
        clippy::infinite_loop,
        reason = "background work that ends by being aborted"
    )]
    pub(super) async fn reconcile_for_ever(&self) {
        let mut wait = PERIOD;
        loop {
            // Woken by a call that left something behind, or by the clock.
            let woken = timeout(wait, self.attention.notified()).await.is_ok();
            self.reconcile().await;
            wait = match self.unreleased().is_empty() {
                true => PERIOD,
                false if woken || wait == PERIOD => RETRY,
                false => PERIOD.min(wait.saturating_mul(2)),
            };
        }
    }

    async fn reconcile(&self) {
        let epoch = *self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: HashSet<VolumeName> = self.unreleased().iter().cloned().collect();
        if epoch.elapsed() >= GRACE {
            names.extend(self.counts.names());
        }
        for name in names {
            if let Err(error) = self.reconcile_one(&name).await {
                tracing::info!(volume = %name, error = %error.chain(), "not taken down yet");
            }
        }
    }

    async fn reconcile_one(&self, name: &VolumeName) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut counts = self.counts.volume(name, deadline).await?;
        let result = match self.drop_stale(name, &mut counts).await {
            Ok(stale) => {
                let unused = counts.mounts().is_empty();
                if unused && (stale || self.unreleased().contains(name)) {
                    self.unmount_now(name, deadline).await
                } else {
                    self.unreleased().remove(name);
                    Ok(())
                }
            }
            Err(error) => Err(error),
        };
        counts.done();
        result
    }
}
