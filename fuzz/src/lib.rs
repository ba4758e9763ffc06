//! Fuzz targets: one for each family of parsers of what others wrote, each a function of bytes
//! that panics when something does not hold that must. What must hold stands beside each parser,
//! in the modules `fuzzing` of the crates, which their own tests call too.
//!
//! Driven by libFuzzer: `cargo xtask fuzz`. Seeds and what was found stand in `corpus/`, a folder
//! a target.

#[cfg(feature = "libfuzzer")]
mod core;
#[cfg(feature = "libfuzzer")]
mod targets;

#[cfg(feature = "libfuzzer")]
pub use targets::{TARGETS, Target, target};
