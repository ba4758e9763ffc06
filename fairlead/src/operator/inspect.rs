//! `fairlead volume inspect`: everything that is known of a volume.

use std::sync::Arc;

use host_attach::{LedgerEntry, Recorded};
use storage_core::{
    Backend, Connection, Fence, Result, Volume, VolumeKey, VolumeName, VolumeState,
};

use super::advice::advice;
use super::connections::Here;
use super::gather::{all_connections, all_trash};
use super::reach::{Arrays, Site};
use super::report::{FORMAT, FenceEntry, InspectedVolume, Inspection, LedgerState, VolumeEntry};

/// Looks volumes up on every array, in the trash too where no array has the name.
pub async fn inspect(arrays: &Arrays, names: &[VolumeName], here: &Here) -> Inspection {
    let asked = names.to_vec();
    let answers = arrays
        .ask(move |backend| look_up(backend, asked.clone()))
        .await;
    let (mut volumes, mut unavailable) = (Vec::new(), answers.silent);
    let mut missing = Vec::new();
    for name in names {
        let before = volumes.len();
        for (site, found) in &answers.told {
            let found = found.iter().filter(|found| found.volume.name == *name);
            volumes.extend(found.map(|found| inspected(site, found, here)));
        }
        if volumes.len() == before {
            missing.push(name.clone());
        }
    }
    if !missing.is_empty() {
        let question = async |backend: Arc<dyn Backend>| all_trash(&*backend).await;
        let trash = arrays.ask(|backend| Box::pin(question(backend))).await;
        for (site, found) in trash.told {
            let found = found.into_iter().map(|one| one.volume);
            for volume in found.filter(|volume| missing.contains(&volume.name)) {
                volumes.push(inspected(&site, &Found::alone(volume), here));
            }
        }
        for silent in trash.silent {
            let known = unavailable
                .iter()
                .any(|one| one.endpoint == silent.endpoint);
            unavailable.extend((!known).then_some(silent));
        }
        missing.retain(|name| !volumes.iter().any(|one| one.volume.name == name.as_str()));
    }
    Inspection {
        format: FORMAT,
        volumes,
        not_found: missing.iter().map(ToString::to_string).collect(),
        unavailable,
    }
}

/// What an array says of a volume.
#[derive(Debug)]
struct Found {
    volume: Volume,
    connections: Vec<Connection>,
    fence: Option<Fence>,
}

impl Found {
    const fn alone(volume: Volume) -> Self {
        Self {
            volume,
            connections: Vec::new(),
            fence: None,
        }
    }
}

async fn look_up(backend: Arc<dyn Backend>, names: Vec<VolumeName>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in names {
        let Some(volume) = backend.get(VolumeKey::Name(name)).await? else {
            continue;
        };
        if volume.state == VolumeState::Destroyed {
            found.push(Found::alone(volume));
            continue;
        }
        found.push(Found {
            connections: all_connections(&*backend, Some(&volume)).await?,
            fence: match backend.fencing() {
                Some(fencing) => fencing.last_fence(&volume).await?,
                None => None,
            },
            volume,
        });
    }
    Ok(found)
}

fn inspected(site: &Site, found: &Found, here: &Here) -> InspectedVolume {
    let Found {
        volume,
        connections,
        fence,
    } = found;
    let recorded = connections.iter().find_map(|one| one.recorded.as_ref());
    let ledger = here.ledger.as_ref();
    let mut entries = ledger.iter().flat_map(|ledger| &ledger.entries);
    let mut intended = ledger.iter().flat_map(|ledger| &ledger.intended);
    InspectedVolume {
        volume: VolumeEntry::new(&site.endpoint, volume, connections),
        grant: recorded.map(|holder| holder.nonce.to_string()),
        holder: recorded.map(|holder| holder.machine.clone()),
        fence: fence.as_ref().map(FenceEntry::new),
        ledger: entries.find(|entry| entry.volume == volume.id).map(state),
        publish_open: intended.any(|held| held.volume == volume.id),
        advice: advice(volume, connections, here),
    }
}

fn state(entry: &LedgerEntry) -> LedgerState {
    LedgerState {
        recorded: match entry.recorded {
            Recorded::Attach => "attach",
            Recorded::Detach => "detach",
            Recorded::Released => "released",
            Recorded::Forgotten => "forgotten",
            _ => "unknown",
        }
        .to_owned(),
        mountpoint: entry.mountpoint.display().to_string(),
        mounted: entry.mounted,
        device: entry
            .device
            .as_ref()
            .map(|device| device.display().to_string()),
        grant: entry.nonce.to_string(),
    }
}
