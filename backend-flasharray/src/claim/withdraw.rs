//! The end of an attempt that lost: a new volume is destroyed, an imported one gets its old name.
//!
//! By the waiting name alone: once somebody gave the volume its final name after all, there is
//! nothing under it, and the volume is spared.

use storage_core::{
    ClaimNonce, Error, ErrorKind, Outcome, Result, TentativeKind, VolumeName, import_name,
    tentative_name,
};

use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::name::quoted;
use crate::record::{Record, our_keys};

impl FlashArray {
    pub(super) async fn withdraw_attempt(
        &self,
        name: &VolumeName,
        nonce: ClaimNonce,
    ) -> Result<Outcome<()>> {
        let api = self.api().await?;
        let known = self.waiting.get(&api.identity.id, nonce);
        let known = known.map(|proposed| proposed.kind);
        let mut outcome = Outcome::AlreadySo(());
        if known != Some(TentativeKind::Imported) {
            outcome = self.destroy_new(&api, name, nonce).await?;
        }
        if matches!(known, None | Some(TentativeKind::Imported)) && !outcome.is_done() {
            let object = import_name(&self.namespace, name, nonce);
            outcome = self.return_imported(&api, &object).await?;
        }
        self.waiting.forget(nonce);
        Ok(outcome)
    }

    async fn destroy_new(
        &self,
        api: &Api,
        name: &VolumeName,
        nonce: ClaimNonce,
    ) -> Result<Outcome<()>> {
        crash_points::point!("claim.withdraw.new");
        let object = tentative_name(&self.namespace, name, nonce);
        match api.destroy_volume(&object).await {
            Ok(()) => Ok(Outcome::Done(())),
            // By an earlier try of this very call, where its answer was lost.
            Err(failure) if failure.is(&[Refusal::Destroyed]) && failure.may_have_executed() => {
                Ok(Outcome::Done(()))
            }
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                Ok(Outcome::AlreadySo(()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Gives what waits to be adopted its old name back.
    pub(super) async fn return_imported(&self, api: &Api, object: &str) -> Result<Outcome<()>> {
        let found = api.find_volumes(format!("name={}", quoted(object))).await?;
        let waits = |wire: &WireVolume| wire.name == object && !wire.destroyed;
        let Some(wire) = found.into_iter().find(waits) else {
            return Ok(Outcome::AlreadySo(()));
        };
        let tags = match api.tags_of(&[&wire.id]).await {
            Ok(tags) => tags,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {
                return Ok(Outcome::AlreadySo(()));
            }
            Err(failure) => return Err(failure.into()),
        };
        let Some(old) = Record::read(&tags)?.imported_from else {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!("{object} does not say what it was called; rename it on the array"),
            ));
        };
        crash_points::point!("claim.withdraw.import");
        match api.rename_volume(object, &old).await {
            Ok(_) => {}
            Err(failure) if failure.is(&[Refusal::NameTaken]) && !failure.may_have_executed() => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "another object is called {old} now; {object} waits on the array to be named"
                    ),
                ));
            }
            Err(failure) => match self.wire_of(api, &wire.id).await? {
                Some(now) if now.name.eq_ignore_ascii_case(&old) => {}
                Some(now) if now.name == object => return Err(failure.into()),
                _ => return Ok(Outcome::AlreadySo(())),
            },
        }
        // Under its old name the record says nothing any more; this is tidiness.
        if let Err(failure) = api.remove_tags_by_name(&old, &our_keys(&tags)).await {
            let error = Error::from(failure);
            tracing::debug!(object = old, error = %error.chain(), "tags of an import that was given up are left");
        }
        Ok(Outcome::Done(()))
    }
}
