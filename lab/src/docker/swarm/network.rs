//! The nodes' network: a bridge in namespaces of its own, so that it goes when its keeper goes, and
//! one way in from this machine, for the arrays. And the run's folder.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::docker::turn::Turn;
use crate::environment::find_tool;
use crate::leftovers::sweep;
use crate::process::{Inside, Namespaces, Program};
use crate::wait;

/// What the folders of all runs begin with; short, as sockets are made below.
const PREFIX: &str = "flswarm";
/// The bridge, which nobody else sees.
const BRIDGE: &str = "bridge0";
/// Within what the kernel takes a network away whose namespaces have ended.
const GONE_TIMEOUT: Duration = Duration::from_secs(60);
/// The number of this machine among the nodes.
const OUTSIDE: u8 = 254;

/// A network for nodes. Dropping it takes it away with the run's folder; whatever uses either must
/// have ended by then.
#[derive(Debug)]
pub struct Network {
    switch: Namespaces,
    third: u8,
    folder: Folder,
    turn: Turn,
}

/// The folder of a run; nothing stays mounted or attached below it.
#[derive(Debug)]
struct Folder(TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        for failure in sweep(self.0.path()) {
            tracing::warn!(failure, "clean up after a Swarm");
        }
    }
}

impl Network {
    /// Waits for the turn among all that run engines on this machine, cleans up after runs that
    /// were killed, and makes the network.
    ///
    /// # Errors
    /// When the kernel or `ip` refuses.
    pub async fn start() -> Result<Self> {
        let turn = Turn::wait().await?;
        sweep_killed_runs();
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir();
        let folder = Folder(folder.context("make a Swarm's folder")?);
        let prepare = format!(
            "ip link set lo up\nip link add {BRIDGE} type bridge\nip link set {BRIDGE} up\n"
        );
        let switch = Namespaces::start(&folder.0.path().join("switch"), &prepare, &[]).await?;
        let [third, ..] = std::process::id().to_le_bytes();
        let network = Self {
            switch,
            third,
            folder,
            turn,
        };
        let outside = format!("fl{}", std::process::id());
        // that of this process's last run, which ends a moment after its namespaces
        let old = Path::new("/sys/class/net").join(&outside);
        wait::until_true("the last run's network is gone", GONE_TIMEOUT, || {
            !old.exists()
        })
        .await?;
        network.plug(OUTSIDE, &outside, None).await?;
        Ok(network)
    }

    /// This machine's address in it.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address_of(OUTSIDE)
    }

    /// A node's address: of the range that is set aside for measuring network devices (RFC 2544),
    /// which nobody has anything in; a different part of it for each run, as a killed run's end
    /// takes the kernel a moment.
    pub(super) const fn address_of(&self, number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(198, 18, self.third, number))
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.0.path()
    }

    pub(super) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// Gives a node its interface and its address.
    pub(super) async fn connect(&self, number: u8, node: Inside) -> Result<()> {
        self.plug(number, "eth0", Some(node)).await
    }

    /// Switches a node's port on or off.
    pub(super) async fn switch_port(&self, number: u8, on: bool) -> Result<()> {
        let state = if on { "up" } else { "down" };
        let port = port(number);
        ip(Some(self.switch.inside()), &["link", "set", &port, state]).await
    }

    async fn plug(&self, number: u8, interface: &str, node: Option<Inside>) -> Result<()> {
        let port = port(number);
        let switch = self.switch.inside().id().to_string();
        // without a name for the other end's namespace it stays in this one
        let place = node.map(|node| node.id().to_string());
        let place: Vec<&str> = place.iter().flat_map(|id| ["netns", id]).collect();
        let pair = [
            "link", "add", &port, "netns", &switch, "type", "veth", "peer", "name",
        ];
        ip(None, &[&pair[..], &[interface], &place].concat()).await?;
        let inside = Some(self.switch.inside());
        ip(inside, &["link", "set", &port, "master", BRIDGE, "up"]).await?;
        let address = format!("{}/24", self.address_of(number));
        ip(node, &["address", "add", &address, "dev", interface]).await?;
        ip(node, &["link", "set", interface, "up"]).await
    }
}

fn port(number: u8) -> String {
    format!("port{number}")
}

async fn ip(inside: Option<Inside>, words: &[&str]) -> Result<()> {
    let ip = find_tool("ip").context("ip is not installed (iproute2)")?;
    let program = Program::new(ip).inside(inside).args(words);
    program.succeed().await.map(drop)
}

/// Runs take turns, so what is there now is of one that was killed. Its processes, its network and
/// its nodes' mounts ended with it; devices and folders did not.
fn sweep_killed_runs() {
    let entries = std::fs::read_dir(std::env::temp_dir());
    for entry in entries.into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        for failure in sweep(&path) {
            tracing::warn!(failure, "clean up after a Swarm that was killed");
        }
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "remove a killed run's folder");
        }
    }
}
