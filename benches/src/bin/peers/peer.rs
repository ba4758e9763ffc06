//! The peer's side: a Python program that does the same and prints what it took as JSON.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use array_sim::Array;
use tokio::process::Command;

use crate::Rounds;

/// Beyond this it hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Each operation so many times.
pub(crate) async fn measure(
    python: &Path,
    array: &Array,
    control: &str,
    rounds: u32,
) -> Result<HashMap<String, Rounds>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/cinder_pure.py");
    let calls = format!("{control}/sim/arrays/{}/calls", array.name());
    let child = command(python)
        .arg(script)
        .arg(array.address().to_string())
        .arg(array.api_token())
        .arg(calls)
        .arg(rounds.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, child)
        .await
        .context("the peer did not end")??;
    ensure!(
        output.status.success(),
        "the peer failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().next_back().context("the peer said nothing")?;
    Ok(serde_json::from_str(last)?)
}

#[expect(clippy::disallowed_methods, reason = "a bench runs the peer's program")]
fn command(python: &Path) -> Command {
    Command::new(python)
}
