//! Faults for certain calls: which calls a rule takes.

use serde::{Deserialize, Serialize};

use super::FaultAction;
use crate::query::Params;

/// A fault for certain calls. Rules are asked in the order in which they were added; the first
/// that takes a call decides about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// Upper case; unset: all.
    #[serde(default)]
    pub method: Option<String>,
    /// The path after `/api/2.N/`, such as `volumes`; unset: all.
    #[serde(default)]
    pub path: Option<String>,
    /// A name or id that one of the query's parameters must list, ignoring case; unset: all.
    #[serde(default)]
    pub object: Option<String>,
    /// A text that the query must contain, as it was sent; unset: all.
    #[serde(default)]
    pub query_contains: Option<String>,
    /// A text that the body must contain, as it was sent; unset: all.
    #[serde(default)]
    pub body_contains: Option<String>,
    /// How many fitting calls are left alone first.
    #[serde(default)]
    pub skip: u64,
    /// How many calls it takes; unset: all.
    #[serde(default)]
    pub times: Option<u64>,
    /// The share of the fitting calls that it takes, 0 to 1, by the seed; unset: all.
    #[serde(default)]
    pub probability: Option<f64>,
    /// What happens.
    pub action: FaultAction,
}

/// A call as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) method: &'a str,
    /// The path after `/api/2.N/`.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

impl FaultRule {
    /// A rule for every call.
    #[must_use]
    pub const fn new(action: FaultAction) -> Self {
        Self {
            method: None,
            path: None,
            object: None,
            query_contains: None,
            body_contains: None,
            skip: 0,
            times: None,
            probability: None,
            action,
        }
    }

    /// A rule for the next call of this method and path (after `/api/2.N/`).
    #[must_use]
    pub fn once(method: &str, path: &str, action: FaultAction) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: Some(path.to_owned()),
            times: Some(1),
            ..Self::new(action)
        }
    }

    /// What is wrong with it, each with the key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self
            .probability
            .is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            problems.push("probability: needs a number from 0 to 1".to_owned());
        }
        if let FaultAction::Fail { status, .. } | FaultAction::FailAfter { status, .. } =
            &self.action
            && !(400..=599).contains(status)
        {
            problems.push("action.status: needs a number from 400 to 599".to_owned());
        }
        problems
    }

    pub(super) fn fits(&self, call: &Incoming<'_>) -> bool {
        let wanted =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let contains = |part: &Option<String>, text: &[u8]| {
            part.as_deref()
                .is_none_or(|part| contains(text, part.as_bytes()))
        };
        wanted(&self.method, call.method)
            && wanted(&self.path, call.path)
            && contains(&self.query_contains, call.query.as_bytes())
            && contains(&self.body_contains, call.body)
            && self
                .object
                .as_deref()
                .is_none_or(|object| lists(call.query, object))
    }
}

/// Whether one of the query's parameters lists this name or id.
fn lists(query: &str, object: &str) -> bool {
    let Ok(params) = Params::parse(query) else {
        return false;
    };
    params.names().any(|name| {
        let values = params.get(name).unwrap_or_default().split(',');
        (name.ends_with("names") || name.ends_with("ids"))
            && values
                .map(str::trim)
                .any(|value| value.eq_ignore_ascii_case(object))
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(query: &'a str, body: &'a str) -> Incoming<'a> {
        Incoming {
            method: "PATCH",
            path: "volumes",
            query,
            body: body.as_bytes(),
        }
    }

    #[test]
    fn an_object_is_a_whole_name_in_any_list() {
        let mut rule = FaultRule::new(FaultAction::Busy);
        rule.object = Some("pod::V1".to_owned());
        assert!(rule.fits(&call("names=v0,pod%3A%3Av1&truncate=true", "")));
        assert!(rule.fits(&call("volume_names=pod::v1", "")));
        assert!(!rule.fits(&call("names=pod::v12", "")));
        assert!(!rule.fits(&call("filter=pod::v1", "")));
    }

    #[test]
    fn a_body_is_searched() {
        let mut rule = FaultRule::new(FaultAction::Busy);
        rule.body_contains = Some("\"destroyed\":true".to_owned());
        assert!(rule.fits(&call("names=v", "{\"destroyed\":true}")));
        assert!(!rule.fits(&call("names=v", "{\"destroyed\":false}")));
        assert!(!rule.fits(&call("names=v", "")));
    }
}
