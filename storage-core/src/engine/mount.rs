//! Mount: the only code that joins an array's publish with a host's attach. The way back is
//! `release`.
//!
//! The order is the safety: the host is clean, then the array grants, then the host proves the
//! device and uses it. Another host is shut out by a publish alone, where the caller's request may, and
//! never for a volume that this host has anything of on record: what was mounted here and is shut
//! out by somebody else (a second container, a copy into one, a restart) would take it back from
//! whoever rightly has it now.

use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Access;
use crate::attach::{AttachVolume, AttachmentState};
use crate::backend::{HeldVolume, Preemption, Publication, PublishVolume};
use crate::engine::adopt;
use crate::engine::fleet::Located;
use crate::engine::release::{held, release, tell_released};
use crate::engine::{Shared, no_such};
use crate::error::{Error, ErrorKind, Result};
use crate::filesystem::FilesystemSpec;
use crate::name::VolumeName;
use crate::volume::VolumeState;

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
    let recorded = release_namesakes(shared, &located).await?;
    let withheld = matches!(preemption, Preemption::ShutOut(_))
        && (shared.shut_out.withholds(&located.volume.name) || recorded);
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
    shared.shut_out.forget(&located.volume.name);
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
        "this host had the volume itself, or was shut out of it a short while ago; once nothing here has asked for it for ten minutes, a new container may",
    )
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
    shared.shut_out.note(&located.volume.name);
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
