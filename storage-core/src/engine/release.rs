//! Unmount: the host lets go and sees it gone, then the array takes the access away.
//!
//! Also what is left of mounts that did not come about: a connection that may exist though nothing
//! here uses it. When to try again what an array could not be told is background work.

use std::sync::Arc;

use crate::attach::{Attachment, AttachmentState};
use crate::backend::{HeldVolume, UnpublishVolume, VolumeKey};
use crate::engine::Shared;
use crate::engine::claim;
use crate::engine::fleet::Member;
use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;
use crate::outcome::Outcome;
use crate::volume::{Volume, VolumeId, VolumeState};

/// What a host needs to know of a volume to give its access back.
pub(crate) fn held(volume: &Volume) -> HeldVolume {
    HeldVolume {
        volume: volume.id.clone(),
        name: volume.name.clone(),
        object: volume.object.clone(),
    }
}

/// Unmounts the volume and gives its access back. Not being there is success.
pub(crate) async fn unmount(shared: Arc<Shared>, name: VolumeName) -> Result<()> {
    let result = release_all(&shared, &name).await;
    let now = shared.attacher.attachments().await?;
    let mounted = |one: &Attachment| one.name == name && one.state == AttachmentState::Mounted;
    if !now.iter().any(mounted) {
        shared.set_mountpoint(&name, None);
        shared.callers.forget(&name);
    }
    result
}

async fn release_all(shared: &Shared, name: &VolumeName) -> Result<()> {
    for attachment in shared.attacher.attachments().await? {
        if attachment.name == *name {
            release(shared, &attachment).await?;
        }
    }
    Ok(())
}

/// Detaches, and then takes the access away. When the array cannot be told now, the host is free
/// all the same: the record stays, and the background work tells the array later.
pub(crate) async fn release(shared: &Shared, attachment: &Attachment) -> Result<()> {
    if attachment.state != AttachmentState::Released {
        let _detached = shared.attacher.detach(&attachment.volume).await?;
        tell_released(shared, attachment);
    }
    crash_points::point!("unmount.detached");
    match shared.finish_release(attachment).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
            tracing::warn!(volume = %attachment.name, error = %error.chain(), "detached; the array will be told later");
            shared.releases.notify_one();
            Ok(())
        }
        Err(error) => Err(error.with_operation("unmount volume")),
    }
}

impl Shared {
    /// Tells the array that this host has let go, then drops the host's record.
    pub(crate) async fn finish_release(&self, attachment: &Attachment) -> Result<()> {
        let held = HeldVolume {
            volume: attachment.volume.clone(),
            name: attachment.name.clone(),
            object: attachment.object.clone(),
        };
        let unpublished = self.unpublish(&held).await?;
        // It was taken away: by somebody else, unless this host has asked for that before.
        let asked_before = attachment.state == AttachmentState::Released;
        if !unpublished.is_done() && (!asked_before || self.was_shut_out(&held).await) {
            self.shut_out.note(&attachment.name);
        }
        crash_points::point!("unmount.unpublished");
        self.attacher.forget(&attachment.volume).await?;
        crash_points::point!("unmount.forgotten");
        Ok(())
    }

    /// Whether somebody else has the volume and, as far as the array records it, took it from this
    /// host. An unmount whose answer was lost is no fence: the host would have no right any more when
    /// whoever got the volume then is dead. What cannot be told is taken for one.
    async fn was_shut_out(&self, held: &HeldVolume) -> bool {
        let host = self.attacher.host().object_name();
        let asked = async {
            let Some(member) = self.array_of(held).await? else {
                return Ok(false);
            };
            let backend = &member.backend;
            let key = VolumeKey::Id(held.volume.clone());
            let Some(volume) = backend.get(key).await? else {
                return Ok(false);
            };
            let publications = backend.published(&volume).await?;
            if publications.iter().all(|one| one.host == host) {
                return Ok(false);
            }
            let Some(fencing) = backend.fencing() else {
                return Ok(true);
            };
            let fence = fencing.last_fence(&volume).await?;
            let old = fence.map(|fence| fence.old_hosts).unwrap_or_default();
            Ok::<bool, Error>(old.iter().any(|one| one.eq_ignore_ascii_case(&host)))
        };
        asked.await.unwrap_or(true)
    }

