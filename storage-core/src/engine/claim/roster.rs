//! Who is who: the arrays of a fleet record beside those of this node's configuration.

use std::sync::Arc;

use tokio::time::Instant;

use crate::claim::{ArrayNumber, Claims};
use crate::engine::fleet::{Fleet, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetMember, FleetRecord};

/// A fleet record with the members that this node can ask.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    pub(super) record: Arc<FleetRecord>,
    /// Since when this process knows of this epoch.
    pub(super) since: Instant,
    known: Vec<(ArrayNumber, Arc<Member>)>,
    /// Members that no configured array has shown to be.
    missing: Vec<FleetMember>,
    /// Configured arrays that did not tell yet who they are.
    unknown: Vec<Arc<Member>>,
}

impl Roster {
    pub(super) fn new(fleet: &Fleet, record: Arc<FleetRecord>, since: Instant) -> Self {
        let mut missing = record.members.clone();
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for member in fleet.members() {
            let Some(identity) = member.identity() else {
                unknown.push(Arc::clone(member));
                continue;
            };
            // A second address of an array finds its place taken.
            if let Some(place) = missing.iter().position(|one| one.array == identity.array) {
                known.push((missing.swap_remove(place).number, Arc::clone(member)));
            }
        }
        Self {
            record,
            since,
            known,
            missing,
            unknown,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.record.epoch
    }

    pub(super) fn number_of(&self, member: &Arc<Member>) -> Option<ArrayNumber> {
        let found = self.known.iter().find(|(_, one)| Arc::ptr_eq(one, member));
        found.map(|(number, _)| *number)
    }

    pub(super) fn member(&self, number: ArrayNumber) -> Option<&Arc<Member>> {
        let found = self.known.iter().find(|(one, _)| *one == number);
        found.map(|(_, member)| member)
    }

    /// All members that this node can ask.
    pub(super) fn members(&self) -> impl Iterator<Item = (ArrayNumber, &Arc<Member>)> {
        self.known.iter().map(|(number, member)| (*number, member))
    }

    /// The arrays that vote, in the record's order; `None` for one that cannot be asked.
    pub(super) fn voters(&self) -> Vec<(ArrayNumber, Option<Arc<Member>>)> {
        let numbers = self.record.claim_arrays.iter();
        numbers
            .map(|number| (*number, self.member(*number).map(Arc::clone)))
            .collect()
    }

    /// Members that this node cannot ask, and why.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (String, Error)> {
        self.missing.iter().map(|member| {
            let why = "it is one of the fleet's arrays and none of this node's configuration";
            (
                described(member),
                Error::new(ErrorKind::FailedPrecondition, why),
            )
        })
    }

    /// Whether this node may take new names at all.
    ///
    /// # Errors
    /// `FailedPrecondition` naming the arrays that its configuration lacks; `Unavailable` when
    /// they may be those that have not answered since this process started.
    pub(super) fn is_whole(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let lacking: Vec<String> = self.missing.iter().map(described).collect();
        let lacking = lacking.join(", ");
        if self.missing.len() <= self.unknown.len() {
            let silent: Vec<String> = self
                .unknown
                .iter()
                .map(|member| member.backend.to_string())
                .collect();
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{} did not answer since this process started, and may be {lacking} of the fleet; new names wait for it (one that is broken for good is given up with `fairlead array remove --lost`)",
                    silent.join(", ")
                ),
            ));
        }
        Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the fleet has arrays that are not in this node's configuration: {lacking}; add them to it (or take them out of the fleet with `fairlead array remove`). Volumes that exist are served as before, new ones are not made here"
            ),
        ))
    }
}

/// A member for a message.
pub(super) fn described(member: &FleetMember) -> String {
    format!("{} (id {})", member.name, member.array)
}

/// The array's part in claims.
///
/// # Errors
/// `Unsupported` where it has none.
pub(super) fn claims(member: &Member) -> Result<&dyn Claims> {
    member.backend.claims().ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "this kind of array cannot take part in claims",
        )
        .with_context("array", member.backend.endpoint())
    })
}
