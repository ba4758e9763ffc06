//! The answers as tables, for people: binary units, ages, nothing that moves the cursor.

use comfy_table::{CellAlignment, Table as Grid, presets};

use super::report::{
    ArrayEntry, ArrayList, ConnectionEntry, ConnectionList, FleetChange, HostEntry, HostRelease,
    MemberEntry, Recovery, TrashEntry, TrashList, VolumeEntry, VolumeList,
};
use super::text::{NOTHING, age, cut, escaped, host, maybe, size, span, wrapped};

/// Recorded for people in [`VolumeEntry::attributes`], and too long or too dull for a table.
const UNTOLD: [&str; 3] = ["created-at", "created-by", "placement"];

/// An answer that people can read.
pub trait Table {
    /// The text; ages are told by `now_ms`, milliseconds since the Unix epoch.
    fn table(&self, now_ms: u64) -> String;
}

/// Who can reach a volume, in one cell.
fn hosts(hosts: &[HostEntry]) -> String {
    if hosts.is_empty() {
        return NOTHING.to_owned();
    }
    let told = hosts
        .iter()
        .map(|one| host(one.host.as_deref(), one.group.as_deref(), one.recorded));
    told.collect::<Vec<String>>().join(", ")
}

/// A table without lines; `right` are the columns of numbers.
fn grid(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING);
    grid.set_header(header.iter().copied());
    grid.add_rows(rows);
    for (at, column) in grid.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid.trim_fmt() + "\n"
}

fn attributes(volume: &VolumeEntry) -> String {
    let told = volume.attributes.iter();
    let told = told.filter(|(key, _)| !UNTOLD.contains(&key.as_str()));
    let told: Vec<String> = told.map(|(key, value)| format!("{key}={value}")).collect();
    match told.is_empty() {
        true => NOTHING.to_owned(),
        false => cut(&told.join(" ")),
    }
}

impl Table for VolumeList {
    fn table(&self, now_ms: u64) -> String {
        let header = [
            "NAME", "ARRAY", "SIZE", "USED", "FS", "STATE", "HOST", "AGE", "LABELS",
        ];
        let row = |volume: &VolumeEntry| {
            vec![
                cut(&volume.name),
                escaped(&volume.array),
                size(Some(volume.size_bytes)),
                size(volume.used_bytes),
                maybe(volume.filesystem.as_deref()),
                volume.state.clone(),
                hosts(&volume.hosts),
                age(volume.created_ms, now_ms),
                attributes(volume),
            ]
        };
        grid(&header, self.volumes.iter().map(row).collect(), &[2, 3])
    }
}

impl Table for TrashList {
    fn table(&self, now_ms: u64) -> String {
        let header = [
            "NAME",
            "ARRAY",
            "SIZE",
            "STATE",
            "REMOVED",
            "KEPT FOR",
            "NAME FREE",
            "OBJECT",
        ];
        let row = |one: &TrashEntry| {
            let removed = age(one.destroyed_ms, now_ms);
            let removed = if removed == NOTHING {
                removed
            } else {
                format!("{removed} ago")
            };
            vec![
                cut(&one.name),
                escaped(&one.array),
                size(Some(one.size_bytes)),
                match one.state.as_str() {
                    "deleting" => "half removed".to_owned(),
                    state => state.to_owned(),
                },
                removed,
                one.seconds_left.map_or_else(|| NOTHING.to_owned(), span),
                match one.name_taken {
                    Some(true) => "no (--name)".to_owned(),
                    Some(false) => "yes".to_owned(),
                    None => "not known".to_owned(),
                },
                escaped(&one.object),
            ]
        };
        grid(&header, self.volumes.iter().map(row).collect(), &[2])
    }
}

impl Table for ArrayList {
    fn table(&self, _now_ms: u64) -> String {
        let header = [
            "ENDPOINT", "NAME", "FAMILY", "SAN", "REST", "SOFTWARE", "CAPACITY", "USED", "FREE",
            "%", "VOLUMES", "CALL", "MEMBER", "STATE", "LABELS",
        ];
        let rows = self.arrays.iter().map(array).collect();
        grid(&header, rows, &[6, 7, 8, 9, 10, 11])
    }
}

