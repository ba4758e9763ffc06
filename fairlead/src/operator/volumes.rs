//! `fairlead volume ls`.

use std::sync::Arc;

use storage_core::{Backend, Connection, LabelSelector, Labels, Result, Volume};

use super::gather::{all_connections, all_trash, all_volumes, by_volume};
use super::reach::Arrays;
use super::report::{FORMAT, VolumeEntry, VolumeList};

/// Which volumes are wanted.
#[derive(Clone, Debug, Default)]
pub struct VolumeFilter {
    /// By the labels of the array and the attributes of the volume.
    pub selector: LabelSelector,
    /// Also those that were removed, wholly or half.
    pub all: bool,
}

/// Every volume of the namespace, with who can reach it.
pub async fn volumes(arrays: &Arrays, filter: &VolumeFilter) -> VolumeList {
    let all = filter.all;
    let answers = arrays.ask(move |backend| of_array(backend, all)).await;
    let mut volumes = Vec::new();
    for (site, (labels, found, connections)) in answers.told {
        let mut connections = by_volume(connections);
        for volume in found {
            let mut seen = labels.clone();
            seen.extend(volume.attributes.clone());
            if filter.selector.matches(&seen) {
                let connections = connections.remove(&volume.id).unwrap_or_default();
                volumes.push(VolumeEntry::new(&site.endpoint, &volume, &connections));
            }
        }
    }
    volumes.sort_by(|one, two| {
        (&one.name, &one.array, &one.id).cmp(&(&two.name, &two.array, &two.id))
    });
    VolumeList {
        format: FORMAT,
        volumes,
        unavailable: answers.silent,
    }
}

async fn of_array(
    backend: Arc<dyn Backend>,
    all: bool,
) -> Result<(Labels, Vec<Volume>, Vec<Connection>)> {
    let mut volumes = all_volumes(&*backend).await?;
    if all {
        let trash = all_trash(&*backend).await?;
        volumes.extend(trash.into_iter().map(|one| one.volume));
    }
    let connections = all_connections(&*backend, None).await?;
    Ok((backend.labels(), volumes, connections))
}
