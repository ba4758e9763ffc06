//! Pods and volume groups.

use serde_json::{Map, Value, json};

use super::{Usage, reference, space};
use crate::flasharray::state::{Destroyed, Pod, VolumeGroup};
use crate::flasharray::{Core, RestVersion};

/// Properties that listings of pods and volume groups can be filtered and sorted by.
pub(crate) const CONTAINER: &[&str] = &[
    "id",
    "name",
    "destroyed",
    "time_remaining",
    "volume_count",
    "pod.id",
    "pod.name",
    "qos.bandwidth_limit",
    "qos.iops_limit",
    "array_count",
    "quota_limit",
    "mediator",
    "promotion_status",
    "requested_promotion_state",
    "link_source_count",
    "link_target_count",
    "footprint",
    "space.total_physical",
    "space.total_used",
    "space.total_provisioned",
    "space.unique",
    "space.snapshots",
];

fn time_remaining(core: &Core, destroyed: Option<&Destroyed>) -> Option<u64> {
    let until = destroyed?.eradicate_at_ms;
    Some(until.saturating_sub(core.now_ms()))
}

/// A pod as `/pods` shows it. It has one array: this one.
pub(crate) fn pod(core: &Core, pod: &Pod, version: RestVersion) -> Value {
    let usage = Usage::of_volumes(core, core.state.volumes_in(&pod.prefix()));
    let state = if pod.demoted { "demoted" } else { "promoted" };
    let mut value = json!({
        "id": pod.id,
        "name": pod.name,
        "arrays": [{
            "id": core.settings.id,
            "name": core.settings.name,
            "frozen_at": null,
            "mediator_status": "online",
            "pre_elected": false,
            "progress": null,
            "status": "online",
        }],
        "destroyed": pod.destroyed.is_some(),
        "failover_preferences": [],
        "footprint": usage.unique + usage.snapshots,
        "link_source_count": 0,
        "link_target_count": 0,
        "mediator": "purestorage",
        "mediator_version": null,
        "promotion_status": state,
        "requested_promotion_state": state,
        "source": {},
        "space": space(usage, version),
        "time_remaining": time_remaining(core, pod.destroyed.as_ref()),
    });
    // Absent in 2.2, present in 2.26; the version in between is not known.
    if let Some(map) = value.as_object_mut()
        && version > RestVersion(2)
    {
        map.insert("array_count".to_owned(), json!(1));
        map.insert("quota_limit".to_owned(), json!(pod.quota_limit));
        // The words are the array's, not those of protection groups.
        let eradication = json!({
            "manual_eradication":
                if core.settings.eradication_disabled { "all-disabled" } else { "all-enabled" },
        });
        map.insert("eradication_config".to_owned(), eradication);
    }
    value
}

/// A volume group as `/volume-groups` shows it. That `volume_count` leaves out what is destroyed
/// is assumed.
pub(crate) fn volume_group(core: &Core, group: &VolumeGroup, version: RestVersion) -> Value {
    let prefix = group.prefix();
    let volumes = core.state.volumes_in(&prefix);
    let live = volumes
        .clone()
        .filter(|volume| volume.destroyed.is_none())
        .count();
    let mut qos = Map::new();
    if let Some(limit) = group.qos.bandwidth_limit {
        qos.insert("bandwidth_limit".to_owned(), json!(limit));
    }
    if let Some(limit) = group.qos.iops_limit {
        qos.insert("iops_limit".to_owned(), json!(limit));
    }
    let mut value = json!({
        "id": group.id,
        "name": group.name,
        "destroyed": group.destroyed.is_some(),
        "qos": qos,
        "space": space(Usage::of_volumes(core, volumes), version),
        "time_remaining": time_remaining(core, group.destroyed.as_ref()),
        "volume_count": live,
    });
    // As with pods.
    if let Some(map) = value.as_object_mut()
        && version > RestVersion(2)
    {
        let pod = core.state.pod_of(&group.name);
        let (operator, adjustment) = &group.priority_adjustment;
        map.insert(
            "pod".to_owned(),
            reference(pod.map(|pod| (&pod.id, &pod.name))),
        );
        map.insert(
            "priority_adjustment".to_owned(),
            json!({
                "priority_adjustment_operator": operator,
                "priority_adjustment_value": adjustment,
            }),
        );
    }
    value
}
