//! The command line for people: arguments in, text and an exit code out.
//!
//! Exit codes: 0 fine; 1 an error, or the answer is no (a configuration with errors, a volume that
//! is not there); 2 wrong usage; 3 the answer is not complete, as an array did not answer.

mod arguments;
mod asking;
mod changing;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};

use clap::Parser as _;

use crate::config::{self, Environment, Report};
use crate::operator::{self, Membering};
use arguments::{
    Arguments, ArrayCommand, CheckArguments, Command, ConfigCommand, Output, TrashCommand,
    VolumeCommand,
};
use asking::Answer;

/// An error, or the answer is no.
pub const FAILED: u8 = 1;
/// Wrong usage, as most programs say it.
pub const USAGE: u8 = 2;
/// An array did not answer, so what it has is missing in the answer.
pub const PARTIAL: u8 = 3;

/// Runs the command line and gives the exit code. Answers go to `out`, complaints to `err`.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            let written = write!(err, "{error}");
            return if written.is_ok() { USAGE } else { FAILED };
        }
        Err(help) => return u8::from(write!(out, "{help}").is_err()),
    };
    let answer = match arguments.command {
        Command::Config(ConfigCommand::Check(check)) => checked(&check),
        Command::Config(ConfigCommand::Schema(schema)) => Answer {
            text: if schema.answers {
                operator::schema_text()
            } else {
                config::schema_text()
            },
            ..Answer::default()
        },
        Command::Volume(VolumeCommand::Ls(arguments)) => asking::volume_ls(&arguments),
        Command::Volume(VolumeCommand::Inspect(arguments)) => asking::inspect(&arguments),
        Command::Volume(VolumeCommand::Release(arguments)) => asking::release(&arguments),
        Command::Volume(VolumeCommand::Trash(TrashCommand::Ls(arguments))) => {
            asking::trash_ls(&arguments)
        }
        Command::Volume(VolumeCommand::Trash(TrashCommand::Recover(arguments))) => {
            asking::recover(&arguments)
        }
        Command::Array(ArrayCommand::Ls(arguments)) => asking::array_ls(&arguments),
        Command::Array(ArrayCommand::Add(arguments)) => {
            changing::change(&arguments, Membering::Join, err)
        }
        Command::Array(ArrayCommand::Remove(arguments)) => {
            let what = if arguments.lost {
                Membering::GiveUp
            } else {
                Membering::Leave
            };
            changing::change(&arguments.change, what, err)
        }
        Command::Connections(arguments) => asking::connections(&arguments),
    };
    print(&answer, out, err)
}

/// A reader that has gone away (a closed pipe) has seen enough: that is no error, and no reason to
/// say anything more.
fn print(answer: &Answer, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let written = out
        .write_all(answer.text.as_bytes())
        .and_then(|()| out.flush());
    let noted = err.write_all(answer.notes.as_bytes());
    match (written, noted) {
        (Err(error), _) if error.kind() != ErrorKind::BrokenPipe => FAILED,
        _ => answer.code,
    }
}

fn checked(check: &CheckArguments) -> Answer {
    let report = config::check_file(&check.file, &Environment::from_process());
    Answer {
        text: printed(&report, check.output),
        code: if report.valid { 0 } else { FAILED },
        ..Answer::default()
    }
}

fn printed(report: &Report, output: Output) -> String {
    match output {
        Output::Table => report.to_string(),
        Output::Json => serde_json::to_string_pretty(report).map_or_else(
            |error| format!("{{\"error\": \"{error}\"}}\n"),
            |text| text + "\n",
        ),
    }
}
