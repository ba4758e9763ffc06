//! `/hosts`.

use serde::Deserialize;

use super::volumes::Reference;
use super::{realms, select};
use crate::flasharray::state::{Chap, HostPatch, Initiators, NewHost, Refusal};
use crate::flasharray::view::HostRow;
use crate::flasharray::{Core, Reply, Request};
use crate::query::{self, Listing, Row as _};

/// Operating systems of the vendor's REST document, 2.26.
const PERSONALITIES: &[&str] = &[
    "",
    "aix",
    "esxi",
    "hitachi-vsp",
    "hpux",
    "oracle-vm-server",
    "solaris",
    "vms",
];

#[derive(Debug, Default, Deserialize)]
struct HostBody {
    name: Option<String>,
    iqns: Option<Vec<String>>,
    nqns: Option<Vec<String>>,
    wwns: Option<Vec<String>>,
    #[serde(default)]
    add_iqns: Vec<String>,
    #[serde(default)]
    add_nqns: Vec<String>,
    #[serde(default)]
    add_wwns: Vec<String>,
    #[serde(default)]
    remove_iqns: Vec<String>,
    #[serde(default)]
    remove_nqns: Vec<String>,
    #[serde(default)]
    remove_wwns: Vec<String>,
    chap: Option<ChapBody>,
    personality: Option<String>,
    vlan: Option<String>,
    host_group: Option<Reference>,
}

#[derive(Default, Deserialize)]
struct ChapBody {
    host_user: Option<String>,
    host_password: Option<String>,
    target_user: Option<String>,
    target_password: Option<String>,
}

impl std::fmt::Debug for ChapBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ChapBody").finish_non_exhaustive()
    }
}

/// GET `/hosts`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, HostRow::PROPERTIES)?;
    let chosen = select::live_only(request, select::hosts(core, request, "names")?)?;
    let version = request.version;
    let row = |host| HostRow {
        core,
        host,
        version,
    };
    let rows = match chosen {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| core.state.hosts.get(*at));
            chosen.map(row).collect()
        }
        None => core.state.hosts.iter().map(row).collect(),
    };
    Ok(Reply::Json(query::list(&listing, rows)))
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let hosts = sequences.iter().filter_map(|at| core.state.hosts.get(*at));
    let items = hosts.map(|host| {
        HostRow {
            core,
            host,
            version: request.version,
        }
        .render()
    });
    Reply::items(items)
}

/// POST `/hosts`. Documented; observed: "Host already exists.", and "already in use" for an
/// initiator of another host. An empty body is accepted (assumed).
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let names = request.required_list("names")?;
    let body: HostBody = request.optional_body()?;
    let new = NewHost {
        names,
        patch: HostPatch {
            name: None,
            ..patch_of(body)?
        },
    };
    let plan = core.state.plan_create_hosts(&core.rules(), &new)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/hosts`. Documented.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(select::hosts(core, request, "names")?, "names")?;
    realms::refuse_moves(core, request)?;
    let patch = patch_of(request.body()?)?;
    let plan = core.state.plan_patch_hosts(&chosen, &patch)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/hosts`: at once, and only without connections. Documented; observed: the text.
pub(super) fn delete(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(select::hosts(core, request, "names")?, "names")?;
    let plan = core.state.plan_delete_hosts(&chosen)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

fn patch_of(body: HostBody) -> Result<HostPatch, Refusal> {
    if let Some(personality) = &body.personality
        && !PERSONALITIES.contains(&personality.as_str())
    {
        return Err(Refusal::invalid("personality", None));
    }
    if let Some(vlan) = &body.vlan {
        check_vlan(vlan)?;
    }
    Ok(HostPatch {
        name: body.name,
        iqns: Initiators {
            set: body.iqns,
            add: body.add_iqns,
            remove: body.remove_iqns,
        },
        nqns: Initiators {
            set: body.nqns,
            add: body.add_nqns,
            remove: body.remove_nqns,
        },
        wwns: Initiators {
            set: body.wwns,
            add: body.add_wwns,
            remove: body.remove_wwns,
        },
        chap: body.chap.map(chap).transpose()?,
        personality: body.personality,
        vlan: body.vlan,
        group: body.host_group.and_then(|group| group.name),
    })
}

/// `any`, `untagged`, or 1 to 4094 (documented).
fn check_vlan(vlan: &str) -> Result<(), Refusal> {
    let number = || vlan.parse::<u16>().is_ok_and(|id| (1..=4094).contains(&id));
    if matches!(vlan, "any" | "untagged") || number() {
        Ok(())
    } else {
        Err(Refusal::invalid("vlan", None))
    }
}

/// Secrets have 12 to 255 characters without blanks and differ (documented). An empty one clears.
fn chap(body: ChapBody) -> Result<Chap, Refusal> {
    let valid = |secret: &Option<String>| {
        secret.as_ref().is_none_or(|secret| {
            secret.is_empty()
                || (12..=255).contains(&secret.chars().count()) && !secret.contains(' ')
        })
    };
    let same = body
        .host_password
        .as_ref()
        .is_some_and(|secret| !secret.is_empty() && Some(secret) == body.target_password.as_ref());
    if !valid(&body.host_password) || !valid(&body.target_password) || same {
        return Err(Refusal::invalid("CHAP password", None));
    }
    let given = |secret: Option<String>| secret.map(|secret| !secret.is_empty());
    Ok(Chap {
        host_user: body.host_user,
        target_user: body.target_user,
        host_secret: given(body.host_password),
        target_secret: given(body.target_password),
    })
}
