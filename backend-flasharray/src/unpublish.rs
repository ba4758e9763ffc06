//! Unpublish: take one host's connection away and see it gone; and who is connected at all.
//!
//! By the volume's id where the array's version can: the name may be another volume's by now, and
//! a late unpublish must not cut that one off. Older arrays are asked for the present name first,
//! which is one call more.

use storage_core::{
    Backend as _, Error, ErrorKind, Outcome, Publication, Result, UnpublishVolume, Volume, VolumeId,
};

use crate::api::{Api, WireConnection, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::hosts::Known;
use crate::name::quoted;
use crate::present::Present;
use crate::record::Record;

/// The answers that say that there is no such connection.
pub(crate) const GONE: &[Refusal] = &[
    Refusal::ConnectionMissing,
    Refusal::VolumeMissing,
    Refusal::HostMissing,
    Refusal::Destroyed,
];

impl FlashArray {
    pub(crate) async fn unpublish_volume(&self, request: &UnpublishVolume) -> Result<Outcome<()>> {
        let api = self.api_for(&request.volume).await?;
        let (host, conflict) = match self.known_host(&api, &request.host).await? {
            Known::Object(host) => (host, None),
            Known::Missing => return Ok(Outcome::AlreadySo(())),
            Known::Conflict(reason) => (request.host.object_name(), Some(reason)),
        };
        let Some(key) = self.present_key(&api, &request.volume).await? else {
            return Ok(Outcome::AlreadySo(()));
        };
        if let Some(reason) = conflict {
            // Only a connection of the object that has this machine's name is surely its own.
            let connections = match api.connections(&key).await {
                Ok(connections) => connections,
                Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {
                    return Ok(Outcome::AlreadySo(()));
                }
                Err(failure) => return Err(failure.into()),
            };
            if Present::of(&connections, &host).own.is_none() {
                return Err(Error::new(ErrorKind::FailedPrecondition, reason));
            }
        }
        crash_points::point!("unpublish.disconnect");
        self.tell_unpublish(request, &host, "asked");
        let removed = match api.disconnect(&key, &host).await {
            Ok(()) => true,
            Err(failure) if failure.is(GONE) => {
                if failure.is(&[Refusal::HostMissing]) {
                    self.forget_host(&api, &request.host).await;
                }
                // A lost earlier try may have done it; all that is certain is that it is so.
                false
            }
            Err(failure) => {
                self.tell_unpublish(request, &host, "timeout");
                return Err(failure.into());
            }
        };
        self.tell_unpublish(request, &host, "done");
        crash_points::point!("unpublish.read-back");
        let left = self.connections_of(&api, &key).await?;
        if Present::of(&left, &host).own.is_some() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the array still lists the connection of host {host}"),
            ));
        }
        if let Some(group) = group_of(&left, &host) {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "host {host} still has the volume by host group {group}, which is an administrator's"
                ),
            ));
        }
        self.asked_numbers.let_go(&request.volume, &host);
        Ok(if removed {
            Outcome::Done(())
        } else {
            Outcome::AlreadySo(())
        })
    }

    /// The step as a trace has it (docs/protocols/trace.md).
    fn tell_unpublish(&self, request: &UnpublishVolume, hosts: &str, answer: &str) {
        tracing::trace!(
            target: "fairlead::protocol",
            step = "unpublish",
            node = request.host.object_name(),
            array = self.endpoint(),
            volume = %request.volume,
            hosts,
            answer,
        );
    }

    pub(crate) async fn publications(&self, volume: &Volume) -> Result<Vec<Publication>> {
        let api = self.api_for(&volume.id).await?;
        let Some(key) = self.present_key(&api, &volume.id).await? else {
            return Err(Error::new(ErrorKind::NotFound, "the volume is gone"));
        };
        let connections = match api.connections(&key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::Destroyed]) => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the volume has been destroyed",
                ));
            }
            Err(failure) => return Err(failure.into()),
        };
        let present = Present::of(&connections, "");
        let holder = if present.hosts.is_empty() {
            None
        } else {
            Record::read(&api.tags_of(&[volume.id.object()]).await?)?.holder
        };
        // A machine is told by its own name also where an administrator named its object: by the
        // record, and by what this process knows of hosts.
        let known = self.machines_by_object(&api).await?;
        let host = |name: String| match &holder {
            Some(holder) if holder.object.eq_ignore_ascii_case(&name) => Publication {
                host: holder.machine.clone(),
                group: false,
                nonce: Some(holder.nonce),
            },
            _ => Publication {
                host: known.get(&name.to_lowercase()).cloned().unwrap_or(name),
                group: false,
                nonce: None,
            },
        };
        let group = |name| Publication {
            host: name,
            group: true,
            nonce: None,
        };
        let hosts = present.hosts.into_iter().map(host);
        Ok(hosts.chain(present.groups.into_iter().map(group)).collect())
    }

    /// How to ask for this volume's connections and no other's. `None`: the volume is gone.
    pub(crate) async fn present_key(
        &self,
        api: &Api,
        volume: &VolumeId,
    ) -> Result<Option<WireVolumeKey>> {
        if api.identity.rest.connections_by_id() {
            return Ok(Some(WireVolumeKey::Id(volume.object().to_owned())));
        }
        let found = api
            .find_volumes(format!("id={}", quoted(volume.object())))
            .await?;
        let present = found.into_iter().find(|one| one.id == volume.object());
        Ok(present.map(|one| WireVolumeKey::Name(one.name)))
    }

    /// The connections of a volume; none when it does not exist.
    pub(crate) async fn connections_of(
        &self,
        api: &Api,
        key: &WireVolumeKey,
    ) -> Result<Vec<WireConnection>> {
        match api.connections(key).await {
            Ok(connections) => Ok(connections),
            Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {
                Ok(Vec::new())
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// The group through which a host has the volume.
pub(crate) fn group_of(connections: &[WireConnection], host: &str) -> Option<String> {
    connections
        .iter()
        .find(|one| {
            one.host
                .name
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(host))
        })
        .and_then(|one| one.host_group.name.clone())
}
