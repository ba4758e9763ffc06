//! Snapshots of volumes that this namespace recorded.
//!
//! The array calls them `VOLUME.SUFFIX`; whatever has another form, as the snapshots that
//! protection groups make, is left alone. The volume's tags say whose a snapshot is: it needs no
//! record of its own. Everything goes by ids, as names follow the volume's.
//!
//! - Create: GET the volume's tags, POST. The array refuses a suffix that is taken, in whichever
//!   case and also by a destroyed one; what has it is then read. So a lost answer is resolved by
//!   the repetition.
//! - Delete: GET the volume's tags, PATCH destroyed.
//!
//! A delete of the volume that meets a create: the delete looks for snapshots after it renamed the
//! volume aside. The create makes none of a volume whose tags tell that it is aside; one that the
//! array shows as of such a volume all the same is removed again and not acknowledged, though its
//! name is then taken until it is eradicated.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use storage_core::{
    CreateSnapshot, Error, ErrorKind, ListSnapshots, Outcome, Ownership, Result, Size, Snapshot,
    SnapshotId, SnapshotName, SnapshotPage, Snapshots, Volume, VolumeId, VolumeName, is_reserved,
};
use tokio::time::Instant;

use crate::api::{Api, Which, WireSnapshot};
use crate::backend::{CLEAN_UP, FlashArray};

use crate::error::Refusal;
use crate::lookup::{PAGE_MAX, TAGS_CHUNK, tags_by_volume, tags_of_chunk};
use crate::name::{namespace_filter, quoted};
use crate::record::Record;

/// The answers that say that a volume or snapshot is not there any more.
const GONE: &[Refusal] = &[Refusal::VolumeMissing, Refusal::Destroyed];

/// Whose a volume is.
enum Owned {
    Gone,
    /// Not this namespace's.
    Not,
    /// This namespace's, under the user's name.
    Usable(VolumeName),
    /// The same, being made or removed.
    Aside,
}

fn volume_gone() -> Error {
    Error::new(ErrorKind::NotFound, "the volume is gone")
}

fn not_ours() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the volume carries no record of this namespace",
    )
}

/// The suffix of a snapshot whose name is its volume's with a suffix.
fn suffix_of(wire: &WireSnapshot) -> Option<SnapshotName> {
    let volume = wire.source.name.as_deref()?;
    let suffix = wire.name.strip_prefix(volume)?.strip_prefix('.')?;
    SnapshotName::new(suffix).ok()
}

impl FlashArray {
    async fn take_snapshot(&self, request: &CreateSnapshot) -> Result<Outcome<Snapshot>> {
        let id = request.volume.id.object();
        let api = self.api_for(&request.volume.id).await?;
        let name = match self.owner_of(&api, id).await? {
            Owned::Gone | Owned::Aside => return Err(volume_gone()),
            Owned::Not => return Err(not_ours()),
            Owned::Usable(name) => name,
        };
        let made = match api.make_snapshot(id, request.name.as_str()).await {
            Ok(made) => made,
            // Also by an earlier try of this very call.
            Err(failure) if failure.is(&[Refusal::NameTaken]) => None,
            Err(failure) if failure.is(GONE) && !failure.may_have_executed() => {
                return Err(volume_gone().with_source(Error::from(failure)));
            }
            Err(failure) => return Err(failure.into()),
        };
        let Some(made) = made else {
            let found = self.bearer(&api, id, &request.name).await?;
            let found = self.snapshot(&api, &found, &name)?;
            return Ok(Outcome::AlreadySo(found.ok_or_else(volume_gone)?));
        };
        match self.snapshot(&api, &made, &name)? {
            Some(snapshot) => Ok(Outcome::Done(snapshot)),
            None => {
                self.take_back(&api, &made).await;
                Err(volume_gone())
            }
        }
    }

