//! The Debian packages that a command needs: which are missing, why they are needed, installed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::steps::say;
use crate::stream::{program, read, show};

/// A package by the programs that it brings.
#[derive(Debug)]
struct Package {
    /// Its name, or names: the first that the distribution knows is taken.
    names: &'static [&'static str],
    /// Programs that must be there.
    programs: &'static [&'static str],
    /// What the first of them must be able to do, as its arguments, where that it is there does not
    /// say enough.
    trial: &'static [&'static str],
    why: &'static str,
}

/// For everything that runs volumes: tests and the demo.
const HOST: &[Package] = &[
    Package {
        names: &["docker.io"],
        programs: &["dockerd", "containerd", "runc"],
        trial: &[],
        why: "a Docker engine of our own, which uses the volume plugin",
    },
    Package {
        // the command is a package of its own since Debian 13
        names: &["docker-cli", "docker.io"],
        programs: &["docker"],
        trial: &[],
        why: "the docker command",
    },
    Package {
        names: &["busybox-static"],
        programs: &["busybox"],
        trial: &[],
        why: "the container image, made without a registry",
    },
    Package {
        names: &["e2fsprogs"],
        programs: &["mkfs.ext4", "e2fsck", "resize2fs"],
        trial: &[],
        why: "ext4 file systems on volumes",
    },
    Package {
        names: &["xfsprogs"],
        programs: &["mkfs.xfs", "xfs_growfs"],
        trial: &[],
        why: "XFS file systems on volumes",
    },
    Package {
        names: &["btrfs-progs"],
        programs: &["mkfs.btrfs"],
        trial: &[],
        why: "somebody else's file system, which must never be formatted over",
    },
    Package {
        names: &["util-linux"],
        programs: &["losetup", "blkid", "wipefs", "fstrim"],
        trial: &[],
        why: "loop devices and what is on them",
    },
    Package {
        names: &["mount"],
        programs: &["mount", "umount"],
        trial: &[],
        why: "mounting volumes",
    },
    Package {
        names: &["tar"],
        programs: &["tar"],
        trial: &[],
        why: "the container image",
    },
];

/// For a Swarm of several engines on this machine.
const SWARM: &[Package] = &[
    Package {
        names: &["iproute2"],
        programs: &["ip"],
        trial: &[],
        why: "the network between the nodes of a Swarm",
    },
    Package {
        names: &["util-linux"],
        programs: &["unshare", "nsenter", "setpriv"],
        trial: &[],
        why: "a Swarm's nodes, each in namespaces of its own",
    },
];

/// For the tests alone.
const TESTS: &[Package] = &[
    Package {
        names: &["python3-venv"],
        programs: &["python3"],
        // Debian's python3 comes without what makes a virtual environment
        trial: &[
            "-c",
            "import importlib.util as i, sys; sys.exit(i.find_spec('ensurepip') is None)",
        ],
        why: "the vendor's Python client, which reads the simulator's answers",
    },
    Package {
        names: &["curl"],
        programs: &["curl"],
        trial: &[],
        why: "the commands of the simulator's README",
    },
];

/// For packaging the plugin: what goes into it, and what looks at that.
const PLUGIN: &[Package] = &[
    Package {
        names: &["e2fsprogs"],
        programs: &["mkfs.ext4", "e2fsck", "resize2fs"],
        trial: &[],
        why: "packaged: ext4 file systems on volumes",
    },
    Package {
        names: &["xfsprogs"],
        programs: &["mkfs.xfs", "xfs_db", "xfs_growfs", "xfs_repair"],
        trial: &[],
        why: "packaged: XFS file systems on volumes",
    },
    Package {
        names: &["util-linux"],
        programs: &["blkid"],
        trial: &[],
        why: "packaged: what is on a device",
    },
    Package {
        names: &["ca-certificates"],
        programs: &["update-ca-certificates"],
        trial: &[],
        why: "packaged: whom the arrays' certificates are trusted by",
    },
    Package {
        names: &["libc-bin"],
        programs: &["ldd"],
        trial: &[],
        why: "which libraries these need",
    },
];

/// Installs what is missing for packaging the plugin. Without root or apt it says what to install.
///
/// # Errors
/// When something is missing and could not be installed.
pub(crate) fn ensure_plugin_packages() -> Result<()> {
    ensure(PLUGIN.iter())
}

/// For the fuzz targets alone.
const FUZZING: &[Package] = &[Package {
    names: &["g++"],
    programs: &["c++"],
    trial: &[],
    why: "libFuzzer, which drives the fuzz targets",
}];

/// Installs what is missing for fuzzing. Without root or apt it says what to install.
///
/// # Errors
/// When something is missing and could not be installed.
pub(crate) fn ensure_fuzzing_packages() -> Result<()> {
    ensure(FUZZING.iter())
}

