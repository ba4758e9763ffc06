//! Limits on what a volume may do. Skipped for backends that cannot set any; that these refuse them
//! is among [`super::errors`].

use storage_core::{Backend, CreateVolume, ErrorKind, LimitRanges, Limits, Size};

use crate::harness::{Harness, Verdict};
use crate::stage::{Stage, essence, refused, request};

pub(crate) const NO_LIMITS: &str = "the backend cannot limit volumes";

/// The stage, unless the backend cannot limit volumes.
async fn able(harness: &dyn Harness) -> Result<(Stage<'_>, LimitRanges), Verdict> {
    let stage = Stage::new(harness).await;
    match stage.node.capabilities().limits {
        Some(ranges) => Ok((stage, ranges)),
        None => Err(Verdict::skipped(NO_LIMITS)),
    }
}

pub(crate) fn limited(text: &str, iops: Option<u64>, bandwidth: Option<u64>) -> CreateVolume {
    CreateVolume {
        limits: Limits {
            iops,
            bandwidth: bandwidth.map(Size::from_bytes),
        },
        ..request(text)
    }
}

/// What was asked for at create is what create, get and list tell, to the last byte; each limit
/// alone, both, none, and the ends of the ranges.
pub async fn limits_are_read_back(harness: &dyn Harness) -> Verdict {
    let (stage, ranges) = match able(harness).await {
        Ok(able) => able,
        Err(skipped) => return skipped,
    };
    let (least, most) = (*ranges.iops.start(), *ranges.iops.end());
    let (slowest, fastest) = (*ranges.bandwidth.start(), *ranges.bandwidth.end());
    let cases = [
        (None, None),
        (Some(least), None),
        (None, Some(slowest)),
        (Some(most), Some(fastest)),
        (Some(least + 1), Some(slowest + 1)),
    ];
    for (index, (iops, bandwidth)) in cases.into_iter().enumerate() {
        let asked = limited(&format!("limited{index}"), iops, bandwidth);
        let made = stage.node.create(asked.clone()).await.expect("create");
        assert_eq!(made.get().limits, asked.limits);
        let seen = stage.get(asked.name.as_str()).await.expect("found");
        assert_eq!(essence(&seen), essence(made.get()));
        let again = stage.node.create(request(asked.name.as_str())).await;
        let again = again.expect("create again");
        assert_eq!(again.get().limits, asked.limits, "it is as it was made");
    }
    for volume in stage.list(None).await {
        let seen = stage.get(volume.name.as_str()).await.expect("found");
        assert_eq!(volume.limits, seen.limits);
    }
    Verdict::Passed
}

/// A limit that the array cannot set is refused by its option's name, and nothing is made.
pub async fn limits_out_of_range_are_refused(harness: &dyn Harness) -> Verdict {
    let (stage, ranges) = match able(harness).await {
        Ok(able) => able,
        Err(skipped) => return skipped,
    };
    let below = |start: u64| start.checked_sub(1);
    let above = |end: u64| end.checked_add(1);
    let cases = [
        (below(*ranges.iops.start()), None),
        (above(*ranges.iops.end()), None),
        (None, below(*ranges.bandwidth.start())),
        (None, above(*ranges.bandwidth.end())),
    ];
    for (iops, bandwidth) in cases {
        if iops.is_none() && bandwidth.is_none() {
            continue;
        }
        let result = stage.node.create(limited("refused", iops, bandwidth)).await;
        let error = refused(result, ErrorKind::OutOfRange, "a limit out of range");
        let text = error.chain().to_string();
        let option = if iops.is_some() {
            "iops_limit"
        } else {
            "bandwidth_limit"
        };
        assert!(text.contains(option), "the option is named: {text}");
    }
    assert_eq!(stage.get("refused").await, None);
    stage.assert_no_strays().await;
    Verdict::Passed
}
