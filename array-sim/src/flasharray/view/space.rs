//! The `space` object: what can be told from the files, in the vendor's terms.
//!
//! The simulator neither compresses nor deduplicates, so reduction is 1 and nothing is shared.

use serde_json::{Map, Value, json};

use crate::flasharray::state::Volume;
use crate::flasharray::{Core, RestVersion};

/// Properties of `space` that listings of arrays can be filtered and sorted by.
pub(crate) const ARRAY_SPACE: &[&str] = &[
    "id",
    "name",
    "capacity",
    "parity",
    "time",
    "space.total_physical",
    "space.total_used",
    "space.total_provisioned",
    "space.unique",
    "space.data_reduction",
];

/// What a space object tells: bytes provisioned, used by the object itself, and by its snapshots.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) provisioned: u64,
    pub(crate) unique: u64,
    pub(crate) snapshots: u64,
}

impl Usage {
    /// What a volume and its snapshots occupy: what was given, or else their files.
    pub(crate) fn of_volume(core: &Core, volume: &Volume) -> Self {
        let given = core.figures_of(volume.sequence).used;
        let snapshots = core.state.snapshots_of(volume.sequence);
        Self {
            provisioned: volume.provisioned,
            unique: given.unwrap_or_else(|| core.data.used_bytes(&volume.serial)),
            snapshots: snapshots
                .map(|snapshot| core.data.used_bytes(&snapshot.serial))
                .sum(),
        }
    }

    /// What volumes occupy together.
    pub(crate) fn of_volumes<'a, I>(core: &Core, volumes: I) -> Self
    where
        I: Iterator<Item = &'a Volume>,
    {
        volumes
            .map(|volume| Self::of_volume(core, volume))
            .fold(Self::default(), |sum, next| Self {
                provisioned: sum.provisioned + next.provisioned,
                unique: sum.unique + next.unique,
                snapshots: sum.snapshots + next.snapshots,
            })
    }
}

/// Renders `space`. `total_used` and `used_provisioned` are absent in 2.16 and present in 2.26;
/// the version in between is not known, so they are shown from 2.26 on.
pub(crate) fn space(usage: Usage, version: RestVersion) -> Value {
    let total = usage.unique + usage.snapshots;
    let mut space = Map::new();
    let mut put = |name: &str, value: Value| {
        space.insert(name.to_owned(), value);
    };
    put("data_reduction", json!(1.0));
    put("shared", json!(0));
    put("snapshots", json!(usage.snapshots));
    put("system", json!(0));
    put(
        "thin_provisioning",
        json!(1.0 - ratio(usage.unique, usage.provisioned)),
    );
    put("total_physical", json!(total));
    put("total_provisioned", json!(usage.provisioned));
    put("total_reduction", json!(1.0));
    put("unique", json!(usage.unique));
    put("virtual", json!(usage.unique));
    if version >= RestVersion(26) {
        put("total_used", json!(total));
        put("used_provisioned", json!(usage.provisioned));
    }
    Value::Object(space)
}

/// A share between 0 and 1.
#[expect(
    clippy::cast_precision_loss,
    reason = "a share to show, of sizes up to 2^52"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    (part as f64 / whole as f64).min(1.0)
}
