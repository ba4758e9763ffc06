//! `/host-groups`, and membership by `/host-groups/hosts` or `/hosts/host-groups`.

use serde::Deserialize;

use super::{realms, select};
use crate::flasharray::state::{HostGroup, Refusal};
use crate::flasharray::view::{GroupRow, MemberRow};
use crate::flasharray::{Core, Reply, Request};
use crate::query::{self, Listing, Row as _};

#[derive(Debug, Default, Deserialize)]
struct PatchBody {
    name: Option<String>,
}

/// GET `/host-groups`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, GroupRow::PROPERTIES)?;
    let version = request.version;
    let row = |group| GroupRow {
        core,
        group,
        version,
    };
    let rows = match select::live_only(request, select::groups(core, request, "names")?)? {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| core.state.groups.get(*at));
            chosen.map(row).collect()
        }
        None => core.state.groups.iter().map(row).collect(),
    };
    Ok(Reply::Json(query::list(&listing, rows)))
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let groups = sequences.iter().filter_map(|at| core.state.groups.get(*at));
    let items = groups.map(|group| {
        GroupRow {
            core,
            group,
            version: request.version,
        }
        .render()
    });
    Reply::items(items)
}

/// POST `/host-groups`. Documented.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let names = request.required_list("names")?;
    let plan = core.state.plan_create_groups(&core.rules(), &names)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/host-groups`: a new name. Documented.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(select::groups(core, request, "names")?, "names")?;
    realms::refuse_moves(core, request)?;
    let body: PatchBody = request.body()?;
    let plan = core
        .state
        .plan_rename_groups(&chosen, body.name.as_deref())?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/host-groups`. Documented; that it must be empty and unconnected is assumed.
pub(super) fn delete(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(select::groups(core, request, "names")?, "names")?;
    let plan = core.state.plan_delete_groups(&chosen)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

/// GET of both membership calls. Documented.
pub(super) fn list_members(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, MemberRow::PROPERTIES)?;
    let groups = select::groups(core, request, "group_names")?;
    let hosts = select::hosts(core, request, "member_names")?;
    let mut rows = Vec::new();
    for host in core.state.hosts.iter() {
        let Some(group) = host.group.and_then(|group| core.state.groups.get(group)) else {
            continue;
        };
        let wanted = |chosen: &Option<Vec<u64>>, sequence| {
            chosen
                .as_ref()
                .is_none_or(|chosen| chosen.contains(&sequence))
        };
        if wanted(&groups, group.sequence) && wanted(&hosts, host.sequence) {
            rows.push(MemberRow { group, host });
        }
    }
    Ok(Reply::Json(query::list(&listing, rows)))
}

/// POST of both membership calls: the hosts see the group's volumes from then on. Documented.
pub(super) fn join(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let (group, hosts) = group_and_hosts(core, request)?;
    let plan = core.state.plan_join(&group, &hosts)?;
    let touched = core.commit(&plan)?;
    let hosts = touched.iter().filter_map(|at| core.state.hosts.get(*at));
    let group = &group;
    let items = hosts.map(|host| MemberRow { group, host }.render());
    Ok(Reply::items(items))
}

/// DELETE of both membership calls. Documented.
pub(super) fn leave(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let (group, hosts) = group_and_hosts(core, request)?;
    let plan = core.state.plan_leave(&group, &hosts)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}

/// One group and any number of hosts; a host is in one group at most.
fn group_and_hosts(core: &Core, request: &Request) -> Result<(HostGroup, Vec<u64>), Refusal> {
    let groups = select::groups(core, request, "group_names")?;
    let groups = select::required(groups, "group_names")?;
    let hosts = select::hosts(core, request, "member_names")?;
    let hosts = select::required(hosts, "member_names")?;
    let [group] = groups.as_slice() else {
        return Err(Refusal::combination());
    };
    let group = core.state.groups.get(*group);
    let group = group.cloned().ok_or_else(Refusal::combination)?;
    Ok((group, hosts))
}
