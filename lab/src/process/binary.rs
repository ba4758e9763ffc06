//! Where cargo put the workspace's programs, and the one that is built for tests alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Program;

/// All crates of ours that the plugin is made of, on a slow and busy machine.
const BUILD_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// The plugin with crash points, `fairlead-docker-armed`, built when it is not up to date. It is a
/// program of its own beside the ordinary one, which stays as it is; what both are made of and
/// is not ours is shared.
///
/// # Errors
/// When cargo cannot build it, with its words.
pub async fn armed_plugin() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Program::new(PathBuf::from(cargo))
        .args(["build", "--workspace", "--bin", "fairlead-docker-armed"])
        .args(["--features", "adapter-docker/crash-points"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
        ])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .deadline(BUILD_TIMEOUT);
    built
        .succeed()
        .await
        .context("build the plugin with crash points")?;
    find_binary("fairlead-docker-armed")
}

/// The path of a program of this workspace, as cargo built it for the profile of the running test
/// or program. Builds nothing.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn find_binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the running program")?;
    // target/<profile>/program, target/<profile>/deps/test-1234, target/<profile>/examples/example
    for folder in own.ancestors().skip(1).take(2) {
        let candidate = folder.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "{name} is not beside {}; build it: cargo build --workspace --bins",
        own.display()
    )
}
