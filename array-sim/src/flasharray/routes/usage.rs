//! What objects occupy and how they perform: `/KIND/space` and `/KIND/performance` of all kinds but
//! the array itself and `/volumes/space`.
//!
//! Documented; the history parameters are accepted and answered with the present (assumed).
//! Performance is given, not measured: by volume, and what a group or host has is that of its
//! volumes together.

use serde_json::{Map, Value, json};

use super::rendered::{Shape, list};
use super::{members, pods, select, volume_groups, volumes};
use crate::flasharray::state::{ConnectionTarget, Host, HostGroup, Refusal, Volume};
use crate::flasharray::view::{PERFORMANCE, Usage, performance, place, space};
use crate::flasharray::{Core, Performance, Reply, Request, RestVersion};

/// An object, and the volumes that it stands for.
struct Subject<'a> {
    sequence: u64,
    id: Option<&'a str>,
    name: &'a str,
    volumes: Vec<&'a Volume>,
}

const SPACE: Shape = Shape {
    properties: &[
        "id",
        "name",
        "time",
        "space.total_physical",
        "space.total_used",
        "space.total_provisioned",
        "space.unique",
        "space.virtual",
        "space.snapshots",
        "space.data_reduction",
        "space.thin_provisioning",
    ],
    sums: &[
        "space.total_physical",
        "space.total_provisioned",
        "space.unique",
        "space.snapshots",
    ],
};

const RATES: Shape = Shape {
    properties: PERFORMANCE,
    sums: &[
        "reads_per_sec",
        "writes_per_sec",
        "read_bytes_per_sec",
        "write_bytes_per_sec",
    ],
};

fn lines<'a>(
    core: &Core,
    request: &Request,
    (shape, subjects): (Shape, Vec<Subject<'a>>),
    render: impl Fn(&Subject<'a>) -> Map<String, Value>,
) -> Result<Reply, Refusal> {
    let now = core.now_ms();
    let lines = subjects.iter().map(|subject| {
        let mut line = render(subject);
        // Hosts and host groups have no ids.
        if let Some(id) = subject.id {
            line.insert("id".to_owned(), json!(id));
        }
        line.insert("name".to_owned(), json!(subject.name));
        line.insert("time".to_owned(), json!(now));
        (place(subject.sequence, ""), Value::Object(line))
    });
    list(request, shape, lines)
}

fn answer_space(
    core: &Core,
    request: &Request,
    subjects: Vec<Subject<'_>>,
) -> Result<Reply, Refusal> {
    lines(core, request, (SPACE, subjects), |subject| {
        let usage = Usage::of_volumes(core, subject.volumes.iter().copied());
        Map::from_iter([("space".to_owned(), space(usage, request.version))])
    })
}

fn answer_performance(
    core: &Core,
    request: &Request,
    subjects: Vec<Subject<'_>>,
) -> Result<Reply, Refusal> {
    lines(core, request, (RATES, subjects), |subject| {
        let figures = subject.volumes.iter();
        let figures: Vec<Performance> = figures
            .map(|volume| core.figures_of(volume.sequence).performance)
            .collect();
        let figures = match figures.as_slice() {
            // As given, also where nothing is read or written.
            [only] => *only,
            several => Performance::together(several),
        };
        performance(&figures, request.version)
    })
}

/// GET `/volumes/performance`.
pub(super) fn volumes_performance(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let subjects = volumes::listed(core, request, None)?
        .into_iter()
        .map(|volume| Subject {
            sequence: volume.sequence,
            id: Some(&volume.id),
            name: &volume.name,
            volumes: vec![volume],
        })
        .collect();
    answer_performance(core, request, subjects)
}

fn hosts<'a>(core: &'a Core, request: &Request) -> Result<Vec<Subject<'a>>, Refusal> {
    let chosen = select::hosts(core, request, "names")?;
    let wanted = |host: &&Host| {
        let chosen = chosen.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(&host.sequence))
    };
    let subjects = core.state.hosts.iter().filter(wanted).map(|host| {
        let luns = core.state.luns_of(host.sequence);
        Subject {
            sequence: host.sequence,
            id: None,
            name: &host.name,
            volumes: luns
                .iter()
                .filter_map(|lun| core.state.volumes.get(lun.volume))
                .collect(),
        }
    });
    Ok(subjects.collect())
}

