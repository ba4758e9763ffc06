//! Configuration: what arrays there are and what they are like. JSON, unknown keys are errors.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::faults::FaultPlan;
use crate::flasharray::state::{Limits, OnDestroy, ProtectionGroupSeed};
use crate::flasharray::{Performance, Port};

/// The file that the binary reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SimConfig {
    /// Seed of all faults' decisions.
    #[serde(default)]
    pub seed: u64,
    /// The arrays, by unique names.
    pub arrays: Vec<ArrayConfig>,
    /// Where LUNs are shown as files: each array in a folder of its name.
    #[serde(default)]
    pub lun_folder: Option<PathBuf>,
    /// `address:port` of the control listener; port 0 takes a free one. Unset: none.
    #[serde(default)]
    pub control: Option<String>,
}

/// One simulated `FlashArray`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArrayConfig {
    /// Its name: 1 to 56 letters, digits and `-`.
    pub name: String,
    /// The API token that it accepts. Unset: one is made and kept in the state folder.
    #[serde(default)]
    pub api_token: Option<String>,
    /// Address to listen on.
    #[serde(default = "loopback")]
    pub bind: IpAddr,
    /// Port to listen on. 0: the port of the last run with this state folder, or a free one.
    #[serde(default)]
    pub port: u16,
    /// REST versions, ascending, `2.N` each.
    #[serde(default = "versions")]
    pub rest_versions: Vec<String>,
    /// What `/arrays` says in `version`.
    #[serde(default = "purity")]
    pub purity_version: String,
    /// What `/controllers` says in `model`.
    #[serde(default = "model")]
    pub model: String,
    /// iSCSI target name. Unset: made from the array's id.
    #[serde(default)]
    pub iqn: Option<String>,
    /// NVMe subsystem name. Unset: made from the array's id.
    #[serde(default)]
    pub nqn: Option<String>,
    /// Target ports.
    #[serde(default = "ports")]
    pub ports: Vec<Port>,
    /// Usable capacity in bytes.
    #[serde(default = "capacity")]
    pub capacity: u64,
    /// Bytes in use besides what the volumes hold.
    #[serde(default)]
    pub used: u64,
    /// What `/arrays/performance` says.
    #[serde(default)]
    pub performance: Performance,
    /// How long an unused session lives, milliseconds by the array's clock. 0: for ever.
    #[serde(default = "idle_timeout")]
    pub idle_timeout_ms: u64,
    /// How long destroyed objects are kept, milliseconds by the array's clock.
    #[serde(default = "eradication_delay")]
    pub eradication_delay_ms: u64,
    /// Whether eradication by hand is forbidden.
    #[serde(default)]
    pub eradication_disabled: bool,
    /// How many objects it holds.
    #[serde(default)]
    pub limits: Limits,
    /// What destroying a volume does to its connections.
    #[serde(default)]
    pub on_destroy: OnDestroy,
    /// Whether renaming a volume to the name that it has is refused like a name that is taken.
    #[serde(default)]
    pub refuse_rename_to_own_name: bool,
    /// How far the array's clock is ahead (negative: behind), milliseconds.
    #[serde(default)]
    pub clock_offset_ms: i64,
    /// Protection groups that are made when the array starts and has none of that name.
    #[serde(default)]
    pub protection_groups: Vec<ProtectionGroupSeed>,
    /// Faults from the start.
    #[serde(default)]
    pub faults: FaultPlan,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn versions() -> Vec<String> {
    ["2.0", "2.2", "2.26"].map(str::to_owned).into()
}

fn purity() -> String {
    "6.4.10".to_owned()
}

fn model() -> String {
    "FA-X20R3".to_owned()
}

/// Addresses of TEST-NET-1 (RFC 5737): nothing answers there.
fn ports() -> Vec<Port> {
    vec![
        Port::iscsi("CT0.ETH4", "192.0.2.11:3260"),
        Port::iscsi("CT0.ETH5", "192.0.2.12:3260"),
        Port::iscsi("CT1.ETH4", "192.0.2.13:3260"),
        Port::iscsi("CT1.ETH5", "192.0.2.14:3260"),
    ]
}

/// 100 TiB.
const fn capacity() -> u64 {
    100 << 40
}

/// 30 minutes, the vendor's default for management sessions.
const fn idle_timeout() -> u64 {
    30 * 60 * 1000
}

/// 24 hours, the vendor's default.
const fn eradication_delay() -> u64 {
    24 * 60 * 60 * 1000
}

impl ArrayConfig {
    /// An array with all defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            api_token: None,
            bind: loopback(),
            port: 0,
            rest_versions: versions(),
            purity_version: purity(),
            model: model(),
            iqn: None,
            nqn: None,
            ports: ports(),
            capacity: capacity(),
            used: 0,
            performance: Performance::default(),
            idle_timeout_ms: idle_timeout(),
            eradication_delay_ms: eradication_delay(),
            eradication_disabled: false,
            limits: Limits::default(),
            on_destroy: OnDestroy::default(),
            refuse_rename_to_own_name: false,
            clock_offset_ms: 0,
            protection_groups: Vec::new(),
            faults: FaultPlan::default(),
        }
    }

    /// Everything that is wrong with it, each with the key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let name = self.name.as_bytes();
        let ends = [name.first(), name.last()];
        if !(1..=56).contains(&name.len())
            || !name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            || !ends
                .iter()
                .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        {
            problems.push(format!("name: {:?} is not an array's name", self.name));
        }
        let minors: Vec<Option<u32>> = self
            .rest_versions
            .iter()
            .map(|version| version.strip_prefix("2.")?.parse().ok())
            .collect();
        if minors.is_empty() || minors.contains(&None) || !minors.is_sorted() {
            problems.push("rest_versions: needs versions 2.N in ascending order".to_owned());
        }
        if let Some(token) = &self.api_token
            && (token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            problems.push("api_token: needs printable characters without blanks".to_owned());
        }
        problems.extend(self.faults.problems());
        problems
    }
}

impl SimConfig {
    /// `count` arrays with all defaults, `array-1` and so on.
    #[must_use]
    pub fn with_arrays(count: usize) -> Self {
        Self {
            arrays: (1..=count)
                .map(|number| ArrayConfig::new(format!("array-{number}")))
                .collect(),
            ..Self::default()
        }
    }

    /// Everything that is wrong with it, each with the path of the key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut names = std::collections::HashSet::new();
        for (at, array) in self.arrays.iter().enumerate() {
            let own = array.problems().into_iter();
            problems.extend(own.map(|problem| format!("arrays[{at}].{problem}")));
            if !names.insert(array.name.to_ascii_lowercase()) {
                problems.push(format!("arrays[{at}].name: {} is there twice", array.name));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_names_only() {
        let config: SimConfig =
            serde_json::from_str(r#"{"arrays":[{"name":"a"},{"name":"A"}]}"#).unwrap();
        assert_eq!(config.problems(), ["arrays[1].name: A is there twice"]);
        assert!(serde_json::from_str::<SimConfig>(r#"{"arrays":[],"aray":1}"#).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut array = ArrayConfig::new("a_b");
        array.rest_versions = vec!["2.26".to_owned(), "2.2".to_owned()];
        array.api_token = Some(String::new());
        array.faults.reset_before = 2.0;
        assert_eq!(array.problems().len(), 4);
    }
}
