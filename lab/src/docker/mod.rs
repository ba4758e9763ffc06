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
//! Volume plugins are looked up by the daemon in the fixed folder `/run/docker/plugins`, so two
//! engines on one machine see each other's: give each test's plugin a name of its own.

mod engine;
mod image;

pub use engine::Engine;
pub(crate) use engine::is_engine_root;
