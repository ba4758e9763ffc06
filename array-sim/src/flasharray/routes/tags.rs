//! `/volumes/tags` and `/volumes/tags/batch`, and the same of snapshots, from REST 2.2 on.

use serde::Deserialize;

use super::select::{self, Chosen, Destroyable};
use crate::flasharray::state::{Refusal, Snapshot, Tag, TagInput, Tagged, Volume};
use crate::flasharray::view::TagRow;
use crate::flasharray::{Core, Reply, Request};
use crate::query::{self, Listing, Row as _};

#[derive(Debug, Deserialize)]
pub(super) struct TagBody {
    key: String,
    value: String,
    namespace: Option<String>,
    copyable: Option<bool>,
}

impl From<TagBody> for TagInput {
    fn from(tag: TagBody) -> Self {
        Self {
            namespace: tag.namespace,
            key: tag.key,
            value: tag.value,
            copyable: tag.copyable,
        }
    }
}

const RESOURCES: (&str, &str) = ("resource_names", "resource_ids");

/// The objects of a call, by [`RESOURCES`].
type Choose = fn(&Core, &Request, (&'static str, &'static str)) -> Result<Option<Chosen>, Refusal>;

/// GET `/volumes/tags`. Documented. Assumed: without `resource_names` the tags of all volumes are
/// listed, and without `namespaces` those of all namespaces.
pub(super) fn list_volumes(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    list::<Volume>(core, request, select::volumes)
}

/// GET `/volume-snapshots/tags`, likewise.
pub(super) fn list_snapshots(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    list::<Snapshot>(core, request, select::snapshots)
}

fn row<'a, T: Tagged>(core: &Core, object: &'a T, tag: &'a Tag) -> TagRow<'a> {
    TagRow {
        sequence: object.sequence(),
        id: object.id().unwrap_or_default(),
        name: object.name(&core.state),
        tag,
    }
}

fn list<T: Tagged + Destroyable>(
    core: &Core,
    request: &Request,
    choose: Choose,
) -> Result<Reply, Refusal> {
    let listing = Listing::parse(&request.params, TagRow::PROPERTIES)?;
    let namespaces = request.params.list("namespaces")?;
    let wanted = request.params.flag("resource_destroyed")?;
    let table = T::table(&core.state);
    let objects = match choose(core, request, RESOURCES)? {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| table.get(*at));
            select::destroyed(core, wanted, true, chosen)?
        }
        None => select::destroyed(core, wanted, false, table.iter())?,
    };
    let mut rows = Vec::new();
    for object in objects {
        let namespaces = namespaces.as_ref();
        let chosen = |tag: &&Tag| namespaces.is_none_or(|wanted| wanted.contains(&tag.namespace));
        let mut tags: Vec<&Tag> = object.tags().iter().filter(chosen).collect();
        tags.sort_by_key(|tag| (&tag.namespace, &tag.key));
        rows.extend(tags.into_iter().map(|tag| row(core, object, tag)));
    }
    Ok(Reply::Json(query::list(&listing, rows)))
}

/// PUT `/volumes/tags/batch`: the body is a bare list. Documented: lengths, defaults, upsert.
pub(super) fn put_volumes(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    put::<Volume>(core, request, select::volumes)
}

/// PUT `/volume-snapshots/tags/batch`, likewise.
pub(super) fn put_snapshots(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    put::<Snapshot>(core, request, select::snapshots)
}

fn put<T: Tagged>(core: &mut Core, request: &Request, choose: Choose) -> Result<Reply, Refusal> {
    let chosen = select::required(choose(core, request, RESOURCES)?, RESOURCES.0)?;
    let body: Vec<TagBody> = request.body()?;
    if body.is_empty() {
        return Err(Refusal::required("tag"));
    }
    let tags: Vec<TagInput> = body.into_iter().map(Into::into).collect();
    let plan = core
        .state
        .plan_put_tags::<T>(&core.rules(), &chosen, &tags)?;
    let touched = core.commit(&plan)?;
    let mut items = Vec::new();
    let table = T::table(&core.state);
    for object in touched.iter().filter_map(|at| table.get(*at)) {
        for put in &tags {
            let namespace = put.namespace.as_deref().unwrap_or("default");
            let is = |tag: &&Tag| tag.key == put.key && tag.namespace == namespace;
            let tag = object.tags().iter().find(is);
            items.extend(tag.map(|tag| row(core, object, tag).render()));
        }
    }
    Ok(Reply::items(items))
}

/// DELETE `/volumes/tags`. Documented: one namespace a call. Assumed: keys are required, the
/// namespace is `default` unless given, and a key that is not there is refused.
pub(super) fn delete_volumes(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    delete::<Volume>(core, request, select::volumes)
}

/// DELETE `/volume-snapshots/tags`, likewise.
pub(super) fn delete_snapshots(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    delete::<Snapshot>(core, request, select::snapshots)
}

fn delete<T: Tagged>(core: &mut Core, request: &Request, choose: Choose) -> Result<Reply, Refusal> {
    let chosen = select::required(choose(core, request, RESOURCES)?, RESOURCES.0)?;
    let keys = request.required_list("keys")?;
    let namespaces = request
        .params
        .list("namespaces")?
        .unwrap_or_else(|| vec!["default".to_owned()]);
    let [namespace] = namespaces.as_slice() else {
        return Err(Refusal::new(
            "Only one namespace is allowed per delete request.",
            None,
        ));
    };
    let plan = core
        .state
        .plan_delete_tags::<T>(&chosen, namespace, &keys)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}
