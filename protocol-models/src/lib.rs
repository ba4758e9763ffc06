//! Model checking of the two protocols that keep data safe: the claim and the fence.
//!
//! A model is the protocol's page in `docs/protocols`, executable: the same steps by the same
//! names, against arrays that lose, delay and repeat. Nothing here talks to an array, and nothing
//! outside tests depends on it.

pub mod claim;
pub mod combined;
pub mod fence;
mod mismatch;

pub use mismatch::Mismatch;
