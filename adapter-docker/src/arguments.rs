//! The program's flags, and how it logs.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Docker volume plugin: volumes from a fleet of storage arrays.
#[derive(Clone, Debug, Parser)]
#[command(name = "fairlead-docker", version)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, default_value = fairlead::config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// Name under which Docker knows the driver: `docker volume create -d NAME`.
    #[arg(long, default_value = "fairlead", value_parser = driver_name)]
    pub driver_name: String,
    /// Folder for this host's state: ledger, mount counts, caches.
    #[arg(long, default_value = "/var/lib/fairlead")]
    pub state_dir: PathBuf,
    /// Socket to listen on; by default the driver's name with `.sock` in /run/docker/plugins.
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// How log lines look, on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Least important level that is logged: error, warn, info, debug, trace; or a filter such as
    /// `info,adapter_docker=debug`.
    #[arg(long, default_value = "info")]
    pub log_level: String,
    /// Docker's data root, where it cannot be told from the daemon that calls: used to see whether
    /// this host is a member of a Swarm.
    #[arg(long)]
    pub docker_root: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Arguments {
    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let default = || PathBuf::from(format!("/run/docker/plugins/{}.sock", self.driver_name));
        self.socket.clone().unwrap_or_else(default)
    }

    /// Starts logging to standard error.
    ///
    /// # Errors
    /// A sentence about a level that is none.
    pub fn start_logging(&self) -> Result<(), String> {
        let filter = EnvFilter::try_new(&self.log_level)
            .map_err(|error| format!("--log-level {}: {error}", self.log_level))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        let started = match self.log_format {
            LogFormat::Text => lines.with_ansi(false).try_init(),
            LogFormat::Json => lines.json().try_init(),
        };
        started.map_err(|error| format!("logging: {error}"))
    }
}

/// A driver's name becomes part of a path, and Docker's own names are `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn driver_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if fits {
        return Ok(text.to_owned());
    }
    Err("1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or digit".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Arguments;

    #[test]
    fn the_socket_follows_the_driver_name() {
        let parse = |words: &[&str]| Arguments::try_parse_from([&["x"], words].concat());
        let path = |words: &[&str]| parse(words).unwrap().socket();
        assert_eq!(
            path(&[]).to_str(),
            Some("/run/docker/plugins/fairlead.sock")
        );
        let pure = path(&["--driver-name", "pure"]);
        assert_eq!(pure.to_str(), Some("/run/docker/plugins/pure.sock"));
        assert_eq!(path(&["--socket", "/x"]).to_str(), Some("/x"));
        for name in ["", "../x", "a/b", ".hidden", "a b"] {
            assert!(parse(&["--driver-name", name]).is_err(), "{name:?}");
        }
    }
}
