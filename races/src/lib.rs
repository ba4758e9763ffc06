//! Many hosts on one machine, each a process with an engine of its own, over the same arrays.
//!
//! A test writes [`Orders`], starts `race-worker` with them as often as it likes, kills it when it
//! likes, and reads what it was told from its [`journal`]. What a worker says counts as told to a
//! caller: an acknowledged name, a grant. No product code, and no data path: a worker's host
//! ([`PaperHost`]) mounts on paper.

pub mod journal;
mod orders;
mod paper;
mod trace;
mod worker;

pub use orders::{Creates, Mounts, Orders, Task};
pub use paper::PaperHost;
pub use trace::{TRACE_TARGET, Traced, follow, note_death, read_trace};
pub use worker::work;
