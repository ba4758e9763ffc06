//! Whole listings of one array, page by page.

use std::collections::HashMap;

use storage_core::{
    Backend, Connection, Error, ErrorKind, ListConnections, ListTrash, ListVolumes, Result,
    TrashedVolume, Volume, VolumeId,
};

/// A listing with more pages than this does not end: ten million volumes.
const PAGES_MAX: usize = 10_000;

fn endless() -> Error {
    Error::new(ErrorKind::Unexpected, "a list of the array does not end")
}

pub(super) async fn all_volumes(backend: &dyn Backend) -> Result<Vec<Volume>> {
    let (mut volumes, mut after) = (Vec::new(), None);
    for _page in 0..PAGES_MAX {
        let page = backend.list(ListVolumes { after, limit: None }).await?;
        volumes.extend(page.volumes);
        after = page.next;
        if after.is_none() {
            return Ok(volumes);
        }
    }
    Err(endless())
}

/// Nothing where the backend has no trash.
pub(super) async fn all_trash(backend: &dyn Backend) -> Result<Vec<TrashedVolume>> {
    let Some(trash) = backend.trash() else {
        return Ok(Vec::new());
    };
    let (mut volumes, mut after) = (Vec::new(), None);
    for _page in 0..PAGES_MAX {
        let page = trash.list_trash(ListTrash { after, limit: None }).await?;
        volumes.extend(page.volumes);
        after = page.next;
        if after.is_none() {
            return Ok(volumes);
        }
    }
    Err(endless())
}

/// Those of one volume, or of all; nothing where the backend does not tell.
pub(super) async fn all_connections(
    backend: &dyn Backend,
    volume: Option<&Volume>,
) -> Result<Vec<Connection>> {
    let Some(survey) = backend.survey() else {
        return Ok(Vec::new());
    };
    let (mut connections, mut after) = (Vec::new(), None);
    for _page in 0..PAGES_MAX {
        let request = ListConnections {
            volume: volume.cloned(),
            after,
            limit: None,
        };
        let page = survey.connections(request).await?;
        connections.extend(page.connections);
        after = page.next;
        if after.is_none() {
            return Ok(connections);
        }
    }
    Err(endless())
}

/// Connections by volume.
pub(super) fn by_volume(connections: Vec<Connection>) -> HashMap<VolumeId, Vec<Connection>> {
    let mut by_id: HashMap<VolumeId, Vec<Connection>> = HashMap::new();
    for connection in connections {
        let one = by_id.entry(connection.volume.clone()).or_default();
        one.push(connection);
    }
    by_id
}
