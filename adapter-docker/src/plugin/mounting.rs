//! Mount, Unmount and Activate: where counts and mounts are kept together.
//!
//! Order: the volume is mounted, then counted on disk, then answered; and back: counted down on
//! disk, then unmounted. So a crash leaves a mount without a count, which nobody was told about
//! and the next start takes down, and never a count that promises a mount that is not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storage_core::{Error, ErrorKind, MountVolume, Result, VolumeName};
use tokio::time::Instant;

use super::{Plugin, Reply, answer, parse};
use crate::message::{MountRequest, NameRequest};
use crate::state::{MountId, Released, VolumeCounts, held_elsewhere};

/// How long a new daemon waits for calls of the old one, all together.
const ACTIVATION: Duration = Duration::from_secs(1);

impl Plugin {
    pub(super) async fn mount(&self, body: &[u8], deadline: Instant) -> Result<PathBuf> {
        let request: MountRequest = parse(body)?;
        let name = VolumeName::new(request.name)?;
        let id = MountId::new(request.id)?;
        let _pass = self.gate.enter(Some(&name))?;
        let mut counts = self.counts.volume(&name, deadline).await?;
        let result = async {
            let withheld = self.withheld(&counts, &id).await;
            let request = MountVolume {
                name: name.clone(),
                may_preempt: withheld.is_none(),
            };
            let mounted = self.engine.mount(request, deadline).await;
            let mountpoint = mounted.map_err(|error| explained(error, withheld))?;
            crash_points::point!("docker.mount.mounted");
            let held =
                counts.mounts().is_carried(&id) && self.is_held(&name, mountpoint.clone()).await;
            let before = self
                .with_users_found(&name, counts.mounts(), &mountpoint)
                .await;
            let counted = match before.add(id.clone(), held) {
                Ok(next) => counts.save_untold(next, id.clone()).await,
                Err(error) => Err(error),
            };
            if let Err(error) = counted {
                self.release_later(&name, counts.mounts().is_empty());
                return Err(error);
            }
            Ok(mountpoint)
        }
        .await;
        counts.done();
        if let Ok(mountpoint) = &result {
            self.unreleased().remove(&name);
            self.answers.add(name.clone(), id);
            tracing::info!(volume = %name, mountpoint = %mountpoint.display(), "mount");
        }
        result
    }

