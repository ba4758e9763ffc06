//! The Docker volume plugin's process: flags, configuration, socket, and an orderly end.
//!
//! Exit codes: 0 after a stop that was asked for, 64 (`EX_USAGE` of sysexits.h) for wrong flags or
//! a wrong configuration, 1 for everything else.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adapter_docker::arguments::Arguments;
use adapter_docker::{Limits, PassedSocket, Plugin, PluginSettings, Server, SwarmProbe, bind};
use anyhow::{Context, Result, bail};
use clap::Parser;
use fairlead::config::{self, Config, ConfigError, Environment, NamespaceSource};
use fairlead::fleet::{self, Fleet, Refused};
use rustix::fs::Mode;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

/// How long operations may go on after the last call has been answered. Together with the
/// server's own limit below the 10 s after which Docker kills a managed plugin.
const ENGINE_STOP: Duration = Duration::from_secs(3);

pub(crate) fn main() -> ExitCode {
    let began = Instant::now();
    // Whatever this process makes is nobody else's: sockets, ledgers, caches.
    let _before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            return if error.print().is_ok() {
                ExitCode::from(code)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    if let Err(message) = arguments.start_logging() {
        complain(&message);
        return ExitCode::from(USAGE);
    }
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    let ended = PassedSocket::take()
        .map_err(Into::into)
        .and_then(|passed| run(&arguments, &config, passed, began));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = advice(&error, rustix::process::geteuid().is_root());
            complain(&format!("{error:#}{advice}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells the service manager, where there is one that wants to know (`sd_notify(3)`).
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Why there is no plugin, for whoever started it: also where the log is turned off.
#[expect(clippy::print_stderr, reason = "the last words of a program")]
fn complain(message: &str) {
    eprintln!("fairlead-docker: {message}");
}

/// What helps where the system does not permit something.
fn advice(error: &anyhow::Error, root: bool) -> &'static str {
    let denied = error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    });
    if denied && !root {
        "; run it as root"
    } else {
        ""
    }
}

fn load(path: &Path) -> Result<Config, ConfigError> {
    let loaded = config::load(path, &Environment::from_process())?;
    for problem in &loaded.report.problems {
        tracing::warn!(file = %path.display(), "{problem}");
    }
    Ok(loaded.config)
}

/// Without the rights of root, volumes are made and none is mounted.
fn tell_lack_of_rights() {
    if !rustix::process::geteuid().is_root() {
        tracing::error!(
            "not run as root: volumes can be created and looked at, and none can be mounted; run it as root"
        );
    }
}

/// Once, at the start, and by name: what nobody should find out when a container is to run.
fn tell_what_is_not_served(looked_up: Vec<Refused>, unseen: Vec<Refused>) {
    for Refused {
        endpoint, reason, ..
    } in looked_up
    {
        tracing::warn!(
            array = endpoint,
            reason,
            "looked up only: no volume is placed or mounted there"
        );
    }
    for Refused {
        endpoint, reason, ..
    } in unseen
    {
        tracing::error!(
            array = endpoint,
            reason,
            "not served, and not asked about names"
        );
    }
}

#[tokio::main(worker_threads = 2)]
async fn run(
    arguments: &Arguments,
    config: &Config,
    passed: Option<PassedSocket>,
    began: Instant,
) -> Result<()> {
    let path = arguments.socket();
    // First of all: from here on a daemon that starts waits for us instead of giving up.
    let socket = match passed {
        Some(passed) => passed.adopt(&path)?,
        None => bind(&path).await?,
    };
    crash_points::point!("docker.start.bound");
    let Fleet {
        engine,
        served,
        looked_up,
        unseen,
        ..
    } = fleet::assemble_with_mounts(config, &arguments.state_dir, &arguments.mounts())?;
    tell_lack_of_rights();
    tell_what_is_not_served(looked_up, unseen);
    let settings = PluginSettings {
        namespace: config.namespace.clone(),
        defaults: config.defaults.clone(),
        state: arguments.state_dir.clone(),
        own_namespace: config.namespace_source == NamespaceSource::HostName,
        swarm: SwarmProbe::new(arguments.docker_root.clone()),
        answer_within: arguments.answer_within(),
        managed: arguments.managed,
        preempt: config.preempt,
    };
    crash_points::point!("docker.start.assembled");
    let plugin = Plugin::open(engine, settings).await?;
    crash_points::point!("docker.start.opened");
    plugin
        .start()
        .await
        .context("read what is attached to this host")?;
    crash_points::point!("docker.start.started");
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; mounts stay mounted");
        tell_manager(NotifyState::Stopping);
    };
    let ready_ms = began.elapsed().as_millis();
    tracing::info!(socket = %path.display(), ?served, ready_ms, "ready");
    tell_manager(NotifyState::Ready);
    let answered = Server::new(socket, std::sync::Arc::clone(&plugin))
        .with_limits(Limits::of_this_process())
        .serve(stop)
        .await;
    if !(plugin.stop(ENGINE_STOP).await && answered) {
        bail!("stopped with operations under way; the next start goes on from there");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::advice;

    #[test]
    fn who_may_not_is_told_to_be_root() {
        let denied = || anyhow::Error::new(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(
            advice(&denied().context("the socket"), false),
            "; run it as root"
        );
        assert_eq!(advice(&denied(), true), "");
        assert_eq!(advice(&anyhow::anyhow!("else"), false), "");
    }
}
