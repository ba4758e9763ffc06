//! The fence: one writer. `docs/protocols/fence.md` as a model.
//!
//! Hosts publish a volume to themselves, format and mount it, are killed, lose power, are shut out
//! and come back; requests to the array are lost, late or executed twice. [`Fence`] is what the
//! checker explores, [`Violation`] what it must not find, and each [`Mutant`] a step left out, for
//! which it must. [`replay`]
//! holds the steps of a real run against the same rules.

#![expect(
    clippy::indexing_slicing,
    reason = "hosts and volumes are the model's own small numbers, never outside input"
)]

mod apply;
mod array;
mod canonical;
mod delete;
mod events;
mod fresh;
mod host;
mod look;
mod model;
mod publish;
mod release;
pub mod replay;
mod rules;
mod settle;
pub mod state;

pub use array::Fate;
pub use events::Event;
pub use model::Fence;
pub use rules::{Bounds, Kernel, Mutant, Violation};
