//! Where cargo put the workspace's programs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

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
