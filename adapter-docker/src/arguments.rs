//! The program's flags, and how it logs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::{PLUGIN_FOLDER, logging};

/// What somebody who meets a limit looks for; docs/limits.md has the rest.
const LIMITS: &str = "\
Limits: 1024 connections, or half of the open files that the process is permitted; 512 calls that
wait, 64 of them on one volume; requests of at most 64 KiB. Beyond them calls are answered
\"try again\". Repeated log lines are left out beyond 10 a second.";

/// Docker volume plugin: volumes from a fleet of storage arrays.
#[derive(Clone, Debug, Parser)]
#[command(name = "fairlead-docker", version, after_help = LIMITS)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, default_value = fairlead::config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// Name under which Docker knows the driver: `docker volume create -d NAME`.
    #[arg(long, default_value = "fairlead", value_parser = driver_name)]
    pub driver_name: String,
    /// Folder for this host's state: ledger, mount counts, caches.
    #[arg(long, default_value = "/var/lib/fairlead", value_parser = absolute())]
    pub state_dir: PathBuf,
    /// Folder below which volumes are mounted; `mounts` in the state folder by default. A plugin in
    /// a mount namespace of its own needs one that Docker sees.
    #[arg(long, value_parser = absolute())]
    pub mount_dir: Option<PathBuf>,
    /// Socket to listen on; by default the driver's name with `.sock` in /run/docker/plugins.
    #[arg(long, value_parser = absolute())]
    pub socket: Option<PathBuf>,
    /// Docker runs this process as its managed plugin: the daemon has 30 s of patience, begins anew
    /// with the plugin, and logs as an error whatever comes from standard error, where only warnings
    /// and errors go then.
    #[arg(long)]
    pub managed: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "FAIRLEAD_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Least important level that is logged: error, warn, info, debug, trace; or a filter such as
    /// `info,adapter_docker=debug`.
    #[arg(long, default_value = "info", value_parser = log_filter, env = "FAIRLEAD_LOG_LEVEL")]
    pub log_level: String,
    /// Docker's data root, where it cannot be told from the daemon that calls: used to see whether
    /// this host is a member of a Swarm.
    #[arg(long)]
    pub docker_root: Option<PathBuf>,
    /// Longest time until a call is answered, from 5s to 110s; what is not done by then goes on, and
    /// the repeated call joins it. 110s by default, 25s for a managed plugin.
    #[arg(long, value_parser = answer_within)]
    pub answer_within: Option<Duration>,
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
    /// The longest time until a call is answered.
    #[must_use]
    pub fn answer_within(&self) -> Duration {
        let docker = if self.managed { 25 } else { ANSWER_SECONDS.1 };
        self.answer_within.unwrap_or(Duration::from_secs(docker))
    }

    /// The folder below which volumes are mounted.
    #[must_use]
    pub fn mounts(&self) -> PathBuf {
        let default = || self.state_dir.join("mounts");
        self.mount_dir.clone().unwrap_or_else(default)
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let default = || Path::new(PLUGIN_FOLDER).join(format!("{}.sock", self.driver_name));
        self.socket.clone().unwrap_or_else(default)
    }

    /// Starts logging.
    ///
    /// # Errors
    /// A sentence about a level that is none.
    pub fn start_logging(&self) -> Result<(), String> {
        let filter = EnvFilter::try_new(&self.log_level)
            .map_err(|error| format!("--log-level {}: {error}", self.log_level))?;
        logging::start(filter, self.log_format, self.managed)
    }
}

/// A path that means the same wherever the program was started.
fn absolute() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.is_absolute() {
            Ok(path)
        } else {
            Err("the path has to be absolute: begin it with `/`")
        }
    })
}

/// The levels; `off` is one for a filter's parts.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// A level or a filter. tracing takes a bare word for the name of a target, logs that at every
/// level and all else not at all: a mistyped level would turn the log off.
fn log_filter(text: &str) -> Result<String, String> {
    let level = |word: &str| LEVELS.iter().any(|known| word.eq_ignore_ascii_case(known));
    let fits = text
        .split(',')
        .all(|part| match part.trim().rsplit_once('=') {
            Some((target, word)) => !target.is_empty() && level(word),
            None => level(part.trim()),
        });
    if fits && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(
        "use error, warn, info, debug, trace, or a filter such as info,adapter_docker=debug"
            .to_owned(),
    )
}

/// Seconds. Docker waits 120 s at most; and in less than 5 s no array is asked and nothing mounted.
const ANSWER_SECONDS: (u64, u64) = (5, 110);

fn answer_within(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_secs(ANSWER_SECONDS.0)..=Duration::from_secs(ANSWER_SECONDS.1);
    if range.contains(&limit) {
        return Ok(limit);
    }
    Err("5s to 110s".to_owned())
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

    #[test]
    fn volumes_are_mounted_in_the_state_folder_or_elsewhere() {
        let mounts = |words: &[&str]| {
            let parsed = Arguments::try_parse_from([&["x", "--state-dir", "/s"], words].concat());
            parsed.unwrap().mounts()
        };
        assert_eq!(mounts(&[]).to_str(), Some("/s/mounts"));
        assert_eq!(mounts(&["--mount-dir", "/m"]).to_str(), Some("/m"));
    }

    #[test]
    fn paths_are_absolute() {
        for words in [["--socket", "x.sock"], ["--state-dir", "./state"]] {
            let error = Arguments::try_parse_from([&["x"], &words[..]].concat()).unwrap_err();
            assert!(error.to_string().contains("has to be absolute"), "{error}");
        }
    }

    #[test]
    fn answers_come_within_dockers_patience() {
        let parse = |text: &str| Arguments::try_parse_from(["x", "--answer-within", text]);
        assert_eq!(parse("45s").unwrap().answer_within().as_secs(), 45);
        for (words, seconds) in [(&["x"][..], 110), (&["x", "--managed"], 25)] {
            let parsed = Arguments::try_parse_from(words).unwrap();
            assert_eq!(parsed.answer_within().as_secs(), seconds);
        }
        for text in ["4s", "2m", "25", "soon", ""] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        let parse = |text: &str| Arguments::try_parse_from(["x", "--log-level", text]);
        for text in [
            "info",
            "TRACE",
            "off",
            "info,adapter_docker=debug",
            "a::b=warn",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in [
            "blah",
            "",
            "info,blah",
            "adapter_docker=blah",
            "=info",
            "adapter_docker",
            "info,",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains("error, warn, info, debug, trace, or a filter"),
                "{error}"
            );
        }
    }
}
