//! Reading a configuration from disk, to check it or to use it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use storage_core::Secret;
use thiserror::Error;

use super::check::{CheckedFile, check_text};
use super::environment::Environment;
use super::problem::{Problem, Report, Severity};
use super::resolve::{Config, NamespaceSource, resolve};
use super::secrets;

/// Where the predecessor kept it, and where it is looked for.
pub const DEFAULT_PATH: &str = "/etc/pure-docker-plugin/pure.json";

/// The largest file that can be a configuration: some thousand arrays.
const BYTES_MAX: u64 = 4 << 20;

/// Why no configuration could be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file, or the environment, has errors: all of them are in the report.
    #[error("the configuration is not usable:\n{0}")]
    Invalid(Box<Report>),
}

/// A usable configuration, with what is to be said about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings.
    pub report: Report,
}

/// Checks a file and the environment, and reports everything found.
#[must_use]
pub fn check_file(path: &Path, environment: &Environment) -> Report {
    match load(path, environment) {
        Ok(Loaded { config, report }) => match nothing_to_attach(&config) {
            Some(problem) => {
                let problems = [report.problems, vec![problem]].concat();
                Report::new(path, problems)
            }
            None => report,
        },
        Err(ConfigError::Invalid(report)) => *report,
    }
}

/// Reads a configuration. A file with any error is refused whole.
///
/// # Errors
/// [`ConfigError::Invalid`] with every problem.
pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, ConfigError> {
    let text = match read(path) {
        Ok(text) => text,
        Err(message) => {
            let advice = "give the path of a file that you may read, or run this as root";
            let problem = Problem::outside_file(Severity::Error, "", message, advice);
            return Err(invalid(path, vec![problem]));
        }
    };
    let mut checked = check_text(&text);
    files(path, &mut checked);
    let broken = checked
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    let (config, problems) = resolve(&checked.file, environment);
    place(problems, &mut checked);
    if let Some(config) = &config
        && !broken
        && config.namespace_source == NamespaceSource::HostName
    {
        checked.problems.push(no_namespace(config));
    }
    let report = Report::new(path, checked.problems);
    match config {
        Some(config) if report.valid && !broken => Ok(Loaded { config, report }),
        _ => Err(ConfigError::Invalid(Box::new(report))),
    }
}

fn invalid(path: &Path, problems: Vec<Problem>) -> ConfigError {
    ConfigError::Invalid(Box::new(Report::new(path, problems)))
}

/// A single host's choice, and on a cluster the slip that hides every volume from the others.
fn no_namespace(config: &Config) -> Problem {
    let message = format!(
        "no `Namespace`: each host uses its own, here `{}`; volumes are not seen by other hosts",
        config.namespace.as_str()
    );
    let advice = "set the same one everywhere";
    Problem::outside_file(Severity::Warning, "Namespace", message, advice)
}

/// A complete configuration with which an adapter of this version would not start. Not an error of
/// [`load`]: what can be attached is decided by who attaches.
fn nothing_to_attach(config: &Config) -> Option<Problem> {
    if config.flash_arrays.iter().any(|a| a.san_type.is_built()) {
        return None;
    }
    let mut reasons: Vec<String> = config
        .flash_arrays
        .iter()
        .map(|array| format!("{} is {}", array.endpoint, array.san_type.as_str()))
        .collect();
    let blades = config.flash_blades.iter();
    reasons.extend(blades.map(|blade| format!("{} is a FlashBlade", blade.endpoint)));
    let message = format!(
        "no array of this file can be attached by this version: {}",
        reasons.join(", ")
    );
    let advice =
        "this version attaches arrays with `SanType` LOOP; an adapter does not start without one";
    Some(Problem::outside_file(Severity::Error, "", message, advice))
}

/// Whether a path may be opened before it is known what it is: the process's own open files, so
/// that a configuration can be piped in.
fn is_own_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || path.parent() == Some(Path::new("/dev/fd"))
}