impl Table for FleetChange {
    fn table(&self, _now_ms: u64) -> String {
        let row = |one: &MemberEntry| {
            vec![
                one.number.to_string(),
                escaped(&one.name),
                if one.votes { "yes" } else { "no" }.to_owned(),
                escaped(&one.id),
            ]
        };
        let rows = self.members.iter().map(row).collect();
        grid(&["MEMBER", "NAME", "VOTES", "ID"], rows, &[0])
    }
}

fn array(one: &ArrayEntry) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(|| NOTHING.to_owned(), |n| n.to_string());
    let percent = one.used_bytes.zip(one.capacity_bytes);
    let percent = percent
        .and_then(|(used, capacity)| (u128::from(used) * 100).checked_div(u128::from(capacity)));
    let state = match (&one.error, one.draining) {
        (Some(error), _) => wrapped(error),
        (None, true) => "draining".to_owned(),
        (None, false) => "ok".to_owned(),
    };
    let labels = one.labels.iter();
    let labels = labels.filter(|(key, _)| !key.starts_with("purestorage.com/"));
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    vec![
        escaped(&one.endpoint),
        maybe(one.name.as_deref()),
        one.family.clone(),
        maybe(one.san_type.as_deref()),
        maybe(one.rest.as_deref()),
        maybe(one.software.as_deref()),
        size(one.capacity_bytes),
        size(one.used_bytes),
        size(one.free_bytes),
        percent.map_or_else(|| NOTHING.to_owned(), |percent| percent.to_string()),
        number(one.volumes),
        one.latency_ms
            .map_or_else(|| NOTHING.to_owned(), |ms| format!("{ms} ms")),
        match (one.member, one.votes) {
            (None, _) => NOTHING.to_owned(),
            (Some(number), true) => format!("{number}, votes"),
            (Some(number), false) => number.to_string(),
        },
        state,
        if labels.is_empty() {
            NOTHING.to_owned()
        } else {
            cut(&labels.join(" "))
        },
    ]
}

impl Table for ConnectionList {
    fn table(&self, _now_ms: u64) -> String {
        let header = ["VOLUME", "ARRAY", "HOST", "LUN", "GRANT", "HERE", "REMARKS"];
        let row = |one: &ConnectionEntry| {
            let grant = one.grant.as_deref().filter(|_| one.recorded);
            let grant = grant.and_then(|nonce| nonce.get(..8));
            vec![
                cut(&one.volume),
                escaped(&one.array),
                host(one.host.as_deref(), one.group.as_deref(), one.recorded),
                one.lun
                    .map_or_else(|| NOTHING.to_owned(), |lun| lun.to_string()),
                maybe(grant),
                if one.this_host { "yes" } else { NOTHING }.to_owned(),
                match one.hints.is_empty() {
                    true => NOTHING.to_owned(),
                    false => escaped(&one.hints.join("; ")),
                },
            ]
        };
        grid(&header, self.connections.iter().map(row).collect(), &[3])
    }
}

impl Table for Recovery {
    fn table(&self, _now_ms: u64) -> String {
        let volume = &self.volume;
        let name = escaped(&volume.name);
        let place = format!("{} on {}", escaped(&volume.object), escaped(&volume.array));
        if self.changed {
            format!("{name}: recovered, {place}\n")
        } else {
            format!("volume {name} is there and not in the trash: {place}; nothing was changed\n")
        }
    }
}

impl Table for HostRelease {
    fn table(&self, now_ms: u64) -> String {
        let (name, host) = (escaped(&self.volume.name), escaped(&self.host));
        let left: Vec<&str> = self
            .volume
            .hosts
            .iter()
            .filter_map(|one| one.host.as_deref().or(one.group.as_deref()))
            .collect();
        let now = match left.as_slice() {
            [] => "no host can reach it now".to_owned(),
            left => format!("it can still be reached by {}", escaped(&left.join(", "))),
        };
        if self.changed {
            return format!(
                "{name}: taken from {host} ({}); {now}\n",
                escaped(&self.fence.evidence)
            );
        }
        let ago = age(Some(self.fence.at_ms), now_ms);
        format!("{name}: was taken from {host} {ago} ago; {now}; nothing was changed\n")
    }
}
