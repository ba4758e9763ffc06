//! `/connections`.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::select;
use crate::flasharray::state::{
    Connect, ConnectionTarget, Disconnect, MAX_LUN, Refusal, Side, Target,
};
use crate::flasharray::view::ConnectionRow;
use crate::flasharray::{Core, Reply, Request};
use crate::query::{self, Listing, Row as _};

#[derive(Debug, Default, Deserialize)]
struct ConnectBody {
    lun: Option<i64>,
}

const VOLUMES: (&str, &str) = ("volume_names", "volume_ids");

/// GET `/connections`. Documented. Assumed: volumes and hosts that exist and are not connected
/// give an empty list; a shared connection is one line for each member of the group. Protocol
/// endpoints have no connections here.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, ConnectionRow::PROPERTIES)?;
    let set = |chosen: Vec<u64>| chosen.into_iter().collect::<BTreeSet<u64>>();
    let volumes = select::volumes(core, request, VOLUMES)?.map(set);
    let hosts = select::hosts(core, request, "host_names")?.map(set);
    let groups = select::groups(core, request, "host_group_names")?.map(set);
    if [&volumes, &hosts, &groups]
        .into_iter()
        .flatten()
        .filter(|chosen| chosen.len() > 1)
        .count()
        > 1
    {
        return Err(Refusal::combination());
    }
    for param in ["protocol_endpoint_names", "protocol_endpoint_ids"] {
        if let Some(name) = request.params.get(param) {
            return Err(Refusal::new(
                "Protocol endpoint does not exist.",
                Some(name),
            ));
        }
    }
    let mut sides = sides(core, volumes.as_ref(), hosts.as_ref());
    sides.retain(|side| {
        let fits = |chosen: &Option<BTreeSet<u64>>, value: Option<u64>| {
            chosen
                .as_ref()
                .is_none_or(|chosen| value.is_some_and(|value| chosen.contains(&value)))
        };
        fits(&volumes, Some(side.connection.volume))
            && fits(&hosts, side.host)
            && fits(&groups, side.group)
    });
    let rows = sides.into_iter().map(|side| row(core, request, side));
    Ok(Reply::Json(query::list(&listing, rows.collect())))
}

/// The lines that can be meant, in their order, found by the narrowest index.
fn sides<'a>(
    core: &'a Core,
    volumes: Option<&BTreeSet<u64>>,
    hosts: Option<&BTreeSet<u64>>,
) -> Vec<Side<'a>> {
    let state = &core.state;
    let mut sides: Vec<Side<'a>> = match (volumes, hosts) {
        (Some(volumes), _) => volumes
            .iter()
            .flat_map(|volume| state.connections_of_volume(*volume))
            .flat_map(|connection| state.sides(connection))
            .collect(),
        (None, Some(hosts)) => {
            let targets: BTreeSet<_> = hosts
                .iter()
                .filter_map(|host| state.hosts.get(*host))
                .flat_map(|host| [(false, Some(host.sequence)), (true, host.group)])
                .filter_map(|(shared, sequence)| Some((shared, sequence?)))
                .collect();
            targets
                .into_iter()
                .flat_map(|(shared, sequence)| {
                    state.connections_of_target(if shared {
                        ConnectionTarget::Group(sequence)
                    } else {
                        ConnectionTarget::Host(sequence)
                    })
                })
                .flat_map(|connection| state.sides(connection))
                .collect()
        }
        (None, None) => state
            .connections
            .iter()
            .flat_map(|connection| state.sides(connection))
            .collect(),
    };
    sides.sort_by_key(|side| (side.connection.sequence, side.host));
    sides
}

const fn row<'a>(core: &'a Core, request: &Request, side: Side<'a>) -> ConnectionRow<'a> {
    ConnectionRow {
        core,
        side,
        version: request.version,
    }
}

/// POST `/connections`: LUN rules documented, "already exists" and its context observed. Assumed:
/// a taken LUN is refused.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let (volumes, targets) = ends(core, request)?;
    let body: ConnectBody = request.optional_body()?;
    let lun = body
        .lun
        .map(|lun| match u16::try_from(lun) {
            Ok(number) if (1..=MAX_LUN).contains(&number) => Ok(number),
            _ => Err(Refusal::new("LUN must be between 1 and 4095.", None)),
        })
        .transpose()?;
    let connect = Connect {
        volumes,
        targets,
        lun,
    };
    let plan = core.state.plan_connect(&core.rules(), &connect)?;
    let touched = core.commit(&plan)?;
    let core = &*core;
    let connections = touched
        .iter()
        .filter_map(|at| core.state.connections.get(*at));
    let items = connections
        .flat_map(|connection| core.state.sides(connection))
        .map(|side| row(core, request, side).render());
    Ok(Reply::items(items))
}

/// DELETE `/connections`. Documented; observed: the text for what is not connected.
pub(super) fn delete(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let (volumes, targets) = ends(core, request)?;
    let disconnect = Disconnect { volumes, targets };
    let plan = core.state.plan_disconnect(&core.rules(), &disconnect)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

/// Volumes on one side, hosts or host groups on the other; only one side may be several
/// (documented).
fn ends(core: &Core, request: &Request) -> Result<(Vec<u64>, Vec<Target>), Refusal> {
    let hosts = select::hosts(core, request, "host_names")?;
    let groups = select::groups(core, request, "host_group_names")?;
    let volumes = select::required(select::volumes(core, request, VOLUMES)?, VOLUMES.0)?;
    let targets: Vec<Target> = match (hosts, groups) {
        (Some(_), Some(_)) => return Err(Refusal::combination()),
        (Some(hosts), None) => hosts.into_iter().map(Target::Host).collect(),
        (None, Some(groups)) => groups.into_iter().map(Target::Group).collect(),
        (None, None) => return Err(Refusal::required("host_names")),
    };
    if volumes.len() > 1 && targets.len() > 1 {
        return Err(Refusal::combination());
    }
    Ok((volumes, targets))
}
