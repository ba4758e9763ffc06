//! Who can reach what, in pages: one GET of `/connections` for all volumes of the namespace, and
//! one of their tags for each 125 of them, rather than two for each volume.
//!
//! The filter goes by the objects' names; the record says which of them are ours.

use std::collections::{BTreeSet, HashMap};

use storage_core::{
    ArrayIdentity, Connection, ConnectionPage, Error, ErrorKind, ListConnections, RecordedHolder,
    Result, Volume, VolumeId, VolumeName,
};

use crate::api::{Api, WireConnection, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::lookup::{PAGE_MAX, TAGS_CHUNK, tags_by_volume, tags_of_chunk, unknown_place};
use crate::name::connections_filter;
use crate::record::Record;

impl FlashArray {
    pub(crate) fn who_answers(&self) -> Option<ArrayIdentity> {
        let identity = self.identity.get()?;
        Some(ArrayIdentity {
            id: identity.id.clone(),
            name: identity.name.clone(),
            software: Some(identity.purity.clone()).filter(|purity| !purity.is_empty()),
            interface: Some(identity.rest.to_string()),
        })
    }

    pub(crate) async fn connection_page(&self, request: ListConnections) -> Result<ConnectionPage> {
        let asked = request.volume.as_ref();
        let api = match asked {
            Some(volume) => self.api_for(&volume.id).await?,
            None => self.api().await?,
        };
        let limit = request.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let again = request.after.is_some();
        let page = match asked {
            Some(volume) => {
                let key = volume_key(&api, volume);
                api.page_of_connections(&key, limit, request.after.clone())
                    .await
            }
            None => {
                let filter = connections_filter(&self.namespace);
                api.page_of_all_connections(filter, limit, request.after.clone())
                    .await
            }
        };
        let page = match page {
            Ok(page) => page,
            // Nobody can reach what is destroyed.
            Err(failure) if asked.is_some() && failure.is(&[Refusal::Destroyed]) => {
                return Ok(ConnectionPage {
                    calls: 1,
                    ..ConnectionPage::default()
                });
            }
            Err(failure) if asked.is_some() && failure.is(&[Refusal::VolumeMissing]) => {
                return Err(Error::new(ErrorKind::NotFound, "the volume is gone"));
            }
            Err(failure) => return Err(unknown_place(failure, again)),
        };
        let (records, calls) = self.records_of(&api, &page.items).await?;
        let mut connections = Vec::with_capacity(page.items.len());
        for wire in page.items {
            connections.extend(self.connection(&api, wire, &records, asked)?);
        }
        Ok(ConnectionPage {
            connections,
            next: page.next,
            calls: calls + 1,
        })
    }

    /// The records of the volumes of these connections, and the calls that they took.
    async fn records_of(
        &self,
        api: &Api,
        connections: &[WireConnection],
    ) -> Result<(HashMap<String, Record>, u32)> {
        let ids = connections
            .iter()
            .filter_map(|one| one.volume.id.as_deref());
        let ids: Vec<&str> = ids.collect::<BTreeSet<&str>>().into_iter().collect();
        let (mut records, mut calls) = (HashMap::new(), 0);
        for chunk in ids.chunks(TAGS_CHUNK) {
            calls += 1;
            for (id, tags) in tags_by_volume(tags_of_chunk(api, chunk).await?) {
                match Record::read(&tags) {
                    Ok(record) => drop(records.insert(id, record)),
                    Err(error) => {
                        tracing::warn!(volume = id, error = %error.chain(), "left out of the connections");
                    }
                }
            }
        }
        Ok((records, calls))
    }

    /// A connection as it is told; `None` for one of somebody else's volume.
    fn connection(
        &self,
        api: &Api,
        wire: WireConnection,
        records: &HashMap<String, Record>,
        asked: Option<&Volume>,
    ) -> Result<Option<Connection>> {
        let (Some(id), Some(object)) = (wire.volume.id, wire.volume.name) else {
            // A protocol endpoint's.
            return Ok(None);
        };
        let record = records.get(&id);
        let name: Option<&VolumeName> = record
            .and_then(|record| record.name_in(&self.namespace))
            .or(asked.map(|volume| &volume.name));
        let Some(name) = name.cloned() else {
            return Ok(None);
        };
        let recorded = record.and_then(|record| record.holder.as_ref());
        Ok(Some(Connection {
            volume: VolumeId::new(api.identity.id.clone(), id)?,
            name,
            object,
            host: wire.host.name,
            group: wire.host_group.name,
            lun: wire.lun,
            recorded: recorded.map(|holder| RecordedHolder {
                machine: holder.machine.clone(),
                host: holder.object.clone(),
                nonce: holder.nonce,
            }),
        }))
    }
}

fn volume_key(api: &Api, volume: &Volume) -> WireVolumeKey {
    if api.identity.rest.connections_by_id() {
        WireVolumeKey::Id(volume.id.object().to_owned())
    } else {
        WireVolumeKey::Name(volume.object.clone())
    }
}