/// GET `/hosts/space`.
pub(super) fn hosts_space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = hosts(core, request)?;
    answer_space(core, request, subjects)
}

/// GET `/hosts/performance`.
pub(super) fn hosts_performance(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = hosts(core, request)?;
    answer_performance(core, request, subjects)
}

fn host_groups<'a>(core: &'a Core, request: &Request) -> Result<Vec<Subject<'a>>, Refusal> {
    let chosen = select::groups(core, request, "names")?;
    let wanted = |group: &&HostGroup| {
        let chosen = chosen.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(&group.sequence))
    };
    let subjects = core.state.groups.iter().filter(wanted).map(|group| {
        let target = ConnectionTarget::Group(group.sequence);
        let connections = core.state.connections_of_target(target);
        Subject {
            sequence: group.sequence,
            id: None,
            name: &group.name,
            volumes: connections
                .filter_map(|connection| core.state.volumes.get(connection.volume))
                .collect(),
        }
    });
    Ok(subjects.collect())
}

/// GET `/host-groups/space`.
pub(super) fn host_groups_space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = host_groups(core, request)?;
    answer_space(core, request, subjects)
}

/// GET `/host-groups/performance`.
pub(super) fn host_groups_performance(
    core: &mut Core,
    request: &Request,
) -> Result<Reply, Refusal> {
    let subjects = host_groups(core, request)?;
    answer_performance(core, request, subjects)
}

fn all_pods<'a>(core: &'a Core, request: &Request) -> Result<Vec<Subject<'a>>, Refusal> {
    let pods = pods::listed(core, request)?.into_iter();
    let subjects = pods.map(|pod| Subject {
        sequence: pod.sequence,
        id: Some(&pod.id),
        name: &pod.name,
        volumes: core.state.volumes_in(&pod.prefix()).collect(),
    });
    Ok(subjects.collect())
}

/// GET `/pods/space`.
pub(super) fn pods_space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = all_pods(core, request)?;
    answer_space(core, request, subjects)
}

/// GET `/pods/performance`.
pub(super) fn pods_performance(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = all_pods(core, request)?;
    answer_performance(core, request, subjects)
}

fn all_volume_groups<'a>(core: &'a Core, request: &Request) -> Result<Vec<Subject<'a>>, Refusal> {
    let groups = volume_groups::listed(core, request)?.into_iter();
    let subjects = groups.map(|group| Subject {
        sequence: group.sequence,
        id: Some(&group.id),
        name: &group.name,
        volumes: core.state.volumes_in(&group.prefix()).collect(),
    });
    Ok(subjects.collect())
}

/// GET `/volume-groups/space`.
pub(super) fn volume_groups_space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let subjects = all_volume_groups(core, request)?;
    answer_space(core, request, subjects)
}

/// GET `/volume-groups/performance`.
pub(super) fn volume_groups_performance(
    core: &mut Core,
    request: &Request,
) -> Result<Reply, Refusal> {
    let subjects = all_volume_groups(core, request)?;
    answer_performance(core, request, subjects)
}

/// GET `/protection-groups/space`.
pub(super) fn protection_groups_space(
    core: &mut Core,
    request: &Request,
) -> Result<Reply, Refusal> {
    let core = &*core;
    let groups = members::listed(core, request)?.into_iter();
    // As in the groups' own listing.
    let has_id = request.version > RestVersion(2);
    let subjects = groups.map(|group| Subject {
        sequence: group.sequence,
        id: has_id.then_some(group.id.as_str()),
        name: &group.name,
        volumes: group
            .volumes
            .iter()
            .filter_map(|at| core.state.volumes.get(*at))
            .collect(),
    });
    let subjects = subjects.collect();
    answer_space(core, request, subjects)
}
