//! Traits, types and the engine that turn storage arrays into one service for containers.

mod secret;

pub use secret::Secret;
