//! Configuration, the assembly of the fleet, and the command line for people.
//!
//! This is the one crate that knows concrete backends: an adapter's `main` asks it for the
//! configuration and for a ready fleet, and knows traits from there on. It holds no policy about
//! volumes; that is the engine's.

pub mod cli;
pub mod config;
pub mod fleet;
pub mod operator;
