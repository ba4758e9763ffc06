//! `/ports/initiators`: who is logged in where.

use serde_json::json;

use super::rendered::{Shape, list};
use crate::flasharray::state::{ErrorItem, Host, Refusal};
use crate::flasharray::{Core, Port, Reply, Request, RestVersion};

const SHAPE: Shape = Shape {
    properties: &[
        "initiator.iqn",
        "initiator.nqn",
        "initiator.wwn",
        "initiator.portal",
        "target.name",
        "target.iqn",
        "target.nqn",
        "target.wwn",
        "target.portal",
    ],
    sums: &[],
};

/// The initiators of a host that speak what a port speaks.
fn initiators<'a>(host: &'a Host, port: &Port) -> &'a [String] {
    match (&port.portal, &port.wwn) {
        (Some(_), _) if port.nvme => &host.nqns,
        (Some(_), _) => &host.iqns,
        (None, Some(_)) => &host.wwns,
        (None, None) => &[],
    }
}

/// GET `/ports/initiators`. Documented. No fabric is simulated: every initiator that a host has is
/// logged in at every enabled port of its kind (assumed). `names` are those of ports.
pub(super) fn list_initiators(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let settings = &core.settings;
    let names = request.params.list("names")?;
    let is = |name: &str, port: &Port| name.eq_ignore_ascii_case(&port.name);
    let missing: Vec<ErrorItem> = names
        .iter()
        .flatten()
        .filter(|name| !settings.ports.iter().any(|port| is(name, port)))
        .flat_map(|name| Refusal::new("Port does not exist.", Some(name)).errors)
        .collect();
    if !missing.is_empty() {
        return Err(Refusal {
            status: 400,
            errors: missing,
        });
    }
    let mut lines = Vec::new();
    for port in settings.ports.iter().filter(|port| port.enabled) {
        let wanted = names.as_ref();
        if !wanted.is_none_or(|names| names.iter().any(|name| is(name, port))) {
            continue;
        }
        for host in core.state.hosts.iter() {
            for name in initiators(host, port) {
                let iscsi = port.portal.is_some() && !port.nvme;
                let nvme = port.portal.is_some() && port.nvme;
                let fc = port.portal.is_none();
                let mut line = json!({
                    "initiator": {
                        "iqn": iscsi.then_some(name),
                        "nqn": nvme.then_some(name),
                        "wwn": fc.then_some(name),
                        "portal": null,
                    },
                    "target": {
                        "name": port.name,
                        "iqn": iscsi.then_some(&settings.iqn),
                        "nqn": nvme.then_some(&settings.nqn),
                        "wwn": port.wwn,
                        "portal": port.portal,
                        "failover": null,
                    },
                });
                // Absent in 2.26, present in 2.50; the version in between is not known.
                if let Some(map) = line.as_object_mut()
                    && request.version > RestVersion(26)
                {
                    map.insert("encryption".to_owned(), json!({ "enabled": false }));
                }
                lines.push((format!("{:05}", lines.len()), line));
            }
        }
    }
    list(request, SHAPE, lines)
}
