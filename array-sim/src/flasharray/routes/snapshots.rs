//! `/volume-snapshots`. Restoring and copying are POST `/volumes` with the snapshot as source.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::select;
use crate::flasharray::state::{NewSnapshots, Refusal, Snapshot, SnapshotPatch};
use crate::flasharray::view::SnapshotRow;
use crate::flasharray::{Core, Reply, Request};
use crate::query::{self, Listing, Row as _};

#[derive(Debug, Default, Deserialize)]
struct CreateBody {
    suffix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct PatchBody {
    name: Option<String>,
    destroyed: Option<bool>,
}

const SOURCES: (&str, &str) = ("source_names", "source_ids");

/// GET `/volume-snapshots`. Documented.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, SnapshotRow::PROPERTIES)?;
    let wanted = request.params.flag("destroyed")?;
    let sources: Option<BTreeSet<u64>> =
        select::volumes(core, request, SOURCES)?.map(|chosen| chosen.into_iter().collect());
    let of_source = |snapshot: &&Snapshot| {
        sources
            .as_ref()
            .is_none_or(|sources| sources.contains(&snapshot.volume))
    };
    let records = match select::snapshots(core, request, select::NAMES_IDS)? {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| core.state.snapshots.get(*at));
            select::destroyed(core, wanted, true, chosen.filter(of_source))?
        }
        None => {
            let all = core.state.snapshots.iter().filter(of_source);
            select::destroyed(core, wanted, false, all)?
        }
    };
    let rows = records
        .into_iter()
        .map(|snapshot| SnapshotRow::new(core, snapshot, request.version))
        .collect();
    Ok(Reply::Json(query::list(&listing, rows)))
}

fn render(core: &Core, request: &Request, sequences: &[u64]) -> Reply {
    let snapshots = sequences
        .iter()
        .filter_map(|at| core.state.snapshots.get(*at));
    let items =
        snapshots.map(|snapshot| SnapshotRow::new(core, snapshot, request.version).render());
    Reply::items(items)
}

/// POST `/volume-snapshots`. Documented: names; observed: the body may be absent. `on` (a
/// replication target) is refused, because this array has none.
pub(super) fn create(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let sources = select::volumes(core, request, SOURCES)?;
    let sources = select::required(sources, SOURCES.0)?;
    if let Some(target) = request.params.get("on") {
        return Err(Refusal::new("Target does not exist.", Some(target)));
    }
    let body: CreateBody = request.optional_body()?;
    let new = NewSnapshots {
        sources,
        suffix: body.suffix,
    };
    let plan = core.state.plan_snapshots(&core.rules(), &new)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// PATCH `/volume-snapshots`: a new suffix (`name`), destroy, recover. Documented; that `name` is
/// the suffix alone is observed too.
pub(super) fn patch(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(
        select::snapshots(core, request, select::NAMES_IDS)?,
        "names",
    )?;
    let body: PatchBody = request.body()?;
    let patch = SnapshotPatch {
        name: body.name,
        destroyed: body.destroyed,
    };
    let plan = core
        .state
        .plan_patch_snapshots(&core.rules(), &chosen, &patch)?;
    let touched = core.commit(&plan)?;
    Ok(render(core, request, &touched))
}

/// DELETE `/volume-snapshots`: eradicates what is destroyed. Documented.
pub(super) fn eradicate(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::required(
        select::snapshots(core, request, select::NAMES_IDS)?,
        "names",
    )?;
    let plan = core
        .state
        .plan_eradicate_snapshots(&core.rules(), &chosen)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}
