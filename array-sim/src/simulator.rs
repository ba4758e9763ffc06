//! Any number of arrays in one process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use crate::array::{Array, Place};
use crate::config::{ArrayConfig, SimConfig};

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong; each problem with its key.
    #[error("the configuration is wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    /// Another simulator uses this state folder.
    #[error("the state folder {0} is in use by another simulator")]
    InUse(PathBuf),
    /// A file, socket or mount failed.
    #[error("cannot start array {array}")]
    Array {
        /// The array's name.
        array: String,
        /// What happened.
        source: io::Error,
    },
    /// The state folder or the control listener failed.
    #[error("cannot set up {what}")]
    Setup {
        /// What.
        what: &'static str,
        /// What happened.
        source: io::Error,
    },
}

/// Describes a simulator; see [`Simulator::builder`].
#[derive(Debug, Default)]
pub struct SimulatorBuilder {
    config: SimConfig,
    state_folder: Option<PathBuf>,
    log_calls: bool,
}

impl SimulatorBuilder {
    /// Takes everything from a configuration, in place of what was set before.
    #[must_use]
    pub fn config(mut self, config: SimConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds an array.
    #[must_use]
    pub fn array(mut self, array: ArrayConfig) -> Self {
        self.config.arrays.push(array);
        self
    }

    /// Where the arrays keep their state, one folder each. Unset: in a temporary folder that goes
    /// with the simulator.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// Seed of the faults' decisions. Default 0.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Shows LUNs as files in this folder, each array in a folder of its name. Needs root and
    /// `/dev/fuse`.
    #[must_use]
    pub fn lun_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.lun_folder = Some(folder.into());
        self
    }

    /// Also writes each call to `rest.log` in the array's state folder.
    #[must_use]
    pub const fn log_calls(mut self) -> Self {
        self.log_calls = true;
        self
    }

    /// Starts the control listener on this `address:port`.
    #[must_use]
    pub fn control(mut self, address: impl Into<String>) -> Self {
        self.config.control = Some(address.into());
        self
    }

    /// Starts all arrays. If one fails, none is left running.
    ///
    /// # Errors
    /// What is wrong with the configuration, or what failed.
    pub async fn start(self) -> Result<Simulator, StartError> {
        let problems = self.config.problems();
        if !problems.is_empty() {
            return Err(StartError::Config(problems));
        }
        let (state, temporary) = match self.state_folder {
            Some(folder) => (folder, None),
            None => {
                let folder = TemporaryFolder::new().map_err(|source| StartError::Setup {
                    what: "a temporary state folder",
                    source,
                })?;
                (folder.0.clone(), Some(folder))
            }
        };
        let lock = lock_folder(&state)?;
        let mut simulator = Simulator {
            arrays: Vec::new(),
            control: None,
            _lock: lock,
            _temporary: temporary,
        };
        for config in self.config.arrays {
            let name = config.name.clone();
            let place = Place {
                folder: &state.join(&name),
                lun_folder: self.config.lun_folder.as_ref().map(|at| at.join(&name)),
                seed: self.config.seed,
                log_calls: self.log_calls,
            };
            let array = Array::open(config, place)
                .await
                .map_err(|source| StartError::Array {
                    array: name,
                    source,
                })?;
            simulator.arrays.push(array);
        }
        if let Some(address) = &self.config.control {
            let control = crate::control::Control::start(address, simulator.arrays.clone()).await;
            simulator.control = Some(control.map_err(|source| StartError::Setup {
                what: "the control listener",
                source,
            })?);
        }
        Ok(simulator)
    }
}

/// Running arrays. Dropping it ends them as a kill would, and unmounts their LUN folders;
/// [`Simulator::stop`] does it in order.
#[derive(Debug)]
pub struct Simulator {
    arrays: Vec<Array>,
    control: Option<crate::control::Control>,
    _lock: File,
    _temporary: Option<TemporaryFolder>,
}

impl Simulator {
    /// Begins to describe a simulator.
    #[must_use]
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::default()
    }

    /// The arrays, in the order of the configuration.
    #[must_use]
    pub fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// The array of this name.
    #[must_use]
    pub fn array(&self, name: &str) -> Option<&Array> {
        self.arrays.iter().find(|array| array.name() == name)
    }

    /// `http://address:port` of the control listener, if there is one.
    #[must_use]
    pub fn control_url(&self) -> Option<String> {
        self.control.as_ref().map(crate::control::Control::url)
    }

    /// What a client needs to know of each array, as the program prints it: name, id, URL, API
    /// token, certificate path, fingerprint, LUN folder.
    #[must_use]
    pub fn describe(&self) -> serde_json::Value {
        let arrays: Vec<_> = self.arrays.iter().map(crate::control::describe).collect();
        serde_json::json!({ "control": self.control_url(), "arrays": arrays })
    }

    /// Stops all arrays and unmounts their LUN folders.
    ///
    /// # Errors
    /// The first LUN folder that cannot be unmounted; everything else is stopped all the same.
    pub async fn stop(mut self) -> io::Result<()> {
        self.control = None;
        let mut result = Ok(());
        for array in &self.arrays {
            array.stop().await;
            let unmounted = array.unmount_luns();
            if result.is_ok() {
                result = unmounted;
            }
        }
        result
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for array in &self.arrays {
            array.shared.abort();
            if let Err(error) = array.unmount_luns() {
                tracing::warn!(array = array.name(), %error, "unmount the LUN folder");
            }
        }
    }
}

fn lock_folder(folder: &Path) -> Result<File, StartError> {
    let setup = |source| StartError::Setup {
        what: "the state folder",
        source,
    };
    std::fs::create_dir_all(folder).map_err(setup)?;
    let file = File::create(folder.join("lock")).map_err(setup)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse(folder.to_owned())),
        Err(error) => Err(setup(error.into())),
    }
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn new() -> io::Result<Self> {
        let name = format!("array-sim-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "remove the temporary state");
        }
    }
}

const _: fn() = || {
    const fn both<T: Send + Sync>() {}
    both::<Simulator>();
    both::<Arc<Array>>();
};