    /// What has the name among the volume's snapshots.
    ///
    /// # Errors
    /// `FailedPrecondition` for a destroyed one, `AlreadyExists` for one of another case, `Busy`
    /// when there is none any more.
    async fn bearer(&self, api: &Api, volume: &str, name: &SnapshotName) -> Result<WireSnapshot> {
        let found = match api.snapshots_of(volume).await {
            Ok(found) => found,
            Err(failure) if failure.is(GONE) => return Err(volume_gone()),
            Err(failure) => return Err(failure.into()),
        };
        let bears = |wire: &WireSnapshot| {
            let suffix = suffix_of(wire);
            suffix.is_some_and(|suffix| suffix.as_str().eq_ignore_ascii_case(name.as_str()))
        };
        let Some(wire) = found.into_iter().find(bears) else {
            return Err(Error::new(
                ErrorKind::Busy,
                "a snapshot of this name has just gone; try again",
            ));
        };
        let volume = wire.source.name.as_deref().unwrap_or_default();
        if is_reserved(&self.namespace, volume) {
            return Err(volume_gone());
        }
        if wire.destroyed {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "a destroyed snapshot, {}, still keeps the name; recover it on the array, or wait until it is eradicated",
                    wire.name
                ),
            ));
        }
        if suffix_of(&wire).as_ref() == Some(name) {
            return Ok(wire);
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the array ignores case in names, and has the snapshot {}",
                wire.name
            ),
        ))
    }

    /// Removes a snapshot that was just made of a volume which is on its way out.
    async fn take_back(&self, api: &Api, made: &WireSnapshot) {
        let api = api.until(Instant::now() + CLEAN_UP);
        match api.destroy_snapshot(&made.id).await {
            Ok(()) => {}
            Err(failure) if failure.is(GONE) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object = made.name, error = %error.chain(), "a snapshot of a volume that is being removed is left behind");
            }
        }
    }

    async fn look_up_snapshot(
        &self,
        volume: &Volume,
        name: &SnapshotName,
    ) -> Result<Option<Snapshot>> {
        let api = self.api().await?;
        if *volume.id.array() != api.identity.id || volume.ownership != Ownership::Recorded {
            return Ok(None);
        }
        let id = volume.id.object();
        let filter = format!("suffix={}", quoted(name.as_str()));
        let found = match api.find_snapshots(id, filter).await {
            Ok(found) => found,
            Err(failure) if failure.is(GONE) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let exact = |wire: &WireSnapshot| suffix_of(wire).as_ref() == Some(name);
        let Some(wire) = found
            .into_iter()
            .find(|wire| exact(wire) && !wire.destroyed)
        else {
            return Ok(None);
        };
        // The array's word on whose the volume is, not the caller's.
        match self.owner_of(&api, id).await? {
            Owned::Usable(owner) => self.snapshot(&api, &wire, &owner),
            Owned::Gone | Owned::Not | Owned::Aside => Ok(None),
        }
    }

    async fn page_of(&self, request: ListSnapshots) -> Result<SnapshotPage> {
        let api = self.api().await?;
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let which = match &request.volume {
            Some(id) if *id.array() != api.identity.id => return Ok(SnapshotPage::default()),
            Some(id) => Which::Of(id.object()),
            None => Which::Filter(namespace_filter(&self.namespace)),
        };
        let goes_on = request.after.is_some();
        let page = match api.page_of_snapshots(which, limit, request.after).await {
            Ok(page) => page,
            Err(failure) if failure.is(GONE) => return Ok(SnapshotPage::default()),
            Err(failure) if goes_on && failure.is(&[Refusal::Other]) => {
                let message = "the array does not know this place in its list; begin anew";
                return Err(Error::new(ErrorKind::InvalidArgument, message)
                    .with_source(Error::from(failure)));
            }
            Err(failure) => return Err(failure.into()),
        };
        let owners = self.owners(&api, &page.items).await?;
        let mut snapshots = Vec::new();
        for wire in page.items.iter().filter(|wire| !wire.destroyed) {
            let owner = wire.source.id.as_ref().and_then(|id| owners.get(id));
            if let Some(owner) = owner {
                snapshots.extend(self.snapshot(&api, wire, owner)?);
            }
        }
        Ok(SnapshotPage {
            snapshots,
            next: page.next,
        })
    }

    /// The users' names of the volumes, by id, that this namespace recorded.
    async fn owners(
        &self,
        api: &Api,
        snapshots: &[WireSnapshot],
    ) -> Result<HashMap<String, VolumeName>> {
        let ids: BTreeSet<&str> = snapshots
            .iter()
            .filter_map(|wire| wire.source.id.as_deref())
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut owners = HashMap::new();
        for chunk in ids.chunks(TAGS_CHUNK) {
            for (id, tags) in tags_by_volume(tags_of_chunk(api, chunk).await?) {
                match Record::read(&tags) {
                    Ok(record) => {
                        let name = record.name_in(&self.namespace).cloned();
                        owners.extend(name.map(|name| (id, name)));
                    }
                    Err(error) => {
                        tracing::warn!(volume = id, error = %error.chain(), "its snapshots are left out of the list");
                    }
                }
            }
        }
        Ok(owners)
    }

    async fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let api = self.api_on(snapshot.id.array()).await?;
        match self.owner_of(&api, snapshot.volume.object()).await? {
            // Eradicated, and its snapshots with it.
            Owned::Gone => return Ok(Outcome::AlreadySo(())),
            Owned::Not => return Err(not_ours()),
            Owned::Usable(_) | Owned::Aside => {}
        }
        match api.destroy_snapshot(snapshot.id.object()).await {
            Ok(()) => Ok(Outcome::Done(())),
            // By an earlier try of this very call, or by somebody else: it is so.
            Err(failure) if failure.is(GONE) => Ok(Outcome::AlreadySo(())),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whose a volume is, by its tags, and whether they tell that it is on its way in or out.
    async fn owner_of(&self, api: &Api, volume: &str) -> Result<Owned> {
        let tags = match api.tags_of(&[volume]).await {
            Ok(tags) => tags,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(Owned::Gone),
            Err(failure) => return Err(failure.into()),
        };
        let Some(name) = Record::read(&tags)?.name_in(&self.namespace).cloned() else {
            return Ok(Owned::Not);
        };
        let aside = |object: &String| is_reserved(&self.namespace, object);
        let mut objects = tags.iter().filter_map(|tag| tag.resource.name.as_ref());
        Ok(if objects.any(aside) {
            Owned::Aside
        } else {
            Owned::Usable(name)
        })
    }

    /// The snapshot as it is told; `None` for one of another form, and for one whose volume is on
    /// its way in or out.
    fn snapshot(
        &self,
        api: &Api,
        wire: &WireSnapshot,
        volume_name: &VolumeName,
    ) -> Result<Option<Snapshot>> {
        let volume = match &wire.source.name {
            Some(name) if !is_reserved(&self.namespace, name) => wire.source.id.clone(),
            _ => None,
        };
        let (Some(volume), Some(name)) = (volume, suffix_of(wire)) else {
            return Ok(None);
        };
        let array = &api.identity.id;
        Ok(Some(Snapshot {
            id: SnapshotId::new(VolumeId::new(array.clone(), wire.id.clone())?),
            name,
            volume: VolumeId::new(array.clone(), volume)?,
            volume_name: volume_name.clone(),
            object: wire.name.clone(),
            size: Size::from_bytes(wire.provisioned),
            created_ms: wire.created,
        }))
    }
}

#[async_trait]
impl Snapshots for FlashArray {
    async fn create_snapshot(&self, request: CreateSnapshot) -> Result<Outcome<Snapshot>> {
        let result = self.take_snapshot(&request).await;
        result.map_err(|error| self.named(error, "create snapshot"))
    }

    async fn get_snapshot(&self, volume: &Volume, name: &SnapshotName) -> Result<Option<Snapshot>> {
        let result = self.look_up_snapshot(volume, name).await;
        result.map_err(|error| self.named(error, "look snapshot up"))
    }

    async fn list_snapshots(&self, request: ListSnapshots) -> Result<SnapshotPage> {
        let result = self.page_of(request).await;
        result.map_err(|error| self.named(error, "list snapshots"))
    }

    async fn delete_snapshot(&self, snapshot: &Snapshot) -> Result<Outcome<()>> {
        let result = self.remove_snapshot(snapshot).await;
        result.map_err(|error| self.named(error, "delete snapshot"))
    }
}

#[cfg(test)]
mod tests {
    use super::suffix_of;
    use crate::api::{Reference, WireSnapshot};

    fn suffix(name: &str, volume: Option<&str>) -> Option<String> {
        let wire = WireSnapshot {
            id: "id".to_owned(),
            name: name.to_owned(),
            created: None,
            destroyed: false,
            provisioned: 0,
            source: Reference {
                id: Some("v".to_owned()),
                name: volume.map(str::to_owned),
            },
        };
        suffix_of(&wire).map(|suffix| suffix.as_str().to_owned())
    }

    #[test]
    fn only_a_volumes_own_snapshots_have_a_suffix() {
        let volume = Some("ns-data");
        assert_eq!(suffix("ns-data.keep", volume).as_deref(), Some("keep"));
        assert_eq!(suffix("ns-data.7", volume).as_deref(), Some("7"));
        assert_eq!(suffix("group.7.ns-data", volume), None);
        assert_eq!(
            suffix("ns-data.7.ns-data", volume),
            None,
            "a group named so"
        );
        assert_eq!(suffix("ns-data2.keep", volume), None);
        assert_eq!(suffix("ns-data", volume), None);
        assert_eq!(suffix("ns-data.keep", None), None);
    }
}
