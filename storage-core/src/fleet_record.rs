//! The fleet record: which arrays are one fleet, as the arrays themselves know it.
//!
//! Data only. It lives on every member, changes only by an explicit step that takes a new epoch
//! (`docs/protocols/claim.md`), and is what keeps a node with an outdated configuration from
//! making a second volume of a name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::claim::ArrayNumber;
use crate::name::Namespace;
use crate::volume::ArrayId;

/// Counts the versions of a fleet record, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One array of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetMember {
    /// Its number, which no other array of this fleet ever had or gets.
    pub number: ArrayNumber,
    /// The array's own id.
    pub array: ArrayId,
    /// Its name, for people.
    pub name: String,
}

/// Whether new names are taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetPhase {
    /// As usual.
    Open,
    /// Membership is being changed: claims under way are waited for, new ones have to wait.
    Changing,
}

/// Which arrays are one fleet, and which of them vote on names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetRecord {
    /// Which version of the record this is.
    pub epoch: Epoch,
    /// Tells two proposals of one epoch apart.
    pub nonce: u32,
    /// Whether names are taken under it.
    pub phase: FleetPhase,
    /// All arrays, by number.
    pub members: Vec<FleetMember>,
    /// Those that vote on names: one of one or two members, three of more. The first one decides
    /// when three votes differ.
    pub claim_arrays: Vec<ArrayNumber>,
    /// The smallest number that was never given.
    pub next_number: ArrayNumber,
    /// All namespaces that have volumes in this fleet.
    pub namespaces: Vec<Namespace>,
}

impl FleetRecord {
    /// The version of its form on arrays.
    pub const FORMAT: u32 = 1;

    /// What the names of all objects that hold fleet records begin with, in every namespace.
    pub const OBJECT_PREFIX: &str = "fl-fleet-";

    /// The name of the object that holds the record of an epoch, in every namespace: `fl-fleet-<epoch>`.
    #[must_use]
    pub fn object_name(epoch: Epoch) -> String {
        format!("{}{epoch}", Self::OBJECT_PREFIX)
    }

    /// The epoch whose record an object of that name holds. `None` for every other name, also for
    /// one that is on its way to become such (`fl-fleet-new-…`) or was (`fl-fleet-gone-…`).
    #[must_use]
    pub fn epoch_of(object: &str) -> Option<Epoch> {
        let digits = object.strip_prefix(Self::OBJECT_PREFIX)?;
        let epoch = Epoch(digits.parse().ok()?);
        // Only one text for each number: neither `+1` nor `01`.
        (epoch.to_string() == digits).then_some(epoch)
    }

    /// The member with that array id.
    #[must_use]
    pub fn member(&self, array: &ArrayId) -> Option<&FleetMember> {
        self.members.iter().find(|member| member.array == *array)
    }

    /// The member with that number.
    #[must_use]
    pub fn by_number(&self, number: ArrayNumber) -> Option<&FleetMember> {
        self.members.iter().find(|member| member.number == number)
    }

    /// How many claim arrays there are to be for so many members.
    #[must_use]
    pub const fn claim_arrays_for(members: usize) -> usize {
        if members < 3 { 1 } else { 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Epoch, FleetRecord};

    #[test]
    fn names_and_epochs_are_one_to_one() {
        for epoch in [1, 2, 10, u64::MAX] {
            let name = FleetRecord::object_name(Epoch(epoch));
            assert_eq!(FleetRecord::epoch_of(&name), Some(Epoch(epoch)), "{name}");
        }
        for other in [
            "fl-fleet-",
            "fl-fleet-01",
            "fl-fleet-+1",
            "fl-fleet-new-1",
            "FL-fleet-1",
            "ns-fl-fleet-1",
            "fl-fleet-18446744073709551616",
        ] {
            assert_eq!(FleetRecord::epoch_of(other), None, "{other}");
        }
    }
}
