//! The claim (`docs/protocols/claim.md`), executable: one name, several nodes, arrays that lose,
//! delay and repeat. A model to be checked; no part of the product calls it.
#![expect(
    clippy::indexing_slicing,
    reason = "indexes are the model's own; a wrong one must stop the check, not be passed over"
)]

mod canonical;
mod creator;
mod model;
mod others;
pub mod replay;
mod rules;
mod votes;
mod world;

pub use creator::{After, Creator, Kill, Phase, Step};
pub use model::{Action, Claim, Property};
pub use others::{Changer, Deleter, Other, Sweeper};
pub use rules::{
    Fleet, GROWING, LEAVING, ONE_OF_THREE, SHRINKING, SafetyStep, Setup, THREE_OF_THREE,
};
pub use votes::{Ballot, Listing, View, Votes};
pub use world::{
    ARRAYS, ATTEMPTS, Array, ArrayIndex, Attempt, CREATORS, Fate, LATE, Left, Marker, Nonce,
    Object, Reply, Request, State, TRIES,
};
