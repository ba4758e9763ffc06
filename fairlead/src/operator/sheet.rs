//! One volume on a sheet, for people: a line a fact, and what to do next at the end.

use super::report::{FenceEntry, InspectedVolume, Inspection, LedgerState, VolumeEntry};
use super::table::Table;
use super::text::{NOTHING, age, escaped, host, maybe, size};

/// A line: what it is about, and the fact.
type Line = (&'static str, String);

impl Table for Inspection {
    fn table(&self, now_ms: u64) -> String {
        let volumes = self.volumes.iter().map(|one| sheet(one, now_ms));
        volumes.collect::<Vec<String>>().join("\n")
    }
}

fn sheet(one: &InspectedVolume, now_ms: u64) -> String {
    let mut lines = identity(&one.volume);
    lines.extend(facts(&one.volume, now_ms));
    lines.extend(holders(one));
    lines.extend(one.fence.as_ref().map(|fence| fenced(fence, now_ms)));
    lines.extend(one.ledger.as_ref().map(here));
    if one.publish_open {
        lines.push((
            "this host",
            "a publish was begun; its fate is open".to_owned(),
        ));
    }
    lines.extend(one.advice.iter().map(|text| ("=>", escaped(text))));
    let lines = lines.iter();
    lines
        .map(|(key, value)| format!("{key:<16}{value}\n"))
        .collect()
}

fn identity(volume: &VolumeEntry) -> Vec<Line> {
    let array = format!("{} ({})", escaped(&volume.array), escaped(&volume.endpoint));
    vec![
        ("name", escaped(&volume.name)),
        ("array", array),
        ("object", escaped(&volume.object)),
        ("id", escaped(&volume.id)),
        ("serial", maybe(volume.serial.as_deref())),
        ("wwid", maybe(volume.wwid.as_deref())),
    ]
}

fn facts(volume: &VolumeEntry, now_ms: u64) -> Vec<Line> {
    let either = |so: bool, yes: &str, no: &str| if so { yes } else { no }.to_owned();
    let mut lines = vec![
        ("state", volume.state.clone()),
        (
            "record",
            either(volume.recorded, "of this namespace", "none"),
        ),
        ("size", size(Some(volume.size_bytes))),
        ("used", size(volume.used_bytes)),
        ("file system", maybe(volume.filesystem.as_deref())),
        (
            "format grant",
            either(volume.format_grant, "not used yet", "none"),
        ),
        ("age", age(volume.created_ms, now_ms)),
    ];
    lines.extend(
        volume
            .limit_iops
            .map(|iops| ("iops limit", iops.to_string())),
    );
    let bandwidth = volume.limit_bandwidth;
    lines.extend(bandwidth.map(|bytes| ("bandwidth limit", format!("{}/s", size(Some(bytes))))));
    for (key, value) in &volume.attributes {
        lines.push(("recorded", format!("{}: {}", escaped(key), escaped(value))));
    }
    lines
}

fn holders(one: &InspectedVolume) -> Vec<Line> {
    let connected = one.volume.hosts.iter().map(|one| {
        let lun = one
            .lun
            .map_or_else(String::new, |lun| format!(", LUN {lun}"));
        let name = host(one.host.as_deref(), one.group.as_deref(), one.recorded);
        ("connected", format!("{name}{lun}"))
    });
    let mut lines: Vec<Line> = connected.collect();
    if let (Some(holder), Some(grant)) = (&one.holder, &one.grant) {
        let text = format!("{} to {}", escaped(grant), escaped(holder));
        lines.push(("latest grant", text));
    }
    lines
}

fn fenced(fence: &FenceEntry, now_ms: u64) -> Line {
    let new = fence.new_host.as_deref();
    let text = format!(
        "{} -> {}, by {}, {} ago, in {} ms; {}",
        escaped(&fence.old_hosts.join(", ")),
        new.map_or_else(|| NOTHING.to_owned(), escaped),
        fence.reason,
        age(Some(fence.at_ms), now_ms),
        fence.duration_ms,
        escaped(&fence.evidence),
    );
    ("last fence", text)
}

fn here(ledger: &LedgerState) -> Line {
    let mounted = match ledger.mounted {
        Some(true) => "mounted",
        Some(false) => "not mounted",
        None => "not known whether mounted",
    };
    let device = maybe(ledger.device.as_deref());
    let mountpoint = escaped(&ledger.mountpoint);
    let text = format!(
        "{}, {mounted} at {mountpoint}, device {device}",
        ledger.recorded
    );
    ("this host", text)
}