    /// Takes away a connection in doubt, if nothing on this host uses the volume: neither by its
    /// own record, nor by anybody else's (another plugin with another state folder).
    pub(crate) async fn settle_doubt(&self, held: &HeldVolume) -> Result<()> {
        if self.attacher.status(&held.volume).await?.is_some() {
            // Attached, or released and on its way: the ledger's record sees to it.
            self.settled(&held.volume).await;
            return Ok(());
        }
        let Some(member) = self.array_of(held).await? else {
            self.settled_for_good(&held.volume).await;
            return Ok(());
        };
        let key = VolumeKey::Id(held.volume.clone());
        if let Some(volume) = member.backend.get(key).await?
            && let Err(error) = self.attacher.prepare(&volume).await
        {
            if error.kind() == ErrorKind::FailedPrecondition {
                tracing::error!(volume = %held.name, error = %error.chain(), "something on this host uses the volume that is not on its record; its connection is left alone");
                self.settled_for_good(&held.volume).await;
                return Ok(());
            }
            return Err(error);
        }
        match self.unpublish(held).await {
            // By an administrator's host group, say: not this host's to end, today or later.
            Err(error)
                if error.kind() == ErrorKind::FailedPrecondition
                    && self.doubts.is_over(&held.volume) =>
            {
                tracing::error!(volume = %held.name, error = %error.chain(), "this host can reach the volume and does not use it, and its access cannot be given back");
            }
            result => drop(result?),
        }
        self.settle_namesake(&member, held).await?;
        self.settled(&held.volume).await;
        Ok(())
    }

    /// The volume may have been removed and made anew before its connection came, which goes by
    /// name: then it is the new one that this host can reach (docs/protocols/fence.md, rule 9).
    async fn settle_namesake(&self, member: &Member, held: &HeldVolume) -> Result<()> {
        let attachments = self.attacher.attachments().await?;
        if attachments.iter().any(|one| one.name == held.name) {
            return Ok(());
        }
        let found = member
            .backend
            .get(VolumeKey::Name(held.name.clone()))
            .await?;
        let other = |volume: &Volume| {
            volume.id != held.volume
                && volume.state == VolumeState::Ready
                && volume.object == held.object
        };
        let Some(volume) = found.filter(other) else {
            return Ok(());
        };
        match self.attacher.prepare(&volume).await {
            Ok(()) => self.unpublish(&self::held(&volume)).await.map(drop),
            // Something that is not on record uses it: nothing of a lost request's.
            Err(error) if error.kind() == ErrorKind::FailedPrecondition => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What was written down of this volume has come to its end, unless a request of an earlier
    /// publish may yet be executed: then it is kept, and looked at again. Also where the volume is
    /// attached by now: the request may come when it is not any more.
    pub(crate) async fn settled(&self, volume: &VolumeId) {
        if self.doubts.is_over(volume) {
            self.settled_for_good(volume).await;
        }
    }

    /// Nothing is in doubt about this volume any more.
    async fn settled_for_good(&self, volume: &VolumeId) {
        self.doubts.settle(volume);
        if let Err(error) = self.attacher.settle(volume).await {
            tracing::warn!(%volume, error = %error.chain(), "a settled intention stays on record; it is looked at again after the next start");
        }
    }

    /// The array of a volume; `None` when no array of the fleet has its id. One of the fleet that
    /// this node is not configured with now may come back, with the connection still there.
    async fn array_of(&self, held: &HeldVolume) -> Result<Option<Arc<Member>>> {
        match self.fleet.member(held.volume.array()).await {
            Ok(member) => Ok(Some(member)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if claim::is_in_fleet(self, held.volume.array()).await? {
                    let why = "the volume's array is one of the fleet's and none of this node's configuration";
                    return Err(Error::new(ErrorKind::Unavailable, why).with_source(error));
                }
                tracing::warn!(volume = %held.name, error = %error.chain(), "the volume's array is no longer configured");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this call took anything away.
    async fn unpublish(&self, held: &HeldVolume) -> Result<Outcome<()>> {
        let request = UnpublishVolume {
            volume: held.volume.clone(),
            object: held.object.clone(),
            host: self.attacher.host().clone(),
        };
        // Two rounds: the array behind an address may have been replaced since it was learnt.
        for _ in 0..2 {
            // No array of the fleet has this id: there is nobody left to tell.
            let Some(member) = self.array_of(held).await? else {
                return Ok(Outcome::Done(()));
            };
            match member.backend.unpublish(request.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.fleet.unlearn(held.volume.array());
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the array behind the address changes its identity",
        )
        .with_context("array", held.volume.array().as_str()))
    }
}

/// A step of the trace (docs/protocols/trace.md): by what the host's own record says, as the array may
/// be silent.
pub(crate) fn tell_released(shared: &Shared, attachment: &Attachment) {
    tracing::trace!(
        target: "fairlead::protocol",
        step = "released",
        node = shared.attacher.host().object_name(),
        array = attachment.volume.array().as_str(),
        volume = %attachment.volume,
        name = %attachment.name,
        nonce = %attachment.nonce,
        answer = "done",
    );
}
