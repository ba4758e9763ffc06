//! What is looked at and cleared on arrays while the members of a fleet change.

use std::collections::BTreeSet;

use super::roster::claims;
use crate::backend::ListVolumes;
use crate::claim::StrayKind;
use crate::engine::fleet::Member;
use crate::error::{Error, ErrorKind, Result};
use crate::name::is_reserved;

/// Pages of left-overs, and of volumes, that one array has at most.
const PAGES_MAX: usize = 10_000;

/// Names that a refusal tells.
const TOLD_MAX: usize = 5;

/// A refusal that names some.
pub(super) fn refused(what: &str, names: &BTreeSet<String>) -> Error {
    let told: Vec<&str> = names.iter().take(TOLD_MAX).map(String::as_str).collect();
    let more = names.len().saturating_sub(told.len());
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("{what}: {}{more}", told.join(", ")),
    )
}

/// Takes back whatever waits for a name on one array.
pub(super) async fn drain(member: &Member) -> Result<u64> {
    let mut drained = 0;
    for _page in 0..PAGES_MAX {
        let strays = claims(member)?.strays().await?;
        let waiting = strays
            .iter()
            .filter(|stray| matches!(stray.kind, StrayKind::Tentative(_) | StrayKind::Imported(_)));
        let mut gone = 0;
        for stray in waiting {
            crash_points::point!("claim.C4");
            let outcome = claims(member)?.sweep(stray).await?;
            gone += u64::from(outcome.is_done());
        }
        if gone == 0 {
            return Ok(drained);
        }
        drained += gone;
    }
    Err(Error::new(
        ErrorKind::Unexpected,
        "there is always more that waits for a name",
    ))
}

/// What names an array has, as the namespace sees it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Of recorded volumes, as their users typed them.
    pub(super) volumes: BTreeSet<String>,
    /// Of all objects but reserved ones, folded.
    pub(super) all: BTreeSet<String>,
}

pub(super) async fn names(member: &Member) -> Result<Names> {
    let namespace = member.backend.namespace();
    let mut names = Names::default();
    let mut request = ListVolumes::default();
    for _page in 0..PAGES_MAX {
        let page = member.backend.list(request).await?;
        let volumes = page.volumes.iter();
        names
            .volumes
            .extend(volumes.map(|volume| volume.name.as_str().to_owned()));
        let Some(objects) = page.objects else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this kind of array does not tell all its names",
            ));
        };
        let plain = objects
            .iter()
            .filter(|object| !is_reserved(namespace, object));
        names
            .all
            .extend(plain.map(|object| object.to_ascii_lowercase()));
        let Some(next) = page.next else {
            return Ok(names);
        };
        request = ListVolumes {
            after: Some(next),
            limit: None,
        };
    }
    Err(Error::new(
        ErrorKind::Unexpected,
        "a listing that does not end",
    ))
}
