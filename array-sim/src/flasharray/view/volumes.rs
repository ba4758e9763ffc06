//! A volume, and its line of `/volumes/space`.

use serde_json::{Map, Value, json};

use super::{Usage, place, reference, space};
use crate::flasharray::state::{Pod, Volume, VolumeGroup};
use crate::flasharray::{Core, RestVersion};
use crate::query::{Field, Row};

/// A volume of `/volumes`.
#[derive(Debug)]
pub(crate) struct VolumeRow<'a> {
    pub(crate) core: &'a Core,
    pub(crate) volume: &'a Volume,
    pub(crate) version: RestVersion,
}

impl VolumeRow<'_> {
    fn usage(&self) -> Usage {
        Usage::of_volume(self.core, self.volume)
    }

    fn pod(&self) -> Option<&Pod> {
        self.core.state.pod_of(&self.volume.name)
    }

    fn volume_group(&self) -> Option<&VolumeGroup> {
        self.core.state.volume_group_of(&self.volume.name)
    }

    /// Hosts and host groups: each counts once.
    fn connection_count(&self) -> usize {
        self.core
            .state
            .connections_of_volume(self.volume.sequence)
            .count()
    }

    fn source_name(&self) -> Option<&str> {
        let source = self.volume.source.as_ref()?;
        let now = self.core.state.volumes.by_id(&source.id);
        Some(now.map_or(source.name.as_str(), |volume| volume.name.as_str()))
    }

    fn time_remaining(&self) -> Option<u64> {
        let destroyed = self.volume.destroyed.as_ref()?;
        Some(destroyed.eradicate_at_ms.saturating_sub(self.core.now_ms()))
    }

    fn space_field(&self, name: &str) -> Field<'static> {
        crate::query::from_json(&space(self.usage(), self.version), name)
    }

    fn priority(&self) -> i64 {
        let (operator, value) = &self.volume.priority_adjustment;
        if operator == "-" { -value } else { *value }
    }

    /// Optional objects are `{}` and optional values null when they are not set: the vendor's
    /// client raises on what is missing.
    fn properties(&self) -> Map<String, Value> {
        let volume = self.volume;
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| {
            map.insert(name.to_owned(), value);
        };
        put("id", json!(volume.id));
        put("name", json!(volume.name));
        put("connection_count", json!(self.connection_count()));
        put("created", json!(volume.created_ms));
        put("destroyed", json!(volume.destroyed.is_some()));
        put("host_encryption_key_status", json!("none"));
        put("provisioned", json!(volume.provisioned));
        let mut qos = Map::new();
        if let Some(limit) = volume.qos.bandwidth_limit {
            qos.insert("bandwidth_limit".to_owned(), json!(limit));
        }
        if let Some(limit) = volume.qos.iops_limit {
            qos.insert("iops_limit".to_owned(), json!(limit));
        }
        put("qos", Value::Object(qos));
        put("serial", json!(volume.serial));
        put("space", space(self.usage(), self.version));
        put("time_remaining", json!(self.time_remaining()));
        let pod = self.pod().map(|pod| (&pod.id, &pod.name));
        put("pod", reference(pod));
        put("promotion_status", json!(self.promotion()));
        put("requested_promotion_state", json!(self.promotion()));
        put(
            "source",
            volume.source.as_ref().map_or_else(
                || json!({}),
                |source| json!({ "id": source.id, "name": self.source_name() }),
            ),
        );
        put("subtype", json!(volume.subtype));
        let group = self.volume_group().map(|group| (&group.id, &group.name));
        put("volume_group", reference(group));
        // Absent in 2.2; there from 2.11 on.
        if self.version >= RestVersion(11) {
            let (operator, value) = &volume.priority_adjustment;
            put("priority", json!(self.priority()));
            put(
                "priority_adjustment",
                json!({ "priority_adjustment_operator": operator, "priority_adjustment_value": value }),
            );
        }
        // From 2.38 on every object says which array it is on.
        if self.version >= RestVersion(38) {
            put("context", context(self.core));
        }
        map
    }

    const fn promotion(&self) -> &'static str {
        if self.volume.demoted {
            "demoted"
        } else {
            "promoted"
        }
    }
}

/// `context` of REST 2.38 and later. Its content is assumed.
pub(crate) fn context(core: &Core) -> Value {
    json!({
        "id": core.settings.id,
        "name": core.settings.name,
        "resource_type": "arrays",
    })
}

