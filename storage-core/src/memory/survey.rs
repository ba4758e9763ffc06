//! What people see of the reference backend in bulk.

use async_trait::async_trait;

use crate::error::Result;
use crate::memory::array::{Link, Object, gone};
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
        let connection = |link: &Link| Connection {
            volume: volume.clone(),
            name: name.clone(),
            object: object.object.clone(),
            host: (!link.group).then(|| link.host.clone()),
            group: link.group.then(|| link.host.clone()),
            lun: Some(link.lun.into()),
            recorded: recorded.map(|(host, nonce)| RecordedHolder {
                machine: host.clone(),
                host: host.clone(),
                nonce: *nonce,
            }),
        };
        Ok(object.links.iter().map(connection).collect())
    }

    fn connections_now(&self, asked: Option<&Volume>) -> Result<Vec<Connection>> {
        let objects = self.array.lock();
        let there = |volume: &Volume| objects.values().any(|one| one.id == volume.id.object());
        if !asked.is_none_or(there) {
            return Err(gone());
        }
        let mut connections = Vec::new();
        for object in objects.values() {
            connections.extend(self.connections_of(object, asked)?);
        }
        Ok(connections)
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
        let limit = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let after = request.after.as_deref().map(continuation).transpose()?;
        let asked = request.volume.clone();
        let read = move |node: &Self| node.connections_now(asked.as_ref());
        let mut connections = self.send("list connections", "", read).await?;
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
