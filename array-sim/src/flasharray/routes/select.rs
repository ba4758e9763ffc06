//! Which records a call is about: `names`, `ids`, `destroyed` and their relatives.
//!
//! Documented: names and ids exclude each other, and each must match something or the whole call
//! is refused. There are no wildcards in names (observed).

use std::collections::BTreeSet;

use crate::flasharray::state::{
    ErrorItem, Kind, Pod, ProtectionGroup, Record, Refusal, Snapshot, Table, Volume, VolumeGroup,
};
use crate::flasharray::{Core, Request};

/// Sequence numbers in the order of the request, without repetition.
pub(super) type Chosen = Vec<u64>;

fn choose<'a>(
    kind: Kind,
    wanted: &'a [String],
    find: impl Fn(&'a str) -> Option<u64>,
) -> Result<Chosen, Refusal> {
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    let mut missing: Vec<Refusal> = Vec::new();
    for name in wanted {
        match find(name) {
            Some(sequence) if seen.insert(sequence) => chosen.push(sequence),
            Some(_) => {}
            None => missing.push(Refusal::missing(kind, name)),
        }
    }
    Refusal::all(missing).map_or(Ok(chosen), Err)
}

/// `None`: neither names nor ids were given.
fn by_names_or_ids(
    request: &Request,
    (names_param, ids_param): (&'static str, &'static str),
    pick: impl Fn(&[String], bool) -> Result<Chosen, Refusal>,
) -> Result<Option<Chosen>, Refusal> {
    let names = request.params.list(names_param)?;
    let ids = request.params.list(ids_param)?;
    match (names, ids) {
        (Some(_), Some(_)) => Err(Refusal::combination()),
        (Some(names), None) => pick(&names, false).map(Some),
        (None, Some(ids)) => pick(&ids, true).map(Some),
        (None, None) => Ok(None),
    }
}

/// Volumes by two parameters such as `names` and `ids`.
pub(super) fn volumes(
    core: &Core,
    request: &Request,
    params: (&'static str, &'static str),
) -> Result<Option<Chosen>, Refusal> {
    by_names_or_ids(request, params, |wanted, by_id| {
        choose(Kind::Volume, wanted, |name| {
            let found = if by_id {
                core.state.volumes.by_id(name)
            } else {
                core.state.volumes.by_name(name)
            };
            found.map(|volume| volume.sequence)
        })
    })
}

/// The two parameters by which most records are chosen.
pub(super) const NAMES_IDS: (&str, &str) = ("names", "ids");

/// Records of any table by two parameters such as [`NAMES_IDS`].
pub(super) fn records<T: Record>(
    request: &Request,
    kind: Kind,
    table: &Table<T>,
    params: (&'static str, &'static str),
) -> Result<Option<Chosen>, Refusal> {
    by_names_or_ids(request, params, |wanted, by_id| {
        choose(kind, wanted, |name| {
            let found = if by_id {
                table.by_id(name)
            } else {
                table.by_name(name)
            };
            found.map(Record::sequence)
        })
    })
}

/// The records that a listing is about, oldest first: by [`NAMES_IDS`] and `destroyed`.
pub(super) fn listed<'a, T: Record + Destroyable>(
    core: &Core,
    request: &Request,
    kind: Kind,
    table: &'a Table<T>,
) -> Result<Vec<&'a T>, Refusal> {
    let wanted = request.params.flag("destroyed")?;
    match records(request, kind, table, NAMES_IDS)? {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| table.get(*at));
            destroyed(core, wanted, true, chosen)
        }
        None => destroyed(core, wanted, false, table.iter()),
    }
}

/// Snapshots by two parameters such as `names` and `ids`.
pub(super) fn snapshots(
    core: &Core,
    request: &Request,
    params: (&'static str, &'static str),
) -> Result<Option<Chosen>, Refusal> {
    by_names_or_ids(request, params, |wanted, by_id| {
        choose(Kind::Snapshot, wanted, |name| {
            let found = if by_id {
                core.state.snapshots.by_id(name)
            } else {
                core.state.snapshot_by_name(name)
            };
            found.map(|snapshot| snapshot.sequence)
        })
    })
}

