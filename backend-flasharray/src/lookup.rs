//! Finding volumes: by name, by id, all of them.
//!
//! A name is looked up with one call for all objects that may bear on it, destroyed ones and
//! trash included, and one more for their tags when there are any. The array compares names
//! without case, and a filter may match more than it should, so everything is compared again
//! here, byte for byte, and the record decides.

use std::collections::HashMap;
use std::time::SystemTime;

use storage_core::{
    ClaimNonce, Error, ErrorKind, ListVolumes, Result, Size, Volume, VolumeId, VolumeKey,
    VolumeName, VolumePage, VolumeState,
};

use crate::access::identity;
use crate::api::{Api, Tag, WireVolume};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::name::{Form, candidates, form, is_listed, name_filter, namespace_filter, quoted};
use crate::record::Record;

/// A page of the array's: its own maximum (Purity documents none; clients see 1,000).
pub(crate) const PAGE_MAX: usize = 1000;

/// Volumes whose tags are asked for with one call: 125 ids are 5 kB of a request line, and eight
/// tags each fill a page.
pub(crate) const TAGS_CHUNK: usize = 125;

/// How often a look-up starts again because an object vanished between its two calls.
const ROUNDS: usize = 3;

/// What a filter found.
pub(crate) struct Found {
    /// With their records.
    pub(crate) concerned: Vec<(WireVolume, Result<Record>)>,
    pub(crate) others: Vec<WireVolume>,
    /// The array's time when it answered.
    pub(crate) now: Option<SystemTime>,
}

impl FlashArray {
    pub(crate) async fn look_up(&self, key: &VolumeKey) -> Result<Option<Volume>> {
        let api = self.api().await?;
        match key {
            VolumeKey::Name(name) => self.by_name(&api, name).await,
            VolumeKey::Id(id) if *id.array() == api.identity.id => self.by_id(&api, id).await,
            VolumeKey::Id(_) => Ok(None),
        }
    }

    /// What the array has under this name in this namespace.
    pub(crate) async fn by_name(&self, api: &Api, name: &VolumeName) -> Result<Option<Volume>> {
        one_of(self.all_by_name(api, name).await?)
    }

    /// Everything that is, or keeps, this name's volume.
    pub(crate) async fn all_by_name(&self, api: &Api, name: &VolumeName) -> Result<Vec<Volume>> {
        let filter = name_filter(&self.namespace, name);
        let found = self.with_records(api, filter, |_| true).await?;
        let bearing = self.bearing(api, name, found.concerned)?;
        Ok(bearing.into_iter().map(|(volume, _)| volume).collect())
    }

    /// Those of the objects that are, or keep, this name's volume, and the attempts that named them.
    pub(crate) fn bearing(
        &self,
        api: &Api,
        name: &VolumeName,
        found: Vec<(WireVolume, Result<Record>)>,
    ) -> Result<Vec<(Volume, Option<ClaimNonce>)>> {
        let mut bearing = Vec::new();
        for (wire, record) in found {
            if self.bears(&wire, name, &record)? {
                let record = record?;
                let attempt = record.attempt;
                bearing.push((self.volume(api, &wire, name.clone(), record)?, attempt));
            }
        }
        Ok(bearing)
    }

    pub(crate) async fn by_id(&self, api: &Api, id: &VolumeId) -> Result<Option<Volume>> {
        let filter = format!("id={}", quoted(id.object()));
        let found = self.with_records(api, filter, |_| true).await?.concerned;
        let Some((wire, record)) = found.into_iter().find(|(wire, _)| wire.id == id.object())
        else {
            return Ok(None);
        };
        let record = record?;
        let name = match (&record.owner, form(&self.namespace, &wire.name)) {
            (Some(_), _) => record.name_in(&self.namespace).cloned(),
            (None, Form::Plain(name)) => Some(name),
            (None, Form::Reserved | Form::Other) => None,
        };
        name.map(|name| self.volume(api, &wire, name, record))
            .transpose()
    }

