//! What `docker volume inspect` shows of a volume beyond Docker's own fields: its `Status`.
//!
//! Made from what is in memory, so it is as old as the volume's last reading. For people: nothing
//! reads it back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use storage_core::{Volume, VolumeHandle, VolumeState};

/// What is said of a volume whose remove was begun and not finished.
const BEING_REMOVED: &str = "being removed: remove it again to finish, or mount it to keep it";

/// The facts, by the names that they are shown under.
pub(super) fn of(handle: &VolumeHandle) -> BTreeMap<&'static str, Value> {
    let volume = &handle.volume;
    let mut status = BTreeMap::from([
        ("Array", Value::from(volume.array_name.as_str())),
        ("Object", Value::from(volume.object.as_str())),
        ("Size", Value::from(volume.size.to_string())),
        ("ID", Value::from(volume.id.to_string())),
    ]);
    if let Some(used) = volume.used {
        status.insert("Used", Value::from(used.to_string()));
    }
    if let Some(filesystem) = &volume.filesystem {
        status.insert("Filesystem", Value::from(filesystem.kind.as_str()));
    }
    let labels = handle.backend.labels();
    if !labels.is_empty() {
        status.insert("Labels", Value::from_iter(labels));
    }
    let options = options(volume);
    if !options.is_empty() {
        status.insert("Options", Value::Object(options));
    }
    if volume.state == VolumeState::Deleting {
        // There, as far as Docker goes: told otherwise, it would forget the volume, and nobody
        // could finish the remove.
        status.insert("State", Value::from(BEING_REMOVED));
    }
    status
}

/// What it was made with, whichever host that was: Docker's own `Options` are those of this host.
fn options(volume: &Volume) -> Map<String, Value> {
    let mut options = Map::new();
    let mut set = |key: &str, value: String| {
        if !value.is_empty() {
            options.insert(key.to_owned(), Value::from(value));
        }
    };
    for key in ["source", "volume_label_selector"] {
        set(key, volume.attributes.get(key).cloned().unwrap_or_default());
    }
    if let Some(filesystem) = &volume.filesystem {
        set("createoptions", filesystem.create_options.join(" "));
        set("mountoptions", filesystem.mount_options.join(","));
    }
    if let Some(iops) = volume.limits.iops {
        set("iops_limit", iops.to_string());
    }
    if let Some(bandwidth) = volume.limits.bandwidth {
        set("bandwidth_limit", bandwidth.to_string());
    }
    options
}
