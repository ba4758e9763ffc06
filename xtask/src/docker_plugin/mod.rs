//! `cargo xtask docker-plugin`: the volume plugin as Docker itself installs and starts it.
//!
//! A folder for `docker plugin create`: `config.json`, and a root file system with the release
//! binary, the tools that it runs, the libraries of both, CA certificates, and the licences of all
//! that. What is in it is what this machine's Debian packages have.

mod licences;
mod rootfs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use self::rootfs::RootFs;
use crate::packages;
use crate::steps::say;
use crate::stream::{cargo, show, workspace};

/// The programs that host-attach runs (`host-attach/src/runner.rs`; a test compares).
const TOOLS: [&str; 8] = [
    "blkid",
    "mkfs.ext4",
    "e2fsck",
    "resize2fs",
    "mkfs.xfs",
    "xfs_db",
    "xfs_repair",
    "xfs_growfs",
];

/// Files that programs read, as they are here.
const FILES: [&str; 2] = [
    // the arrays' certificates are verified by these where no other is named
    "/etc/ssl/certs/ca-certificates.crt",
    // what mkfs.ext4 makes when nothing is said
    "/etc/mke2fs.conf",
];

/// Host names from /etc/hosts first, as on every Debian machine.
const NSSWITCH: &str = "hosts: files dns\n";

const PROGRAM: &str = "fairlead-docker";

/// Makes the folder; true if all went well.
pub(crate) fn run(output: Option<&Path>, binary: Option<&Path>) -> Result<bool> {
    packages::ensure_plugin_packages()?;
    let output = match output {
        Some(output) => std::path::absolute(output).context("the output folder")?,
        None => target_folder()?.join("docker-plugin"),
    };
    let binary = match binary {
        Some(binary) => std::path::absolute(binary).context("the program")?,
        None => match build()? {
            Some(binary) => binary,
            None => return Ok(false),
        },
    };
    // beside it, so that it is whole or not there
    let new = output.with_extension("new");
    clear(&new)?;
    let root = RootFs::make(&new.join("rootfs"))?;
    fill(&root, &binary)?;
    let config = workspace().join("deploy/docker-plugin/config.json");
    std::fs::copy(&config, new.join("config.json")).context("copy config.json")?;
    clear(&output)?;
    std::fs::rename(&new, &output).with_context(|| format!("make {}", output.display()))?;
    let (folder, size) = (output.display(), root.bytes() >> 20);
    say(&format!("{folder}: {} files, {size} MiB", root.files()));
    say(&format!("next: docker plugin create fairlead {folder}"));
    Ok(true)
}

fn fill(root: &RootFs, binary: &Path) -> Result<()> {
    root.add_program(binary, &Path::new("/usr/bin").join(PROGRAM))?;
    for tool in TOOLS {
        let path = packages::find(tool).with_context(|| format!("{tool} is not installed"))?;
        root.add_program(&path, &Path::new("/usr/sbin").join(tool))?;
    }
    for file in FILES {
        root.add_file(Path::new(file), Path::new(file))?;
    }
    root.write("/etc/nsswitch.conf", NSSWITCH)?;
    licences::add(root)
}

/// Where cargo puts what it builds: this program is one of those.
fn target_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the running program")?;
    let target = own.ancestors().nth(2).context("find the target folder")?;
    Ok(target.to_owned())
}

/// The release binary; `None` when it does not compile, which cargo has said.
fn build() -> Result<Option<PathBuf>> {
    let arguments = ["build", "--release", "--package=adapter-docker", "--bins"];
    if !show(cargo(&arguments))?.success() {
        return Ok(None);
    }
    let binary = target_folder()?.join("release").join(PROGRAM);
    ensure!(binary.is_file(), "{} was not built", binary.display());
    Ok(Some(binary))
}

/// Removes what an earlier run made, and nothing else.
fn clear(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !empty && !folder.join("rootfs").is_dir() {
        bail!(
            "{} is not a plugin's folder; move it away",
            folder.display()
        );
    }
    std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tool that is not packaged is missed when a volume is mounted, on somebody else's machine.
    #[test]
    fn every_tool_that_the_product_runs_is_packaged() {
        let runner = std::fs::read_to_string(workspace().join("host-attach/src/runner.rs"));
        let runner = runner.unwrap();
        let names = runner.split_once("fn name(self)").unwrap().1;
        let names = names.split_once("\n    }\n").unwrap().0;
        let mut run: Vec<&str> = names
            .lines()
            .filter_map(|line| line.split_once("=> \"")?.1.split('"').next())
            .collect();
        run.sort_unstable();
        let mut packaged = TOOLS;
        packaged.sort_unstable();
        assert_eq!(run, packaged);
    }

    #[test]
    fn only_a_plugins_folder_is_removed() {
        let folder = std::env::temp_dir().join(format!("fl-xtask-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("rootfs")).unwrap();
        clear(&folder).unwrap();
        assert!(!folder.exists());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("precious"), "").unwrap();
        assert!(clear(&folder).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
