//! The Docker volume plugin: Docker's protocol on one side, the engine on the other.
//!
//! A translator and nothing more. What a volume is and where it comes from is the engine's; what
//! this crate adds is what Docker's protocol makes its plugins carry:
//!
//! - **Mount counts.** Docker names a mount by an ID that it reuses, also after a crash, and sends
//!   as many Unmounts as it sent Mounts only while it lives. [`Plugin`] counts per volume and ID,
//!   on disk before it answers, and knows a new daemon by its `Plugin.Activate`.
//! - **A cache of names.** An answered error to Get makes Docker's daemon forget a volume's
//!   options for good. So a volume that can neither be found nor proven absent is answered from
//!   what was known before, and one that was never known is not answered at all: the connection is
//!   closed, which the daemon takes for what it is.
//! - **Deadlines** below Docker's own, whatever the arrays do.
//!
//! ```text
//! dockerd ── unix socket ── Server ── Plugin ── storage_core::Engine
//!                                      ├─ mount counts   <state>/docker/mounts/*.json
//!                                      └─ name cache     <state>/docker/names.json
//! ```
//!
//! Every node of a Docker Swarm creates a name where a task comes to run, at the same time perhaps:
//! the engine's claim lets one volume win. That needs a namespace that the nodes share. Where nobody
//! set one and the host is a member of a Swarm, Create is refused. Membership is read from the files
//! of the daemon that calls ([`SwarmProbe`]); the daemon itself is never asked, as it waits for us
//! while it starts.

pub mod arguments;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod logging;
mod message;
mod plugin;
mod server;
mod state;
mod swarm;

pub use plugin::{OpenError, Peer, Plugin, PluginSettings, Reply};
pub use server::{BoundSocket, Limits, PLUGIN_FOLDER, PassedSocket, Server, SocketError, bind};
pub use swarm::{Membership, SwarmProbe};
