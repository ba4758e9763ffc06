//! This host: its attacher, and the tools that it needs.

use std::path::Path;
use std::sync::Arc;

use host_attach::{Config, LinuxAttacher};
use storage_core::{Filesystem, Result};

use super::FleetError;

/// Where Debian's packages put tools.
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Opens this host's ledger, to mount below `mounts`.
pub(super) fn open(state: &Path, mounts: &Path) -> Result<Arc<LinuxAttacher>> {
    let mut config = Config::new(state, host_attach::this_host()?);
    config.mounts_dir = Some(mounts.to_owned());
    LinuxAttacher::open(config)
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
