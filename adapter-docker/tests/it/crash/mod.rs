//! kill -9 at every step of every operation, and what is there afterwards.
//!
//! The plugin's own program in its armed build (see the crate `crash-points`), on its socket, over
//! simulated arrays and this machine's kernel.

mod absent;
mod index;
