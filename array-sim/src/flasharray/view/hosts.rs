//! Hosts, host groups, and who is in which.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Usage, named, place, space};
use crate::flasharray::state::{ConnectionTarget, Host, HostGroup};
use crate::flasharray::{Core, RestVersion};
use crate::query::{Field, Row, from_json};

#[derive(Debug)]
pub(crate) struct HostRow<'a> {
    pub(crate) core: &'a Core,
    pub(crate) host: &'a Host,
    pub(crate) version: RestVersion,
}

impl HostRow<'_> {
    fn group(&self) -> Option<&str> {
        let group = self.core.state.groups.get(self.host.group?)?;
        Some(&group.name)
    }

    fn provisioned(&self) -> u64 {
        let luns = self.core.state.luns_of(self.host.sequence);
        luns.iter()
            .filter_map(|lun| self.core.state.volumes.get(lun.volume))
            .map(|volume| volume.provisioned)
            .sum()
    }

    /// Secrets are never shown; that there is one shows as asterisks.
    fn chap(&self) -> Value {
        let secret = |set: bool| set.then_some("****");
        json!({
            "host_user": self.host.chap_host_user,
            "host_password": secret(self.host.chap_secrets.0),
            "target_user": self.host.chap_target_user,
            "target_password": secret(self.host.chap_secrets.1),
        })
    }
}

fn list(names: &[String]) -> Field<'_> {
    Field::List(
        names
            .iter()
            .map(|name| Cow::Borrowed(name.as_str()))
            .collect(),
    )
}

impl Row for HostRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "name",
        "connection_count",
        "host_group.name",
        "iqns",
        "nqns",
        "wwns",
        "is_local",
        "personality",
        "vlan",
        "chap.host_user",
        "chap.target_user",
        "port_connectivity.status",
        "space.total_provisioned",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        match path {
            "name" => Field::text(&self.host.name),
            "iqns" => list(&self.host.iqns),
            "nqns" => list(&self.host.nqns),
            // Clients ask with and without colons.
            "wwns" => Field::List(
                self.host
                    .wwns
                    .iter()
                    .flat_map(|wwn| {
                        [
                            Cow::Borrowed(wwn.as_str()),
                            Cow::Owned(wwn.replace(':', "")),
                        ]
                    })
                    .collect(),
            ),
            "is_local" => Field::Bool(true),
            "host_group.name" => Field::optional(self.group()),
            "personality" => Field::optional(self.host.personality.as_deref()),
            _ => from_json(&self.render(), path),
        }
    }

    fn place(&self) -> String {
        place(self.host.sequence, "")
    }

    fn render(&self) -> Value {
        let host = self.host;
        let count = self.core.state.luns_of(host.sequence).len();
        let usage = Usage {
            provisioned: self.provisioned(),
            ..Usage::default()
        };
        let mut value = json!({
            "name": host.name,
            "chap": self.chap(),
            "connection_count": count,
            "host_group": named(self.group()),
            "iqns": host.iqns,
            "is_local": true,
            "nqns": host.nqns,
            "personality": host.personality,
            "port_connectivity": { "details": "N/A", "status": "healthy" },
            "preferred_arrays": [],
            "space": space(usage, self.version),
            "wwns": host.wwns,
        });
        // In 2.16 and not in 2.8; the version in between is not known.
        if let Some(map) = value.as_object_mut()
            && self.version >= RestVersion(16)
        {
            map.insert(
                "vlan".to_owned(),
                json!(host.vlan.as_deref().unwrap_or("any")),
            );
        }
        of_realms(&mut value, self.version);
        value
    }
}

#[derive(Debug)]
pub(crate) struct GroupRow<'a> {
    pub(crate) core: &'a Core,
    pub(crate) group: &'a HostGroup,
    pub(crate) version: RestVersion,
}

impl Row for GroupRow<'_> {
    const PROPERTIES: &'static [&'static str] =
        &["name", "connection_count", "host_count", "is_local"];

    fn field(&self, path: &str) -> Field<'_> {
        match path {
            "name" => Field::text(&self.group.name),
            _ => from_json(&self.render(), path),
        }
    }

    fn place(&self) -> String {
        place(self.group.sequence, "")
    }

    fn render(&self) -> Value {
        let state = &self.core.state;
        let target = ConnectionTarget::Group(self.group.sequence);
        let mut value = json!({
            "name": self.group.name,
            "connection_count": state.connections_of_target(target).count(),
            "host_count": state.members(self.group.sequence).count(),
            "is_local": true,
            "space": space(Usage::default(), self.version),
        });
        of_realms(&mut value, self.version);
        value
    }
}

/// What hosts and host groups of realms can have, and those of the array only show. In 2.50 and not
/// in 2.26; the version in between is not known.
fn of_realms(value: &mut Value, version: RestVersion) {
    if let Some(map) = value.as_object_mut()
        && version >= RestVersion(27)
    {
        map.insert("destroyed".to_owned(), json!(false));
        map.insert("time_remaining".to_owned(), Value::Null);
        map.insert("qos".to_owned(), json!({}));
    }
}

/// A line of `/hosts/host-groups` and `/host-groups/hosts`: which host is in which group.
#[derive(Debug)]
pub(crate) struct MemberRow<'a> {
    pub(crate) group: &'a HostGroup,
    pub(crate) host: &'a Host,
}

impl Row for MemberRow<'_> {
    const PROPERTIES: &'static [&'static str] = &["group.name", "member.name"];

    fn field(&self, path: &str) -> Field<'_> {
        match path {
            "group.name" => Field::text(&self.group.name),
            _ => Field::text(&self.host.name),
        }
    }

    fn place(&self) -> String {
        place(self.host.sequence, "")
    }

    fn render(&self) -> Value {
        json!({
            "group": { "name": self.group.name },
            "member": { "name": self.host.name },
        })
    }
}
