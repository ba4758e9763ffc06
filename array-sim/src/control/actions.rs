//! What each call of the control listener does.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Wrong;
use crate::array::Array;
use crate::faults::{FaultPlan, FaultRule};
use crate::flasharray::Adjustment;
use crate::flasharray::state::ProtectionGroupSeed;
use crate::lun_table::LunVolumeFaults;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// Faults, being there, clock, calls.
pub(super) async fn act(
    array: &Array,
    method: &str,
    what: &str,
    body: &[u8],
) -> Result<Value, Wrong> {
    match (method, what) {
        ("GET", "faults") => Ok(json!({
            "plan": array.faults(),
            "counts": array.fault_counts(),
            "held": array.held_calls(),
        })),
        ("PUT", "faults") => {
            let plan: FaultPlan = parse(body)?;
            let problems = plan.problems();
            if !problems.is_empty() {
                return Err(problems.join("; ").into());
            }
            array.set_faults(plan);
            Ok(json!({}))
        }
        ("DELETE", "faults") => {
            array.clear_faults();
            Ok(json!({}))
        }
        ("POST", "rules") => {
            let rule: FaultRule = parse(body)?;
            let problems = rule.problems();
            if !problems.is_empty() {
                return Err(problems.join("; ").into());
            }
            array.add_rule(rule);
            Ok(json!({}))
        }
        ("POST", "release") => {
            array.release_held();
            Ok(json!({}))
        }
        ("POST", "down") => {
            array.stop().await;
            Ok(json!({}))
        }
        ("POST", "up") => array
            .start()
            .await
            .map(|()| json!({}))
            .map_err(|error| Wrong(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        ("POST", "silent" | "answer") => {
            array.set_silent(what == "silent");
            Ok(json!({}))
        }
        ("POST", "expire-sessions") => {
            array.expire_sessions();
            Ok(json!({}))
        }
        ("POST", "advance-clock") => {
            let advance: Advance = parse(body)?;
            array.advance_clock(Duration::from_millis(advance.ms));
            Ok(json!({}))
        }
        ("GET", "calls") => Ok(json!({ "calls": array.calls(), "counts": array.call_counts() })),
        ("DELETE", "calls") => {
            let counts = array.call_counts();
            Ok(json!({ "calls": array.take_calls(), "counts": counts }))
        }
        ("GET", "events") => Ok(json!({ "events": array.connection_events() })),
        ("GET", "witness") => Ok(json!({ "shared": array.shared_moments() })),
        ("GET", "names") => Ok(json!({ "names": array.name_events() })),
        ("GET", "luns") => Ok(luns(array)),
        ("PUT", "luns") => set_luns(array, body),
        _ => objects(array, method, what, body),
    }
}

/// What the data path did, and what it shows to whom.
fn luns(array: &Array) -> Value {
    let table = array.luns();
    let hosts = table.hosts().into_iter().map(|host| {
        let luns = table.luns(&host).into_iter().filter_map(|number| {
            let lun = table.lookup(&host, number)?;
            Some((number.to_string(), json!(lun.serial)))
        });
        let luns = Value::Object(luns.collect());
        (host, luns)
    });
    let hosts = Value::Object(hosts.collect());
    let volumes = array.volumes().into_iter().map(|volume| {
        let line = json!({
            "serial": volume.serial,
            "io": array.volume_io(&volume.serial),
            "faults": table.faults().volume(&volume.serial),
        });
        (volume.name, line)
    });
    let volumes = Value::Object(volumes.collect());
    json!({ "counters": table.counters(), "hosts": hosts, "volumes": volumes })
}

/// Faults of volumes, by name. All of the names must be there.
fn set_luns(array: &Array, body: &[u8]) -> Result<Value, Wrong> {
    let faults: BTreeMap<String, LunVolumeFaults> = parse(body)?;
    let mut serials = Vec::new();
    for (name, faults) in faults {
        let volume = array.volume(&name);
        let volume = volume.ok_or_else(|| format!("there is no volume {name}"))?;
        serials.push((volume.serial, faults));
    }
    for (serial, faults) in serials {
        array.luns().faults().set_volume(&serial, faults);
    }
    Ok(luns(array))
}

/// What is on the array, and what it is like.
fn objects(array: &Array, method: &str, what: &str, body: &[u8]) -> Result<Value, Wrong> {
    match (method, what) {
        ("GET", "state") => Ok(json!({
            "volumes": array.volumes(),
            "snapshots": array.snapshots(),
            "hosts": array.hosts(),
            "host_groups": array.host_groups(),
            "connections": array.connections(),
            "pods": array.pods(),
            "volume_groups": array.volume_groups(),
            "protection_groups": array.protection_groups(),
        })),
        ("GET", "settings") => Ok(json!(array.adjustment())),
        ("PATCH", "settings") => {
            let adjustment: Adjustment = parse(body)?;
            array.adjust(&adjustment)?;
            Ok(json!(array.adjustment()))
        }
        ("PUT", "protection-group") => {
            let seed: ProtectionGroupSeed = parse(body)?;
            array.set_protection_group(&seed)?;
            Ok(json!({}))
        }
        ("DELETE", "protection-group") => {
            let named: Named = parse(body)?;
            if array.remove_protection_group(&named.name)? {
                Ok(json!({}))
            } else {
                let text = format!("there is no protection group {}", named.name);
                Err(Wrong(StatusCode::NOT_FOUND, text))
            }
        }
        _ => Err(Wrong(
            StatusCode::NOT_FOUND,
            format!("there is no {method} {what}"),
        )),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|error| error.to_string().into())
}
