//! `/volumes` and `/volumes/space`.

use serde::Deserialize;
use serde_json::Value;

use super::select::{self, Chosen};
use super::tags::TagBody;
use crate::flasharray::state::{
    BANDWIDTH_LIMIT, IOPS_LIMIT, Kind, Move, NewVolumes, Qos, Refusal, SourceReference, Volume,
    VolumePatch,
};
use crate::flasharray::view::{VolumeRow, VolumeSpaceRow};
use crate::flasharray::{Core, Reply, Request, RestVersion};
use crate::query::{self, Listing, Row as _};

/// A reference in a body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reference {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct QosBody {
    pub(super) bandwidth_limit: Option<Value>,
    pub(super) iops_limit: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct PriorityBody {
    priority_adjustment_operator: Option<String>,
    priority_adjustment_value: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
struct CreateBody {
    provisioned: Option<u64>,
    source: Option<Reference>,
    qos: Option<QosBody>,
    subtype: Option<String>,
    priority_adjustment: Option<PriorityBody>,
    #[serde(default)]
    tags: Vec<TagBody>,
}

#[derive(Debug, Default, Deserialize)]
struct PatchBody {
    name: Option<String>,
    destroyed: Option<bool>,
    provisioned: Option<u64>,
    qos: Option<QosBody>,
    pod: Option<Reference>,
    volume_group: Option<Reference>,
    requested_promotion_state: Option<String>,
    priority_adjustment: Option<PriorityBody>,
}

/// The volumes that a listing is about, oldest first.
pub(super) fn listed<'a>(
    core: &'a Core,
    request: &Request,
    listing: Option<&Listing>,
) -> Result<Vec<&'a Volume>, Refusal> {
    let chosen = select::volumes(core, request, ("names", "ids"))?;
    let wanted = request.params.flag("destroyed")?;
    let by_name = chosen.is_some();
    let volumes = &core.state.volumes;
    // A filter for certain names need not look at the other ten thousand.
    let filtered = || {
        let names = listing?.only_names()?;
        let found = names.iter().filter_map(|name| volumes.by_name(name));
        Some(found.map(|volume| volume.sequence).collect::<Chosen>())
    };
    match chosen.or_else(filtered) {
        Some(mut sequences) => {
            sequences.sort_unstable();
            sequences.dedup();
            let records = sequences.iter().filter_map(|at| volumes.get(*at));
            select::destroyed(core, wanted, by_name, records)
        }
        None => select::destroyed(core, wanted, false, volumes.iter()),
    }
}

fn rows<'a>(
    core: &'a Core,
    request: &Request,
    listing: &Listing,
) -> Result<Vec<VolumeRow<'a>>, Refusal> {
    let version = request.version;
    let row = |volume| VolumeRow {
        core,
        volume,
        version,
    };
    Ok(listed(core, request, Some(listing))?
        .into_iter()
        .map(row)
        .collect())
}

/// GET `/volumes`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let listing = Listing::parse(&request.params, VolumeRow::PROPERTIES)?;
    let rows = rows(core, request, &listing)?;
    Ok(Reply::Json(query::list(&listing, rows)))
}

/// GET `/volumes/space`. Documented; the history parameters are accepted and answered with the
/// present (assumed).
pub(super) fn space(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let listing = Listing::parse(&request.params, VolumeSpaceRow::PROPERTIES)?;
    let rows = rows(core, request, &listing)?;
    let rows = rows.into_iter().map(VolumeSpaceRow).collect();
    Ok(Reply::Json(query::list(&listing, rows)))
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let volumes = sequences
        .iter()
        .filter_map(|at| core.state.volumes.get(*at));
    let items = volumes.map(|volume| {
        VolumeRow {
            core,
            volume,
            version: request.version,
        }
        .render()
    });
    Reply::items(items)
}

/// POST `/volumes`: several volumes of one size, or copies of one source; with `overwrite` onto
/// existing ones.
///
/// Documented: size rules, copy, overwrite, protection parameters illegal with overwrite.
/// Observed: `provisioned` beside `source` is accepted. Assumed: it is then ignored, and a copy
/// has its source's size. `tags` are in 2.50 and not in 2.26; in between is not known.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let names = request.required_list("names")?;
    let body: CreateBody = request.optional_body()?;
    let overwrite = request.flag("overwrite")?;
    let protect = protection_groups(core, request, "add_to")?;
    // Checked and without effect: this array has no default protection.
    request.flag("with_default_protection")?;
    let given = request.params.get("with_default_protection").is_some();
    if overwrite && (given || !protect.is_empty()) {
        return Err(Refusal::combination());
    }
    let tags = if request.version > RestVersion(26) {
        body.tags
    } else {
        Vec::new()
    };
    let qos = body.qos.unwrap_or_default();
    let new = NewVolumes {
        names,
        provisioned: body.provisioned,
        source: body.source.map(source).transpose()?,
        overwrite,
        qos: qos_limits(&qos)?,
        subtype: body.subtype.map(subtype).transpose()?,
        priority_adjustment: body.priority_adjustment.map(priority).transpose()?,
        protect,
        tags: tags.into_iter().map(Into::into).collect(),
    };
    let plan = core.state.plan_create_volumes(&core.rules(), &new)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/volumes`: rename, move, resize, limits, destroy, recover.
///
/// Documented: properties. Observed: `name` together with `destroyed` is refused; a `source` in the
/// body is ignored without a word; shrinking needs `truncate`. Assumed: `destroyed` cannot go with
/// anything else either.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::volumes(core, request, ("names", "ids"))?;
    let chosen = select::required(chosen, "names")?;
    let body: PatchBody = request.body()?;
    let container = container(core, body.pod, body.volume_group)?;
    let protection = (
        protection_groups(core, request, "add_to")?,
        protection_groups(core, request, "remove_from")?,
    );
    let qos = body.qos.unwrap_or_default();
    let patch = VolumePatch {
        name: body.name,
        destroyed: body.destroyed,
        provisioned: body.provisioned,
        truncate: request.flag("truncate")?,
        bandwidth_limit: limit(qos.bandwidth_limit.as_ref(), &BANDWIDTH_LIMIT)?,
        iops_limit: limit(qos.iops_limit.as_ref(), &IOPS_LIMIT)?,
        demoted: body
            .requested_promotion_state
            .as_deref()
            .map(demoted)
            .transpose()?,
        priority_adjustment: body.priority_adjustment.map(priority).transpose()?,
        container,
        protection,
    };
    let plan = core
        .state
        .plan_patch_volumes(&core.rules(), &chosen, &patch)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/volumes`: eradicates what is destroyed. Documented.
