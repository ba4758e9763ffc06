//! The demo: a volume's whole way on this machine, or a Swarm that loses a node, told step by step.
//! `cargo xtask demo` and `cargo xtask demo swarm` run it.
//!
//! The arrays are simulated; REST, TLS, plugin, Docker, loop devices and file systems are real,
//! and everything is reached as users reach it: by programs and sockets. It is also a test: each
//! step checks what it tells, and the exit status says whether all of it was true.

mod story;
mod swarm;
mod tale;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use story::Story;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let swarm = std::env::args().nth(1).is_some_and(|word| word == "swarm");
    let mut story = Story::begin(if swarm {
        "Fairlead: a Swarm loses a node. The arrays are simulated; everything else is real."
    } else {
        "Fairlead: the way of a volume. The arrays are simulated; everything else is real."
    });
    // what was told so far is dropped with the tale: programs end, mounts and devices are swept
    let told = tokio::select! {
        told = tell(&mut story, swarm) => told,
        stopped = interrupted() => stopped.and_then(|()| bail!("interrupted")),
    };
    story.end(told)
}

async fn tell(story: &mut Story, swarm: bool) -> Result<()> {
    if swarm {
        swarm::tell(story).await
    } else {
        tale::tell(story).await
    }
}

async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        typed = tokio::signal::ctrl_c() => typed.context("listen for Ctrl-C"),
    }
}
