//! `/volumes/tags` and `/volumes/tags/batch`, from REST 2.2 on.

use serde::Deserialize;

use super::select;
use crate::flasharray::state::{Refusal, TagInput};
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

/// GET `/volumes/tags`. Documented. Assumed: without `resource_names` the tags of all volumes are
/// listed, and without `namespaces` those of all namespaces.
pub(super) fn list(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let core = &*core;
    let listing = Listing::parse(&request.params, TagRow::PROPERTIES)?;
    let namespaces = request.params.list("namespaces")?;
    let wanted = request.params.flag("resource_destroyed")?;
    let volumes = match select::volumes(core, request, RESOURCES)? {
        Some(mut chosen) => {
            chosen.sort_unstable();
            let chosen = chosen.iter().filter_map(|at| core.state.volumes.get(*at));
            select::destroyed(core, wanted, true, chosen)?
        }
        None => select::destroyed(core, wanted, false, core.state.volumes.iter())?,
    };
    let mut rows = Vec::new();
    for volume in volumes {
        let mut tags: Vec<_> = volume
            .tags
            .iter()
            .filter(|tag| {
                namespaces
                    .as_ref()
                    .is_none_or(|wanted| wanted.contains(&tag.namespace))
            })
            .collect();
        tags.sort_by_key(|tag| (&tag.namespace, &tag.key));
        rows.extend(tags.into_iter().map(|tag| TagRow { volume, tag }));
    }
    Ok(Reply::Json(query::list(&listing, rows)))
}

/// PUT `/volumes/tags/batch`: the body is a bare list. Documented: lengths, defaults, upsert.
pub(super) fn put(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::volumes(core, request, RESOURCES)?;
    let chosen = select::required(chosen, RESOURCES.0)?;
    let body: Vec<TagBody> = request.body()?;
    if body.is_empty() {
        return Err(Refusal::required("tag"));
    }
    let tags: Vec<TagInput> = body.into_iter().map(Into::into).collect();
    let plan = core.state.plan_put_tags(&core.rules(), &chosen, &tags)?;
    let touched = core.commit(&plan)?;
    let mut items = Vec::new();
    for volume in touched.iter().filter_map(|at| core.state.volumes.get(*at)) {
        for put in &tags {
            let namespace = put.namespace.as_deref().unwrap_or("default");
            let tag = volume
                .tags
                .iter()
                .find(|tag| tag.key == put.key && tag.namespace == namespace);
            items.extend(tag.map(|tag| TagRow { volume, tag }.render()));
        }
    }
    Ok(Reply::items(items))
}

/// DELETE `/volumes/tags`. Documented: one namespace a call. Assumed: keys are required, the
/// namespace is `default` unless given, and a key that is not there is refused.
pub(super) fn delete(core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let chosen = select::volumes(core, request, RESOURCES)?;
    let chosen = select::required(chosen, RESOURCES.0)?;
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
    let plan = core.state.plan_delete_tags(&chosen, namespace, &keys)?;
    core.commit(&plan)?;
    Ok(Reply::Empty)
}
