//! `fairlead volume trash ls`.

use std::collections::HashSet;
use std::time::Duration;

use storage_core::{TrashedVolume, VolumeState};

use super::gather::{all_trash, all_volumes};
use super::reach::Arrays;
use super::report::{FORMAT, TrashEntry, TrashList, state};

/// What was removed and can be had back. `now_ms` is the time of day, which dates are told by.
pub async fn trash(arrays: &Arrays, now_ms: u64) -> TrashList {
    let question = async |backend: std::sync::Arc<dyn storage_core::Backend>| {
        let trash = all_trash(&*backend).await?;
        Ok((trash, all_volumes(&*backend).await?))
    };
    let answers = arrays.ask(|backend| Box::pin(question(backend))).await;
    let used = answers.told.iter().flat_map(|(_, (_, volumes))| volumes);
    let used: HashSet<String> = used.map(|volume| volume.name.to_string()).collect();
    let complete = answers.silent.is_empty();
    let mut volumes = Vec::new();
    for (site, (trash, _)) in answers.told {
        for one in trash {
            let taken = used.contains(one.volume.name.as_str());
            let taken = (taken || complete).then_some(taken);
            volumes.push(entry(&site.endpoint, &one, taken, now_ms));
        }
    }
    volumes.sort_by(|one, two| {
        let left = |entry: &TrashEntry| entry.seconds_left.unwrap_or(u64::MAX);
        (&one.name, left(one), &one.object).cmp(&(&two.name, left(two), &two.object))
    });
    TrashList {
        format: FORMAT,
        volumes,
        unavailable: answers.silent,
    }
}

fn entry(endpoint: &str, one: &TrashedVolume, name_taken: Option<bool>, now_ms: u64) -> TrashEntry {
    let volume = &one.volume;
    let ago = |ago: Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    TrashEntry {
        name: volume.name.to_string(),
        id: volume.id.to_string(),
        array: volume.array_name.clone(),
        endpoint: endpoint.to_owned(),
        object: volume.object.clone(),
        state: state(volume.state).to_owned(),
        size_bytes: volume.size.bytes(),
        destroyed_ms: one
            .removed_ago
            .filter(|_| volume.state == VolumeState::Destroyed)
            .map(|time| now_ms.saturating_sub(ago(time))),
        seconds_left: one.time_left.map(|left| left.as_secs()),
        name_taken,
    }
}
