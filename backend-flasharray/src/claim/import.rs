//! C1 for a volume that is there: aside, with its record, under a name of the attempt's own.
//!
//! 1. GET the object by its name, and what earlier attempts at the same left aside; GET its tags:
//!    a record of anybody's is a refusal. GET its connections: a host group, or a host that is not
//!    of ours, is a refusal that names it.
//! 2. PUT its record, with the name that it has now. As long as it has that name, the record means
//!    nothing ([`crate::record`]).
//! 3. PATCH the name to `<ns>-fl-in-<hash>-<nonce>`.
//!
//! The rename goes by the old name, not by id: of two attempts one finds the object, and one that
//! is executed late finds nothing. By id it would take a volume aside that was adopted, and is in use,
//! by then. The tags go by the name for the same reason. That the object is the one that was looked at is seen in the answer; another one, which
//! got the name in between, gets it back.
//!
//! What a crash leaves keeps its old name on record, nothing ever destroys it, and the next attempt
//! at the same object and name takes it over.

use storage_core::{
    Error, ErrorKind, FleetRecord, ImportVolume, Result, TentativeKind, import_name, import_prefix,
};

use super::Proposed;
use crate::api::{Api, Tag, WireVolume, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::hosts::machine_of;
use crate::name::quoted;
use crate::record::{NewRecord, Record, our_keys};

/// What is to be set aside.
struct Source {
    wire: WireVolume,
    /// What it was called before anybody adopted it.
    old: String,
    tags: Vec<Tag>,
}

impl FlashArray {
    pub(super) async fn set_aside(&self, request: &ImportVolume) -> Result<Proposed> {
        let mut asked = request.record.clone();
        if asked.format_grant.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "what is imported never carries a format grant",
            ));
        }
        asked.name = request.name.clone();
        asked.nonce = request.nonce;
        importable(&request.object)?;
        let api = self.api().await?;
        let source = self.source(&api, request).await?;
        let record = NewRecord::new(&self.namespace, &asked, None)?.imported(&source.old);
        let aside = import_name(&self.namespace, &request.name, request.nonce);
        let kind = TentativeKind::Imported;
        let array = api.identity.id.clone();
        if source.wire.name == aside {
            let (wire, record) = (source.wire, record.record);
            return Ok(Proposed {
                array,
                wire,
                record,
                kind,
            });
        }
        self.nobody_else_has(&api, &source.wire).await?;
        self.adopt_record(&api, &source, &record).await?;
        let wire = self.rename_source(&api, &source.wire, &aside).await?;
        let record = record.record;
        Ok(Proposed {
            array,
            wire,
            record,
            kind,
        })
    }

    pub(super) async fn id_of(&self, object: &str) -> Result<Option<String>> {
        let api = self.api().await?;
        let found = api.find_volumes(format!("name={}", quoted(object))).await?;
        let found = found
            .into_iter()
            .find(|wire| wire.name == object && !wire.destroyed);
        Ok(found.map(|wire| wire.id))
    }

    /// The object that is asked for, or what an earlier attempt at the same left aside.
    async fn source(&self, api: &Api, request: &ImportVolume) -> Result<Source> {
        let aside = format!("{}*", import_prefix(&self.namespace, &request.name));
        let filter = format!(
            "name={} or name={}",
            quoted(&request.object),
            quoted(&aside)
        );
        let live = |wire: &WireVolume| !wire.destroyed;
        let found = api.find_volumes(filter).await?;
        for wire in found.into_iter().filter(live) {
            let tags = match api.tags_of(&[&wire.id]).await {
                Ok(tags) => tags,
                Err(failure) if failure.is(&[Refusal::VolumeMissing]) => continue,
                Err(failure) => return Err(failure.into()),
            };
            let record = Record::read(&tags)?;
            if wire.name.eq_ignore_ascii_case(&request.object) {
                if let Some(owner) = &record.owner {
                    return Err(owned(
                        &request.object,
                        &owner.namespace,
                        owner.name.as_str(),
                    ));
                }
                let old = wire.name.clone();
                return Ok(Source { wire, old, tags });
            }
            let old = record
                .imported_from
                .filter(|old| old.eq_ignore_ascii_case(&request.object));
            let prefix = import_prefix(&self.namespace, &request.name);
            if let Some(old) = old.filter(|_| wire.name.starts_with(&prefix)) {
                return Ok(Source { wire, old, tags });
            }
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!("the array has no volume {}", request.object),
        ))
    }

    /// Nobody is connected but hosts of ours.
    async fn nobody_else_has(&self, api: &Api, wire: &WireVolume) -> Result<()> {
        let key = if api.identity.rest.connections_by_id() {
            WireVolumeKey::Id(wire.id.clone())
        } else {
            WireVolumeKey::Name(wire.name.clone())
        };
        let connections = api.connections(&key).await?;
        let foreign = connections.into_iter().find_map(|one| {
            let group = one
                .host_group
                .name
                .map(|group| format!("host group {group}"));
            let host = one.host.name.filter(|host| machine_of(host).is_none());
            group.or(host.map(|host| format!("host {host}")))
        });
        foreign.map_or(Ok(()), |who| {
            Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "{who}, which Fairlead did not make, has the volume; disconnect it on the array"
                ),
            ))
        })
    }

    /// Writes the record. What is left of an earlier life of the object (its grant to format above
    /// all) goes first.
    async fn adopt_record(&self, api: &Api, source: &Source, new: &NewRecord) -> Result<()> {
        let written = |key: &str| new.tags.iter().any(|tag| tag.key == key);
        let mut stale = our_keys(&source.tags);
        stale.retain(|key| !written(key));
        if !stale.is_empty() {
            crash_points::point!("claim.import.clean");
            api.remove_tags_by_name(&source.wire.name, &stale).await?;
        }
        crash_points::point!("claim.import.tags");
        Ok(api.put_tags_by_name(&source.wire.name, &new.tags).await?)
    }

    async fn rename_source(&self, api: &Api, wire: &WireVolume, aside: &str) -> Result<WireVolume> {
        crash_points::point!("claim.import.rename");
        let failure = match api.rename_volume(&wire.name, aside).await {
            Ok(Some(renamed)) if renamed.id != wire.id => {
                crash_points::point!("claim.import.undo");
                api.rename_volume(aside, &wire.name).await?;
                return Err(changed(&wire.name));
            }
            Ok(_) => return Ok(named(wire, aside)),
            Err(failure) => failure,
        };
        let moved = [
            Refusal::VolumeMissing,
            Refusal::Destroyed,
            Refusal::NameTaken,
        ];
        if !failure.may_have_executed() && !failure.is(&moved) {
            return Err(failure.into());
        }
        match self.wire_of(api, &wire.id).await {
            Ok(Some(now)) if now.name == aside && !now.destroyed => Ok(now),
            Ok(_) if !failure.may_have_executed() => Err(changed(&wire.name)),
            // It may be executed yet.
            _ => Err(unknown(failure)),
        }
    }
}

fn named(wire: &WireVolume, name: &str) -> WireVolume {
    let mut wire = wire.clone();
    name.clone_into(&mut wire.name);
    wire
}

/// Objects that cannot be told to be free by their name alone.
fn importable(object: &str) -> Result<()> {
    let lower = object.to_ascii_lowercase();
    let reason = if lower.contains(':') || lower.contains('/') {
        "is in a pod or volume group; move it out on the array"
    } else if lower.starts_with(FleetRecord::OBJECT_PREFIX) || lower.contains("-fl-") {
        "has a name that is reserved for Fairlead's own objects"
    } else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::FailedPrecondition,
        format!("{object} {reason}"),
    ))
}

fn owned(object: &str, namespace: &str, name: &str) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("{object} is the volume `{name}` of the namespace {namespace}"),
    )
}

fn changed(object: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("{object} was renamed or destroyed while it was to be imported"),
    )
}

fn unknown(failure: Failure) -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the array's answer to the rename was lost; repeat the import",
    )
    .with_source(Error::from(failure))
}
