//! This host: its attacher, the tools it needs, and the look after what was fenced.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use host_attach::{Config, LinuxAttacher};
use storage_core::{Filesystem, Result};

use super::FleetError;

/// Where Debian's packages put tools.
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Time between two looks for fenced volumes. Each costs the host a few reads of `/sys`.
const HEAL_PERIOD: Duration = Duration::from_secs(30);

/// Opens this host's ledger.
pub(super) fn open(state: &Path) -> Result<Arc<LinuxAttacher>> {
    LinuxAttacher::open(Config::new(state, host_attach::this_host()?))
}

/// Looks for the tools that make and check a file system.
pub(super) fn check_tools(filesystem: Filesystem) -> std::result::Result<(), FleetError> {
    let (tools, package): (&[&'static str], _) = match filesystem {
        Filesystem::Ext4 => (&["mkfs.ext4", "e2fsck"], "e2fsprogs"),
        Filesystem::Xfs => (&["mkfs.xfs"], "xfsprogs"),
        // A file system that this file does not know has its tools checked at mount.
        _ => return Ok(()),
    };
    for tool in tools.iter().copied() {
        let there = TOOL_FOLDERS
            .iter()
            .any(|folder| Path::new(folder).join(tool).exists());
        if !there {
            let filesystem = filesystem.as_str();
            return Err(FleetError::ToolMissing {
                tool,
                package,
                filesystem,
            });
        }
    }
    Ok(())
}

/// Takes down attachments whose access was taken away, so that nothing on this host goes on
/// believing in them.
#[derive(Debug)]
pub struct Healer {
    attacher: Arc<LinuxAttacher>,
}

impl Healer {
    pub(super) const fn new(attacher: Arc<LinuxAttacher>) -> Self {
        Self { attacher }
    }

    /// Looks from time to time, for ever. Drop the future to end it.
    #[expect(
        clippy::infinite_loop,
        reason = "background work that ends by being aborted"
    )]
    pub async fn run(self) {
        loop {
            match self.attacher.heal().await {
                Ok(released) => {
                    for attachment in released {
                        tracing::warn!(volume = %attachment.name, "this host was shut out of the volume; its mount was taken down");
                    }
                }
                Err(error) => {
                    tracing::error!(error = %error.chain(), "could not look for fenced volumes");
                }
            }
            tokio::time::sleep(HEAL_PERIOD).await;
        }
    }
}
