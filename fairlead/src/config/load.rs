//! Reading a configuration from disk, to check it or to use it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use storage_core::Secret;
use thiserror::Error;

use super::check::{CheckedFile, check_text};
use super::environment::Environment;
use super::problem::{Problem, Report, Severity};
use super::resolve::{Config, resolve};
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
        Ok(loaded) => loaded.report,
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
            let advice = "give the path of a readable configuration file";
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
    let (config, mut problems) = resolve(&checked.file, environment);
    checked.problems.append(&mut problems);
    let report = Report::new(path, checked.problems);
    match config {
        Some(config) if report.valid && !broken => Ok(Loaded { config, report }),
        _ => Err(ConfigError::Invalid(Box::new(report))),
    }
}

fn invalid(path: &Path, problems: Vec<Problem>) -> ConfigError {
    ConfigError::Invalid(Box::new(Report::new(path, problems)))
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("the file cannot be read: {error}"))?;
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
    let Some(Err(error)) = file.map(File::open) else {
        return;
    };
    let key = format!("{entry}.CAFile");
    let message = format!("the file cannot be read: {error}");
    found.push(Problem::outside_file(
        Severity::Error,
        key,
        message,
        READ_IT,
    ));
}

fn others(key: String) -> Problem {
    let message = "the file holds a secret, and others than its owner can read it";
    Problem::outside_file(Severity::Warning, key, message, "chmod 600 it")
}

const READ_IT: &str = "correct the path or the file";
