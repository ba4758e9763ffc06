//! Protection groups.

use serde_json::{Value, json};

use super::{Usage, reference, space};
use crate::flasharray::state::ProtectionGroup;
use crate::flasharray::{Core, RestVersion};

/// Properties that listings of protection groups can be filtered and sorted by.
pub(crate) const PROTECTION_GROUP: &[&str] = &[
    "id",
    "name",
    "destroyed",
    "host_count",
    "host_group_count",
    "is_local",
    "pod.id",
    "pod.name",
    "retention_lock",
    "snapshot_schedule.enabled",
    "replication_schedule.enabled",
    "target_count",
    "time_remaining",
    "volume_count",
];

/// A protection group as `/protection-groups` shows it. It has no schedule and keeps nothing.
pub(crate) fn protection_group(
    core: &Core,
    group: &ProtectionGroup,
    version: RestVersion,
) -> Value {
    let pod = core.state.pod_of(&group.name);
    let volumes = group.volumes.iter();
    let volumes = volumes.filter_map(|at| core.state.volumes.get(*at));
    let schedule = json!({ "at": null, "enabled": false, "frequency": null });
    let mut replication = schedule.clone();
    if let Some(map) = replication.as_object_mut() {
        map.insert("blackout".to_owned(), json!({}));
    }
    let retention = json!({ "all_for_sec": 86_400, "days": 7, "per_day": 4 });
    let mut value = json!({
        "name": group.name,
        "destroyed": false,
        "host_count": group.hosts.len(),
        "host_group_count": group.host_groups.len(),
        "is_local": true,
        "pod": reference(pod.map(|pod| (&pod.id, &pod.name))),
        "replication_schedule": replication,
        "snapshot_schedule": schedule,
        "source": { "id": core.settings.id, "name": core.settings.name },
        "source_retention": retention,
        "space": space(Usage::of_volumes(core, volumes), version),
        "target_count": group.targets.len(),
        "target_retention": retention,
        "time_remaining": null,
        "volume_count": group.volumes.len(),
    });
    // Absent in 2.2, present in 2.26; the version in between is not known.
    if let Some(map) = value.as_object_mut()
        && version > RestVersion(2)
    {
        map.insert("id".to_owned(), json!(group.id));
        let eradication = json!({
            "manual_eradication":
                if core.settings.eradication_disabled { "disabled" } else { "enabled" },
        });
        map.insert("eradication_config".to_owned(), eradication);
        let lock = if group.ratcheted {
            "ratcheted"
        } else {
            "unlocked"
        };
        map.insert("retention_lock".to_owned(), json!(lock));
    }
    value
}
