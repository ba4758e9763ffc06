//! The tag `fence`: what is recorded of a volume's last fence, for people.
//!
//! JSON in at most 256 characters (vendor REST document, `Tag.value`): of many hosts that were shut
//! out together, the last ones are left out. Nobody is let in by what it says; a host whose unmount had no
//! answer sees in it whether it was shut out.

use serde::{Deserialize, Serialize};
use storage_core::{Error, ErrorKind, Fence, FenceReason, Result};

use crate::api::{NewTag, Tag};
use crate::record::{TAG_NAMESPACE, VALUE_MAX, tag};

const FENCE: &str = "fence";
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    old: Vec<String>,
    new: Option<String>,
    reason: FenceReason,
    evidence: String,
    /// Milliseconds that it took.
    ms: u64,
    /// Milliseconds since the Unix epoch.
    at: u64,
}

/// Only as much as tells a later version's tag from a damaged one.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The tag of a fence.
pub(crate) fn fence_tag(fence: &Fence) -> NewTag {
    let mut written = Written {
        format: FORMAT,
        old: fence.old_hosts.clone(),
        new: fence.new_host.clone(),
        reason: fence.reason,
        evidence: fence.evidence.clone(),
        ms: fence.duration_ms,
        at: fence.at_ms,
    };
    let mut value = serde_json::to_string(&written).unwrap_or_default();
    while value.chars().count() > VALUE_MAX && written.old.len() > 1 {
        written.old.pop();
        value = serde_json::to_string(&written).unwrap_or_default();
    }
    tag(FENCE, value)
}

/// Reads it from a volume's tags.
///
/// # Errors
/// `FailedPrecondition` for a newer format, and for one that cannot be understood.
pub(crate) fn read_fence(tags: &[Tag]) -> Result<Option<Fence>> {
    let ours = |tag: &&Tag| tag.namespace == TAG_NAMESPACE && tag.key == FENCE;
    let Some(tag) = tags.iter().find(ours) else {
        return Ok(None);
    };
    let refuse = |why: String| {
        let message = format!("the volume's tag `{FENCE}` {why}");
        Error::new(ErrorKind::FailedPrecondition, message)
    };
    // Its own words would quote what somebody wrote there.
    let damaged = |error: serde_json::Error| {
        refuse("cannot be understood".to_owned())
            .with_context("character", error.column().to_string())
    };
    let Version { format } = serde_json::from_str(&tag.value).map_err(damaged)?;
    if format > FORMAT {
        return Err(refuse(format!(
            "has format {format}, and this version knows {FORMAT}"
        )));
    }
    let written: Written = serde_json::from_str(&tag.value).map_err(damaged)?;
    Ok(Some(Fence {
        old_hosts: written.old,
        new_host: written.new,
        reason: written.reason,
        evidence: written.evidence,
        duration_ms: written.ms,
        at_ms: written.at,
    }))
}

#[cfg(test)]
mod tests {
    use storage_core::{ErrorKind, Fence, FenceReason};

    use super::{fence_tag, read_fence};
    use crate::api::{Reference, Tag};

    fn tags(value: &str) -> Vec<Tag> {
        let tag = |namespace: &str| Tag {
            key: "fence".to_owned(),
            value: value.to_owned(),
            namespace: namespace.to_owned(),
            resource: Reference::default(),
        };
        vec![tag("default"), tag("fairlead")]
    }

    #[test]
    fn what_is_written_is_read_again_and_fits() {
        let longest = |c: char| format!("{}-0123abcd", c.to_string().repeat(54));
        let mut fence = Fence {
            old_hosts: vec![longest('a')],
            new_host: Some(longest('b')),
            reason: FenceReason::Operator,
            evidence: "read back: nobody connected".to_owned(),
            duration_ms: 99_999,
            at_ms: 1_795_000_000_000,
        };
        let value = fence_tag(&fence).value;
        assert!(value.chars().count() <= 256, "{value}");
        assert_eq!(read_fence(&tags(&value)).unwrap().as_ref(), Some(&fence));
        fence.old_hosts.push(longest('c'));
        fence.old_hosts.push(longest('d'));
        let value = fence_tag(&fence).value;
        fence.old_hosts.truncate(1);
        assert_eq!(read_fence(&tags(&value)).unwrap().as_ref(), Some(&fence));
        assert_eq!(read_fence(&[]).unwrap(), None);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for value in ["", "{}", "{\"format\":1}", "{\"format\":2,\"new\":{}}"] {
            let error = read_fence(&tags(value)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{value}");
        }
    }
}