fn read(path: &Path) -> Result<String, String> {
    let file = if is_own_descriptor(path) {
        File::open(path).map_err(|error| format!("the file cannot be read: {error}"))?
    } else {
        secrets::open_regular(path)?
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("the file has more than {BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_position| "the file is not UTF-8 text".to_owned())
}

/// What only the file system can tell: secrets' files, and who can read what holds a secret.
fn files(path: &Path, checked: &mut CheckedFile) {
    let mut found = Vec::new();
    let mut inline = false;
    let file = &mut checked.file;
    for (index, entry) in file.flash_arrays.iter_mut().enumerate() {
        let token = (&mut entry.api_token, entry.api_token_file.as_deref());
        inline |= entry_files(&format!("FlashArrays[{index}]"), token, &mut found);
        ca_file(
            &format!("FlashArrays[{index}]"),
            entry.ca_file.as_deref(),
            &mut found,
        );
    }
    for (index, entry) in file.flash_arrays.iter().enumerate() {
        loop_folder(index, entry.loop_folder.as_deref(), &mut found);
    }
    for (index, entry) in file.flash_blades.iter_mut().enumerate() {
        let token = (&mut entry.api_token, entry.api_token_file.as_deref());
        inline |= entry_files(&format!("FlashBlades[{index}]"), token, &mut found);
        ca_file(
            &format!("FlashBlades[{index}]"),
            entry.ca_file.as_deref(),
            &mut found,
        );
    }
    if inline && secrets::readable_by_others(path) == Some(true) {
        found.push(others(String::new()));
    }
    place(found, checked);
}

/// Adds problems, each with the place of the key or entry that it names.
fn place(found: Vec<Problem>, checked: &mut CheckedFile) {
    for mut problem in found {
        let place = checked.places.get(&problem.path);
        problem.line = place.map(|(line, _)| *line);
        problem.column = place.map(|(_, column)| *column);
        checked.problems.push(problem);
    }
}

/// Reads a token's file into the entry; returns whether the token stands in the configuration.
fn entry_files(
    entry: &str,
    (token, token_file): (&mut Option<Secret>, Option<&Path>),
    found: &mut Vec<Problem>,
) -> bool {
    let Some(file) = token_file else {
        return token.is_some();
    };
    let inline = token.is_some();
    let key = format!("{entry}.APITokenFile");
    if secrets::readable_by_others(file) == Some(true) {
        found.push(others(key.clone()));
    }
    match secrets::read(file) {
        Ok(secret) => *token = Some(secret),
        Err(message) => {
            found.push(Problem::outside_file(
                Severity::Error,
                key,
                message,
                READ_IT,
            ));
        }
    }
    inline
}

fn ca_file(entry: &str, file: Option<&Path>, found: &mut Vec<Problem>) {
    let Some(Err(message)) = file.map(certificates) else {
        return;
    };
    let key = format!("{entry}.CAFile");
    found.push(Problem::outside_file(
        Severity::Error,
        key,
        message,
        READ_IT,
    ));
}

/// Whether there is a certificate in a file at all; whether it is any good is told at the start.
fn certificates(file: &Path) -> Result<(), String> {
    let mut bytes = Vec::new();
    secrets::open_regular(file)?
        .take(BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    let begin = b"-----BEGIN CERTIFICATE-----";
    if bytes.windows(begin.len()).any(|window| window == begin) {
        return Ok(());
    }
    Err("there is no certificate in PEM form in the file".to_owned())
}

fn loop_folder(index: usize, folder: Option<&Path>, found: &mut Vec<Problem>) {
    if folder.is_none_or(Path::is_dir) {
        return;
    }
    let key = format!("FlashArrays[{index}].LoopFolder");
    let message = "there is no such folder";
    let advice = "start the simulator, or correct the path";
    found.push(Problem::outside_file(
        Severity::Warning,
        key,
        message,
        advice,
    ));
}

fn others(key: String) -> Problem {
    let message = "the file holds a secret, and others than its owner can read it";
    Problem::outside_file(Severity::Warning, key, message, "chmod 600 it")
}

const READ_IT: &str = "correct the path or the file";