    /// Why a Mount of this ID must not shut another host out; `None` where it may.
    async fn withheld(&self, counts: &VolumeCounts<'_>, id: &MountId) -> Option<&'static str> {
        if !self.preempt {
            return Some("that is turned off (PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT)");
        }
        if id.is_anonymous() {
            return Some("the Mount has no ID, so it may be a repeated one");
        }
        counts.was_used(id).await.then_some(
            "the container had the volume on this host before, and another may rightly have it by now; a new container may take it",
        )
    }

    pub(super) async fn unmount(&self, body: &[u8], deadline: Instant) -> Result<()> {
        let request: MountRequest = parse(body)?;
        let name = VolumeName::new(request.name)?;
        let id = MountId::new(request.id)?;
        let _pass = self.gate.enter(Some(&name))?;
        let mut counts = self.counts.volume(&name, deadline).await?;
        let result = match counts.mounts().release(&id) {
            Released::InUse(next) => match counts.save(next).await {
                Ok(()) => {
                    self.drop_stale_now(&name, &mut counts, deadline).await;
                    Ok(())
                }
                Err(error) => Err(error),
            },
            Released::Last => match counts.save(super::Mounts::default()).await {
                Ok(()) => {
                    crash_points::point!("docker.unmount.uncounted");
                    self.unmount_now(&name, deadline).await
                }
                Err(error) => Err(error),
            },
            Released::UnknownId => {
                tracing::info!(volume = %name, "an Unmount of a mount that was not counted");
                self.drop_stale_now(&name, &mut counts, deadline).await;
                Ok(())
            }
            Released::None => {
                // Whatever may be left of it; and if something still uses it, that is not the
                // caller's mount.
                if let Err(error) = self.unmount_now(&name, deadline).await {
                    tracing::warn!(volume = %name, error = %error.chain(), "nothing was counted, and it could not be unmounted");
                }
                Ok(())
            }
        };
        counts.done();
        if self.unreleased().contains(&name) {
            self.attention.notify_one();
        }
        result
    }

    /// Unmounts a volume that has no mounts left. What fails stays among the unreleased ones.
    /// Call with the volume's counts locked.
    pub(super) async fn unmount_now(&self, name: &VolumeName, deadline: Instant) -> Result<()> {
        self.unreleased().insert(name.clone());
        let mounted = self.engine.mountpoint(name).is_some();
        self.engine.unmount(name.clone(), deadline).await?;
        self.unreleased().remove(name);
        if mounted {
            tracing::info!(volume = %name, "unmounted");
        }
        Ok(())
    }

    /// The counts, and beside them whoever is found using a mount that this host had no record of.
    async fn with_users_found(
        &self,
        name: &VolumeName,
        mounts: &super::Mounts,
        mountpoint: &Path,
    ) -> super::Mounts {
        let adopted = self.engine.take_adopted(name);
        if adopted && mounts.is_empty() && self.is_held(name, mountpoint.to_owned()).await {
            return mounts.with_found();
        }
        mounts.clone()
    }

    /// After one mount less: if all that is left is of an earlier daemon or plugin, and no
    /// container has it, the volume goes now, as it is wanted elsewhere perhaps. What fails is
    /// no matter of the caller's mount, and tried again.
    async fn drop_stale_now(
        &self,
        name: &VolumeName,
        counts: &mut VolumeCounts<'_>,
        deadline: Instant,
    ) {
        if self.is_young() {
            return;
        }
        let dropped = match self.drop_stale(name, counts).await {
            Ok(true) => self.unmount_now(name, deadline).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = dropped {
            tracing::warn!(volume = %name, error = %error.chain(), "what nobody uses any more could not be taken down yet");
        }
    }

    fn release_later(&self, name: &VolumeName, unused: bool) {
        if unused {
            self.unreleased().insert(name.clone());
            self.attention.notify_one();
        }
    }

    /// Whether a container has the mount. Not knowing counts as yes: a count too many keeps a
    /// volume mounted, a count too few takes it away from a container.
    pub(super) async fn is_held(&self, name: &VolumeName, mountpoint: PathBuf) -> bool {
        held_elsewhere(mountpoint).await.unwrap_or_else(|error| {
            tracing::warn!(volume = %name, %error, "whether a container has the mount could not be told");
            true
        })
    }

    /// A daemon calls this once in its life: whoever calls is a new one, and what was counted
    /// before may belong to containers that died with the old one. The new one does not wait for
    /// what the old one asked for: where that is still under way, an array may be silent, and it is
    /// marked when it ends.
    pub(super) async fn activate(self: &Arc<Self>) -> Result<Reply> {
        let _pass = self.gate.enter(None)?;
        let began = Instant::now();
        *self
            .epoch
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = began;
        let left = self
            .carry_all(self.counts.names(), began + ACTIVATION)
            .await;
        if !left.is_empty() {
            let plugin = Arc::clone(self);
            let later = async move {
                let _left = plugin.carry_all(left, began + super::SLOW_CALL).await;
                plugin.attention.notify_one();
            };
            self.background
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .spawn(later);
        }
        self.attention.notify_one();
        Ok(answer::activate())
    }

    /// The name in a request that has nothing else.
    pub(super) fn named(body: &[u8]) -> Result<VolumeName> {
        let request: NameRequest = parse(body)?;
        VolumeName::new(request.name)
    }
}

/// A refusal, with why nobody was shut out for it.
fn explained(error: Error, withheld: Option<&'static str>) -> Error {
    match withheld {
        Some(why) if error.kind() == ErrorKind::FailedPrecondition => {
            error.with_context("nobody was shut out", why)
        }
        _ => error,
    }
}
