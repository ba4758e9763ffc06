//! The plugin's program with crash points, for tests: `fairlead-docker-armed`. It is the same
//! program; only the feature `crash-points` makes the difference, and only with it is this built.

#[path = "main.rs"]
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
