//! Create and clone on one array alone: propose, then commit, without a vote of others.
//!
//! The steps are those of a claim ([`crate::claim`]); what a lost answer means to a caller of
//! [`storage_core::Backend::create`] is decided here: `Timeout` exactly when a volume may be under
//! the name, now or later.

use async_trait::async_trait;
use storage_core::{
    CloneVolume, Clones, Commit, CreateVolume, Error, ErrorKind, Outcome, Result, Volume,
    VolumeName,
};

use crate::api::Api;
use crate::backend::FlashArray;
use crate::claim::{Proposed, lost_volume, nothing_claimed};

impl FlashArray {
    pub(crate) async fn create_volume(&self, request: &CreateVolume) -> Result<Outcome<Volume>> {
        let proposed = self.propose_blank(request).await;
        let (api, proposed) = proposed.map_err(unclaimed)?;
        self.take_name(&api, &request.name, &proposed).await
    }

    async fn copy(&self, request: &CloneVolume) -> Result<Outcome<Volume>> {
        let proposed = self.propose_clone(request).await;
        let (api, proposed) = proposed.map_err(unclaimed)?;
        let name = &request.volume.name;
        self.take_name(&api, name, &proposed).await
    }

    /// Takes the name for the proposed volume, or finds who has it.
    async fn take_name(
        &self,
        api: &Api,
        name: &VolumeName,
        proposed: &Proposed,
    ) -> Result<Outcome<Volume>> {
        match self.settle(api, name, proposed).await {
            Ok(Commit::Committed(volume)) => Ok(Outcome::Done(*volume)),
            Ok(Commit::Taken(existing)) => {
                // Also where a rename may still come: it would find nothing to rename.
                self.discard(api, &proposed.wire).await;
                Ok(Outcome::AlreadySo(*existing))
            }
            Ok(Commit::Gone) => Err(lost_volume()),
            Err(unsettled) => {
                // Where a rename may still be executed, the volume must stay.
                if !unsettled.may_come {
                    self.discard(api, &proposed.wire).await;
                }
                Err(unsettled.error)
            }
        }
    }
}

/// Nothing is under the name. A nonce that was given up is no volume of another kind.
fn unclaimed(error: Error) -> Error {
    if error.kind() == ErrorKind::AlreadyExists {
        return lost_volume().with_source(error);
    }
    nothing_claimed(error)
}

#[async_trait]
impl Clones for FlashArray {
    async fn clone_volume(&self, request: CloneVolume) -> Result<Outcome<Volume>> {
        let result = self.copy(&request).await;
        result.map_err(|error| self.named(error, "clone volume"))
    }
}
