//! The cases for [`storage_core::Backend`], one function each, by topic.
//!
//! Cases speak to nodes that repeat passing failures (see [`crate::Retrying`]), so the same ones
//! run with and without faults.

pub mod claims;
pub mod clones;
pub mod create;
pub mod delete;
pub mod errors;
pub mod expand;
pub mod fencing;
pub mod fleet;
pub mod get;
pub mod idempotency;
pub mod limits;
pub mod list;
pub mod names;
pub mod publish;
pub mod restore;
pub mod snapshots;
pub mod strays;
pub mod survey;
pub mod trash;
pub mod unpublish;
