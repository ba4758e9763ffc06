//! Create, remove and grow: what changes volumes on arrays.
//!
//! How a name is taken where several nodes may want it is the claim ([`super::claim`]); here is
//! who takes that way, and what is done with volumes that are there.

use std::sync::Arc;

use tokio::time::Instant;

use crate::attach::AttachmentState;
use crate::backend::{DeleteVolume, ExpandVolume};
use crate::claim::ArrayNumber;
use crate::engine::Shared;
use crate::engine::claim;
use crate::engine::copy::Copy;
use crate::engine::fleet::{Located, Member};
use crate::engine::order::{self, Attempt, Wish, being_removed, compatible, name_destroyed};
use crate::error::{Error, ErrorKind, Result};
use crate::name::VolumeName;
use crate::options::VolumeOptions;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::{Ownership, Volume, VolumeState};

/// How often a remove that finds its volume replaced looks again.
const REMOVE_ROUNDS: usize = 3;

/// Creates the volume, or finds it.
pub(crate) async fn create(
    shared: Arc<Shared>,
    name: VolumeName,
    options: VolumeOptions,
    deadline: Instant,
) -> Result<Outcome<Volume>> {
    let node = shared.node();
    let wish = Wish {
        name,
        options,
        deadline,
        node,
    };
    let members = shared.fleet.members();
    let claims = |member: &&Arc<Member>| member.backend.claims().is_some();
    let others = members.iter().filter(|member| !claims(member));
    match (members, others.count()) {
        (_, 0) => claim::create(&shared, &wish).await,
        ([_], _) => alone(&shared, &wish).await,
        (_, _) => find_or_refuse(&shared, &wish).await,
    }
}

/// On several arrays of which some cannot take part in claims, nobody could decide between two
/// who want one name.
async fn find_or_refuse(shared: &Shared, wish: &Wish) -> Result<Outcome<Volume>> {
    if let Some(found) = find(shared, wish).await? {
        return Ok(found);
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "several arrays can only take new names together if all of them can take part in claims, and one of these cannot; configure it alone",
    )
    .with_context("volume", wish.name.as_str()))
}

/// The volume that has the name, if it is there and answers the wish; `None` is certain.
async fn find(shared: &Shared, wish: &Wish) -> Result<Option<Outcome<Volume>>> {
    let name = &wish.name;
    let lookup = shared.fleet.look_up_everywhere(name).await;
    let destroyed = lookup.destroyed();
    if let Some(located) = lookup.single(name)? {
        if located.volume.state != VolumeState::Ready {
            return Err(being_removed(&located));
        }
        compatible(&located.volume, &wish.options, &located)?;
        shared.known.remember(&located);
        return Ok(Some(Outcome::AlreadySo(located.volume)));
    }
    // Only now: a live volume is the answer, whatever else has carried its name.
    match destroyed {
        Some(located) => Err(name_destroyed(name, &located)),
        None => Ok(None),
    }
}

/// On a single array that knows no claims: its own test-and-set decides.
async fn alone(shared: &Shared, wish: &Wish) -> Result<Outcome<Volume>> {
    if let Some(found) = find(shared, wish).await? {
        return Ok(found);
    }
    if wish.options.import.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "this kind of array cannot adopt volumes",
        ));
    }
    let copy = match &wish.options.source {
        Some(source) => Some(Copy::of(shared, source, &wish.options).await?),
        None => None,
    };
    let request = wish.placement(shared, copy.as_ref())?;
    let (decision, candidates) = order::decide(shared, &request, copy.as_ref(), |_| true).await;
    let explanation = decision.explain();
    tracing::info!(volume = %wish.name, decision = %explanation, "placement decided");
    let chosen = decision.ranked().next();
    let Some(member) = chosen.and_then(|endpoint| shared.fleet.by_endpoint(endpoint)) else {
        return Err(order::nobody(
            &wish.name,
            &decision,
            &candidates,
            Vec::new(),
        ));
    };
    let attempt = Attempt {
        explanation: &explanation,
        nonce: shared.chance.claim_nonce(ArrayNumber::default()),
    };
    let mut volume = wish.attempt(shared, &request, attempt);
    member.place(request.size);
    let made = match &copy {
        None => member.backend.create(volume).await,
        Some(copy) => {
            copy.note(&mut volume);
            copy.make(&member, volume, shared.chance.uuid()).await
        }
    };
    let outcome = made?;
    let located = Located {
        volume: outcome.get().clone(),
        member,
    };
    shared
        .fleet
        .learn(located.volume.id.array(), &located.member);
    shared.known.remember(&located);
    Ok(outcome)
}

/// Removes the volume of that name, whichever it is now.
pub(crate) async fn remove(shared: Arc<Shared>, name: VolumeName) -> Result<Outcome<()>> {
    refuse_if_attached(&shared, &name).await?;
    let mut outcome = Outcome::AlreadySo(());
    for _ in 0..REMOVE_ROUNDS {
        let Some(located) = shared.locate(&name).await? else {
            return Ok(outcome);
        };
        if located.volume.ownership == Ownership::Unrecorded {
            return Err(not_ours(&located.volume));
        }
        let request = DeleteVolume {
            volume: located.volume.clone(),
        };
        crash_points::point!("delete.located");
        let deleted = located.member.backend.delete(request).await?;
        crash_points::point!("delete.deleted");
        // Nobody can be connected to it any more. A publish that is still under way may meet a
        // volume that is made anew under the name: that doubt stays.
        shared.settled(&located.volume.id).await;
        shared.known.forget(&name, &located.volume.id);
        if deleted.is_done() {
            return Ok(deleted);
        }
        // It was gone already: the name may belong to another volume by now.
        outcome = deleted;
    }
    Ok(outcome)
}

fn not_ours(volume: &Volume) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "the array object {} carries no record of this namespace, so it is not removed; remove it on the array",
            volume.object
        ),
    )
    .with_context("volume", volume.name.as_str())
}

async fn refuse_if_attached(shared: &Shared, name: &VolumeName) -> Result<()> {
    for attachment in shared.attacher.attachments().await? {
        if attachment.name != *name {
            continue;
        }
        if attachment.state == AttachmentState::Released {
            shared.finish_release(&attachment).await?;
            continue;
        }
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the volume is in use on this host, at {}",
                attachment.mountpoint.display()
            ),
        )
        .with_context("volume", name.as_str()));
    }
    Ok(())
}

/// Makes the volume larger, and its file system where it is mounted here.
pub(crate) async fn expand(
    shared: Arc<Shared>,
    name: VolumeName,
    size: Size,
) -> Result<Outcome<Volume>> {
    let located = shared
        .locate(&name)
        .await?
        .ok_or_else(|| crate::engine::no_such(&name))?;
    if located.volume.state != VolumeState::Ready {
        return Err(being_removed(&located));
    }
    let request = ExpandVolume {
        volume: located.volume,
        size,
    };
    let outcome = located.member.backend.expand(request).await?;
    let grown = Located {
        volume: outcome.get().clone(),
        member: located.member,
    };
    shared.known.remember(&grown);
    let attached = shared.attacher.status(&grown.volume.id).await?;
    if attached.is_some_and(|attachment| attachment.state == AttachmentState::Mounted) {
        let _resized = shared
            .attacher
            .resize(&grown.volume.id, grown.volume.size)
            .await?;
    }
    Ok(outcome)
}
