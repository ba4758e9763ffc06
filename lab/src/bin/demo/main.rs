//! The demo: a volume's whole way on this machine, told step by step. `cargo xtask demo` runs it.
//!
//! The arrays are simulated; REST, TLS, plugin, Docker, loop devices and file systems are real,
//! and everything is reached as users reach it: by programs and sockets. It is also a test: each
//! step checks what it tells, and the exit status says whether all of it was true.

mod story;
mod tale;

use std::process::ExitCode;

use story::Story;

#[tokio::main]
async fn main() -> ExitCode {
    let mut story = Story::begin();
    let told = tokio::select! {
        told = tale::tell(&mut story) => told,
        stopped = tokio::signal::ctrl_c() => {
            Err(anyhow::anyhow!("interrupted{}", stopped.err().map(|error| format!(": {error}")).unwrap_or_default()))
        }
    };
    story.end(told)
}
