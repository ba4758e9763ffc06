//! `fairlead volume inspect`: everything that is known of a volume.

use std::sync::Arc;

use host_attach::{LedgerEntry, Recorded};
use storage_core::{Backend, Connection, Result, Volume, VolumeKey, VolumeName, VolumeState};

use super::advice::advice;
use super::connections::Here;
use super::gather::{all_connections, all_trash};
use super::reach::{Arrays, Site};
use super::report::{FORMAT, InspectedVolume, Inspection, LedgerState, VolumeEntry};

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
            let found = found.iter().filter(|(volume, _)| volume.name == *name);
            volumes
                .extend(found.map(|(volume, connected)| inspected(site, volume, connected, here)));
        }
        if volumes.len() == before {
            missing.push(name.clone());
        }
    }
    if !missing.is_empty() {
        let question = async |backend: Arc<dyn Backend>| all_trash(&*backend).await;
        let trash = arrays.ask(|backend| Box::pin(question(backend))).await;
        for (site, found) in trash.told {
            let found = found.iter().map(|one| &one.volume);
            for volume in found.filter(|volume| missing.contains(&volume.name)) {
                volumes.push(inspected(&site, volume, &[], here));
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

async fn look_up(
    backend: Arc<dyn Backend>,
    names: Vec<VolumeName>,
) -> Result<Vec<(Volume, Vec<Connection>)>> {
    let mut found = Vec::new();
    for name in names {
        let Some(volume) = backend.get(VolumeKey::Name(name)).await? else {
            continue;
        };
        let connections = if volume.state == VolumeState::Destroyed {
            Vec::new()
        } else {
            all_connections(&*backend, Some(&volume)).await?
        };
        found.push((volume, connections));
    }
    Ok(found)
}

fn inspected(
    site: &Site,
    volume: &Volume,
    connections: &[Connection],
    here: &Here,
) -> InspectedVolume {
    let recorded = connections.iter().find_map(|one| one.recorded.as_ref());
    let ledger = here.ledger.as_ref();
    let mut entries = ledger.iter().flat_map(|ledger| &ledger.entries);
    let mut intended = ledger.iter().flat_map(|ledger| &ledger.intended);
    InspectedVolume {
        volume: VolumeEntry::new(&site.endpoint, volume, connections),
        grant: recorded.map(|holder| holder.nonce.to_string()),
        holder: recorded.map(|holder| holder.machine.clone()),
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
