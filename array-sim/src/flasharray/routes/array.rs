//! The array itself: `/arrays`, `/arrays/space`, `/arrays/performance`, `/controllers`,
//! `/hardware`, `/ports`, `/network-interfaces`. Read only.

use serde_json::{Value, json};

use super::rendered::answer;
use crate::flasharray::state::Refusal;
use crate::flasharray::view::{
    ARRAY_SPACE, PERFORMANCE, Usage, array_performance, space as render_space,
};
use crate::flasharray::{Core, Port, Reply, Request, RestVersion};

/// Bytes: provisioned, and used by volumes, snapshots and what the configuration adds.
fn usage(core: &Core) -> Usage {
    let mut usage = Usage::of_volumes(core, core.state.volumes.iter());
    usage.unique += core.settings.used;
    usage
}

/// GET `/arrays`. Documented; observed: `id`, `name`, `version` are what clients need.
pub(super) fn arrays(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let settings = &core.settings;
    let mut array = json!({
        "id": settings.id,
        "name": settings.name,
        "banner": "",
        "capacity": settings.capacity,
        "console_lock_enabled": false,
        "idle_timeout": settings.idle_timeout_ms,
        "ntp_servers": [],
        "os": "Purity//FA",
        "parity": 1.0,
        "scsi_timeout": 60,
        "space": render_space(usage(core), request.version),
        "version": settings.version,
    });
    // Absent in 2.2, present in 2.26; the version in between is not known.
    if let Some(map) = array.as_object_mut()
        && request.version > RestVersion(2)
    {
        map.insert("_as_of".to_owned(), json!(core.now_ms()));
        map.insert("time_zone".to_owned(), json!("UTC"));
        map.insert(
            "encryption".to_owned(),
            json!({
                "data_at_rest": { "algorithm": "AES-256-CTR", "enabled": true },
                "module_version": "FA-1.3",
            }),
        );
        map.insert(
            "eradication_config".to_owned(),
            json!({
                "eradication_delay": settings.eradication_delay_ms,
                "enabled_delay": settings.eradication_delay_ms,
                "disabled_delay": settings.eradication_delay_ms,
                "manual_eradication":
                    if settings.eradication_disabled { "all-disabled" } else { "all-enabled" },
            }),
        );
    }
    answer(
        request,
        &["id", "name", "os", "version", "capacity", "parity"],
        vec![array],
    )
}

/// GET `/arrays/space`. Documented; history is answered with the present (assumed).
pub(super) fn space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let mut line = json!({
        "id": core.settings.id,
        "name": core.settings.name,
        "capacity": core.settings.capacity,
        "parity": 1.0,
        "space": render_space(usage(core), request.version),
        "time": core.now_ms(),
    });
    // In 2.50 and not in 2.26; the version in between is not known.
    if let Some(map) = line.as_object_mut()
        && request.version >= RestVersion(27)
    {
        map.insert(
            "capacity_installed".to_owned(),
            json!(core.settings.capacity),
        );
    }
    answer(request, ARRAY_SPACE, vec![line])
}

/// GET `/arrays/performance`. Documented; the figures are given by configuration or test.
pub(super) fn performance(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let mut line = array_performance(&core.settings.performance, request.version);
    line.insert("id".to_owned(), json!(core.settings.id));
    line.insert("name".to_owned(), json!(core.settings.name));
    line.insert("time".to_owned(), json!(core.now_ms()));
    answer(request, PERFORMANCE, vec![Value::Object(line)])
}

/// GET `/controllers`, from REST 2.2 on. Documented.
pub(super) fn controllers(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let settings = &core.settings;
    let controller = |name: &str, mode: &str| {
        json!({
            "name": name,
            "mode": mode,
            "model": settings.model,
            "status": "ready",
            "type": "array_controller",
            "version": settings.version,
        })
    };
    answer(
        request,
        &["name", "mode", "model", "status", "type", "version"],
        vec![controller("CT0", "primary"), controller("CT1", "secondary")],
    )
}

/// GET `/hardware`. Documented; observed: a client's first call, which must be answered.
pub(super) fn hardware(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let component = |name: &str, kind: &str, index: u32| {
        json!({
            "name": name,
            "details": null,
            "identify_enabled": false,
            "index": index,
            "model": core.settings.model,
            "serial": null,
            "slot": null,
            "speed": null,
            "status": "healthy",
            "temperature": null,
            "type": kind,
            "voltage": null,
        })
    };
    answer(
        request,
        &["name", "index", "model", "status", "type"],
        vec![
            component("CH0", "ch", 0),
            component("CT0", "ct", 0),
            component("CT1", "ct", 1),
        ],
    )
}

/// GET `/ports`. Documented: what a port does not speak is null. Observed: all iSCSI ports share
/// one name.
pub(super) fn ports(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let settings = &core.settings;
    let ports = settings.ports.iter().filter(|port| port.enabled);
    let lines = ports.map(|port| {
        let iscsi = port.portal.is_some() && !port.nvme;
        json!({
            "name": port.name,
            "iqn": iscsi.then_some(&settings.iqn),
            "nqn": (port.portal.is_some() && port.nvme).then_some(&settings.nqn),
            "portal": port.portal,
            "wwn": port.wwn,
            "failover": null,
        })
    });
    let lines = lines.collect();
    answer(
        request,
        &["name", "iqn", "nqn", "portal", "wwn", "failover"],
        lines,
    )
}

/// GET `/network-interfaces`. Documented: names are those of `/ports` in lower case.
pub(super) fn interfaces(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let lines = core.settings.ports.iter().map(interface).collect();
    answer(
        request,
        &[
            "name",
            "enabled",
            "interface_type",
            "services",
            "speed",
            "eth.address",
            "eth.subtype",
        ],
        lines,
    )
}

fn interface(port: &Port) -> Value {
    let address = port
        .portal
        .as_deref()
        .and_then(|portal| portal.rsplit_once(':'))
        .map(|(address, _)| address.trim_matches(|c| c == '[' || c == ']'));
    let is_fibre_channel = port.wwn.is_some();
    let service = match (is_fibre_channel, port.nvme) {
        (true, _) => "scsi-fc",
        (false, true) => "nvme-tcp",
        (false, false) => "iscsi",
    };
    json!({
        "name": port.name.to_ascii_lowercase(),
        "enabled": port.enabled,
        "interface_type": if is_fibre_channel { "fc" } else { "eth" },
        "services": [service],
        "speed": 25_000_000_000_u64,
        "eth": if is_fibre_channel { json!({}) } else { json!({
            "address": address,
            "gateway": null,
            "mac_address": null,
            "mtu": 1500,
            "netmask": "255.255.255.0",
            "subinterfaces": [],
            "subnet": {},
            "subtype": "physical",
            "vlan": null,
        }) },
        "fc": if is_fibre_channel { json!({ "wwn": port.wwn }) } else { json!({}) },
    })
}
