//! The reference implementations, in memory: what a backend and an attacher must do, with nothing
//! else in the way. For tests of adapters and selectors, and to read. Nothing is persisted.

mod array;
mod attacher;
mod backend;
mod copies;
mod page;
mod survey;
mod trash;
mod view;

pub use array::MemoryArray;
pub use attacher::MemoryAttacher;
pub use backend::MemoryBackend;
