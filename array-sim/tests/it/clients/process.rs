//! A program with a deadline and its output.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Finished {
    pub(super) success: bool,
    /// Both of its outputs, as they came.
    pub(super) output: String,
}

/// Runs it to its end, or kills it at the deadline.
pub(super) fn run(command: &mut Command, deadline: Duration) -> Finished {
    // A file takes any amount: nothing has to be read while it runs.
    let mut output: File = tempfile::tempfile().unwrap();
    let mut child = match command
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            return Finished {
                success: false,
                output: error.to_string(),
            };
        }
    };
    let end = Instant::now() + deadline;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() >= end => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut bytes = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut bytes).unwrap();
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_none() {
        text.push_str(&format!("\nkilled after {deadline:?}"));
    }
    Finished {
        success: status.is_some_and(|status| status.success()),
        output: text,
    }
}
