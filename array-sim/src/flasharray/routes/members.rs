//! Who is in what: volumes in volume groups; volumes, hosts, host groups and targets in protection
//! groups. Read only; each listing is there under two paths.

use serde_json::{Value, json};

use super::rendered::{Shape, list};
use super::select;
use crate::flasharray::state::{Kind, ProtectionGroup, Record, Refusal, Table};
use crate::flasharray::view::{PROTECTION_GROUP, place, protection_group};
use crate::flasharray::{Core, Reply, Request, RestVersion};

pub(super) const SHAPE: Shape = Shape {
    properties: &["group.id", "group.name", "member.id", "member.name"],
    sums: &[],
};

const GROUPS: (&str, &str) = ("group_names", "group_ids");
const MEMBERS: (&str, &str) = ("member_names", "member_ids");

type Line = (String, Value);

/// GET `/volume-groups/volumes` and `/volumes/volume-groups`. Documented.
pub(super) fn of_volume_groups(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let state = &core.state;
    let groups = select::records(request, Kind::VolumeGroup, &state.volume_groups, GROUPS)?;
    let volumes = select::records(request, Kind::Volume, &state.volumes, MEMBERS)?;
    let wanted = |chosen: &Option<Vec<u64>>, sequence: u64| {
        chosen
            .as_ref()
            .is_none_or(|chosen| chosen.contains(&sequence))
    };
    let lines = state.volumes.iter().filter_map(|volume| {
        let group = state.volume_group_of(&volume.name)?;
        if !wanted(&groups, group.sequence) || !wanted(&volumes, volume.sequence) {
            return None;
        }
        let line = json!({
            "group": { "id": group.id, "name": group.name },
            "member": { "id": volume.id, "name": volume.name },
        });
        Some((place(volume.sequence, ""), line))
    });
    list(request, SHAPE, lines)
}

/// GET `/protection-groups`. Documented. None is ever destroyed.
pub(super) fn protection_groups(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let shape = Shape {
        properties: PROTECTION_GROUP,
        sums: &[
            "volume_count",
            "host_count",
            "host_group_count",
            "target_count",
        ],
    };
    let lines = listed(core, request)?.into_iter().map(|group| {
        let line = protection_group(core, group, request.version);
        (place(group.sequence, ""), line)
    });
    list(request, shape, lines)
}

pub(super) fn listed<'a>(
    core: &'a Core,
    request: &Request,
) -> Result<Vec<&'a ProtectionGroup>, Refusal> {
    select::listed(
        core,
        request,
        Kind::ProtectionGroup,
        &core.state.protection_groups,
    )
}

/// The protection groups that a membership listing is about.
fn groups<'a>(core: &'a Core, request: &Request) -> Result<Vec<&'a ProtectionGroup>, Refusal> {
    let table = &core.state.protection_groups;
    let chosen = select::records(request, Kind::ProtectionGroup, table, GROUPS)?;
    let wanted = |group: &&ProtectionGroup| {
        let chosen = chosen.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(&group.sequence))
    };
    Ok(table.iter().filter(wanted).collect())
}

/// `id` of a protection group is absent in 2.2, present in 2.26; in between is not known.
fn group_reference(group: &ProtectionGroup, version: RestVersion) -> Value {
    if version > RestVersion(2) {
        json!({ "id": group.id, "name": group.name })
    } else {
        json!({ "name": group.name })
    }
}

/// One kind of members: where they are kept, which of them are wanted, how they are shown.
struct Membership<'a, T> {
    table: &'a Table<T>,
    members: fn(&ProtectionGroup) -> &Vec<u64>,
    wanted: Option<Vec<u64>>,
    render: &'a dyn Fn(&T) -> Value,
}

impl<T: Record> Membership<'_, T> {
    /// One line for each group and member.
    fn lines(&self, request: &Request, groups: &[&ProtectionGroup]) -> Vec<Line> {
        let mut lines = Vec::new();
        for group in groups {
            let mut sequences = (self.members)(group).clone();
            sequences.sort_unstable();
            for member in sequences.iter().filter_map(|at| self.table.get(*at)) {
                let wanted = self.wanted.as_ref();
                if wanted.is_none_or(|wanted| wanted.contains(&member.sequence())) {
                    let line = json!({
                        "group": group_reference(group, request.version),
                        "member": (self.render)(member),
                    });
                    let rest = format!("{:020}", member.sequence());
                    lines.push((place(group.sequence, &rest), line));
                }
            }
        }
        lines
    }
}

/// GET `/protection-groups/volumes` and `/volumes/protection-groups`. Documented.
pub(super) fn volumes(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let table = &core.state.volumes;
    let wanted = select::records(request, Kind::Volume, table, MEMBERS)?;
    let destroyed = request.params.flag("member_destroyed")?;
    let render = |volume: &crate::flasharray::state::Volume| {
        let mut member = json!({ "name": volume.name });
        if let Some(map) = member.as_object_mut()
            && request.version > RestVersion(2)
        {
            map.insert("id".to_owned(), json!(volume.id));
            map.insert("destroyed".to_owned(), json!(volume.destroyed.is_some()));
        }
        member
    };
    let members = Membership {
        table,
        members: |group| &group.volumes,
        wanted,
        render: &render,
    };
    let mut lines = members.lines(request, &groups(core, request)?);
    if let Some(destroyed) = destroyed {
        lines.retain(|(_, line)| {
            let is = line.pointer("/member/destroyed").and_then(Value::as_bool);
            is == Some(destroyed)
        });
    }
    list(request, SHAPE, lines)
}

/// GET `/protection-groups/hosts` and `/hosts/protection-groups`. Documented.
pub(super) fn hosts(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let wanted = select::hosts(core, request, MEMBERS.0)?;
    let members = Membership {
        table: &core.state.hosts,
        members: |group| &group.hosts,
        wanted,
        render: &|host| json!({ "name": host.name }),
    };
    let lines = members.lines(request, &groups(core, request)?);
    list(request, SHAPE, lines)
}

/// GET `/protection-groups/host-groups` and `/host-groups/protection-groups`. Documented.
pub(super) fn host_groups(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let wanted = select::groups(core, request, MEMBERS.0)?;
    let members = Membership {
        table: &core.state.groups,
        members: |group| &group.host_groups,
        wanted,
        render: &|group| json!({ "name": group.name }),
    };
    let lines = members.lines(request, &groups(core, request)?);
    list(request, SHAPE, lines)
}

/// GET `/protection-groups/targets`. Documented; every target allows it. Targets are known by name
/// only, so that no id fits.
pub(super) fn targets(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let wanted = request.params.list(MEMBERS.0)?;
    if let Some(id) = request.params.get(MEMBERS.1) {
        return Err(Refusal::new("Target does not exist.", Some(id)));
    }
    let shape = Shape {
        properties: &["group.id", "group.name", "member.name", "allowed"],
        sums: &[],
    };
    let mut lines = Vec::new();
    for group in groups(core, request)? {
        for (at, target) in group.targets.iter().enumerate() {
            let is = |name: &String| name.eq_ignore_ascii_case(target);
            if wanted.as_ref().is_none_or(|wanted| wanted.iter().any(is)) {
                let line = json!({
                    "allowed": true,
                    "group": group_reference(group, request.version),
                    "member": { "name": target },
                });
                lines.push((place(group.sequence, &format!("{at:05}")), line));
            }
        }
    }
    list(request, shape, lines)
}
