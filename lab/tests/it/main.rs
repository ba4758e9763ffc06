//! The harness itself, tested on what the machine has.

mod docker;
mod leftovers;
mod process;
mod simulator;
mod swarm;
