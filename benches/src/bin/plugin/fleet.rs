//! Two simulated arrays in this process and one plugin as a process of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use array_sim::{ArrayConfig, Simulator};
use lab::plugin::{Plugin, PluginOptions};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::socket::Socket;

/// Connections that fill the fleet with volumes.
const WORKERS: u32 = 16;

/// How long the first inventory of many volumes may take.
const INVENTORY_LIMIT: Duration = Duration::from_secs(120);

/// What is measured, and its surroundings.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) plugin: Plugin,
    simulator: Option<Simulator>,
    _folder: TempDir,
}

impl Fleet {
    pub(crate) async fn start(delay_ms: u64) -> Result<Self> {
        let folder = TempDir::new().context("make a folder")?;
        let simulator = Simulator::builder()
            .array(ArrayConfig::new("array-a"))
            .array(ArrayConfig::new("array-b"))
            .state_dir(folder.path().join("arrays"))
            .lun_folder(folder.path().join("luns"))
            .start()
            .await
            .context("start the simulated arrays")?;
        let mut entries = Vec::new();
        for array in simulator.arrays() {
            let mut faults = array.faults();
            faults.delay_min_ms = delay_ms;
            faults.delay_max_ms = delay_ms;
            array.set_faults(faults);
            entries.push(json!({
                "MgmtEndPoint": array.address().to_string(),
                "APIToken": array.api_token(),
                "Fingerprint": array.fingerprint(),
                "SanType": "LOOP",
                "LoopFolder": array.lun_folder(),
            }));
        }
        let config = folder.path().join("pure.json");
        lab::simulator::write_config(&config, "load", &entries)?;
        let options = PluginOptions::new(config, folder.path().join("plugin"));
        let plugin = Plugin::start(options).await?;
        Ok(Self {
            plugin,
            simulator: Some(simulator),
            _folder: folder,
        })
    }

    pub(crate) async fn take_arrays_down(&self) {
        for array in self.simulator.iter().flat_map(Simulator::arrays) {
            array.stop().await;
        }
    }

    /// Makes volumes `many-0`, `many-1` and so on, through the plugin.
    pub(crate) async fn fill(&self, volumes: u32) -> Result<()> {
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let path = self.plugin.socket();
            workers.spawn(async move {
                let mut socket = Socket::connect(&path).await?;
                let mut index = worker;
                while index < volumes {
                    let body = json!({"Name": format!("many-{index}"), "Opts": {"size": "1GiB"}});
                    let _made = socket.call("Create", &body).await?;
                    index += WORKERS;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done.context("a worker ended")??;
        }
        Ok(())
    }

    /// Waits until List shows that many volumes.
    pub(crate) async fn wait_for_inventory(&self, socket: &mut Socket, volumes: u32) -> Result<()> {
        let start = Instant::now();
        loop {
            let (_, answer) = socket.call("List", &json!({})).await?;
            let seen = answer
                .get("Volumes")
                .and_then(|list| list.as_array())
                .map_or(0, Vec::len);
            if u32::try_from(seen).is_ok_and(|seen| seen >= volumes) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < INVENTORY_LIMIT,
                "List shows {seen} of {volumes} volumes"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Resident memory of the plugin's process (`VmRSS` of proc(5)).
    pub(crate) fn resident(&mut self) -> Result<String> {
        let process = self.plugin.process().context("the plugin does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))
            .context("read the process's status")?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .context("no VmRSS")?
            .trim()
            .parse()
            .context("VmRSS is no number")?;
        Ok(format!("{}.{} MB", kib / 1024, kib % 1024 * 10 / 1024))
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.plugin.stop().await?;
        if let Some(simulator) = self.simulator.take() {
            simulator.stop().await.context("stop the arrays")?;
        }
        Ok(())
    }
}
