//! Delete: free the name, make sure that nobody is connected, destroy.
//!
//! 1. GET its tags: the array's word on whose it is counts, not the caller's. GET its snapshots:
//!    there are some: refused, nothing touched.
//! 2. PATCH the name to `<ns>-fl-trash-<hash>-<nonce>`, by id. From here on nobody can publish it.
//! 3. GET its connections. Somebody is connected: the name goes back, refused.
//! 4. PATCH destroyed, by id. It stays recoverable as long as the array keeps destroyed volumes.
//!
//! What a crash leaves between the steps is trash that is not destroyed: neither absent nor dead,
//! and the next delete goes on with step 3.

use storage_core::{
    Error, ErrorKind, Outcome, Ownership, Result, Volume, VolumeState, is_reserved, trash_name,
};
use uuid::Uuid;

use crate::api::{Api, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::name::{candidates, quoted};
use crate::record::Record;

/// What a step found.
enum Step<T> {
    Done(T),
    /// The volume is destroyed or gone.
    Gone,
}

fn not_ours() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the object carries no record of this namespace for this name; remove it on the array",
    )
}

impl FlashArray {
    pub(crate) async fn delete_volume(&self, volume: &Volume) -> Result<Outcome<()>> {
        if volume.ownership != Ownership::Recorded {
            return Err(not_ours());
        }
        if volume.state == VolumeState::Destroyed {
            return Ok(Outcome::AlreadySo(()));
        }
        let api = self.api_for(&volume.id).await?;
        if let Step::Gone = self.is_ours(&api, volume).await? {
            return Ok(Outcome::AlreadySo(()));
        }
        if let Step::Gone = self.no_snapshots(&api, volume).await? {
            return Ok(Outcome::AlreadySo(()));
        }
        let Step::Done(trash) = self.rename_aside(&api, volume).await? else {
            return Ok(Outcome::AlreadySo(()));
        };
        if let Step::Gone = self.nobody_connected(&api, volume, &trash).await? {
            return Ok(Outcome::AlreadySo(()));
        }
        match api.destroy_volume(volume.id.object()).await {
            Ok(()) => {}
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => return Err(failure.into()),
        }
        tracing::info!(
            volume = %volume.name, object = trash, array = %self,
            "volume destroyed; to get it back, recover this object on the array and rename it to {}",
            volume.object
        );
        Ok(Outcome::Done(()))
    }

    async fn is_ours(&self, api: &Api, volume: &Volume) -> Result<Step<()>> {
        let tags = match api.tags_of(&[volume.id.object()]).await {
            Ok(tags) => tags,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(Step::Gone),
            Err(failure) => return Err(failure.into()),
        };
        match Record::read(&tags)?.name_in(&self.namespace) {
            Some(name) if *name == volume.name => Ok(Step::Done(())),
            _ => Err(not_ours()),
        }
    }

    async fn no_snapshots(&self, api: &Api, volume: &Volume) -> Result<Step<()>> {
        let snapshots = match api.some_snapshots(volume.id.object()).await {
            Ok(snapshots) => snapshots,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(Step::Gone),
            Err(failure) => return Err(failure.into()),
        };
        if snapshots.is_empty() {
            return Ok(Step::Done(()));
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the volume has snapshots, which would be destroyed with it: {}; remove them first",
                snapshots.join(", ")
            ),
        ))
    }

    /// The volume's trash name; the one it has where an earlier delete got this far.
    async fn rename_aside(&self, api: &Api, volume: &Volume) -> Result<Step<String>> {
        if is_reserved(&self.namespace, &volume.object) {
            return Ok(Step::Done(volume.object.clone()));
        }
        let trash = trash_name(&self.namespace, &volume.name, Uuid::new_v4());
        match api.rename_volume(volume.id.object(), &trash).await {
            Ok(_) => Ok(Step::Done(trash)),
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                Ok(Step::Gone)
            }
            // The nonce is new, so only an earlier try of this very call can have taken the name.
            Err(failure) if failure.is(&[Refusal::NameTaken]) && failure.may_have_executed() => {
                Ok(Step::Done(trash))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn nobody_connected(&self, api: &Api, volume: &Volume, trash: &str) -> Result<Step<()>> {
        let by_id = api.identity.rest.connections_by_id();
        let key = if by_id {
            WireVolumeKey::Id(volume.id.object().to_owned())
        } else {
            WireVolumeKey::Name(trash.to_owned())
        };
        let connections = match api.connections(&key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::Destroyed]) => return Ok(Step::Gone),
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) && by_id => {
                return Ok(Step::Gone);
            }
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {
                return self.renamed_meanwhile(api, volume).await;
            }
            Err(failure) => return Err(failure.into()),
        };
        let mut users: Vec<String> = connections
            .into_iter()
            .filter_map(|one| match one.host_group.name {
                Some(group) => Some(format!("host group {group}")),
                None => one.host.name.map(|host| format!("host {host}")),
            })
            .collect();
        users.dedup();
        if users.is_empty() {
            return Ok(Step::Done(()));
        }
        self.rename_back(api, volume, trash).await?;
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!("the volume is connected to {}", users.join(", ")),
        ))
    }

    /// The trash name is not this volume's any more: another delete is at work, or it has ended.
    async fn renamed_meanwhile(&self, api: &Api, volume: &Volume) -> Result<Step<()>> {
        let id = volume.id.object();
        let found = api.find_volumes(format!("id={}", quoted(id))).await?;
        match found.into_iter().find(|one| one.id == id) {
            Some(present) if !present.destroyed => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "the volume is being removed or renamed by another, now {}",
                    present.name
                ),
            )),
            _ => Ok(Step::Gone),
        }
    }

    async fn rename_back(&self, api: &Api, volume: &Volume, trash: &str) -> Result<()> {
        let names = candidates(&self.namespace, &volume.name);
        let first = if is_reserved(&self.namespace, &volume.object) {
            &names.preferred
        } else {
            &volume.object
        };
        let rest = names.iter().filter(|name| *name != first);
        for object in std::iter::once(first.as_str()).chain(rest) {
            match api.rename_volume(volume.id.object(), object).await {
                Ok(_) => return Ok(()),
                Err(failure) if failure.is(&[Refusal::NameTaken]) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!("the volume is connected, and its name was taken meanwhile; it is now {trash}"),
        ))
    }
}
