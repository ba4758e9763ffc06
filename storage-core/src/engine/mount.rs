//! Mount and unmount: the only code that joins an array's publish with a host's attach.
//!
//! The order is the safety: the host is clean, then the array grants, then the host proves the
//! device and uses it; and back: the host lets go and sees it gone, then the array takes the
//! access away. Another host is shut out by a publish alone, where the caller's request may, and
//! never for a volume that this host has anything of on record: what was mounted here and is shut
//! out by somebody else (a second container, a copy into one, a restart) would take it back from
//! whoever rightly has it now.

use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Access;
use crate::attach::{AttachVolume, Attachment, AttachmentState};
use crate::backend::{
    HeldVolume, Preemption, Publication, PublishVolume, UnpublishVolume, VolumeKey,
};
use crate::engine::adopt;
use crate::engine::claim;
use crate::engine::fleet::{Located, Member};
use crate::engine::{Shared, no_such};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;
use crate::name::VolumeName;
use crate::volume::{Volume, VolumeId, VolumeState};

/// What is known from memory may be stale once; what was just found may have gone once more.
const MOUNT_ROUNDS: usize = 3;

/// Publishes and mounts the volume; gives the mount point.
pub(crate) async fn mount(
    shared: Arc<Shared>,
    name: VolumeName,
    preemption: Preemption,
) -> Result<PathBuf> {
    let mountpoint = find_and_mount(&shared, &name, &preemption).await?;
    shared.set_mountpoint(&name, Some(mountpoint.clone()));
    Ok(mountpoint)
}

async fn find_and_mount(
    shared: &Shared,
    name: &VolumeName,
    preemption: &Preemption,
) -> Result<PathBuf> {
    let mut before = Vec::new();
    for _ in 0..MOUNT_ROUNDS {
        let located = shared.locate(name).await?.ok_or_else(|| no_such(name))?;
        // Once a volume: whom it may shut out was decided by the first look at it.
        let preemption = match before.contains(&located.volume.id) {
            true => Preemption::Refuse,
            false => preemption.clone(),
        };
        before.push(located.volume.id.clone());
        match mount_located(shared, located.clone(), preemption).await {
            // The object that we knew is not there under its name: resolve the name again.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::info!(volume = %name, error = %error.chain(), "the volume is not where it was, looking again");
                shared.known.forget(name, &located.volume.id);
            }
            result => return result.map_err(|error| error.with_operation("mount volume")),
        }
    }
    Err(Error::new(
        ErrorKind::Busy,
        "the volume moves while it is being mounted; try again",
    )
    .with_context("volume", name.as_str()))
}

/// # Errors
/// `NotFound` when the volume is not there under its name any more.
async fn mount_located(
    shared: &Shared,
    mut located: Located,
    mut preemption: Preemption,
) -> Result<PathBuf> {
    if located.volume.state == VolumeState::Deleting {
        tracing::warn!(volume = %located.volume.name, object = located.volume.object, "a remove of this volume did not end, and it is wanted again: taking it back");
        located.volume = located
            .member
            .backend
            .restore(&located.volume)
            .await?
            .into_inner();
    }
    crash_points::point!("mount.located");
    let withheld =
        release_namesakes(shared, &located).await? && matches!(preemption, Preemption::ShutOut(_));
    if withheld {
        preemption = Preemption::Refuse;
    }
    if let Some(mountpoint) = already_mounted(shared, &located).await? {
        return Ok(mountpoint);
    }
    shared
        .attacher
        .supports(located.member.backend.capabilities().protocol)?;
    crash_points::point!("fence.F0.before");
    if let Err(error) = shared.attacher.prepare(&located.volume).await {
        tell(shared, &located, "F0", "refused");
        return adopt::instead(shared, &located, error).await;
    }
    tell(shared, &located, "F0", "clean");
    crash_points::point!("fence.F0.after");
    let request = PublishVolume {
        volume: located.volume.clone(),
        host: shared.attacher.host().clone(),
        preemption,
        avoid_luns: shared.attacher.luns_in_use().await?,
    };
    let held = held(&located.volume);
    shared.attacher.intend(&held).await?;
    crash_points::point!("mount.intended");
    let mountpoint = match located.member.backend.publish(request).await {
        Ok(access) => {
            crash_points::point!("mount.published");
            attach(shared, &located, access.into_inner()).await?
        }
        Err(error) => {
            doubt(shared, &held, &error).await;
            return Err(match withheld {
                true => withheld_from(error),
                false => error,
            });
        }
    };
    crash_points::point!("mount.attached");
    shared.settled(&held.volume).await;
    crash_points::point!("mount.settled");
    Ok(mountpoint)
}

