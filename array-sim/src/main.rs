//! The simulator as a program: reads a configuration, starts the arrays, says where they are, and
//! runs until it is told to stop.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use array_sim::{SimConfig, Simulator, StartError};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// Exit status for a wrong configuration (`EX_USAGE`, sysexits(3)).
const BAD_CONFIG: u8 = 64;

/// Simulated storage arrays over HTTPS.
///
/// Prints one JSON document with the address, token, certificate and LUN folder of each array once
/// all of them listen, and runs until SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (JSON); the README says what is in it.
    #[arg(long, value_name = "FILE", required_unless_present = "arrays")]
    config: Option<PathBuf>,

    /// This many arrays with all defaults, array-1 and so on, instead of a configuration file.
    #[arg(long, value_name = "N", conflicts_with = "config")]
    arrays: Option<u16>,

    /// Where the arrays keep their state. Without it they forget everything when they stop.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Show LUNs as files here, each array in a folder of its name. Needs root and /dev/fuse.
    #[arg(long, value_name = "DIR")]
    lun_folder: Option<PathBuf>,

    /// Address of the control listener, or "none". [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS:PORT")]
    control: Option<String>,

    /// Seed of the faults' decisions.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let config = match read_config(&arguments) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match run(config, arguments.state) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            match error.downcast_ref::<StartError>() {
                Some(StartError::Config(_)) => ExitCode::from(BAD_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn read_config(arguments: &Arguments) -> anyhow::Result<SimConfig> {
    let mut config = match (&arguments.config, arguments.arrays) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?
        }
        (None, count) => SimConfig::with_arrays(usize::from(count.unwrap_or(1))),
    };
    if let Some(folder) = &arguments.lun_folder {
        config.lun_folder = Some(folder.clone());
    }
    if let Some(seed) = arguments.seed {
        config.seed = seed;
    }
    config.control = match arguments.control.as_deref() {
        Some("none") => None,
        Some(address) => Some(address.to_owned()),
        None => config.control.or_else(|| Some("127.0.0.1:0".to_owned())),
    };
    Ok(config)
}

#[tokio::main]
async fn run(config: SimConfig, state: Option<PathBuf>) -> anyhow::Result<()> {
    // Before the arrays start: a signal that comes early still ends in an orderly stop.
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let mut builder = Simulator::builder().config(config).log_calls();
    if let Some(state) = state {
        builder = builder.state_dir(state);
    }
    let simulator = builder.start().await?;
    let mut text = serde_json::to_string_pretty(&simulator.describe())?;
    text.push('\n');
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .context("print the arrays")?;
    drop(output);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulator.stop().await.context("unmount the LUN folders")
}
