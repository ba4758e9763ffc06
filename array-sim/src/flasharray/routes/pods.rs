//! `/pods` and `/pods/arrays`. A pod here has one array and is never stretched, cloned or linked.

use serde::Deserialize;
use serde_json::{Value, json};

use super::realms;
use super::rendered::{Shape, list as render_list};
use super::select::{self, NAMES_IDS};
use super::volumes::{Reference, limit};
use crate::flasharray::state::{Kind, NewPod, Pod, PodPatch, Refusal};
use crate::flasharray::view::{CONTAINER, place, pod as render_pod};
use crate::flasharray::{Core, Reply, Request};

/// Range of `quota_limit` in bytes: 1 MiB to 4 PiB (vendor REST document).
const QUOTA: std::ops::RangeInclusive<u64> = 1_048_576..=4_503_599_627_370_496;

const SHAPE: Shape = Shape {
    properties: CONTAINER,
    sums: &[
        "footprint",
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
    quota_limit: Option<Value>,
    requested_promotion_state: Option<String>,
    source: Option<Reference>,
}

/// GET `/pods`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let pods = listed(core, request)?;
    let lines = pods.into_iter().map(|pod| {
        (
            place(pod.sequence, ""),
            render_pod(core, pod, request.version),
        )
    });
    render_list(request, SHAPE, lines)
}

pub(super) fn listed<'a>(core: &'a Core, request: &Request) -> Result<Vec<&'a Pod>, Refusal> {
    select::listed(core, request, Kind::Pod, &core.state.pods)
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let pods = sequences.iter().filter_map(|at| core.state.pods.get(*at));
    Reply::items(pods.map(|pod| render_pod(core, pod, request.version)))
}

fn quota(value: Option<&Value>) -> Result<Option<Option<u64>>, Refusal> {
    let quota = limit(value, &QUOTA)?;
    if quota.flatten().is_some_and(|bytes| bytes % 512 != 0) {
        return Err(Refusal::invalid("quota_limit", None));
    }
    Ok(quota)
}

/// POST `/pods`. Documented. Copying a pod is not simulated, and refused.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let names = request.required_list("names")?;
    let body: Body = request.optional_body()?;
    let source = body
        .source
        .and_then(|source| source.name.or(source.id))
        .filter(|source| !source.is_empty());
    if let Some(source) = source {
        return Err(Refusal::new(
            "Pods cannot be copied on this array.",
            Some(&source),
        ));
    }
    let new = NewPod {
        names,
        quota_limit: quota(body.quota_limit.as_ref())?.flatten(),
    };
    let plan = core.state.plan_create_pods(&core.rules(), &new)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/pods`: rename, quota, promotion, destroy, recover. Documented: a pod that is destroyed
/// must be empty, unless `destroy_contents` is given. As no pod is linked, there is nothing that
/// `quiesce` and its relatives could wait for, and no `undo-demote` pod to promote from.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::records(request, Kind::Pod, &core.state.pods, NAMES_IDS)?;
    let chosen = select::required(chosen, "names")?;
    realms::refuse_moves(core, request)?;
    for param in ["quiesce", "skip_quiesce", "abort_quiesce"] {
        request.flag(param)?;
    }
    if let Some(undo) = request.params.get("promote_from") {
        return Err(Refusal::missing(Kind::Pod, undo));
    }
    let body: Body = request.body()?;
    let patch = PodPatch {
        name: body.name,
        destroyed: body.destroyed,
        destroy_contents: request.flag("destroy_contents")?,
        quota_limit: quota(body.quota_limit.as_ref())?,
        demoted: body
            .requested_promotion_state
            .as_deref()
            .map(super::volumes::demoted)
            .transpose()?,
    };
    let plan = core.state.plan_patch_pods(&core.rules(), &chosen, &patch)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/pods`. Documented; with contents only with `eradicate_contents`.
pub(super) fn eradicate(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::records(request, Kind::Pod, &core.state.pods, NAMES_IDS)?;
    let chosen = select::required(chosen, "names")?;
    let contents = request.flag("eradicate_contents")?;
    let plan = core
        .state
        .plan_eradicate_pods(&core.rules(), &chosen, contents)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

/// GET `/pods/arrays`: every pod is on this array. Documented.
pub(super) fn arrays(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let pods = select::records(
        request,
        Kind::Pod,
        &core.state.pods,
        ("group_names", "group_ids"),
    )?;
    let own = |param: &str, own: &str| {
        let wanted = request.params.list(param)?;
        Ok::<_, Refusal>(
            wanted.is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(own))),
        )
    };
    let settings = &core.settings;
    let here = own("member_names", &settings.name)? && own("member_ids", &settings.id)?;
    let lines = core
        .state
        .pods
        .iter()
        .filter(|pod| {
            let wanted = pods.as_ref();
            here && wanted.is_none_or(|wanted| wanted.contains(&pod.sequence))
        })
        .map(|pod| {
            let line = json!({
                "group": { "id": pod.id, "name": pod.name },
                "member": { "id": settings.id, "name": settings.name },
            });
            (place(pod.sequence, ""), line)
        });
    render_list(request, super::members::SHAPE, lines)
}