/// A refusal, where the request may shut others out and this one of its Mounts did not.
fn withheld_from(error: Error) -> Error {
    if error.kind() != ErrorKind::FailedPrecondition {
        return error;
    }
    error.with_context(
        "nobody was shut out",
        "this host had the volume itself; once it has let go of it, a new container may",
    )
}

fn held(volume: &Volume) -> HeldVolume {
    HeldVolume {
        volume: volume.id.clone(),
        name: volume.name.clone(),
        object: volume.object.clone(),
    }
}

/// A publish that failed may have connected this host all the same. The host holds nothing of the
/// volume, so the connection can go at once; where that cannot be told now, it is told later.
async fn doubt(shared: &Shared, held: &HeldVolume, cause: &Error) {
    // These say that no connection was made, or that it was taken back.
    let refused = matches!(
        cause.kind(),
        ErrorKind::FailedPrecondition
            | ErrorKind::NotFound
            | ErrorKind::InvalidArgument
            | ErrorKind::Unsupported
    );
    if refused {
        shared.settled(&held.volume).await;
        return;
    }
    if cause.kind() == ErrorKind::Timeout {
        shared.doubts.publish_may_come(held.clone());
    } else {
        shared.doubts.seen(held.clone());
    }
    settle_or_later(shared, held).await;
}

async fn settle_or_later(shared: &Shared, held: &HeldVolume) {
    if let Err(error) = shared.settle_doubt(held).await {
        tracing::warn!(volume = %held.name, error = %error.chain(), "whether a connection is left is looked at later");
    }
    shared.releases.notify_one();
}

/// The mount point, if the volume is mounted here under a grant that still stands.
///
/// A mount whose grant is gone (this host was shut out, and perhaps nobody told it) is taken down
/// before anything is published: published first, the old mount could write under the new grant.
/// Its device was asked just now, and this host is connected: beside nobody else that is enough,
/// whomever the record names. A record that was written late says nothing, and must not cost
/// containers their mount (docs/protocols/fence.md, rule 6).
async fn already_mounted(shared: &Shared, located: &Located) -> Result<Option<PathBuf>> {
    let Some(attachment) = shared.attacher.status(&located.volume.id).await? else {
        return Ok(None);
    };
    if attachment.state != AttachmentState::Mounted {
        return Ok(None);
    }
    let publications = match located.member.backend.published(&located.volume).await {
        Ok(publications) => publications,
        // Another container on a mount that is there needs no new grant. Were this one gone, the
        // device would answer with errors; nothing is published, so nothing can be overwritten.
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
            tracing::warn!(volume = %located.volume.name, error = %error.chain(), "the array does not answer; the mount that is here serves on");
            return Ok(Some(attachment.mountpoint));
        }
        Err(error) => return Err(error),
    };
    let holder = shared.attacher.host().object_name();
    let alone = publications.len() == 1;
    let stands = |one: &Publication| {
        let recorded = alone || one.nonce == Some(attachment.nonce);
        !one.group && one.host == holder && recorded
    };
    if publications.iter().any(stands) {
        // Others that are connected beside the holder have no grant: a publish that backs out, or
        // one that was executed late. They are theirs to take away.
        if publications.len() > 1 {
            tracing::warn!(volume = %located.volume.name, ?publications, "others are connected beside this host, which holds the grant");
        }
        return Ok(Some(attachment.mountpoint));
    }
    tracing::warn!(volume = %located.volume.name, ?publications, "the grant of this mount is gone, taking it down");
    let _detached = shared.attacher.detach(&located.volume.id).await?;
    tell_released(shared, &attachment);
    shared.set_mountpoint(&located.volume.name, None);
    Ok(None)
}

/// An earlier volume of the same name may still be recorded here (removed elsewhere and created
/// again). It must be gone before its namesake takes the mount point. Whether anything of that
/// name, or of the volume, was on record.
async fn release_namesakes(shared: &Shared, located: &Located) -> Result<bool> {
    let mut recorded = false;
    for attachment in shared.attacher.attachments().await? {
        if attachment.volume == located.volume.id {
            recorded = true;
            continue;
        }
        if attachment.name != located.volume.name {
            continue;
        }
        recorded = true;
        tracing::warn!(volume = %attachment.name, old = %attachment.volume, new = %located.volume.id, "letting go of an earlier volume of the same name");
        release(shared, &attachment).await?;
    }
    Ok(recorded)
}

