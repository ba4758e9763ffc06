//! The one place in tests that starts programs.
//!
//! [`Program`] says what to run; [`Program::run`] waits for its end with a deadline,
//! [`Program::start`] leaves it in the background behind a [`Guard`], which ends it when it is
//! dropped. Every program gets a process group of its own, so that its children end with it, and
//! only processes that were started here are ever signalled, by id.

mod background;
mod binary;
mod descendants;
mod namespaces;
mod program;

pub use background::Guard;
pub use binary::{armed_plugin, find_binary};
pub use descendants::{ProcessInfo, descendants_of, kill_9, processes, wait_gone};
pub use namespaces::{Inside, Namespaces};
pub use program::{Finished, Program};