/// Hosts by a parameter such as `names`.
pub(super) fn hosts(
    core: &Core,
    request: &Request,
    param: &str,
) -> Result<Option<Chosen>, Refusal> {
    let Some(names) = request.params.list(param)? else {
        return Ok(None);
    };
    choose(Kind::Host, &names, |name| {
        core.state.hosts.by_name(name).map(|host| host.sequence)
    })
    .map(Some)
}

/// Host groups by a parameter such as `names`.
pub(super) fn groups(
    core: &Core,
    request: &Request,
    param: &str,
) -> Result<Option<Chosen>, Refusal> {
    let Some(names) = request.params.list(param)? else {
        return Ok(None);
    };
    choose(Kind::HostGroup, &names, |name| {
        core.state.groups.by_name(name).map(|group| group.sequence)
    })
    .map(Some)
}

/// `destroyed` of what is never destroyed: asked for what is, nothing is chosen.
pub(super) fn live_only(
    request: &Request,
    chosen: Option<Chosen>,
) -> Result<Option<Chosen>, Refusal> {
    let destroyed = request.params.flag("destroyed")?;
    Ok(if destroyed == Some(true) {
        Some(Chosen::new())
    } else {
        chosen
    })
}

/// For calls that must say what they are about.
pub(super) fn required(chosen: Option<Chosen>, param: &str) -> Result<Chosen, Refusal> {
    chosen.ok_or_else(|| Refusal::required(param))
}

/// Something that may be pending eradication.
pub(super) trait Destroyable {
    fn is_destroyed(&self) -> bool;
    fn describe(&self, core: &Core) -> (Kind, String);
}

impl Destroyable for Volume {
    fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }
    fn describe(&self, _: &Core) -> (Kind, String) {
        (Kind::Volume, self.name.clone())
    }
}

impl Destroyable for Pod {
    fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }
    fn describe(&self, _: &Core) -> (Kind, String) {
        (Kind::Pod, self.name.clone())
    }
}

impl Destroyable for VolumeGroup {
    fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }
    fn describe(&self, _: &Core) -> (Kind, String) {
        (Kind::VolumeGroup, self.name.clone())
    }
}

/// Never destroyed.
impl Destroyable for ProtectionGroup {
    fn is_destroyed(&self) -> bool {
        false
    }
    fn describe(&self, _: &Core) -> (Kind, String) {
        (Kind::ProtectionGroup, self.name.clone())
    }
}

impl Destroyable for Snapshot {
    fn is_destroyed(&self) -> bool {
        self.destroyed.is_some()
    }
    fn describe(&self, core: &Core) -> (Kind, String) {
        (Kind::Snapshot, core.state.snapshot_name(self))
    }
}

/// Applies `destroyed` to records in the order of the listing. Where they were asked for by name,
/// one that does not fit refuses the call (documented; that it then reads like an unknown name is
/// assumed).
pub(super) fn destroyed<'a, T: Destroyable>(
    core: &Core,
    wanted: Option<bool>,
    by_name: bool,
    records: impl Iterator<Item = &'a T>,
) -> Result<Vec<&'a T>, Refusal> {
    let mut kept = Vec::new();
    let mut errors: Vec<ErrorItem> = Vec::new();
    for record in records {
        if wanted.is_none_or(|wanted| record.is_destroyed() == wanted) {
            kept.push(record);
        } else if by_name {
            let (kind, name) = record.describe(core);
            errors.extend(Refusal::missing(kind, &name).errors);
        }
    }
    if errors.is_empty() {
        Ok(kept)
    } else {
        Err(Refusal {
            status: 400,
            errors,
        })
    }
}
