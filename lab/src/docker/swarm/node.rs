//! One node: namespaces, a plugin and an engine in them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::network::Network;
use crate::docker::Engine;
use crate::docker::turn::Turn;
use crate::plugin::{PLUGINS, Plugin, PluginOptions};
use crate::process::{Inside, Namespaces};

/// The driver's name: each node has its own folder of plugins, so nobody else's is in the way.
const DRIVER: &str = "fairlead";

/// What makes the namespaces a machine of its own. Mounts of other tests are let go: a copy of
/// theirs would keep their volumes busy.
const PREPARE: &str = r#"
echo "$NAME" > /proc/sys/kernel/hostname
mounts=$(cat /proc/mounts)
while read -r _ point _; do
    case "$point" in
        "$RUN"/*) ;;
        "$TEMPORARY"/*) umount -l "$point" || echo "not let go: $point" ;;
    esac
done <<END
$mounts
END
mkdir -p /run/docker
mount -t tmpfs -o mode=0755 tmpfs /run/docker
mkdir -p "$PLUGINS"
mount --bind "$FOLDER/machine-id" /etc/machine-id
ip link set lo up
"#;

/// A node of a Swarm. Dropping it kills all that runs on it.
#[derive(Debug)]
pub struct Node {
    machine: Machine,
    plugin: Plugin,
    engine: Engine,
}

/// The namespaces of a node.
#[derive(Debug)]
pub(super) struct Machine {
    namespaces: Namespaces,
    name: String,
    number: u8,
    address: IpAddr,
    folder: PathBuf,
    cgroup: String,
}

impl Machine {
    pub(super) async fn start(network: &Network, number: u8) -> Result<Self> {
        let name = format!("node{number}");
        let folder = network.folder().join(&name);
        std::fs::create_dir(&folder).context("make a node's folder")?;
        // machine-id(5): 32 hexadecimal digits, and no two machines have the same
        let machine_id = format!("{:024x}{number:08x}\n", std::process::id());
        std::fs::write(folder.join("machine-id"), machine_id).context("write a machine id")?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let (run, temporary) = (text(network.folder()), text(&std::env::temp_dir()));
        let environment = [
            ("NAME", &*name),
            ("FOLDER", &text(&folder)),
            ("RUN", &run),
            ("TEMPORARY", &temporary),
            ("PLUGINS", PLUGINS),
        ];
        let namespaces = Namespaces::start(&folder, PREPARE, &environment).await?;
        network.connect(number, namespaces.inside()).await?;
        Ok(Self {
            namespaces,
            address: network.address_of(number),
            cgroup: format!("fairlead-lab-{}-{name}", std::process::id()),
            name,
            number,
            folder,
        })
    }

    /// Starts the plugin, and then the engine, as a host does.
    pub(super) async fn boot(self, turn: Turn, config: PathBuf) -> Result<Node> {
        let inside = Some(self.namespaces.inside());
        let mut options = PluginOptions::new(config, self.folder.join("plugin"));
        options.name = DRIVER.to_owned();
        options.inside = inside;
        let plugin = Plugin::start(options).await?;
        let parent = format!("--cgroup-parent=/{}", self.cgroup);
        // systemd is not asked: it would not find processes of other namespaces
        let driver = "--exec-opt=native.cgroupdriver=cgroupfs";
        let engine = Engine::start_in(turn, inside, &self.folder, &[&parent, driver]).await?;
        engine.import_busybox("busybox").await?;
        // an engine tells its manager only of plugins that it has used (moby#32480)
        engine.docker(["volume", "ls"]).await?;
        Ok(Node {
            machine: self,
            plugin,
            engine,
        })
    }
}

impl Node {
    /// Its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// Its address in the nodes' network.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.machine.address
    }

    /// Its engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its plugin.
    #[must_use]
    pub const fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Where programs of this node run.
    #[must_use]
    pub const fn inside(&self) -> Inside {
        self.machine.namespaces.inside()
    }

    /// The way from outside to an absolute path on it, for as long as it runs.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.inside().path(path)
    }

    /// Pulls its network's plug; everything on it goes on.
    ///
    /// # Errors
    /// When the switch refuses.
    pub async fn unplug(&self, network: &Network) -> Result<()> {
        network.switch_port(self.machine.number, false).await
    }

    /// Puts the plug in again.
    ///
    /// # Errors
    /// When the switch refuses.
    pub async fn plug_in(&self, network: &Network) -> Result<()> {
        network.switch_port(self.machine.number, true).await
    }

    /// Kills everything on it. Its network goes with it.
    pub(super) async fn kill_9(&mut self) -> Result<()> {
        self.machine.namespaces.kill_9().await
    }

    /// The end of its logs.
    #[must_use]
    pub fn log_tails(&self, lines: usize) -> String {
        let (plugin, engine) = (self.plugin.log_tail(lines), self.engine.log_tail(lines));
        format!("=== {}\n{plugin}\n{engine}", self.name())
    }
}

/// First of all: with it everything on the node ends at once, and nobody waits for it to stop.
impl Drop for Machine {
    fn drop(&mut self) {
        self.namespaces.kill_now();
        remove_cgroups(&self.cgroup);
    }
}

/// A killed engine leaves the control groups of its containers behind, empty.
fn remove_cgroups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten();
    // one hierarchy, or one for each controller
    let roots = hierarchies
        .map(|entry| entry.path())
        .chain([root.to_owned()]);
    for group in roots
        .map(|root| root.join(name))
        .filter(|group| group.exists())
    {
        if let Err(error) = remove_cgroup(&group) {
            tracing::warn!(group = %group.display(), %error, "remove a control group");
        }
    }
}

fn remove_cgroup(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}
