//! Create: a tentative volume with a nonce in its name, its record, then the rename that commits.
//!
//! 1. POST `<ns>-fl-new-<nonce>`, with its limits: claims nothing. What a crash leaves here says
//!    by its name what it is, and nobody was told of it.
//! 2. PUT its tags: the record is complete before anybody can find the volume.
//! 3. PATCH the name: [`crate::claim`].
//!
//! A clone goes the same way ([`crate::clone`]). A lost answer is resolved by reading, never by
//! guessing: the nonce is one attempt's alone, so what has the tentative name is what the attempt
//! made.

use storage_core::Backend as _;
use storage_core::{CreateVolume, Error, ErrorKind, Outcome, Result, Size, Volume, tentative_name};

use crate::api::{Api, NewVolume, WireVolume};
use crate::backend::{FlashArray, LIMITS};
use crate::claim::{lost_volume, nothing_claimed};
use crate::error::Refusal;
use crate::name::quoted;
use crate::record::NewRecord;

impl FlashArray {
    pub(crate) async fn create_volume(&self, request: CreateVolume) -> Result<Outcome<Volume>> {
        let size = self.possible(&request)?;
        let record = NewRecord::new(&self.namespace, &request, None)?;
        let api = self.api().await?;
        let new = NewVolume::blank(size.bytes(), request.limits);
        let tentative = self.make_tentative(&api, &request, &new).await?;
        self.finish(&api, &request, tentative, record).await
    }

    /// The size that is really provisioned.
    ///
    /// # Errors
    /// `OutOfRange` for a size or limits that the array does not take.
    pub(crate) fn possible(&self, request: &CreateVolume) -> Result<Size> {
        LIMITS.check(&request.limits)?;
        self.capabilities().round(request.size)
    }

    /// Makes the tentative volume, or finds the one that an earlier try of this very call made.
    ///
    /// # Errors
    /// `NotFound` when the source of a copy is gone.
    pub(crate) async fn make_tentative(
        &self,
        api: &Api,
        request: &CreateVolume,
        new: &NewVolume<'_>,
    ) -> Result<WireVolume> {
        let name = tentative_name(&self.namespace, &request.name, request.nonce);
        crash_points::point!("claim.C1.volume");
        let made = match api.make_volume(&name, new).await {
            Ok(made) => made,
            // The nonce is this attempt's alone: an earlier try of this very call made it.
            Err(failure) if failure.is(&[Refusal::NameTaken]) => None,
            Err(failure) => {
                let missing = failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]);
                return Err(
                    if missing && new.is_copy() && !failure.may_have_executed() {
                        source_gone().with_source(Error::from(failure))
                    } else {
                        nothing_claimed(failure.into())
                    },
                );
            }
        };
        if let Some(made) = made {
            return Ok(made);
        }
        let found = api.find_volumes(format!("name={}", quoted(&name))).await;
        let found = found.map_err(|failure| nothing_claimed(failure.into()))?;
        let exact = found
            .into_iter()
            .find(|volume| volume.name == name && !volume.destroyed);
        exact.ok_or_else(lost_volume)
    }

    /// Writes the tentative volume's record, then takes the name for it.
    pub(crate) async fn finish(
        &self,
        api: &Api,
        request: &CreateVolume,
        tentative: WireVolume,
        record: NewRecord,
    ) -> Result<Outcome<Volume>> {
        crash_points::point!("claim.C1.tags");
        if let Err(failure) = api.put_tags(&tentative.id, &record.tags).await {
            self.discard(api, &tentative).await;
            return Err(nothing_claimed(failure.into()));
        }
        self.claim(api, request, tentative, record.record).await
    }
}

/// The refusal of a copy of what is not there.
pub(crate) fn source_gone() -> Error {
    Error::new(ErrorKind::NotFound, "the source of the copy is gone")
}
