//! Limits on what a volume may do (quality of service), as plain data.
//!
//! They belong to a volume from its create on; an array enforces them, nothing here does.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::size::Size;

/// What a volume may do at most. The default limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Reads and writes a second.
    pub iops: Option<u64>,
    /// Bytes a second, read and written.
    pub bandwidth: Option<Size>,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.iops.is_none() && self.bandwidth.is_none()
    }
}

/// `iops_limit=1000, bandwidth_limit=100MiB`, as the options are spelt; `none` for no limit.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.iops, self.bandwidth) {
            (None, None) => f.write_str("none"),
            (Some(iops), None) => write!(f, "iops_limit={iops}"),
            (None, Some(bandwidth)) => write!(f, "bandwidth_limit={bandwidth}"),
            (Some(iops), Some(bandwidth)) => {
                write!(f, "iops_limit={iops}, bandwidth_limit={bandwidth}")
            }
        }
    }
}

/// The limits that an array can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRanges {
    /// Reads and writes a second.
    pub iops: RangeInclusive<u64>,
    /// Bytes a second.
    pub bandwidth: RangeInclusive<u64>,
}

impl LimitRanges {
    /// Whether the array can set these limits.
    ///
    /// # Errors
    /// `OutOfRange` naming the option and what it may be.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        if let Some(iops) = limits.iops
            && !self.iops.contains(&iops)
        {
            let range = (*self.iops.start(), *self.iops.end());
            return Err(outside("iops_limit", iops, range));
        }
        if let Some(bandwidth) = limits.bandwidth
            && !self.bandwidth.contains(&bandwidth.bytes())
        {
            let least = Size::from_bytes(*self.bandwidth.start());
            let most = Size::from_bytes(*self.bandwidth.end());
            return Err(outside("bandwidth_limit", bandwidth, (least, most)));
        }
        Ok(())
    }
}

fn outside<T: fmt::Display>(option: &'static str, value: T, range: (T, T)) -> Error {
    let (least, most) = range;
    Error::new(
        ErrorKind::OutOfRange,
        format!("a limit of {value} cannot be set; the array takes {least} to {most}"),
    )
    .with_context("option", option)
}

#[cfg(test)]
mod tests {
    use super::{LimitRanges, Limits};
    use crate::error::ErrorKind;
    use crate::size::Size;

    #[test]
    fn a_limit_outside_the_range_is_refused_by_name() {
        let ranges = LimitRanges {
            iops: 100..=1000,
            bandwidth: 1024..=4096,
        };
        let limits = |iops, bandwidth: Option<u64>| Limits {
            iops,
            bandwidth: bandwidth.map(Size::from_bytes),
        };
        ranges.check(&Limits::default()).unwrap();
        ranges.check(&limits(Some(100), Some(4096))).unwrap();
        for (asked, says) in [
            (limits(Some(99), None), "option: iops_limit"),
            (limits(Some(1001), None), "100 to 1000"),
            (limits(None, Some(1023)), "1KiB to 4KiB"),
            (limits(Some(100), Some(4097)), "option: bandwidth_limit"),
        ] {
            let error = ranges.check(&asked).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfRange);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn limits_are_shown_as_options() {
        let limits = Limits {
            iops: Some(1000),
            bandwidth: Some(Size::from_mib(100)),
        };
        assert_eq!(
            limits.to_string(),
            "iops_limit=1000, bandwidth_limit=100MiB"
        );
        assert!(!limits.is_empty());
        assert_eq!(Limits::default().to_string(), "none");
    }
}