impl Row for VolumeRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "id",
        "name",
        "connection_count",
        "created",
        "destroyed",
        "host_encryption_key_status",
        "provisioned",
        "serial",
        "subtype",
        "time_remaining",
        "source.id",
        "source.name",
        "pod.id",
        "pod.name",
        "volume_group.id",
        "volume_group.name",
        "qos.bandwidth_limit",
        "qos.iops_limit",
        "promotion_status",
        "requested_promotion_state",
        "priority",
        "space.total_physical",
        "space.total_used",
        "space.total_provisioned",
        "space.unique",
        "space.virtual",
        "space.snapshots",
        "space.data_reduction",
        "space.thin_provisioning",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        let volume = self.volume;
        let optional = |number: Option<u64>| number.map_or(Field::Null, Field::number);
        match path {
            "id" => Field::text(&volume.id),
            "name" => Field::text(&volume.name),
            "serial" => Field::text(&volume.serial),
            "subtype" => Field::text(&volume.subtype),
            "destroyed" => Field::Bool(volume.destroyed.is_some()),
            "created" => Field::number(volume.created_ms),
            "provisioned" => Field::number(volume.provisioned),
            "connection_count" => {
                Field::number(u64::try_from(self.connection_count()).unwrap_or(u64::MAX))
            }
            "time_remaining" => optional(self.time_remaining()),
            "source.id" => Field::optional(volume.source.as_ref().map(|source| source.id.as_str())),
            "source.name" => Field::optional(self.source_name()),
            "pod.id" => Field::optional(self.pod().map(|pod| pod.id.as_str())),
            "pod.name" => Field::optional(self.pod().map(|pod| pod.name.as_str())),
            "volume_group.id" => {
                Field::optional(self.volume_group().map(|group| group.id.as_str()))
            }
            "volume_group.name" => {
                Field::optional(self.volume_group().map(|group| group.name.as_str()))
            }
            "qos.bandwidth_limit" => optional(volume.qos.bandwidth_limit),
            "qos.iops_limit" => optional(volume.qos.iops_limit),
            "promotion_status" | "requested_promotion_state" => Field::text(self.promotion()),
            "host_encryption_key_status" => Field::text("none"),
            _ => match path.strip_prefix("space.") {
                Some(name) => self.space_field(name),
                None => crate::query::from_json(&Value::Object(self.properties()), path),
            },
        }
    }

    fn has_tag(&self, key: &str, value: &str) -> bool {
        self.volume
            .tags
            .iter()
            .any(|tag| tag.key == key && tag.value == value)
    }

    fn place(&self) -> String {
        place(self.volume.sequence, "")
    }

    fn render(&self) -> Value {
        Value::Object(self.properties())
    }

    fn total(rows: &[&Self]) -> Option<Value> {
        Some(total(rows))
    }
}

fn total(rows: &[&VolumeRow<'_>]) -> Value {
    let usage = rows
        .iter()
        .map(|row| row.usage())
        .fold(Usage::default(), |sum, next| Usage {
            provisioned: sum.provisioned + next.provisioned,
            unique: sum.unique + next.unique,
            snapshots: sum.snapshots + next.snapshots,
        });
    let version = rows.first().map_or(RestVersion(26), |row| row.version);
    let connections: usize = rows.iter().map(|row| row.connection_count()).sum();
    json!({
        "id": null,
        "name": null,
        "connection_count": connections,
        "provisioned": usage.provisioned,
        "space": space(usage, version),
    })
}

/// A line of `/volumes/space`.
#[derive(Debug)]
pub(crate) struct VolumeSpaceRow<'a>(pub(crate) VolumeRow<'a>);

impl Row for VolumeSpaceRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "id",
        "name",
        "space.total_physical",
        "space.total_used",
        "space.total_provisioned",
        "space.unique",
        "space.virtual",
        "space.snapshots",
        "space.data_reduction",
        "space.thin_provisioning",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        self.0.field(path)
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn render(&self) -> Value {
        json!({
            "id": self.0.volume.id,
            "name": self.0.volume.name,
            "time": self.0.core.now_ms(),
            "space": space(self.0.usage(), self.0.version),
        })
    }

    fn total(rows: &[&Self]) -> Option<Value> {
        let rows: Vec<&VolumeRow<'_>> = rows.iter().map(|row| &row.0).collect();
        // The room only: this listing has none of the other sums.
        let mut total = total(&rows);
        if let Some(map) = total.as_object_mut() {
            map.retain(|name, _| !matches!(name.as_str(), "connection_count" | "provisioned"));
        }
        Some(total)
    }
}
