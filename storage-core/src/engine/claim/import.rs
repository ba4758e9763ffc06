//! What is to be adopted: where the object is, and that it is nobody else's.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Round;
use super::roster::claims;
use super::run::Waiting;
use super::view::Sights;
use crate::claim::{ArrayNumber, TentativeKind};
use crate::engine::fleet::{Member, bounded};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Namespace, is_reserved};

/// Where it is.
#[derive(Debug)]
pub(super) enum Source {
    /// Under its own name.
    Found(ArrayNumber, Arc<Member>),
    /// Renamed aside by an earlier attempt that was cut off.
    Aside(Waiting),
}

/// Finds the object on the arrays that the selector allows.
///
/// # Errors
/// `NotFound`; `FailedPrecondition` when several arrays have one of that name, or another
/// namespace may own it; `Unavailable` while one that may have it does not answer.
pub(super) async fn find(round: &Round<'_>, object: &str, sights: &Sights) -> Result<Source> {
    let namespace = round.shared.fleet.namespace();
    if let Some(problem) = whose(object, namespace, &round.roster.record.namespaces) {
        return Err(
            Error::new(ErrorKind::FailedPrecondition, problem).with_context("object", object)
        );
    }
    for (number, member) in round.roster.members() {
        let waits = sights.of(member).and_then(|view| {
            let mut tentatives = view.tentatives.iter();
            tentatives.find(|one| one.kind == TentativeKind::Imported)
        });
        if let Some(tentative) = waits {
            return Ok(Source::Aside(Waiting {
                nonce: tentative.nonce,
                number,
                member: Arc::clone(member),
            }));
        }
    }
    let mut found = ask(round, object).await?;
    match (found.pop(), found.is_empty()) {
        (Some((number, member)), true) => Ok(Source::Found(number, member)),
        (Some((_, last)), false) => {
            let others = found.iter().map(|(_, member)| member.backend.to_string());
            let all: Vec<String> = others.chain([last.backend.to_string()]).collect();
            Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "several arrays have an object of this name: {}; say which with volume_label_selector",
                    all.join(" and ")
                ),
            )
            .with_context("object", object))
        }
        (None, _) => Err(Error::new(
            ErrorKind::NotFound,
            "no array of the fleet that the selector allows has this object",
        )
        .with_context("object", object)),
    }
}

async fn ask(round: &Round<'_>, object: &str) -> Result<Vec<(ArrayNumber, Arc<Member>)>> {
    let mut asked = JoinSet::new();
    let limit = round.shared.fleet.ask_limit;
    for (number, member) in round.roster.members() {
        let labels = member.backend.labels();
        if round.wish.options.selector.first_unmet(&labels).is_some() {
            continue;
        }
        let (member, object) = (Arc::clone(member), object.to_owned());
        asked.spawn(async move {
            let answer =
                bounded(limit, async { claims(&member)?.find_object(&object).await }).await;
            (number, member, answer)
        });
    }
    let mut found = Vec::new();
    while let Some(joined) = asked.join_next().await {
        let Ok((number, member, answer)) = joined else {
            return Err(Error::new(ErrorKind::Unavailable, "an array was not asked"));
        };
        let there = answer.map_err(|error| {
            let why = format!("{} may have the object and does not answer", member.backend);
            Error::new(ErrorKind::Unavailable, why).with_source(error)
        })?;
        if there.is_some() {
            found.push((number, member));
        }
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found)
}

/// Why the object must not be adopted by that namespace: its name may be another one's.
fn whose(object: &str, own: Option<&Namespace>, all: &[Namespace]) -> Option<String> {
    for namespace in all {
        let is_own = own == Some(namespace);
        if is_reserved(namespace, object) {
            return Some("its name is one that only Fairlead itself gives".to_owned());
        }
        let prefix = format!("{namespace}-");
        let begins = object
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(&prefix));
        if begins && !is_own {
            return Some(format!(
                "by its name it may be a volume of the namespace {namespace}; rename it on the array first"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::whose;
    use crate::name::Namespace;

    #[test]
    fn what_may_be_another_namespaces_is_not_adopted() {
        let [prod, eu, test] =
            ["prod", "prod-eu", "test"].map(|text| Namespace::new(text).unwrap());
        let all = [prod.clone(), eu.clone(), test];
        let free = |object, own| whose(object, Some(own), &all).is_none();
        assert!(free("legacy", &prod) && free("prod-db", &prod) && free("prods-db", &prod));
        assert!(!free("prod-eu-db", &prod), "could be `db` of prod-eu");
        assert!(!free("prod-eu-db", &eu), "could be `eu-db` of prod");
        assert!(!free("TEST-db", &prod));
        assert!(!free("prod-fl-new-1", &prod) && !free("test-fl-trash-1", &prod));
    }
}
