//! The array itself: `/arrays`, `/arrays/space`, `/arrays/performance`, `/controllers`,
//! `/hardware`, `/ports`, `/network-interfaces`. Read only.

use serde_json::{Value, json};

use crate::flasharray::state::Refusal;
use crate::flasharray::view::{ARRAY_SPACE, Usage, space as render_space};
use crate::flasharray::{Core, Port, Reply, Request, RestVersion};
use crate::query::{self, Field, Listing, Row, from_json};

/// An object that is rendered from the start: these listings are short.
struct Rendered {
    place: String,
    value: Value,
}

impl Row for Rendered {
    // Given to the parser by each call, since it differs.
    const PROPERTIES: &'static [&'static str] = &[];

    fn field(&self, path: &str) -> Field<'_> {
        from_json(&self.value, path)
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn render(&self) -> Value {
        self.value.clone()
    }
}

fn answer(request: &Request, properties: &[&str], values: Vec<Value>) -> Result<Reply, Refusal> {
    let listing = Listing::parse(&request.params, properties)?;
    let mut values = values;
    if let Some(names) = request.params.list("names")? {
        let named = |name: &str, value: &Value| {
            value
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        let missing = names
            .iter()
            .find(|name| !values.iter().any(|value| named(name, value)));
        if let Some(missing) = missing {
            return Err(Refusal::new("Object does not exist.", Some(missing)));
        }
        values.retain(|value| names.iter().any(|name| named(name, value)));
    }
    let rows = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| Rendered {
            place: format!("{at:05}"),
            value,
        })
        .collect();
    Ok(Reply::Json(query::list(&listing, rows)))
}

/// Bytes: provisioned, and used by volumes, snapshots and what the configuration adds.
fn usage(core: &Core) -> Usage {
    let volumes = core.state.volumes.iter();
    let snapshots = core.state.snapshots.iter();
    Usage {
        provisioned: volumes.clone().map(|volume| volume.provisioned).sum(),
        unique: core.settings.used
            + volumes
                .map(|volume| core.data.used_bytes(&volume.serial))
                .sum::<u64>(),
        snapshots: snapshots
            .map(|snapshot| core.data.used_bytes(&snapshot.serial))
            .sum(),
    }
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
        map.insert("encryption".to_owned(), json!({}));
        map.insert(
            "eradication_config".to_owned(),
            json!({
                "eradication_delay": settings.eradication_delay_ms,
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
    let line = json!({
        "id": core.settings.id,
        "name": core.settings.name,
        "capacity": core.settings.capacity,
        "parity": 1.0,
        "space": render_space(usage(core), request.version),
        "time": core.now_ms(),
    });
    answer(request, ARRAY_SPACE, vec![line])
}

/// GET `/arrays/performance`. Documented; the figures are given by configuration or test.
pub(super) fn performance(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let figures = core.settings.performance;
    let mut line = json!({
        "id": core.settings.id,
        "name": core.settings.name,
        "time": core.now_ms(),
        "reads_per_sec": figures.reads_per_sec,
        "writes_per_sec": figures.writes_per_sec,
        "read_bytes_per_sec": figures.read_bytes_per_sec,
        "write_bytes_per_sec": figures.write_bytes_per_sec,
        "usec_per_read_op": figures.usec_per_read_op,
        "usec_per_write_op": figures.usec_per_write_op,
        "local_queue_usec_per_op": figures.queue_usec_per_op,
        "queue_usec_per_read_op": figures.queue_usec_per_op,
        "queue_usec_per_write_op": figures.queue_usec_per_op,
        "queue_depth": figures.queue_depth,
    });
    if let Some(map) = line.as_object_mut() {
        for name in [
            "bytes_per_mirrored_write",
            "bytes_per_op",
            "bytes_per_read",
            "bytes_per_write",
            "mirrored_write_bytes_per_sec",
            "mirrored_writes_per_sec",
            "others_per_sec",
            "qos_rate_limit_usec_per_mirrored_write_op",
            "qos_rate_limit_usec_per_read_op",
            "qos_rate_limit_usec_per_write_op",
            "queue_usec_per_mirrored_write_op",
            "san_usec_per_mirrored_write_op",
            "san_usec_per_read_op",
            "san_usec_per_write_op",
            "service_usec_per_mirrored_write_op",
            "service_usec_per_read_op",
            "service_usec_per_write_op",
            "usec_per_mirrored_write_op",
            "usec_per_other_op",
        ] {
            map.insert(name.to_owned(), json!(0));
        }
    }
    answer(request, &["id", "name", "time"], vec![line])
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
