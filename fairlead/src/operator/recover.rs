//! `fairlead volume trash recover`: a removed volume becomes a volume again.
//!
//! One name, one volume: a removed one comes back under a name that no array of the fleet has, and
//! one that does not answer may have it. So the name is held by the fleet's votes before it is given, and
//! once more before anybody is told ([`super::name_votes`]): a create at the same moment is told of
//! this volume, or this command is refused.

use std::sync::Arc;

use storage_core::{
    Backend, Error, ErrorKind, Outcome, RecoverVolume, Result, TrashedVolume, Volume, VolumeKey,
    VolumeName, VolumeState,
};

use super::gather::all_trash;
use super::name_votes;
use super::reach::{Arrays, Site};
use super::report::{FORMAT, Recovery, Unavailable, VolumeEntry};

/// Which volume is to be had back.
#[derive(Clone, Debug)]
pub struct Recover {
    /// The name that its user knew, the object's name on the array, or its id.
    pub which: String,
    /// The name that it gets; `None` for the one it had.
    pub name: Option<VolumeName>,
    /// The array's address, name or id, where several have such a volume.
    pub array: Option<String>,
}

/// Makes a removed volume a volume again.
///
/// # Errors
/// `NotFound` when it is in no array's trash; `FailedPrecondition` when several are meant;
/// `AlreadyExists` when the name is taken; `Unavailable` when an array that may have the name does
/// not answer; and what [`storage_core::Trash::recover`] says.
pub async fn recover(arrays: &Arrays, request: &Recover) -> Result<Recovery> {
    let question = async |backend: Arc<dyn Backend>| all_trash(&*backend).await;
    let answers = arrays.ask(|backend| Box::pin(question(backend))).await;
    let mut found: Vec<(Site, TrashedVolume)> = Vec::new();
    for (site, trash) in answers.told {
        let meant = trash
            .into_iter()
            .filter(|one| is_meant(&site, &one.volume, request));
        found.extend(meant.map(|one| (site.clone(), one)));
    }
    let (site, one) = match found.as_slice() {
        [only] => only,
        [] => return in_use_already(arrays, request, &answers.silent).await,
        several => return Err(ambiguous(several)),
    };
    let volume = &one.volume;
    let name = request.name.as_ref().unwrap_or(&volume.name);
    name_is_free(arrays, name, volume).await?;
    name_votes::hold(arrays, name, volume).await?;
    let backend = site.backend.as_ref().map_err(|reason| unasked(reason))?;
    let trash = backend.trash().ok_or_else(|| unasked("it has no trash"))?;
    let recovered = trash.recover(RecoverVolume {
        volume: volume.id.clone(),
        name: request.name.clone(),
    });
    let recovered = recovered.await?;
    still_alone(arrays, recovered.get()).await?;
    Ok(told(&site.endpoint, &recovered))
}

fn told(endpoint: &str, recovered: &Outcome<Volume>) -> Recovery {
    Recovery {
        format: FORMAT,
        changed: recovered.is_done(),
        volume: VolumeEntry::new(endpoint, recovered.get(), &[]),
    }
}

fn unasked(reason: &str) -> Error {
    Error::new(ErrorKind::Unavailable, reason)
}

fn is_meant(site: &Site, volume: &Volume, request: &Recover) -> bool {
    let which = request.which.as_str();
    let here = request.array.as_ref().is_none_or(|array| {
        [
            site.endpoint.as_str(),
            &volume.array_name,
            volume.id.array().as_str(),
        ]
        .contains(&array.as_str())
    });
    here && (volume.name.as_str() == which
        || volume.object.eq_ignore_ascii_case(which)
        || volume.id.to_string() == which)
}

fn ambiguous(several: &[(Site, TrashedVolume)]) -> Error {
    let objects: Vec<String> = several
        .iter()
        .map(|(site, one)| format!("{} on {}", one.volume.object, site.endpoint))
        .collect();
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "several removed volumes are meant: {}; name the object instead (see `fairlead volume trash ls`)",
            objects.join(", ")
        ),
    )
}

/// The name that it is to have, where it can be told without the volume.
fn wanted(request: &Recover) -> Option<VolumeName> {
    let known = request.name.clone();
    known.or_else(|| VolumeName::new(request.which.clone()).ok())
}

/// Nothing of that description is in the trash: an earlier call may have had it back.
async fn in_use_already(
    arrays: &Arrays,
    request: &Recover,
    silent: &[Unavailable],
) -> Result<Recovery> {
    if !silent.is_empty() {
        return Err(may_have(silent, "it may be in the trash there"));
    }
    if let Some(name) = wanted(request) {
        let answers = bearers(arrays, &name).await;
        for (site, found) in &answers.0 {
            let ready = found.state == VolumeState::Ready;
            if ready && (request.name.is_none() || found.object == request.which) {
                // An earlier call may have ended before this.
                still_alone(arrays, found).await?;
                return Ok(told(&site.endpoint, &Outcome::AlreadySo(found.clone())));
            }
        }
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "no array has `{}` in its trash; `fairlead volume trash ls` tells what there is",
            request.which
        ),
    ))
}

fn may_have(silent: &[Unavailable], why: &str) -> Error {
    let arrays: Vec<String> = silent
        .iter()
        .map(|one| format!("{} ({})", one.endpoint, one.error))
        .collect();
    Error::new(
        ErrorKind::Unavailable,
        format!("not every array answers, and {why}: {}", arrays.join("; ")),
    )
}

async fn bearers(arrays: &Arrays, name: &VolumeName) -> (Vec<(Site, Volume)>, Vec<Unavailable>) {
    let name = name.clone();
    let answers = arrays
        .ask(move |backend| {
            let key = VolumeKey::Name(name.clone());
            async move { backend.get(key).await }
        })
        .await;
    let told = answers.told.into_iter();
    let found = told.filter_map(|(site, found)| Some((site, found?)));
    (found.collect(), answers.silent)
}

/// # Errors
/// When another volume has the name anywhere, or may have it.
async fn name_is_free(arrays: &Arrays, name: &VolumeName, volume: &Volume) -> Result<()> {
    let (found, silent) = bearers(arrays, name).await;
    if let Some((site, other)) = found.iter().find(|(_, other)| other.id != volume.id) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "the name `{name}` is taken by {} on {}; recover the volume under another one (--name)",
                other.object, site.endpoint
            ),
        ));
    }
    if !silent.is_empty() {
        return Err(may_have(
            &silent,
            &format!("one of them may have the name `{name}`"),
        ));
    }
    Ok(())
}

/// # Errors
/// When another array got a volume of the name meanwhile, or that cannot be told.
async fn still_alone(arrays: &Arrays, volume: &Volume) -> Result<()> {
    alone(arrays, volume).await?;
    let held = name_votes::hold(arrays, &volume.name, volume).await;
    held.map_err(|error| {
        let kind = error.kind();
        let message = format!(
            "the volume is recovered as {}, and whether it alone has the name is not known; run it again",
            volume.object
        );
        Error::new(kind, message).with_source(error)
    })
}

/// # Errors
/// When another array got a volume of the name meanwhile.
async fn alone(arrays: &Arrays, volume: &Volume) -> Result<()> {
    let (found, _silent) = bearers(arrays, &volume.name).await;
    match found.iter().find(|(_, other)| other.id != volume.id) {
        None => Ok(()),
        Some((site, other)) => Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the volume is recovered as {}, and a volume of the same name was made at the same moment: {} on {}; remove or rename one of them on its array before anybody mounts either",
                volume.object, other.object, site.endpoint
            ),
        )),
    }
}
