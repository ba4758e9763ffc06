//! A line of `/volume-snapshots`.

use serde_json::{Value, json};

use super::volumes::context;
use super::{Usage, place, reference, space};
use crate::flasharray::state::Snapshot;
use crate::flasharray::{Core, RestVersion};
use crate::query::{Field, Row, from_json};

#[derive(Debug)]
pub(crate) struct SnapshotRow<'a> {
    pub(crate) core: &'a Core,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) version: RestVersion,
    name: String,
}

impl<'a> SnapshotRow<'a> {
    pub(crate) fn new(core: &'a Core, snapshot: &'a Snapshot, version: RestVersion) -> Self {
        Self {
            core,
            snapshot,
            version,
            name: core.state.snapshot_name(snapshot),
        }
    }

    fn time_remaining(&self) -> Option<u64> {
        let destroyed = self.snapshot.destroyed.as_ref()?;
        Some(destroyed.eradicate_at_ms.saturating_sub(self.core.now_ms()))
    }

    fn usage(&self) -> Usage {
        Usage {
            provisioned: self.snapshot.provisioned,
            unique: 0,
            snapshots: self.core.data.used_bytes(&self.snapshot.serial),
        }
    }
}

impl Row for SnapshotRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "id",
        "name",
        "suffix",
        "created",
        "destroyed",
        "time_remaining",
        "provisioned",
        "serial",
        "source.id",
        "source.name",
        "pod.id",
        "pod.name",
        "volume_group.id",
        "volume_group.name",
        "space.snapshots",
        "space.total_physical",
        "space.total_used",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        let snapshot = self.snapshot;
        let volume = self.core.state.volumes.get(snapshot.volume);
        match path {
            "id" => Field::text(&snapshot.id),
            "name" => Field::text(&self.name),
            "suffix" => Field::text(&snapshot.suffix),
            "created" => Field::number(snapshot.created_ms),
            "destroyed" => Field::Bool(snapshot.destroyed.is_some()),
            "time_remaining" => self.time_remaining().map_or(Field::Null, Field::number),
            "provisioned" => Field::number(snapshot.provisioned),
            "serial" => Field::text(&snapshot.serial),
            "source.id" => Field::optional(volume.map(|volume| volume.id.as_str())),
            "source.name" => Field::optional(volume.map(|volume| volume.name.as_str())),
            _ => from_json(&self.render(), path),
        }
    }

    fn place(&self) -> String {
        place(self.snapshot.sequence, "")
    }

    fn render(&self) -> Value {
        let snapshot = self.snapshot;
        let source = self.core.state.volumes.get(snapshot.volume).map_or_else(
            || json!({}),
            |volume| json!({ "id": volume.id, "name": volume.name }),
        );
        let pod = self.core.state.pod_of(&self.name);
        let group = self.core.state.volume_group_of(&self.name);
        let mut value = json!({
            "id": snapshot.id,
            "name": self.name,
            "created": snapshot.created_ms,
            "destroyed": snapshot.destroyed.is_some(),
            "pod": reference(pod.map(|pod| (&pod.id, &pod.name))),
            "provisioned": snapshot.provisioned,
            "source": source,
            "suffix": snapshot.suffix,
            "time_remaining": self.time_remaining(),
            "serial": snapshot.serial,
            "space": space(self.usage(), self.version),
            "volume_group": reference(group.map(|group| (&group.id, &group.name))),
        });
        if let Some(map) = value.as_object_mut()
            && self.version >= RestVersion(38)
        {
            map.insert("context".to_owned(), context(self.core));
        }
        value
    }

    fn total(rows: &[&Self]) -> Option<Value> {
        let version = rows.first().map_or(RestVersion(26), |row| row.version);
        let usage = rows
            .iter()
            .map(|row| row.usage())
            .fold(Usage::default(), |sum, next| Usage {
                provisioned: sum.provisioned + next.provisioned,
                unique: 0,
                snapshots: sum.snapshots + next.snapshots,
            });
        Some(json!({
            "id": null,
            "name": null,
            "provisioned": usage.provisioned,
            "space": space(usage, version),
        }))
    }
}
