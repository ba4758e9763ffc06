//! An image without a registry: busybox, which must be a static program.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::environment::find_tool;
use crate::process::Program;

/// Makes a tar archive of a root file system that holds busybox and its names, and returns its
/// path.
pub(super) async fn busybox_archive(folder: &Path) -> Result<PathBuf> {
    let busybox = find_tool("busybox").context("busybox is not installed")?;
    let archive = folder.join("busybox.tar");
    if archive.exists() {
        return Ok(archive);
    }
    let program = std::fs::read(&busybox).context("read busybox")?;
    // every dynamic program of Linux names its loader: /lib64/ld-linux-x86-64.so.2 and the like
    let loader = b"/ld-linux";
    let dynamic = program.windows(loader.len()).any(|window| window == loader);
    ensure!(
        !dynamic,
        "{} is not static: install busybox-static",
        busybox.display()
    );
    let root = tempfile::tempdir_in(folder).context("make a folder for the image")?;
    let programs = root.path().join("bin");
    std::fs::create_dir(&programs).context("make the image's folder")?;
    std::fs::create_dir(root.path().join("tmp")).context("make the image's folder")?;
    std::fs::copy(&busybox, programs.join("busybox")).context("copy busybox")?;
    for name in Program::new(&busybox)
        .arg("--list")
        .succeed()
        .await?
        .lines()
    {
        if name != "busybox" {
            symlink("busybox", programs.join(name)).context("name a busybox program")?;
        }
    }
    Program::new("tar")
        .arg("-C")
        .arg(root.path())
        .arg("-cf")
        .arg(&archive)
        .arg(".")
        .succeed()
        .await?;
    Ok(archive)
}
