//! What one array does for a claim: the steps by which a name becomes one volume's, fleet-wide.
//!
//! An array has one test-and-set (a name is unique within it) and one atomic rename. The engine
//! makes a claim over several arrays of them, step by step as `docs/protocols/claim.md` says; a
//! backend only carries a step out and says what it saw. No step here decides anything.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::backend::CreateVolume;
use crate::clone::CloneVolume;
use crate::error::{Error, ErrorKind, Result};
use crate::fleet_record::{Epoch, FleetRecord};
use crate::name::VolumeName;
use crate::outcome::Outcome;
use crate::size::Size;
use crate::volume::Volume;

/// The number of an array in the fleet record: never given twice in the life of a fleet.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ArrayNumber(pub u16);

impl ArrayNumber {
    /// The largest: ten bits of a [`ClaimNonce`].
    pub const MAX: Self = Self(1023);
}

impl fmt::Display for ArrayNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What tells one attempt to take a name from all others, and where its volume waits: ten bits
/// for the array's number, 32 by chance. 42 bits, because a marker carries them in its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimNonce(u64);

impl ClaimNonce {
    const CHANCE_BITS: u32 = 32;

    /// Puts one together. Numbers above [`ArrayNumber::MAX`] are cut to ten bits.
    #[must_use]
    pub const fn new(array: ArrayNumber, chance: u32) -> Self {
        let number = (array.0 & ArrayNumber::MAX.0) as u64;
        Self(number << Self::CHANCE_BITS | chance as u64)
    }

    /// A new one for an attempt on that array.
    #[must_use]
    pub fn by_chance(array: ArrayNumber) -> Self {
        Self::new(array, rand::random())
    }

    /// From what [`Self::bits`] gave. `None` for more than 42 bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> 42 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// As a number of 42 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The array on which the attempt's volume waits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ten bits are left")]
    pub const fn array(self) -> ArrayNumber {
        ArrayNumber((self.0 >> Self::CHANCE_BITS) as u16)
    }
}

/// Eleven hex digits, as in the names of tentative objects.
impl fmt::Display for ClaimNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:011x}", self.0)
    }
}

impl FromStr for ClaimNonce {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.len() == 11 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        bits.and_then(Self::from_bits).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "a claim's nonce is eleven hex digits of 42 bits",
            )
        })
    }
}

/// An object of a reserved name on a claim array: the array's vote for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The object's own id: a marker is taken away by it, never by its name.
    pub object: String,
    /// The attempt that it votes for.
    pub nonce: ClaimNonce,
    /// How old it is by the array's own clock; zero for one that was just made. A volume that
    /// waits under an old vote is not committed any more (`docs/protocols/claim.md`).
    pub age: Duration,
}

/// How a waiting volume came to be: decides what is done with it when its claim is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TentativeKind {
    /// Made for this claim; nobody was ever told of it. The loser destroys it.
    New,
    /// No volume for anybody: it was made to be destroyed, so that the waiting name of a dead attempt
    /// is taken for good. Whoever sees it withdraws it; nobody gives it the name.
    Stopper,
    /// Somebody's volume under a name aside, with its old name on record. The loser gives it its
    /// old name back; nothing ever destroys it.
    Imported,
}

impl TentativeKind {
    /// The size of a stopper, by which it is known: no volume is so small.
    pub const STOPPER_SIZE: Size = Size::from_mib(1);

    /// The kind of what waits under the name of a new volume.
    #[must_use]
    pub fn of_new(size: Size) -> Self {
        if size <= Self::STOPPER_SIZE {
            Self::Stopper
        } else {
            Self::New
        }
    }
}

/// A volume that waits for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tentative {
    /// The object's own id.
    pub object: String,
    /// Its present, reserved name.
    pub object_name: String,
    /// The attempt that it belongs to.
    pub nonce: ClaimNonce,
    /// Where it came from.
    pub kind: TentativeKind,
}

/// Everything on one array that bears on one name, of one moment: from one read.
#[derive(Clone, Debug, Default)]
pub struct NameView {
    /// The volume, as [`crate::Backend::get`] finds it: usable, being removed, or destroyed.
    pub volume: Option<Volume>,
    /// This array's vote.
    pub marker: Option<Marker>,
    /// Volumes that wait for the name here, destroyed ones not among them.
    pub tentatives: Vec<Tentative>,
    /// The highest epoch of a fleet record here.
    pub epoch: Option<Epoch>,
}

/// What became of giving a waiting volume its name.
#[derive(Clone, Debug)]
pub enum Commit {
    /// It has the name, by this call or by an earlier one.
    Committed(Box<Volume>),
    /// Another volume has the name on this array.
    Taken(Box<Volume>),
    /// The array answered: nothing of this attempt waits here, nor has it the name.
    Gone,
}

/// What a name that was adopted was before.
#[derive(Clone, Debug)]
pub struct ImportVolume {
    /// The name that it is to have.
    pub name: VolumeName,
    /// The object's present name on the array.
    pub object: String,
    /// This attempt.
    pub nonce: ClaimNonce,
    /// The record to write: file system, attributes; never a format grant. Its size and limits
    /// are not looked at.
    pub record: CreateVolume,
}

