//! The command line for people: arguments in, text and an exit code out.
//!
//! Exit codes: 0 fine, 1 what was asked has a negative answer (a configuration with errors),
//! 64 wrong usage (`EX_USAGE` of sysexits.h).

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Environment, Report};

/// `EX_USAGE` of sysexits.h.
pub const USAGE: u8 = 64;

/// Volumes from a fleet of storage arrays, for containers.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every problem of a configuration file, with line, column and what to do.
    ///
    /// The environment counts too: it is what an adapter started with it would see. Exit code 0:
    /// no errors (there may be warnings); 1: errors; 64: wrong usage.
    Check(CheckArguments),
    /// Print the JSON Schema of the configuration file.
    Schema,
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// The file.
    #[arg(default_value = config::DEFAULT_PATH)]
    file: PathBuf,
    /// How to print the findings.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Runs the command line and gives the exit code. Answers go to `out`, complaints about the usage
/// to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let written = write!(err, "{error}");
            return if written.is_ok() { USAGE } else { 1 };
        }
        Err(help) => return u8::from(write!(out, "{help}").is_err()),
    };
    let (text, code) = match arguments.command {
        Command::Config(ConfigCommand::Check(check)) => answer(&check),
        Command::Config(ConfigCommand::Schema) => (config::schema_text(), 0),
    };
    // A reader that has gone away (a closed pipe) is no reason to say anything more.
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if written.is_ok() { code } else { 1 }
}

fn answer(check: &CheckArguments) -> (String, u8) {
    let report = config::check_file(&check.file, &Environment::from_process());
    (print(&report, check.output), u8::from(!report.valid))
}

fn print(report: &Report, output: Output) -> String {
    match output {
        Output::Table => report.to_string(),
        Output::Json => serde_json::to_string_pretty(report).map_or_else(
            |error| format!("{{\"error\": \"{error}\"}}\n"),
            |text| text + "\n",
        ),
    }
}
