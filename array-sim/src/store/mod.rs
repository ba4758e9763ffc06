//! What an array keeps on disk: the journal of its records, the files that hold its volumes'
//! bytes, and its identity (id, token, certificate, port).
//!
//! A change is handed to the operating system before it is acknowledged, so it survives the end
//! of the process at any point. It is not synchronised to the medium: a power failure may lose it,
//! which a simulator can afford.

mod data;
mod identity;
mod journal;

pub(crate) use data::DataFiles;
pub(crate) use identity::Identity;
pub(crate) use journal::Journal;
