//! C2: the marker of a name, whose size is the nonce; and its end.
//!
//! 1. POST `<ns>-fl-claim-<hash>` with 1 MiB + 512 bytes for each count of the nonce: name and
//!    nonce are one atomic step on every REST version, as tags in a POST are not. 42 bits make at
//!    most 2 PiB + 1 MiB, and the array's volumes go to 4 PiB (vendor REST documents,
//!    `provisioned`). It is thin and never written to.
//! 2. The name is taken: GET it, and read the nonce from its size.
//!
//! A marker ends by a rename aside and a destruction, because the array keeps a destroyed object's
//! name: so the name is free at once. The rename goes by id: whatever arrives late meets the very
//! object that has ended.

use std::time::{Duration, SystemTime};

use storage_core::{
    ClaimNonce, Error, ErrorKind, Marker, Outcome, Result, VolumeName, marker_name, retired_name,
};
use uuid::Uuid;

use crate::api::{Api, NewVolume, WireVolume};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::name::{is_retired, quoted};

/// The smallest volume, and the step between sizes.
const BASE: u64 = 1 << 20;
const STEP: u64 = 512;

/// How often it begins again with what it finds, because others are at it.
const ROUNDS: usize = 4;

const fn size_of(nonce: ClaimNonce) -> u64 {
    BASE + STEP * nonce.bits()
}

fn nonce_of(size: u64) -> Option<ClaimNonce> {
    let above = size.checked_sub(BASE)?;
    ClaimNonce::from_bits(above / STEP).filter(|_| above.is_multiple_of(STEP))
}

/// The attempt that a marker's object votes for.
///
/// # Errors
/// `FailedPrecondition` for an object that somebody resized: what it voted for is not known.
pub(super) fn vote_of(wire: &WireVolume) -> Result<ClaimNonce> {
    nonce_of(wire.provisioned).ok_or_else(|| {
        Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "{} is no marker of Fairlead's by its size, {} bytes; rename it on the array",
                wire.name, wire.provisioned
            ),
        )
    })
}

/// A marker that was found in an answer of that time.
pub(super) fn marker_at(wire: &WireVolume, now: Option<SystemTime>) -> Result<Marker> {
    let nonce = vote_of(wire)?;
    let age = now.and_then(|now| age_of(wire, now));
    // Taken for young, an old vote would commit something; for old, a young one would be killed.
    let age = age.ok_or_else(|| {
        Error::new(
            ErrorKind::Unexpected,
            "the array does not tell its time, so the age of a marker is not known",
        )
    })?;
    Ok(Marker {
        object: wire.id.clone(),
        nonce,
        age,
    })
}

/// By the array's own clock. The header has whole seconds, so it may be a little early.
pub(super) fn age_of(wire: &WireVolume, now: SystemTime) -> Option<Duration> {
    let created = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(wire.created?))?;
    Some(now.duration_since(created).unwrap_or_default())
}

