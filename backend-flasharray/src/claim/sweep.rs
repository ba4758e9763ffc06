//! C4: what calls left behind, told by name and age, and its end.
//!
//! Ages are the array's own: `created` against the `Date` header of the same answer, so that nobody's
//! clock but its own matters. Of trash, `created` is the volume's own beginning, so its age says
//! nothing of the remove; a remove that is under way bears a second one at work beside it.
//!
//! A sweep goes by the name that was listed, where nothing but left-overs ever has it: a volume that
//! got its name in between is not found under it, and spared.

use std::time::Duration;

use storage_core::{
    ArrayId, ClaimNonce, Error, ErrorKind, FleetRecord, Namespace, Outcome, Result, Stray,
    StrayKind, VolumeId, VolumeState, is_reserved,
};

use super::mark::{age_of, vote_of};
use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::lookup::PAGE_MAX;
use crate::name::{is_marker, is_retired, is_trash, left_over_filter};

/// A fleet record's tentative object gets its name within one call; one that is older is nobody's.
const FLEET_TENTATIVE_AGE: Duration = Duration::from_secs(3600);

impl FlashArray {
    /// The oldest first.
    pub(super) async fn left_over(&self) -> Result<Vec<Stray>> {
        let api = self.api().await?;
        let filter = left_over_filter(&self.namespace);
        let (found, now) = api.oldest_volumes(filter, PAGE_MAX).await?;
        let now = now.ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "the array does not tell its time, so nothing of it can be called old",
            )
        })?;
        let strays = found.into_iter().filter_map(|wire| {
            let age = age_of(&wire, now)?;
            let kind = kind_of(&self.namespace, &wire, age)?;
            Some(Stray {
                object: wire.id,
                object_name: wire.name,
                kind,
                age,
            })
        });
        Ok(strays.collect())
    }

    pub(super) async fn sweep_one(&self, stray: &Stray) -> Result<Outcome<()>> {
        let api = self.api().await?;
        match stray.kind {
            StrayKind::Marker(_) => match self.wire_of(&api, &stray.object).await? {
                Some(now) if is_marker(&self.namespace, &now.name) => {
                    self.retire_marker(&stray.object).await
                }
                _ => Ok(Outcome::AlreadySo(())),
            },
            StrayKind::Tentative(nonce) => {
                self.waiting.forget(nonce);
                self.sweep_object(&api, &stray.object_name).await
            }
            StrayKind::Imported(nonce) => {
                self.waiting.forget(nonce);
                self.return_imported(&api, &stray.object_name).await
            }
            StrayKind::Retired => self.sweep_object(&api, &stray.object_name).await,
            StrayKind::Trash => self.sweep_trash(&api, stray).await,
        }
    }

    async fn sweep_object(&self, api: &Api, object: &str) -> Result<Outcome<()>> {
        let fleet = object.starts_with(FleetRecord::OBJECT_PREFIX);
        if !is_reserved(&self.namespace, object) && !fleet {
            return Ok(Outcome::AlreadySo(()));
        }
        crash_points::point!("claim.sweep");
        match api.destroy_volume(object).await {
            Ok(()) => Ok(Outcome::Done(())),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                Ok(Outcome::AlreadySo(()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Goes on with a remove that nobody finished; it gives the volume its name back where somebody
    /// is connected.
    async fn sweep_trash(&self, api: &Api, stray: &Stray) -> Result<Outcome<()>> {
        let id = VolumeId::new(ArrayId::clone(&api.identity.id), stray.object.clone())?;
        let Some(volume) = self.by_id(api, &id).await? else {
            return Ok(Outcome::AlreadySo(()));
        };
        if volume.state != VolumeState::Deleting || !is_trash(&self.namespace, &volume.object) {
            return Ok(Outcome::AlreadySo(()));
        }
        let Err(error) = self.delete_volume(&volume).await else {
            return Ok(Outcome::Done(()));
        };
        let now = self.by_id(api, &id).await?;
        match now {
            Some(now) if now.state == VolumeState::Ready => Ok(Outcome::Done(())),
            _ => Err(error),
        }
    }
}

fn kind_of(namespace: &Namespace, wire: &WireVolume, age: Duration) -> Option<StrayKind> {
    let object = wire.name.as_str();
    let fleet = |what: &str| {
        let rest = object.strip_prefix(FleetRecord::OBJECT_PREFIX);
        rest.is_some_and(|rest| rest.starts_with(what))
    };
    if wire.destroyed {
        return None;
    }
    if fleet("gone-") || fleet("new-") && age > FLEET_TENTATIVE_AGE {
        return Some(StrayKind::Retired);
    }
    if is_retired(namespace, object) {
        return Some(StrayKind::Retired);
    }
    if is_trash(namespace, object) {
        return Some(StrayKind::Trash);
    }
    if is_marker(namespace, object) {
        // One that somebody resized is refused wherever it matters, and left for people.
        return Some(StrayKind::Marker(vote_of(wire).ok()?));
    }
    let rest = object
        .strip_prefix(namespace.as_str())?
        .strip_prefix("-fl-")?;
    let (_, nonce) = rest.rsplit_once('-')?;
    let nonce: ClaimNonce = nonce.parse().ok()?;
    if rest.starts_with("new-") {
        return Some(StrayKind::Tentative(nonce));
    }
    rest.starts_with("in-")
        .then_some(StrayKind::Imported(nonce))
}
