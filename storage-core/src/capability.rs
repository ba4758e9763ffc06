//! What a backend can do and how it is doing, as plain data for placement and for choosing tests.

use serde::{Deserialize, Serialize};

use crate::access::Protocol;
use crate::limits::LimitRanges;
use crate::size::Size;
use crate::volume::ArrayId;

/// What a backend can do. Fixed for the life of the value; no network call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How hosts reach its volumes.
    pub protocol: Protocol,
    /// The smallest volume it makes; a smaller request is rounded up to it.
    pub size_min: Size,
    /// The largest volume it makes; a larger request is `OutOfRange`.
    pub size_max: Size,
    /// Sizes are multiples of this many bytes; a request in between is rounded up.
    pub size_step: Size,
    /// Volumes can grow.
    pub expand: bool,
    /// `true` when a single-writer volume that another host holds is refused, with its holder.
    pub exclusive_publish: bool,
    /// `true` when [`crate::Preemption::ShutOut`] is heeded; `false` when a volume that another host
    /// holds is refused all the same.
    pub preemption: bool,
    /// [`crate::Backend::snapshots`] is there.
    pub snapshots: bool,
    /// [`crate::Backend::clones`] is there.
    pub clones: bool,
    /// What [`crate::CreateVolume::limits`] may be; `None` when volumes cannot be limited.
    pub limits: Option<LimitRanges>,
}

impl Capabilities {
    /// The size that the backend will really provision for a request: rounded up to the step, at
    /// least the minimum.
    ///
    /// # Errors
    /// `OutOfRange` above the maximum.
    pub fn round(&self, wanted: Size) -> crate::Result<Size> {
        let step = self.size_step.bytes().max(1);
        let floor = wanted.bytes().max(self.size_min.bytes());
        let rounded = floor.checked_next_multiple_of(step).unwrap_or(u64::MAX);
        if rounded > self.size_max.bytes() {
            return Err(crate::Error::new(
                crate::ErrorKind::OutOfRange,
                format!(
                    "{wanted} is more than the largest volume, {}",
                    self.size_max
                ),
            ));
        }
        Ok(Size::from_bytes(rounded))
    }
}

/// The array's own account of itself, read over the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// The array's identifier for ever.
    pub array: ArrayId,
    /// The array's name for people.
    pub array_name: String,
    /// Usable capacity in bytes.
    pub capacity: Size,
    /// Bytes in use after data reduction.
    pub used: Size,
}

impl Telemetry {
    /// Free bytes.
    #[must_use]
    pub fn free(&self) -> Size {
        Size::from_bytes(self.capacity.bytes().saturating_sub(self.used.bytes()))
    }
}
