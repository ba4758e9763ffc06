//! `fairlead volume release`: takes a volume from a host that somebody says is dead.
//!
//! Exactly the host named, and only one of ours. Nobody gets the volume by it: the next mount does.

use std::sync::Arc;

use storage_core::{
    Backend, Error, ErrorKind, Outcome, ReleaseHost, Result, Volume, VolumeKey, VolumeName,
    VolumeState,
};

use super::gather::all_connections;
use super::reach::{Arrays, Site};
use super::report::{FORMAT, FenceEntry, HostRelease, Unavailable, VolumeEntry};

/// Takes the volume from the host object of that name.
///
/// # Errors
/// `NotFound` when no array has the volume, or the host does not have it (naming who has);
/// `FailedPrecondition` when several arrays have the name, or the host is not ours;
/// `Unavailable` when the volume was not found and an array did not answer; and what
/// [`storage_core::Fencing::release`] says.
pub async fn release(arrays: &Arrays, name: &VolumeName, host: &str) -> Result<HostRelease> {
    let wanted = name.clone();
    let answers = arrays
        .ask(move |backend| {
            let key = VolumeKey::Name(wanted.clone());
            async move { backend.get(key).await }
        })
        .await;
    let told = answers.told.into_iter();
    let found: Vec<(Site, Volume)> = told
        .filter_map(|(site, found)| Some((site, found?)))
        .filter(|(_, volume)| volume.state != VolumeState::Destroyed)
        .collect();
    let (site, volume) = match found.as_slice() {
        [only] => only,
        [] => return Err(missing(name, &answers.silent)),
        several => return Err(ambiguous(several)),
    };
    let unasked = |reason: &str| Error::new(ErrorKind::Unavailable, reason);
    let backend: &Arc<dyn Backend> = site.backend.as_ref().map_err(|reason| unasked(reason))?;
    let fencing = backend.fencing().ok_or_else(|| {
        let message = "volumes of this array cannot be taken from a host";
        Error::new(ErrorKind::Unsupported, message)
    })?;
    let request = ReleaseHost {
        volume: volume.clone(),
        host: host.to_owned(),
    };
    let released: Outcome<_> = fencing.release(request).await?;
    // What is left is told; that it cannot be told undoes nothing.
    let left = all_connections(&**backend, Some(volume)).await;
    Ok(HostRelease {
        format: FORMAT,
        changed: released.is_done(),
        host: host.to_owned(),
        fence: FenceEntry::new(released.get()),
        volume: VolumeEntry::new(&site.endpoint, volume, &left.unwrap_or_default()),
    })
}

fn missing(name: &VolumeName, silent: &[Unavailable]) -> Error {
    if silent.is_empty() {
        let message = format!("no array has a volume `{name}`; `fairlead volume ls` lists them");
        return Error::new(ErrorKind::NotFound, message);
    }
    let arrays: Vec<String> = silent
        .iter()
        .map(|one| format!("{} ({})", one.endpoint, one.error))
        .collect();
    let message = format!(
        "no array that answers has a volume `{name}`, and these do not: {}",
        arrays.join("; ")
    );
    Error::new(ErrorKind::Unavailable, message)
}

fn ambiguous(several: &[(Site, Volume)]) -> Error {
    let objects: Vec<String> = several
        .iter()
        .map(|(site, volume)| format!("{} on {}", volume.object, site.endpoint))
        .collect();
    let message = format!(
        "several arrays have a volume of the name: {}; nothing was changed",
        objects.join(", ")
    );
    Error::new(ErrorKind::FailedPrecondition, message)
}
