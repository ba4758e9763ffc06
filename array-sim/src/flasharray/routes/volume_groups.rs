//! `/volume-groups`.

use serde::Deserialize;

use super::rendered::{Shape, list as render_list};
use super::select::{self, NAMES_IDS};
use super::volumes::{PriorityBody, QosBody, limit, priority, qos_limits};
use crate::flasharray::state::{
    BANDWIDTH_LIMIT, IOPS_LIMIT, Kind, NewVolumeGroup, Refusal, VolumeGroup, VolumeGroupPatch,
};
use crate::flasharray::view::{CONTAINER, place, volume_group};
use crate::flasharray::{Core, Reply, Request};

const SHAPE: Shape = Shape {
    properties: CONTAINER,
    sums: &[
        "volume_count",
        "space.total_physical",
        "space.total_provisioned",
        "space.unique",
        "space.snapshots",
    ],
};

#[derive(Debug, Default, Deserialize)]
struct Body {
    name: Option<String>,
    destroyed: Option<bool>,
    qos: Option<QosBody>,
    priority_adjustment: Option<PriorityBody>,
}

/// GET `/volume-groups`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let groups = listed(core, request)?;
    let lines = groups.into_iter().map(|group| {
        (
            place(group.sequence, ""),
            volume_group(core, group, request.version),
        )
    });
    render_list(request, SHAPE, lines)
}

pub(super) fn listed<'a>(
    core: &'a Core,
    request: &Request,
) -> Result<Vec<&'a VolumeGroup>, Refusal> {
    select::listed(core, request, Kind::VolumeGroup, &core.state.volume_groups)
}

fn chosen(core: &Core, request: &Request) -> Result<Vec<u64>, Refusal> {
    let groups = &core.state.volume_groups;
    let chosen = select::records(request, Kind::VolumeGroup, groups, NAMES_IDS)?;
    select::required(chosen, "names")
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let groups = sequences
        .iter()
        .filter_map(|at| core.state.volume_groups.get(*at));
    Reply::items(groups.map(|group| volume_group(core, group, request.version)))
}

/// POST `/volume-groups`. Documented.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let names = request.required_list("names")?;
    let body: Body = request.optional_body()?;
    let new = NewVolumeGroup {
        names,
        qos: qos_limits(&body.qos.unwrap_or_default())?,
        priority_adjustment: body.priority_adjustment.map(priority).transpose()?,
    };
    let plan = core.state.plan_create_volume_groups(&core.rules(), &new)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/volume-groups`: rename, limits, destroy, recover. Documented; that a group with live
/// volumes is destroyed only with `destroy_contents` is assumed for groups, as it is for pods.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = chosen(core, request)?;
    let body: Body = request.body()?;
    let qos = body.qos.unwrap_or_default();
    let patch = VolumeGroupPatch {
        name: body.name,
        destroyed: body.destroyed,
        destroy_contents: request.flag("destroy_contents")?,
        bandwidth_limit: limit(qos.bandwidth_limit.as_ref(), &BANDWIDTH_LIMIT)?,
        iops_limit: limit(qos.iops_limit.as_ref(), &IOPS_LIMIT)?,
        priority_adjustment: body.priority_adjustment.map(priority).transpose()?,
    };
    let plan = core
        .state
        .plan_patch_volume_groups(&core.rules(), &chosen, &patch)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/volume-groups`. Documented; with contents only with `eradicate_contents`.
pub(super) fn eradicate(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = chosen(core, request)?;
    let contents = request.flag("eradicate_contents")?;
    let plan = core
        .state
        .plan_eradicate_volume_groups(&core.rules(), &chosen, contents)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}
