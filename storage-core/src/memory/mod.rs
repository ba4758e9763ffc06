//! The reference implementations, in memory: what a backend and an attacher must do, with nothing
//! else in the way. For tests of adapters and selectors, and to read. Nothing is persisted.

mod array;
mod attacher;
mod backend;
mod claims;
mod copies;
mod device;
mod markers;
mod page;
mod publish;
mod removal;
mod survey;
mod trash;
mod view;
mod wire;

pub use array::MemoryArray;
pub use attacher::MemoryAttacher;
pub use backend::MemoryBackend;
pub use device::{MemoryDevice, MemoryObject};
pub use wire::{ANSWER_LIMIT, ArrayRequest, Fate, Wire};
