//! Bringing counts and mounts together with nobody waiting: at the start, and from time to time.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use storage_core::{AttachmentState, ErrorKind, Result, VolumeName};
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
    /// After a start: a count without a mount is one of an earlier life (a reboot), and so are all of
    /// a managed plugin's, as its daemon may have begun anew with it. What is mounted without a
    /// count is kept if something uses it (the counts were lost), else taken down (a crash between
    /// mount and count).
    pub(super) async fn compare_with_host(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut there = self.engine.attachments().await?;
        there.retain(|one| one.state != AttachmentState::Released);
        let mounted: HashSet<&VolumeName> = there
            .iter()
            .filter(|one| one.state == AttachmentState::Mounted)
            .map(|one| &one.name)
            .collect();
        let mut counted = self.counts.names();
        counted.retain(|name| self.managed || !mounted.contains(name));
        let _left = self.carry_all(counted, deadline).await;
        for attachment in there {
            let counted = self
                .find_users(&attachment.name, attachment.mountpoint, deadline)
                .await;
            if let Err(error) = counted {
                tracing::error!(volume = %attachment.name, error = %error.chain(), "who uses the volume could not be noted; it stays as it is");
            }
        }
        Ok(())
    }

    /// Marks these counts as those of an earlier life. One that cannot be written stays as it is: its
    /// volume stays mounted for longer, perhaps, and a disk that is full keeps no plugin from
    /// starting. Returns those on which other calls were under way until the deadline.
    pub(super) async fn carry_all(
        &self,
        names: Vec<VolumeName>,
        deadline: Instant,
    ) -> Vec<VolumeName> {
        let mut left = Vec::new();
        for name in names {
            let carried = match self.counts.volume(&name, deadline).await {
                Ok(mut counts) => {
                    let saved = match counts.mounts().carry() {
                        Some(next) => counts.save(next).await,
                        None => Ok(()),
                    };
                    counts.done();
                    saved
                }
                Err(error) if error.kind() == ErrorKind::Busy => {
                    left.push(name);
                    continue;
                }
                Err(error) => Err(error),
            };
            if let Err(error) = carried {
                tracing::warn!(volume = %name, error = %error.chain(), "its mounts could not be marked as those of an earlier daemon or plugin");
            }
        }
        left
    }

    /// Notes who uses a volume that nothing is counted of; if nobody does, it is to go.
    async fn find_users(
        &self,
        name: &VolumeName,
        mountpoint: PathBuf,
        deadline: Instant,
    ) -> Result<()> {
        let mut counts = self.counts.volume(name, deadline).await?;
        let mut result = Ok(());
        if counts.mounts().is_empty() {
            if self.is_held(name, mountpoint).await {
                tracing::warn!(volume = %name, "in use by a container and not counted: it stays mounted until no container has it");
                let found = counts.mounts().with_found();
                result = counts.save(found).await;
            } else {
                tracing::warn!(volume = %name, "attached, not counted and not in use: to be taken down");
                self.unreleased().insert(name.clone());
                self.attention.notify_one();
            }
        }
        counts.done();
        result
    }

    /// As [`Self::find_users`], for the mounts that the engine found without a record.
    async fn find_users_of_adopted(&self) {
        for name in self.engine.adopted() {
            let Some(mountpoint) = self.engine.mountpoint(&name) else {
                self.engine.take_adopted(&name);
                continue;
            };
            match self
                .find_users(&name, mountpoint, Instant::now() + LIMIT)
                .await
            {
                Ok(()) => drop(self.engine.take_adopted(&name)),
                Err(error) => {
                    tracing::warn!(volume = %name, error = %error.chain(), "who uses the volume could not be noted yet");
                }
            }
        }
    }

    /// Whether the present daemon may still be mounting for containers that it starts anew.
    pub(super) fn is_young(&self) -> bool {
        let epoch = *self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        epoch.elapsed() < GRACE
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
        self.find_users_of_adopted().await;
        let mut names: HashSet<VolumeName> = self.unreleased().iter().cloned().collect();
        if !self.is_young() {
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
