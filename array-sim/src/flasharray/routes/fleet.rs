//! What REST 2.38 added to every call: contexts (several arrays as one), listings that go on where
//! something is missing, and the array's own reference in every object.
//!
//! This array is a fleet of one. Documented: `context_names`, `allow_errors`, status 207, `errors`
//! with `location_context`. Assumed: the texts, and that only what is asked for by name, id or
//! context can be missing.

use serde_json::{Value, json};

use super::Route;
use crate::flasharray::state::{ErrorItem, Refusal};
use crate::flasharray::view::context;
use crate::flasharray::{Core, Reply, Request};

/// Runs a call, and shows its answer as its version does.
pub(crate) fn serve(route: &Route, core: &mut Core, request: &Request) -> Result<Reply, Refusal> {
    let allow_errors = request.flag("allow_errors")?;
    let mut errors = Vec::new();
    let reply = match foreign_contexts(core, request)? {
        Contexts::Own => None,
        Contexts::Foreign { refusal, .. } if !allow_errors => return Err(refusal),
        Contexts::Foreign { refusal, own } => {
            errors.extend(refusal.errors);
            (!own).then(nothing)
        }
    };
    let reply = match reply {
        Some(reply) => reply,
        None if allow_errors => go_on(route, core, request, &mut errors)?,
        None => (route.run)(core, request)?,
    };
    Ok(match reply {
        Reply::Json(body) => finish(route, core, request, (body, &errors)),
        other => other,
    })
}

enum Contexts {
    /// Nothing was said, or this array is meant.
    Own,
    Foreign {
        refusal: Refusal,
        /// Whether this array is meant too.
        own: bool,
    },
}

fn foreign_contexts(core: &Core, request: &Request) -> Result<Contexts, Refusal> {
    let names = request.params.list("context_names")?.unwrap_or_default();
    let is_own = |name: &String| name.eq_ignore_ascii_case(&core.settings.name);
    let refusals = names
        .iter()
        .filter(|name| !is_own(name))
        .map(|name| Refusal::new("Context does not exist.", Some(name)))
        .collect();
    Ok(match Refusal::all(refusals) {
        None => Contexts::Own,
        Some(refusal) => Contexts::Foreign {
            refusal,
            own: names.iter().any(is_own),
        },
    })
}

/// Runs a listing without what is missing, as long as something is left.
fn go_on(
    route: &Route,
    core: &mut Core,
    request: &Request,
    errors: &mut Vec<ErrorItem>,
) -> Result<Reply, Refusal> {
    let mut request = request.clone();
    loop {
        let refusal = match (route.run)(core, &request) {
            Err(refusal) if refusal.status == 400 => refusal,
            done => return done,
        };
        let missing: Vec<&str> = refusal
            .errors
            .iter()
            .filter_map(|error| error.context.as_deref())
            .collect();
        let Some(left) = request.params.without(&missing) else {
            // Not about anything that was asked for: nothing would get better.
            return Err(refusal);
        };
        errors.extend(refusal.errors);
        if !left {
            return Ok(nothing());
        }
    }
}

fn nothing() -> Reply {
    Reply::Json(json!({
        "continuation_token": null,
        "items": [],
        "more_items_remaining": false,
        "total_item_count": null,
    }))
}

fn finish(
    route: &Route,
    core: &Core,
    request: &Request,
    (mut body, errors): (Value, &[ErrorItem]),
) -> Reply {
    // Where a version cannot go on by token, it gives none.
    if !route.has_param("continuation_token", request.version)
        && let Some(token) = body.get_mut("continuation_token")
    {
        *token = Value::Null;
    }
    if !route.has_param("context_names", request.version) {
        return Reply::Json(body);
    }
    let own = context(core);
    let items = body.get_mut("items").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        if let Some(map) = item.as_object_mut() {
            map.entry("context").or_insert_with(|| own.clone());
        }
    }
    if errors.is_empty() {
        return Reply::Json(body);
    }
    let errors = errors.iter().map(|error| {
        json!({
            "context": error.context,
            "location_context": own,
            "message": error.message,
        })
    });
    let errors = Value::Array(errors.collect());
    if let Some(map) = body.as_object_mut() {
        map.insert("errors".to_owned(), errors);
    }
    Reply::Partial(body)
}