impl FlashArray {
    pub(super) async fn mark_name(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker> {
        let api = self.api().await?;
        let object = marker_name(&self.namespace, name);
        let new = NewVolume::blank(size_of(nonce), storage_core::Limits::default());
        for _round in 0..ROUNDS {
            crash_points::point!("claim.C2.mark");
            match api.make_volume(&object, &new).await {
                Ok(Some(made)) => {
                    if vote_of(&made)? == nonce {
                        let object = made.id;
                        let age = Duration::ZERO;
                        return Ok(Marker { object, nonce, age });
                    }
                    return Err(Error::new(
                        ErrorKind::Unexpected,
                        "the array made a marker of another size than it was asked for",
                    ));
                }
                Ok(None) => {}
                Err(failure) if failure.is(&[Refusal::NameTaken]) => {}
                Err(failure) => return Err(failure.into()),
            }
            let filter = format!("name={}", quoted(&object));
            let (found, now) = api.find_volumes_dated(filter).await?;
            let same = |wire: &WireVolume| wire.name.eq_ignore_ascii_case(&object);
            match found.into_iter().find(same) {
                Some(wire) if wire.destroyed => self.free_name(&api, &wire).await?,
                Some(wire) if wire.name == object => return marker_at(&wire, now),
                Some(wire) => return Err(spelt_otherwise(&wire)),
                // Retired in between.
                None => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the name's marker comes and goes while it is to be made",
        ))
    }

    /// Somebody destroyed a marker under its own name, which the array keeps. A destroyed object
    /// cannot be renamed, so it is live for a moment: as if it had not been destroyed.
    async fn free_name(&self, api: &Api, destroyed: &WireVolume) -> Result<()> {
        crash_points::point!("claim.retire.recover");
        match api.recover_volume(&destroyed.name).await {
            Ok(()) => {}
            // By others who are at the same.
            Err(failure) if failure.is(&[Refusal::NotDestroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => return Err(failure.into()),
        }
        self.retire_on(api, &destroyed.id).await.map(drop)
    }

    pub(super) async fn retire_marker(&self, object: &str) -> Result<Outcome<()>> {
        let api = self.api().await?;
        self.retire_on(&api, object).await
    }

    async fn retire_on(&self, api: &Api, object: &str) -> Result<Outcome<()>> {
        let mut last = None;
        for _round in 0..ROUNDS {
            let aside = retired_name(&self.namespace, Uuid::new_v4());
            crash_points::point!("claim.retire.rename");
            let aside = match api.rename_volume_once(object, &aside).await {
                Ok(_) => aside,
                Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {
                    return Ok(Outcome::AlreadySo(()));
                }
                Err(failure) => {
                    let destroyed = failure.is(&[Refusal::Destroyed]);
                    if !destroyed && !failure.may_have_executed() {
                        return Err(failure.into());
                    }
                    match self.wire_of(api, object).await? {
                        None => return Ok(Outcome::AlreadySo(())),
                        Some(now) if is_retired(&self.namespace, &now.name) => {
                            if now.destroyed {
                                return Ok(Outcome::AlreadySo(()));
                            }
                            now.name
                        }
                        Some(now) => {
                            if now.destroyed {
                                crash_points::point!("claim.retire.recover");
                                api.recover_volume(&now.name).await?;
                            }
                            last = Some(Error::from(failure));
                            continue;
                        }
                    }
                }
            };
            crash_points::point!("claim.retire.destroy");
            return match api.destroy_volume(&aside).await {
                Ok(()) => Ok(Outcome::Done(())),
                // By an earlier try of this very call, or swept by others.
                Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                    Ok(Outcome::Done(()))
                }
                Err(failure) => Err(failure.into()),
            };
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Busy, "others rename the marker too")))
    }

    /// The object as it is now, whatever it is called.
    pub(super) async fn wire_of(&self, api: &Api, object: &str) -> Result<Option<WireVolume>> {
        let found = api.find_volumes(format!("id={}", quoted(object))).await?;
        Ok(found.into_iter().find(|wire| wire.id == object))
    }
}

fn spelt_otherwise(wire: &WireVolume) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "{} has a name that is reserved for Fairlead, in other letters; rename it on the array",
            wire.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use storage_core::{ArrayNumber, ClaimNonce};

    use super::{nonce_of, size_of};

    proptest::proptest! {
        #[test]
        fn every_nonce_is_a_size_that_the_array_takes(bits in 0..1_u64 << 42) {
            let nonce = ClaimNonce::from_bits(bits).unwrap();
            let size = size_of(nonce);
            proptest::prop_assert!(size.is_multiple_of(512) && (1 << 20..=1 << 52).contains(&size));
            proptest::prop_assert_eq!(nonce_of(size), Some(nonce));
        }

        #[test]
        fn no_size_panics(size: u64) {
            if let Some(nonce) = nonce_of(size) {
                proptest::prop_assert_eq!(size_of(nonce), size);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let largest = ClaimNonce::new(ArrayNumber::MAX, u32::MAX);
        assert_eq!(size_of(largest), (1 << 51) + (1 << 20) - 512);
        assert_eq!(nonce_of(size_of(largest) + 512), None);
        assert_eq!(nonce_of((1 << 20) - 512), None);
        assert_eq!(nonce_of((1 << 20) + 1), None);
    }
}
