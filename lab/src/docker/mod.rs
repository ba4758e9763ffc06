//! A private Docker engine: its own daemon, containerd, roots and socket, no network.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use lab::docker::Engine;
//!
//! let folder = tempfile::Builder::new().prefix("fl").tempdir()?;
//! let mut engine = Engine::start(folder.path()).await?;
//! engine.import_busybox("busybox").await?;
//! engine.docker(["run", "--rm", "--network", "none", "busybox", "true"]).await?;
//! engine.kill_9().await?;
//! engine.start_again().await?;
//! engine.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Volume plugins are looked up by the daemon in the fixed folder `/run/docker/plugins`, and a
//! listing of volumes calls every plugin there: also one that belongs to another test, which then
//! believes that its daemon was started anew. So give each test's plugin a name of its own; and
//! engines take turns: [`Engine::start`] waits until no other test on this machine has one. A test
//! that needs a second engine starts it with [`Engine::start_beside`].

mod engine;
mod image;
mod registry;
mod swarm;
mod turn;

pub use engine::Engine;
pub(crate) use engine::is_engine_root;
pub use registry::Registry;
pub use swarm::{Network, Node, Swarm, Task};
