//! A line of `/connections`.

use serde_json::{Map, Value, json};

use super::volumes::context;
use super::{named, place};
use crate::flasharray::state::Side;
use crate::flasharray::{Core, RestVersion};
use crate::query::{Field, Row};

#[derive(Debug)]
pub(crate) struct ConnectionRow<'a> {
    pub(crate) core: &'a Core,
    pub(crate) side: Side<'a>,
    pub(crate) version: RestVersion,
}

impl ConnectionRow<'_> {
    fn host(&self) -> Option<&str> {
        let host = self.core.state.hosts.get(self.side.host?)?;
        Some(&host.name)
    }

    fn group(&self) -> Option<&str> {
        let group = self.core.state.groups.get(self.side.group?)?;
        Some(&group.name)
    }

    fn volume(&self) -> Option<&crate::flasharray::state::Volume> {
        self.core.state.volumes.get(self.side.connection.volume)
    }

    fn is_nvme(&self) -> bool {
        self.side
            .host
            .and_then(|host| self.core.state.hosts.get(host))
            .is_some_and(crate::flasharray::state::Host::is_nvme)
    }
}

impl Row for ConnectionRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "host.name",
        "host_group.name",
        "volume.id",
        "volume.name",
        "lun",
        "nsid",
        "protocol_endpoint.id",
        "protocol_endpoint.name",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        let number = Field::number(u64::from(self.side.connection.number));
        match path {
            "host.name" => Field::optional(self.host()),
            "host_group.name" => Field::optional(self.group()),
            "volume.id" => Field::optional(self.volume().map(|volume| volume.id.as_str())),
            "volume.name" => Field::optional(self.volume().map(|volume| volume.name.as_str())),
            "lun" if !self.is_nvme() => number,
            "nsid" if self.is_nvme() => number,
            _ => Field::Null,
        }
    }

    fn place(&self) -> String {
        place(
            self.side.connection.sequence,
            &format!("{:020}", self.side.host.unwrap_or(0)),
        )
    }

    fn render(&self) -> Value {
        let number = self.side.connection.number;
        let nvme = self.is_nvme();
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| {
            map.insert(name.to_owned(), value);
        };
        put("host", named(self.host()));
        put("host_group", named(self.group()));
        put("lun", if nvme { Value::Null } else { json!(number) });
        put("protocol_endpoint", json!({}));
        put(
            "volume",
            self.volume().map_or_else(
                || json!({}),
                |volume| json!({ "id": volume.id, "name": volume.name }),
            ),
        );
        // In 2.36 and not in 2.26; the version in between is not known.
        if self.version >= RestVersion(36) {
            put("nsid", if nvme { json!(number) } else { Value::Null });
        }
        if self.version >= RestVersion(38) {
            put("context", context(self.core));
        }
        Value::Object(map)
    }
}