pub(super) fn eradicate(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::volumes(core, request, ("names", "ids"))?;
    let chosen = select::required(chosen, "names")?;
    let plan = core.state.plan_eradicate_volumes(&core.rules(), &chosen)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

/// The protection groups of a parameter such as `add_to_protection_group_names`.
fn protection_groups(core: &Core, request: &Request, what: &str) -> Result<Chosen, Refusal> {
    let params = if what == "add_to" {
        (
            "add_to_protection_group_names",
            "add_to_protection_group_ids",
        )
    } else {
        (
            "remove_from_protection_group_names",
            "remove_from_protection_group_ids",
        )
    };
    let groups = &core.state.protection_groups;
    let chosen = select::records(request, Kind::ProtectionGroup, groups, params)?;
    Ok(chosen.unwrap_or_default())
}

/// Where `pod` or `volume_group` of a body move a volume. An empty name means out (assumed).
fn container(
    core: &Core,
    pod: Option<Reference>,
    group: Option<Reference>,
) -> Result<Option<Move>, Refusal> {
    let name = |reference: Reference, named: &dyn Fn(&str) -> Option<String>, kind| match (
        reference.name,
        reference.id,
    ) {
        (Some(name), _) => Ok(Some(name)),
        (None, Some(id)) if id.is_empty() => Ok(Some(id)),
        (None, Some(id)) => match named(&id) {
            Some(name) => Ok(Some(name)),
            None => Err(Refusal::missing(kind, &id)),
        },
        (None, None) => Ok(None),
    };
    let pod_name = |id: &str| Some(core.state.pods.by_id(id)?.name.clone());
    let group_name = |id: &str| Some(core.state.volume_groups.by_id(id)?.name.clone());
    let pod = pod.map_or(Ok(None), |pod| name(pod, &pod_name, Kind::Pod))?;
    let group = group.map_or(Ok(None), |group| {
        name(group, &group_name, Kind::VolumeGroup)
    })?;
    match (pod, group) {
        (Some(_), Some(_)) => Err(Refusal::combination()),
        (Some(pod), None) => Ok(Some(Move::Pod(pod))),
        (None, Some(group)) => Ok(Some(Move::VolumeGroup(group))),
        (None, None) => Ok(None),
    }
}

/// `requested_promotion_state` of a body.
pub(super) fn demoted(state: &str) -> Result<bool, Refusal> {
    match state {
        "promoted" => Ok(false),
        "demoted" => Ok(true),
        _ => Err(Refusal::invalid("requested_promotion_state", None)),
    }
}

fn source(reference: Reference) -> Result<SourceReference, Refusal> {
    match (reference.name, reference.id) {
        (Some(name), None) => Ok(SourceReference::Name(name)),
        (None, Some(id)) => Ok(SourceReference::Id(id)),
        (Some(_), Some(_)) => Err(Refusal::combination()),
        (None, None) => Err(Refusal::required("source")),
    }
}

fn subtype(subtype: String) -> Result<String, Refusal> {
    match subtype.as_str() {
        "regular" | "protocol_endpoint" => Ok(subtype),
        _ => Err(Refusal::invalid("subtype", None)),
    }
}

pub(super) fn priority(body: PriorityBody) -> Result<(String, i64), Refusal> {
    let operator = body
        .priority_adjustment_operator
        .unwrap_or_else(|| "+".to_owned());
    let value = body.priority_adjustment_value.unwrap_or(0);
    let valid = match operator.as_str() {
        "+" | "-" => matches!(value, 0 | 10),
        "=" => matches!(value, -10 | 0 | 10),
        _ => false,
    };
    if valid {
        Ok((operator, value))
    } else {
        Err(Refusal::invalid("priority_adjustment", None))
    }
}

pub(super) fn qos_limits(qos: &QosBody) -> Result<Qos, Refusal> {
    Ok(Qos {
        bandwidth_limit: limit(qos.bandwidth_limit.as_ref(), &BANDWIDTH_LIMIT)?.flatten(),
        iops_limit: limit(qos.iops_limit.as_ref(), &IOPS_LIMIT)?.flatten(),
    })
}

/// A limit of a body: a number in its range, or `""` to remove it. `None` when it is not there.
pub(super) fn limit(
    value: Option<&Value>,
    range: &std::ops::RangeInclusive<u64>,
) -> Result<Option<Option<u64>>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(Some(None)),
        Some(value) => match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(Some(number))),
            _ => Err(Refusal::new(
                format!(
                    "Limit must be between {} and {}.",
                    range.start(),
                    range.end()
                ),
                None,
            )),
        },
    }
}
