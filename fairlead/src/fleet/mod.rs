//! From a configuration to an engine over real arrays and this host: the only place that knows
//! concrete backends.
//!
//! Nothing here talks to an array. Every FlashArray becomes a member of the fleet, whether this
//! host can attach its volumes or not: a name is free only where every array has said so. Those
//! that cannot be attached are looked up and nothing more, and they are named at the start, not
//! when somebody mounts. A FlashBlade cannot be asked by this version: a volume that it holds is
//! not seen, and its name counts as free.

mod arrays;
mod host;

use std::path::Path;
use std::sync::Arc;

use storage_core::{Attacher, Backend, Engine, EngineBuilder, EngineSettings, Error, Namespace};
use thiserror::Error as ThisError;

pub use arrays::Refused;

use arrays::Built;

use crate::config::Config;

/// An engine, put together and not yet started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fleet {
    /// The engine over every array that can be asked about names.
    pub engine: Arc<Engine>,
    /// Endpoints of the arrays on which volumes are placed and mounted.
    pub served: Vec<String>,
    /// The arrays that are looked up only: no volume is placed or mounted there; with the reason.
    pub looked_up: Vec<Refused>,
    /// The arrays that are not even asked: a volume of the same name there is not seen.
    pub unseen: Vec<Refused>,
}

/// Why there is no fleet.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum FleetError {
    /// No configured array can be served.
    #[error("none of the configured arrays can be served: {}", arrays::join(.0))]
    NothingToServe(Vec<Refused>),
    /// An array's configuration cannot work. Going on without it is no choice: names that it
    /// holds would be made a second time.
    #[error("the configuration of an array cannot work: {}", arrays::join(.0))]
    Misconfigured(Vec<Refused>),
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

/// Puts an engine together. `state` is the folder of this host's ledger; volumes are mounted in
/// `mounts` in there.
///
/// # Errors
/// When no array can be served or one is configured so that it cannot be asked, a tool is missing,
/// or another process has the ledger.
pub fn assemble(config: &Config, state: &Path) -> Result<Fleet, FleetError> {
    assemble_with_mounts(config, state, &state.join("mounts"))
}

/// As [`assemble`], with volumes mounted below another folder.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_with_mounts(
    config: &Config,
    state: &Path,
    mounts: &Path,
) -> Result<Fleet, FleetError> {
    let arrays = arrays::build(config).map_err(FleetError::Misconfigured)?;
    let unseen = arrays::blades(config);
    if arrays.is_empty() {
        return Err(FleetError::NothingToServe(unseen));
    }
    host::check_tools(config.defaults.filesystem)?;
    let attacher = host::open(state, mounts).map_err(FleetError::Host)?;
    let (mut served, mut looked_up) = (Vec::new(), Vec::new());
    for array in &arrays {
        let endpoint = array.backend.endpoint();
        match attacher.supports(array.protocol) {
            Ok(()) => served.push(endpoint.to_owned()),
            Err(error) => looked_up.push(Refused::new(endpoint, error.message())),
        }
    }
    if served.is_empty() {
        return Err(FleetError::NothingToServe([looked_up, unseen].concat()));
    }
    Ok(Fleet {
        engine: builder(config, arrays, attacher).build(),
        served,
        looked_up,
        unseen,
    })
}

/// Begins an engine over every configured FlashArray with a host of the caller's own: for embedders
/// that attach in a way of theirs, and for tests that need many hosts on one machine.
///
/// # Errors
/// When no array can be asked, or one is configured so that it cannot be.
pub fn builder_over(
    config: &Config,
    attacher: Arc<dyn Attacher>,
) -> Result<EngineBuilder, FleetError> {
    let arrays = arrays::build(config).map_err(FleetError::Misconfigured)?;
    if arrays.is_empty() {
        return Err(FleetError::NothingToServe(arrays::blades(config)));
    }
    Ok(builder(config, arrays, attacher))
}

/// Every FlashArray by itself: one whose configuration cannot work hides none of the others. For
/// those who look, not for those who make volumes.
pub(crate) fn sites(config: &Config) -> Vec<crate::operator::Site> {
    arrays::sites(config)
}

/// Every configured FlashArray, seen through a namespace of the fleet.
///
/// # Errors
/// When one is configured so that it cannot be asked.
pub(crate) fn views(
    config: &Config,
    namespace: &Namespace,
) -> Result<Vec<Arc<dyn Backend>>, FleetError> {
    let seen = Config {
        namespace: namespace.clone(),
        ..config.clone()
    };
    let arrays = arrays::build(&seen).map_err(FleetError::Misconfigured)?;
    Ok(arrays.into_iter().map(|array| array.backend).collect())
}

/// The arrays that cannot be asked by this version, with the reason.
pub(crate) fn unasked(config: &Config) -> Vec<Refused> {
    arrays::blades(config)
}

fn builder(config: &Config, arrays: Vec<Built>, attacher: Arc<dyn Attacher>) -> EngineBuilder {
    let draining: Vec<String> = arrays
        .iter()
        .filter(|array| array.draining)
        .map(|array| array.backend.endpoint().to_owned())
        .collect();
    let backends = arrays.into_iter().map(|array| array.backend).collect();
    let mut builder = Engine::builder(backends, attacher).settings(EngineSettings {
        default_size: config.defaults.size,
        default_filesystem: config.defaults.filesystem,
        ..EngineSettings::default()
    });
    for endpoint in draining {
        builder = builder.draining(endpoint);
    }
    builder
}
