//! Figures that are given, not measured: latencies, rates, queue depth, used space. Configuration
//! and tests set them, listings show them; they are not kept over a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Port;
use super::state::Limits;

/// What `/arrays/performance`, or a line of `/volumes/performance`, says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Performance {
    /// Reads per second.
    pub reads_per_sec: u64,
    /// Writes per second.
    pub writes_per_sec: u64,
    /// Bytes read per second.
    pub read_bytes_per_sec: u64,
    /// Bytes written per second.
    pub write_bytes_per_sec: u64,
    /// Latency of a read, microseconds.
    pub usec_per_read_op: u64,
    /// Latency of a write, microseconds.
    pub usec_per_write_op: u64,
    /// Share of a read's latency that is the network's, microseconds.
    pub san_usec_per_read_op: u64,
    /// Share of a write's latency that is the network's, microseconds.
    pub san_usec_per_write_op: u64,
    /// Share of a read's latency that is the array's work, microseconds.
    pub service_usec_per_read_op: u64,
    /// Share of a write's latency that is the array's work, microseconds.
    pub service_usec_per_write_op: u64,
    /// Time in the array's queue, microseconds.
    pub queue_usec_per_op: u64,
    /// Operations waiting. Of the array only.
    pub queue_depth: u64,
}

impl Performance {
    /// Several volumes together: rates add up, latencies are the mean over the operations.
    pub(crate) fn together(all: &[Self]) -> Self {
        let all = all.iter();
        let sum = |figure: fn(&Self) -> u64| all.clone().map(figure).sum::<u64>();
        let mean = |latency: fn(&Self) -> u64, rate: fn(&Self) -> u64| {
            let operations = sum(rate);
            let time: u128 = all
                .clone()
                .map(|one| u128::from(latency(one)) * u128::from(rate(one)))
                .sum();
            let mean = time.checked_div(u128::from(operations)).unwrap_or(0);
            u64::try_from(mean).unwrap_or(u64::MAX)
        };
        let reads: fn(&Self) -> u64 = |one| one.reads_per_sec;
        let writes: fn(&Self) -> u64 = |one| one.writes_per_sec;
        Self {
            reads_per_sec: sum(reads),
            writes_per_sec: sum(writes),
            read_bytes_per_sec: sum(|one| one.read_bytes_per_sec),
            write_bytes_per_sec: sum(|one| one.write_bytes_per_sec),
            usec_per_read_op: mean(|one| one.usec_per_read_op, reads),
            usec_per_write_op: mean(|one| one.usec_per_write_op, writes),
            san_usec_per_read_op: mean(|one| one.san_usec_per_read_op, reads),
            san_usec_per_write_op: mean(|one| one.san_usec_per_write_op, writes),
            service_usec_per_read_op: mean(|one| one.service_usec_per_read_op, reads),
            service_usec_per_write_op: mean(|one| one.service_usec_per_write_op, writes),
            queue_usec_per_op: mean(
                |one| one.queue_usec_per_op,
                |one| one.reads_per_sec + one.writes_per_sec,
            ),
            queue_depth: sum(|one| one.queue_depth),
        }
    }
}

/// What one volume's lines in `/volumes/performance` and `/volumes/space` say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct VolumeFigures {
    /// Rates and latencies.
    pub performance: Performance,
    /// Bytes that the volume occupies. Unset: what its file occupies.
    pub used: Option<u64>,
}

/// Changes of a running array's figures and settings. What is not set stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Adjustment {
    /// Usable capacity in bytes.
    pub capacity: Option<u64>,
    /// Bytes in use besides what the volumes hold.
    pub used: Option<u64>,
    /// What `/arrays/performance` says.
    pub performance: Option<Performance>,
    /// Figures of volumes, by name.
    pub volumes: BTreeMap<String, VolumeFigures>,
    /// How many objects the array holds. What is there already stays.
    pub limits: Option<Limits>,
    /// Whether eradication by hand is forbidden (`SafeMode`).
    pub eradication_disabled: Option<bool>,
    /// How long what is destroyed from now on is kept, milliseconds.
    pub eradication_delay_ms: Option<u64>,
    /// Target ports.
    pub ports: Option<Vec<Port>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_volume_weighs_more_than_an_idle_one() {
        let volume = |rate, latency| Performance {
            reads_per_sec: rate,
            usec_per_read_op: latency,
            ..Performance::default()
        };
        let all = [volume(300, 100), volume(100, 500), volume(0, 9999)];
        let together = Performance::together(&all);
        assert_eq!(together.reads_per_sec, 400);
        assert_eq!(together.usec_per_read_op, 200);
        assert_eq!(together.usec_per_write_op, 0);
    }
}
