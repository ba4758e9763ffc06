//! Chaos by seed: arrays, nodes, hosts and an orchestrator in one process, with time under
//! control, and everything that can go wrong between them.
//!
//! The nodes are real engines over the reference backend; what is not real is the array (in
//! memory), the network between (requests are refused, lost, late, executed twice), the hosts
//! (mounts that go on using their numbers) and time, which jumps to the next event. While it runs
//! and at its end a run is held against the truth: never two acknowledged volumes of a name, never
//! two grants, every acknowledged volume there with its data, no write of a stale mount, nothing
//! formatted twice, nothing left over that a sweep does not take.
//!
//! A run follows from its seed alone, so a seed that fails fails again. What the checks can find
//! is proven by [`Sabotage`]. It is no model checker: `protocol-models` walks all interleavings of
//! few steps, this some interleavings of many.

mod dice;
mod host;
mod log;
mod node;
mod operations;
mod run;
mod sabotage;
mod seam;
mod settle;
mod truth;
mod wire;
mod world;

pub use run::{Plan, Report, run};
pub use sabotage::Sabotage;
