//! A public suite that every backend and attacher must pass: the executable definition of the
//! traits in `storage-core`. What a sentence of their documentation promises, a case here checks
//! under a name that says it.
//!
//! Whoever writes a backend implements [`Harness`] over something that the backend can be tested
//! against (a simulator, an array set aside for tests) and expands the suite in an integration
//! test:
//!
//! ```
//! use std::sync::Arc;
//! use storage_conformance::{Harness, WithFaults, seed};
//! use storage_core::{Backend, MemoryArray, MemoryBackend, Namespace, Size};
//!
//! struct Memory(Arc<MemoryArray>);
//!
//! impl Memory {
//!     fn new() -> Self {
//!         Self(MemoryArray::new("array", Size::from_gib(1024)))
//!     }
//! }
//!
//! #[storage_conformance::async_trait]
//! impl Harness for Memory {
//!     async fn backend(&self, namespace: &Namespace) -> Arc<dyn Backend> {
//!         Arc::new(MemoryBackend::new(Arc::clone(&self.0), namespace.clone()))
//!     }
//! }
//!
//! mod plain {
//!     storage_conformance::backend_suite!(super::Memory::new());
//! }
//! mod with_faults {
//!     storage_conformance::backend_suite!(super::WithFaults::new(super::Memory::new(), super::seed()));
//! }
//! ```
//!
//! Each case becomes one test with its own harness, so it can be listed, filtered and timed. What
//! a harness or a backend cannot do is skipped, and every skip is printed and counted. The cases
//! take the harness's namespaces for their own: never point them at data.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a case fails by panicking; that is what it is for"
)]

pub mod attach;
pub mod backend;

mod claiming;
mod faulty;
mod harness;
mod optional;
mod retrying;
mod run;
mod stage;
mod suite;

pub use async_trait::async_trait;
pub use faulty::{FaultCounts, Faulty, WithFaults, seed};
pub use harness::{AttachHarness, Harness, Hook, Verdict};
pub use retrying::Retrying;
pub use run::run;