async fn attach(shared: &Shared, located: &Located, access: Access) -> Result<PathBuf> {
    let volume = &located.volume;
    let granted = access.format_grant.is_some();
    let filesystem = match (&volume.filesystem, &access.format_grant) {
        (Some(spec), _) => spec.clone(),
        (None, Some(grant)) => FilesystemSpec::new(grant.filesystem),
        (None, None) => FilesystemSpec::new(shared.settings.default_filesystem),
    };
    let nonce = access.grant.nonce;
    let request = AttachVolume {
        name: volume.name.clone(),
        object: volume.object.clone(),
        access,
        filesystem,
        fresh_uuid: volume.fresh_uuid,
    };
    let attachment = match shared.attacher.attach(request).await {
        Ok(outcome) => outcome.into_inner(),
        Err(error) => {
            back_out(shared, located, &error).await;
            return Err(error.with_operation("mount volume"));
        }
    };
    shared.known.remember(located);
    tracing::trace!(
        target: "fairlead::protocol",
        step = "mounted",
        node = shared.attacher.host().object_name(),
        array = located.member.backend.endpoint(),
        volume = %volume.id,
        name = %volume.name,
        nonce = %nonce,
        answer = "done",
    );
    if attachment.formatted && granted {
        crash_points::point!("mount.grant-to-withdraw");
        withdraw_grant(located).await;
    }
    Ok(attachment.mountpoint)
}

/// A step of the host, as a trace has it (docs/protocols/trace.md).
fn tell(shared: &Shared, located: &Located, step: &str, answer: &str) {
    tracing::trace!(
        target: "fairlead::protocol",
        step,
        node = shared.attacher.host().object_name(),
        array = located.member.backend.endpoint(),
        volume = %located.volume.id,
        answer,
    );
}

/// As [`tell`], of a host that has let go. By what its own record says, as the array may be silent.
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

/// Takes the format grant away now that a file system is known to exist. Not being able to is no
/// reason to fail the mount: the device is not blank any more, and the next mount tries again.
pub(crate) async fn withdraw_grant(located: &Located) {
    if let Err(error) = located
        .member
        .backend
        .withdraw_format_grant(&located.volume)
        .await
    {
        tracing::warn!(volume = %located.volume.name, error = %error.chain(), "the format grant could not be withdrawn yet");
    }
}

/// After a failed attach: gives the access back, if the host holds nothing of the volume.
async fn back_out(shared: &Shared, located: &Located, cause: &Error) {
    let volume = &located.volume;
    tracing::warn!(volume = %volume.name, error = %cause.chain(), "attach failed, backing out");
    // The host's work may go on after a time-out; the access must then stay.
    if cause.kind() == ErrorKind::Timeout {
        return;
    }
    let backed_out = async {
        match shared.attacher.status(&volume.id).await? {
            Some(attachment) => {
                // The ledger's record sees to the connection from here, also after a crash.
                shared.settled(&volume.id).await;
                release(shared, &attachment).await
            }
            None => {
                let held = held(volume);
                shared.doubts.seen(held.clone());
                settle_or_later(shared, &held).await;
                Ok(())
            }
        }
    };
    if let Err(error) = backed_out.await {
        tracing::warn!(volume = %volume.name, error = %error.chain(), "could not back out completely; the next mount or unmount goes on from here");
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
        self.unpublish(&held).await?;
        crash_points::point!("unmount.unpublished");
        self.attacher.forget(&attachment.volume).await?;
        crash_points::point!("unmount.forgotten");
        Ok(())
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
            result => result?,
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
            Ok(()) => self.unpublish(&self::held(&volume)).await,
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

    async fn unpublish(&self, held: &HeldVolume) -> Result<()> {
        let request = UnpublishVolume {
            volume: held.volume.clone(),
            object: held.object.clone(),
            host: self.attacher.host().clone(),
        };
        // Two rounds: the array behind an address may have been replaced since it was learnt.
        for _ in 0..2 {
            // No array of the fleet has this id: there is nobody left to tell.
            let Some(member) = self.array_of(held).await? else {
                return Ok(());
            };
            match member.backend.unpublish(request.clone()).await {
                Ok(_outcome) => return Ok(()),
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
