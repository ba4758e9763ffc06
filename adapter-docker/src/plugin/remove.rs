//! Remove.

use storage_core::{Error, ErrorKind, Outcome, Result, VolumeName};
use tokio::time::Instant;

use super::Plugin;
use crate::state::VolumeCounts;

impl Plugin {
    /// Removes a volume. One that is mounted here is refused: the daemon does not ask for it
    /// while it knows of a container, but it forgets more easily than the counts do.
    pub(super) async fn remove(&self, body: &[u8], deadline: Instant) -> Result<()> {
        let name = Self::named(body)?;
        let _pass = self.gate.enter(Some(&name))?;
        let mut counts = self.counts.volume(&name, deadline).await?;
        let result = self.remove_uncounted(&name, &mut counts, deadline).await;
        if result.is_ok() {
            counts.forget_used().await;
        }
        counts.done();
        if let Ok(removed) = &result {
            crash_points::point!("docker.remove.removed");
            self.names.forget(&name);
            if removed.is_done() {
                tracing::info!(volume = %name, "removed; until the array eradicates it, `fairlead volume trash recover` brings it back");
            } else {
                tracing::info!(volume = %name, "there is no such volume to remove");
            }
        }
        result.map(drop)
    }

    async fn remove_uncounted(
        &self,
        name: &VolumeName,
        counts: &mut VolumeCounts<'_>,
        deadline: Instant,
    ) -> Result<Outcome<()>> {
        let stale = self.drop_stale(name, counts).await?;
        if !counts.mounts().is_empty() {
            let message = format!("the volume is in use: {}", counts.mounts().describe());
            return Err(Error::new(ErrorKind::FailedPrecondition, message)
                .with_context("volume", name.as_str()));
        }
        if stale || self.unreleased().contains(name) {
            self.unmount_now(name, deadline).await?;
        }
        self.engine.remove(name.clone(), deadline).await
    }

    /// Drops counts that are all of an earlier daemon, if no container has the mount any more.
    /// Returns whether it did.
    pub(super) async fn drop_stale(
        &self,
        name: &VolumeName,
        counts: &mut VolumeCounts<'_>,
    ) -> Result<bool> {
        if counts.mounts().is_empty() || !counts.mounts().all_carried() {
            return Ok(false);
        }
        if let Some(mountpoint) = self.engine.mountpoint(name)
            && self.is_held(name, mountpoint).await
        {
            return Ok(false);
        }
        let gone = counts.mounts().describe();
        counts.save(super::Mounts::default()).await?;
        tracing::info!(volume = %name, gone, "dropped mounts of an earlier daemon that no container has");
        Ok(true)
    }
}
