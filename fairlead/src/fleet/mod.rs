//! From a configuration to an engine over real arrays and this host: the only place that knows
//! concrete backends.
//!
//! Nothing here talks to an array. What this version cannot serve is refused here, at the start
//! and by name, and never when somebody mounts. A refused array is not asked about names either:
//! a volume that it holds is not found, and its name counts as free.

mod arrays;
mod host;

use std::path::Path;
use std::sync::Arc;

use storage_core::{Attacher, Engine, EngineSettings, Error};
use thiserror::Error as ThisError;

pub use arrays::Refused;

use crate::config::Config;

/// An engine, put together and not yet started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fleet {
    /// The engine over every array that can be served.
    pub engine: Arc<Engine>,
    /// Endpoints of the arrays that are served.
    pub served: Vec<String>,
    /// The arrays that are not served, with the reason.
    pub refused: Vec<Refused>,
}

/// Why there is no fleet.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum FleetError {
    /// No configured array can be served.
    #[error("none of the configured arrays can be served: {}", arrays::join(.0))]
    NothingToServe(Vec<Refused>),
    /// A tool for the default file system is not installed.
    #[error(
        "{tool} is not installed, and volumes get {filesystem} by default; install the package {package}, or set PURE_DEFAULT_BLOCK_FS_TYPE to another file system"
    )]
    ToolMissing {
        /// The program.
        tool: &'static str,
        /// Debian's package that has it.
        package: &'static str,
        /// The file system that needs it.
        filesystem: &'static str,
    },
    /// This host cannot attach volumes.
    #[error("this host cannot attach volumes")]
    Host(#[source] Error),
}

/// Puts an engine together. `state` is the folder of this host's ledger.
///
/// # Errors
/// When no array can be served, a tool is missing, or another process has the ledger.
pub fn assemble(config: &Config, state: &Path) -> Result<Fleet, FleetError> {
    let (arrays, mut refused) = arrays::build(config);
    if arrays.is_empty() {
        return Err(FleetError::NothingToServe(refused));
    }
    host::check_tools(config.defaults.filesystem)?;
    let attacher = host::open(state).map_err(FleetError::Host)?;
    let mut served = Vec::new();
    let mut backends = Vec::new();
    for array in arrays {
        match attacher.supports(array.protocol) {
            Ok(()) => {
                served.push(array.backend.endpoint().to_owned());
                backends.push(array);
            }
            Err(error) => refused.push(Refused::new(array.backend.endpoint(), error.message())),
        }
    }
    if backends.is_empty() {
        return Err(FleetError::NothingToServe(refused));
    }
    let all = backends
        .iter()
        .map(|array| Arc::clone(&array.backend))
        .collect();
    let mut builder = Engine::builder(all, attacher).settings(EngineSettings {
        default_size: config.defaults.size,
        default_filesystem: config.defaults.filesystem,
        ..EngineSettings::default()
    });
    for array in backends.iter().filter(|array| array.draining) {
        builder = builder.draining(array.backend.endpoint());
    }
    Ok(Fleet {
        engine: builder.build(),
        served,
        refused,
    })
}