/// A left-over that no call needs any more, as the sweeper sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The object's own id.
    pub object: String,
    /// Its name now.
    pub object_name: String,
    /// What it is.
    pub kind: StrayKind,
    /// How old it is by the array's own clock.
    pub age: Duration,
}

/// What a left-over is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayKind {
    /// A marker of any name.
    Marker(ClaimNonce),
    /// A waiting volume that was made for a claim.
    Tentative(ClaimNonce),
    /// A volume that waits to be adopted: it gets its old name back and is never destroyed.
    Imported(ClaimNonce),
    /// A marker that was renamed aside and not destroyed.
    Retired,
    /// A removed volume that was renamed aside and not destroyed (`crate::VolumeState::Deleting`).
    Trash,
}

/// The steps of a claim on one array. Every method is idempotent, bounded in time, and goes by
/// names and ids that belong to one attempt, so that what is executed late or twice harms nothing.
///
/// # Errors
/// Of all methods: `Unavailable` and `Timeout` when the array did not answer. `Timeout` says that
/// the step may be executed yet.
#[async_trait]
pub trait Claims: fmt::Debug + Send + Sync {
    /// C0: what the array has of the name. One call when that is nothing.
    ///
    /// # Errors
    /// `FailedPrecondition` when several objects have the name.
    async fn view(&self, name: &VolumeName) -> Result<NameView>;

    /// C1: makes the waiting volume with its record, under the request's nonce. An error other
    /// than `Timeout` promises that none is there.
    ///
    /// # Errors
    /// As [`crate::Backend::create`]; `AlreadyExists` when a destroyed object holds the waiting name:
    /// the attempt was withdrawn, and nothing can wait under this nonce again.
    async fn propose(&self, request: &CreateVolume) -> Result<Tentative>;

    /// C1 for a copy of another volume of this array.
    ///
    /// # Errors
    /// As [`crate::Clones::clone_volume`]; `Unsupported` where the array does not copy.
    async fn propose_copy(&self, request: &CloneVolume) -> Result<Tentative>;

    /// C1 for a volume that is there: renames it aside, by id, with its old name on record, and
    /// writes its record.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when a host that is not ours is connected (named), when it
    /// is another namespace's, or when whose it is cannot be told.
    async fn propose_import(&self, request: &ImportVolume) -> Result<Tentative>;

    /// Whether an object of exactly this name is here and not destroyed, whoever's it is: its id.
    /// One call. For what is to be adopted.
    async fn find_object(&self, object: &str) -> Result<Option<String>>;

    /// C2: makes the name's marker here with this nonce, or finds the one that is here.
    async fn mark(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Marker>;

    /// C3: renames the waiting volume of that attempt to its final name. For the winner and for
    /// everybody who helps.
    ///
    /// # Errors
    /// `AlreadyExists` when objects that are not this name's volume have all names it could have.
    async fn commit(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Commit>;

    /// Gives up a waiting volume that lost: a new one is destroyed and goes on holding its waiting
    /// name, an imported one gets its old name back. By its waiting name and not by id, so that one
    /// that was committed after all is spared. `AlreadySo` when nothing waited.
    async fn withdraw(&self, name: &VolumeName, nonce: ClaimNonce) -> Result<Outcome<()>>;

    /// Takes a marker away for good, by its object's id; the name is free afterwards.
    async fn retire(&self, marker: &Marker) -> Result<Outcome<()>>;

    /// C4: the left-overs of the namespace on this array, any age, at most a page.
    async fn strays(&self) -> Result<Vec<Stray>>;

    /// C4: removes one left-over by its id; one that is none any more (it has a volume's name now)
    /// is left alone. Trash that somebody is connected to gets its name back, and so does what
    /// waits to be adopted. A waiting volume goes as [`Self::withdraw`] does it: one that is
    /// committed at the same moment is spared.
    async fn sweep(&self, stray: &Stray) -> Result<Outcome<()>>;

    /// The fleet record of the highest epoch here.
    ///
    /// # Errors
    /// `Unsupported` for one of a newer format.
    async fn fleet_record(&self) -> Result<Option<FleetRecord>>;

    /// Writes a fleet record, whole and in one atomic step, unless there is one of its epoch: then
    /// that one is returned. Which of several is in force, is the engine's to decide.
    async fn put_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord>;

    /// Takes a fleet record away that never came into force (its nonce says which).
    async fn drop_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>>;
}

const _: fn(&dyn Claims) = |_| {};

#[cfg(test)]
mod tests {
    use super::{ArrayNumber, ClaimNonce};

    proptest::proptest! {
        #[test]
        fn a_nonce_survives_text_and_number(number in 0..=1023_u16, chance: u32) {
            let nonce = ClaimNonce::new(ArrayNumber(number), chance);
            proptest::prop_assert_eq!(nonce.to_string().parse::<ClaimNonce>().unwrap(), nonce);
            proptest::prop_assert_eq!(ClaimNonce::from_bits(nonce.bits()), Some(nonce));
            proptest::prop_assert_eq!(nonce.array(), ArrayNumber(number));
        }
    }

    #[test]
    fn what_is_no_nonce_is_refused() {
        for text in [
            "",
            "+0000000001",
            "fffffffffff",
            "0000000001",
            "00000000000g",
        ] {
            assert!(text.parse::<ClaimNonce>().is_err(), "{text:?}");
        }
    }
}
