//! What people see of the reference backend in bulk.

use async_trait::async_trait;

use crate::error::Result;
use crate::memory::array::{Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::memory::page::{self, PAGE, continuation};
use crate::survey::{
    ArrayIdentity, Connection, ConnectionPage, ListConnections, RecordedHolder, Survey,
};
use crate::volume::{Volume, VolumeId};

/// Between the volume's id and the host's name in the answer to "where to go on".
const SEPARATOR: char = '/';

impl MemoryBackend {
    /// The object's connections as they are told; without `asked`, only those of recorded ones.
    fn connections_of(&self, object: &Object, asked: Option<&Volume>) -> Result<Vec<Connection>> {
        let ours = |namespace: &str| namespace == self.namespace.as_str();
        let record = object.record.as_ref();
        let record = record.filter(|record| ours(&record.namespace));
        let wanted = asked.is_none_or(|volume| volume.id.object() == object.id);
        let name = record.map(|record| &record.name);
        let Some(name) = name.or(asked.map(|volume| &volume.name)).filter(|_| wanted) else {
            return Ok(Vec::new());
        };
        let volume = VolumeId::new(self.array.id().clone(), object.id.clone())?;
        let recorded = record.and_then(|record| record.holder.as_ref());
        let connection = |host: &String| Connection {
            volume: volume.clone(),
            name: name.clone(),
            object: object.object.clone(),
            host: Some(host.clone()),
            group: None,
            lun: None,
            recorded: recorded.map(|(host, nonce)| RecordedHolder {
                machine: host.clone(),
                host: host.clone(),
                nonce: *nonce,
            }),
        };
        Ok(object.hosts.iter().map(connection).collect())
    }
}

fn place(connection: &Connection) -> String {
    let host = connection.host.as_deref().unwrap_or_default();
    format!("{}{SEPARATOR}{host}", connection.volume.object())
}

#[async_trait]
impl Survey for MemoryBackend {
    fn identity(&self) -> Option<ArrayIdentity> {
        Some(ArrayIdentity {
            id: self.array.id().clone(),
            name: self.array.name().to_owned(),
            software: None,
            interface: None,
        })
    }

    async fn connections(&self, request: ListConnections) -> Result<ConnectionPage> {
        self.array.reachable().await?;
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let asked = request.volume.as_ref();
        let objects = self.array.lock();
        if let Some(asked) = asked
            && !objects
                .values()
                .any(|object| object.id == asked.id.object())
        {
            return Err(gone());
        }
        let mut connections = Vec::new();
        for object in objects.values() {
            connections.extend(self.connections_of(object, asked)?);
        }
        drop(objects);
        connections.retain(|one| after.is_none_or(|after| place(one).as_str() > after));
        connections.sort_by_key(place);
        let more = connections.len() > limit;
        connections.truncate(limit);
        let last = connections.last().filter(|_| more);
        let next = last.map(|last| page::after(&place(last)));
        Ok(ConnectionPage {
            connections,
            next,
            calls: 1,
        })
    }
}
