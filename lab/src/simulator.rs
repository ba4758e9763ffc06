//! Simulated arrays as a program of their own, and the configuration file that names them.
//!
//! Tests that want to look into an array, or to break it, use the library ([`array_sim`]) inside
//! their own process; this is for those that treat the arrays as the outside world: the demo, and
//! tests that kill them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{Guard, Program, find_binary};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The program's own description of a running array.
#[derive(Debug, Deserialize)]
struct Told {
    name: String,
    url: String,
    api_token: String,
    fingerprint: String,
    lun_folder: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Ready {
    arrays: Vec<Told>,
}

/// One array of a running simulator.
#[derive(Debug, Clone)]
pub struct SimulatedArray {
    /// Its name, as in the simulator's configuration.
    pub name: String,
    /// Address and port of its REST interface.
    pub address: String,
    /// An API token of its administrator.
    pub token: String,
    /// SHA-256 of its certificate, as the configuration takes it.
    pub fingerprint: String,
    /// Where it shows its LUNs, one folder a host.
    pub luns: PathBuf,
}

impl SimulatedArray {
    /// Its entry in `pure.json`.
    #[must_use]
    pub fn entry(&self) -> Value {
        json!({
            "MgmtEndPoint": self.address,
            "APIToken": self.token,
            "Fingerprint": self.fingerprint,
            "SanType": "LOOP",
            "LoopFolder": self.luns,
            "Labels": {"name": self.name},
        })
    }
}

/// A configuration file for the product that names these arrays.
///
/// # Errors
/// When the file cannot be written.
pub fn write_config(path: &Path, namespace: &str, entries: &[Value]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let config = json!({"Namespace": namespace, "FlashArrays": entries});
    let text = serde_json::to_string_pretty(&config).context("write the configuration")?;
    // it has secrets in it
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

/// A running simulator. Dropping it ends it.
#[derive(Debug)]
pub struct Simulator {
    folder: PathBuf,
    process: Option<Guard>,
    arrays: Vec<SimulatedArray>,
}

impl Simulator {
    /// Starts arrays of these names, whose state and LUNs are below `folder`, and waits until they
    /// answer.
    ///
    /// # Errors
    /// When the program was not built, ends, or is not ready in time; with the end of its log.
    pub async fn start(folder: &Path, names: &[&str]) -> Result<Self> {
        Self::start_at(folder, names, Ipv4Addr::LOCALHOST.into()).await
    }

    /// As [`Simulator::start`], with arrays that answer at another address of this machine than the
    /// loopback's.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn start_at(folder: &Path, names: &[&str], address: IpAddr) -> Result<Self> {
        let folder = folder.join("arrays");
        std::fs::create_dir_all(&folder).context("make the simulator's folder")?;
        let arrays: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "bind": address}))
            .collect();
        let config = json!({"arrays": arrays, "lun_folder": folder.join("luns")});
        std::fs::write(folder.join("arrays.json"), config.to_string())
            .context("write the simulator's configuration")?;
        let mut simulator = Self {
            folder,
            process: None,
            arrays: Vec::new(),
        };
        simulator.start_again().await?;
        Ok(simulator)
    }

    /// Starts it again on the same state, after it was stopped or killed. Addresses stay.
    ///
    /// # Errors
    /// As [`Simulator::start`]; also when it is running.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the simulator is running");
        let ready = self.folder.join("ready.json");
        // what the last run said must not be taken for this one's
        std::fs::write(&ready, "").context("empty the simulator's output")?;
        let program = Program::new(find_binary("array-sim")?)
            .arg("--config")
            .arg(self.folder.join("arrays.json"))
            .arg("--state")
            .arg(self.folder.join("state"))
            .output_to(&ready);
        self.process = Some(program.start(&self.log())?);
        let told = self.wait_ready(&ready).await?;
        self.arrays = told.arrays.into_iter().map(array).collect::<Result<_>>()?;
        Ok(())
    }

    /// The arrays, in the order of their names at the start.
    #[must_use]
    pub fn arrays(&self) -> &[SimulatedArray] {
        &self.arrays
    }

    /// Its log, over all its starts.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("array-sim.log")
    }

    /// Writes a configuration file for the product that names all arrays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, path: &Path, namespace: &str) -> Result<()> {
        let entries: Vec<Value> = self.arrays.iter().map(SimulatedArray::entry).collect();
        write_config(path, namespace, &entries)
    }

    /// Ends it in order: connections are refused, LUN folders unmounted.
    ///
    /// # Errors
    /// When it does not end in time; it is then killed.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.stop(STOP_TIMEOUT).await?;
        ensure!(
            status.success(),
            "array-sim ended with {status}\n{}",
            process.log_tail(20)
        );
        Ok(())
    }

    /// Kills it: the arrays are gone in the middle of what they do, and their LUN folders dead.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill_9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill_9().await,
            None => Ok(()),
        }
    }

    async fn wait_ready(&mut self, ready: &Path) -> Result<Ready> {
        let start = Instant::now();
        loop {
            let text = std::fs::read_to_string(ready).context("read the simulator's output")?;
            if let Ok(told) = serde_json::from_str(&text) {
                return Ok(told);
            }
            let Some(process) = self.process.as_mut() else {
                bail!("the simulator is not running");
            };
            let tail = process.log_tail(20);
            if let Some(status) = process.ended() {
                self.process = None;
                bail!("array-sim ended ({status})\n{tail}");
            }
            if start.elapsed() > START_TIMEOUT {
                bail!("array-sim: not ready in {START_TIMEOUT:?}; it said {text:?}\n{tail}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn array(told: Told) -> Result<SimulatedArray> {
    let address = told
        .url
        .strip_prefix("https://")
        .context("an array's address is no https URL")?;
    Ok(SimulatedArray {
        address: address.trim_end_matches('/').to_owned(),
        luns: told.lun_folder.context("the simulator mounts no LUNs")?,
        name: told.name,
        token: told.api_token,
        fingerprint: told.fingerprint,
    })
}