/// Installs what is missing for running volumes. Without root or apt it says what to install.
///
/// # Errors
/// When something is missing and could not be installed.
pub(crate) fn ensure_host_packages() -> Result<()> {
    ensure(HOST.iter())
}

/// The same, and what a Swarm's nodes need besides.
///
/// # Errors
/// As [`ensure_host_packages`].
pub(crate) fn ensure_swarm_packages() -> Result<()> {
    ensure(HOST.iter().chain(SWARM))
}

/// The same, and what the tests need besides.
///
/// # Errors
/// As [`ensure_host_packages`].
pub(crate) fn ensure_test_packages() -> Result<()> {
    ensure(HOST.iter().chain(SWARM).chain(PLUGIN).chain(TESTS))
}

fn ensure(packages: impl Iterator<Item = &'static Package>) -> Result<()> {
    let missing: Vec<&Package> = packages.filter(|package| package.is_missing()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("Debian packages that are missing:");
    for package in &missing {
        let (name, programs) = (package.names.join(" or "), package.programs.join(", "));
        say(&format!("  {name} ({programs}): {}", package.why));
    }
    if find("apt-get").is_none() {
        bail!("this machine has no apt-get: install these programs with its package manager");
    }
    if !is_root() {
        bail!(
            "not root: run `sudo apt-get install {}` first",
            first_names(&missing).join(" ")
        );
    }
    install(&missing)?;
    let still: Vec<&str> = missing
        .iter()
        .filter(|package| package.is_missing())
        .flat_map(|package| package.programs)
        .copied()
        .collect();
    if !still.is_empty() {
        bail!("installed, and still missing: {}", still.join(", "));
    }
    Ok(())
}

/// True for the super user, as who owns our own entry in /proc says.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether a program is installed: in PATH, in the folders that only root has there, or where
/// cargo installs and finds its own commands.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    std::env::split_paths(&path)
        .chain(cargo.map(|cargo| cargo.join("bin")))
        .chain(
            ["/usr/local/sbin", "/usr/sbin", "/sbin"]
                .iter()
                .map(|&folder| folder.into()),
        )
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

impl Package {
    fn is_missing(&self) -> bool {
        self.programs.iter().any(|program| find(program).is_none()) || !self.passes_trial()
    }

    fn passes_trial(&self) -> bool {
        match self.programs.first() {
            Some(first) if !self.trial.is_empty() => read(program(first, self.trial)).is_ok(),
            _ => true,
        }
    }

    /// The first of its names that apt can install here.
    fn known_name(&self) -> Option<&'static str> {
        self.names.iter().copied().find(|name| {
            let policy = read(program("apt-cache", &["policy", name])).unwrap_or_default();
            policy.contains("Candidate:") && !policy.contains("Candidate: (none)")
        })
    }
}

fn first_names(packages: &[&Package]) -> Vec<&'static str> {
    packages
        .iter()
        .filter_map(|package| package.names.last().copied())
        .collect()
}

fn install(missing: &[&Package]) -> Result<()> {
    apt(&["update", "--quiet"])?;
    let mut names = Vec::new();
    for package in missing {
        match package.known_name() {
            Some(name) if !names.contains(&name) => names.push(name),
            Some(_) => {}
            None => bail!("apt knows none of: {}", package.names.join(", ")),
        }
    }
    let options = ["install", "--yes", "--quiet", "--no-install-recommends"];
    apt(&[&options[..], &names[..]].concat())
}

fn apt(arguments: &[&str]) -> Result<()> {
    // another apt may be at work right after boot
    let lock = ["-o", "DPkg::Lock::Timeout=120"];
    let mut command = program("apt-get", &[&lock[..], arguments].concat());
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let status = show(command)?;
    if !status.success() {
        bail!("apt-get {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Kernel features that no package brings; named so that a skip does not come as a surprise.
pub(crate) fn tell_missing_devices() {
    for (device, why) in [
        (
            "/dev/fuse",
            "simulated arrays cannot show their LUNs (modprobe fuse)",
        ),
        (
            "/dev/loop-control",
            "LUNs cannot become devices (modprobe loop)",
        ),
    ] {
        if !Path::new(device).exists() {
            say(&format!("no {device}: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_or_not() {
        assert!(find("sh").is_some());
        let package = Package {
            names: &["none"],
            programs: &["sh", "no-such-program"],
            trial: &[],
            why: "",
        };
        assert!(package.is_missing());
        let trial = |arguments| Package {
            programs: &["sh"],
            trial: arguments,
            ..package
        };
        assert!(!trial(&["-c", "exit 0"]).is_missing());
        assert!(trial(&["-c", "exit 1"]).is_missing());
    }
}