    /// Whether an object is, or keeps, this name's volume.
    ///
    /// # Errors
    /// The record's, where the object has the name and its record cannot be understood: it may be
    /// this volume, so the name is neither free nor found.
    fn bears(&self, wire: &WireVolume, name: &VolumeName, record: &Result<Record>) -> Result<bool> {
        let form = form(&self.namespace, &wire.name);
        if form == Form::Reserved {
            // Destroyed trash no longer keeps the name. What is not destroyed carries the hash of
            // the name in its own, and the record confirms it where it can be read.
            let ours = match record {
                Ok(record) => {
                    record.owner.is_none() || record.name_in(&self.namespace) == Some(name)
                }
                Err(_) => true,
            };
            let prefix = storage_core::trash_prefix(&self.namespace, name);
            return Ok(!wire.destroyed && wire.name.starts_with(&prefix) && ours);
        }
        let exact = candidates(&self.namespace, name)
            .iter()
            .any(|one| one == wire.name);
        match record {
            Ok(record) if record.owner.is_some() => {
                let same = |one: &str| one.eq_ignore_ascii_case(&wire.name);
                let ours = record.name_in(&self.namespace) == Some(name);
                Ok(ours && candidates(&self.namespace, name).iter().any(same))
            }
            Ok(_) => Ok(form == Form::Plain(name.clone())),
            Err(error) if exact => Err(error.duplicate().with_context("object", &wire.name)),
            Err(_) => Ok(false),
        }
    }

    /// The volumes that a filter finds: those that are `concerned` with their records, and the rest.
    pub(crate) async fn with_records(
        &self,
        api: &Api,
        filter: String,
        concerned: impl Fn(&WireVolume) -> bool,
    ) -> Result<Found> {
        let mut round = 1;
        loop {
            let (found, now) = api.find_volumes_dated(filter.clone()).await?;
            let (volumes, others): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|wire| concerned(wire));
            if volumes.is_empty() {
                let concerned = Vec::new();
                return Ok(Found {
                    concerned,
                    others,
                    now,
                });
            }
            let ids: Vec<&str> = volumes.iter().map(|volume| volume.id.as_str()).collect();
            match api.tags_of(&ids).await {
                Ok(tags) => {
                    let concerned = join(volumes, tags);
                    return Ok(Found {
                        concerned,
                        others,
                        now,
                    });
                }
                // One of them was eradicated in between.
                Err(failure) if failure.is(&[Refusal::VolumeMissing]) && round < ROUNDS => {
                    round += 1;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    pub(crate) fn volume(
        &self,
        api: &Api,
        wire: &WireVolume,
        name: VolumeName,
        record: Record,
    ) -> Result<Volume> {
        let state = if wire.destroyed {
            VolumeState::Destroyed
        } else if form(&self.namespace, &wire.name) == Form::Reserved {
            VolumeState::Deleting
        } else {
            VolumeState::Ready
        };
        let used = wire.space.as_ref().and_then(crate::api::WireSpace::used);
        Ok(Volume {
            id: VolumeId::new(api.identity.id.clone(), wire.id.clone())?,
            name,
            object: wire.name.clone(),
            array_name: api.identity.name.clone(),
            size: Size::from_bytes(wire.provisioned),
            used: used.map(Size::from_bytes),
            created_ms: wire.created,
            identity: Some(identity(&wire.serial)),
            ownership: record.ownership(),
            filesystem: record.filesystem,
            format_grant: record.format_grant,
            fresh_uuid: record.fresh_uuid,
            limits: wire.qos.unwrap_or_default().into(),
            // The tag stays when the connection goes.
            holder: record
                .holder
                .filter(|_| wire.connection_count.is_some_and(|count| count > 0))
                .map(|holder| holder.machine),
            attributes: record.attributes,
            state,
        })
    }

    pub(crate) async fn list_volumes(&self, request: ListVolumes) -> Result<VolumePage> {
        let api = self.api().await?;
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let filter = namespace_filter(&self.namespace);
        let again = request.after.is_some();
        let page = api.page_of_all_volumes(filter, limit, request.after).await;
        let page = page.map_err(|failure| unknown_place(failure, again))?;
        let objects = page.items.iter().map(|wire| wire.name.clone());
        let objects = objects.filter(|object| is_listed(&self.namespace, object));
        let objects = objects.collect();
        let usable = |wire: &WireVolume| {
            !wire.destroyed && form(&self.namespace, &wire.name) != Form::Reserved
        };
        let items: Vec<WireVolume> = page.items.into_iter().filter(usable).collect();
        let mut volumes = Vec::with_capacity(items.len());
        let mut calls = 1;
        for chunk in items.chunks(TAGS_CHUNK) {
            let ids: Vec<&str> = chunk.iter().map(|wire| wire.id.as_str()).collect();
            let tags = tags_of_chunk(&api, &ids).await?;
            calls += 1;
            for (wire, record) in join(chunk.to_vec(), tags) {
                volumes.extend(self.listed(&api, &wire, record)?);
            }
        }
        Ok(VolumePage {
            volumes,
            next: page.next,
            objects: Some(objects),
            calls,
        })
    }

    fn listed(
        &self,
        api: &Api,
        wire: &WireVolume,
        record: Result<Record>,
    ) -> Result<Option<Volume>> {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(object = wire.name, error = %error.chain(), "left out of the list");
                return Ok(None);
            }
        };
        let Some(name) = record.name_in(&self.namespace).cloned() else {
            return Ok(None);
        };
        self.volume(api, wire, name, record).map(Some)
    }
}

/// The tags of a chunk of volumes. One that vanished meanwhile makes the array refuse the whole
/// call; the chunk is then halved until the missing ones stand alone and are left out.
pub(crate) async fn tags_of_chunk(api: &Api, ids: &[&str]) -> Result<Vec<Tag>, Failure> {
    let mut tags = Vec::new();
    let mut open = vec![ids];
    while let Some(part) = open.pop() {
        match api.tags_of(part).await {
            Ok(found) => tags.extend(found),
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {
                let (first, second) = part.split_at(part.len() / 2);
                open.extend([first, second].into_iter().filter(|half| {
                    // Halving a part of one gives an empty and the same part again.
                    !half.is_empty() && half.len() < part.len()
                }));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(tags)
}

/// What a page could not be read for: a place in the list that is not the array's, where one was
/// named.
pub(crate) fn unknown_place(failure: Failure, named: bool) -> Error {
    if !named || !failure.is(&[Refusal::Other]) {
        return failure.into();
    }
    let message = "the array does not know this place in its list; begin anew";
    Error::new(ErrorKind::InvalidArgument, message).with_source(Error::from(failure))
}

/// Tags by the id of the volume that has them.
pub(crate) fn tags_by_volume(tags: Vec<Tag>) -> HashMap<String, Vec<Tag>> {
    let mut by_id: HashMap<String, Vec<Tag>> = HashMap::new();
    for tag in tags {
        if let Some(id) = tag.resource.id.clone() {
            by_id.entry(id).or_default().push(tag);
        }
    }
    by_id
}

/// Volumes with their records.
pub(crate) fn join(volumes: Vec<WireVolume>, tags: Vec<Tag>) -> Vec<(WireVolume, Result<Record>)> {
    let mut by_id = tags_by_volume(tags);
    volumes
        .into_iter()
        .map(|volume| {
            let tags = by_id.remove(&volume.id).unwrap_or_default();
            (volume, Record::read(&tags))
        })
        .collect()
}

/// The one volume that a name stands for: the usable one, else the one on its way out, else the
/// destroyed one that still keeps the name.
pub(crate) fn one_of(mut found: Vec<Volume>) -> Result<Option<Volume>> {
    let usable = found
        .iter()
        .filter(|volume| volume.state == VolumeState::Ready)
        .count();
    if usable > 1 {
        let ready = found
            .iter()
            .filter(|volume| volume.state == VolumeState::Ready);
        let objects: Vec<&str> = ready.map(|volume| volume.object.as_str()).collect();
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "several objects claim this name: {}; rename all but one on the array",
                objects.join(" and ")
            ),
        ));
    }
    found.sort_by_key(|volume| match volume.state {
        VolumeState::Ready => 0,
        VolumeState::Deleting => 1,
        _ => 2,
    });
    Ok(found.into_iter().next())
}
