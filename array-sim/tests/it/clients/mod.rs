//! Two independent readings of the vendor's REST document, held against the simulator: the vendor's
//! public Python client with its generated models, on every machine that has Python and a package
//! index; and the vendor's OpenAPI files, where `FAIRLEAD_OPENAPI_SPECS` names the folder with
//! `FA2.2.spec.yaml`, `FA2.26.spec.yaml` and `FA2.50.spec.yaml`.
//!
//! What is asked and checked stands in `tests/clients`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "support of tests: starts Python, which is not there on every machine"
)]

mod process;
mod python;
mod record;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use array_sim::{Array, ArrayConfig, Port, Simulator};

use process::Finished;
pub(crate) use record::record;

/// The versions whose models and documents are compared: the oldest that is supported, the one that
/// most arrays have, and a recent one.
const VERSIONS: [&str; 3] = ["2.2", "2.26", "2.50"];

/// A run of the client takes about ten seconds on a slow machine.
const RUN: Duration = Duration::from_secs(240);

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// One array with every kind of port, and its control listener.
async fn start() -> (Simulator, Array) {
    let mut config = ArrayConfig::new("array-a");
    config.rest_versions = ["2.0"]
        .iter()
        .chain(&VERSIONS)
        .map(|&v| v.to_owned())
        .collect();
    config.ports = vec![
        Port::iscsi("CT0.ETH4", "192.0.2.11:3260"),
        Port::iscsi("CT1.ETH4", "192.0.2.12:3260"),
        Port::nvme_tcp("CT0.ETH8", "192.0.2.13:4420"),
        Port::fibre_channel("CT0.FC0", "52:4A:93:7A:BC:DE:F0:00"),
    ];
    let builder = Simulator::builder().array(config).control("127.0.0.1:0");
    let simulator = builder.start().await.unwrap();
    let array = simulator.array("array-a").unwrap().clone();
    (simulator, array)
}

/// Runs one of the scripts against the array. Everything before `more` is about the array.
async fn run(
    python: &Path,
    script: &str,
    version: &str,
    array: &Array,
    more: &[&OsStr],
) -> Finished {
    let mut command = python::script(python, &scripts().join(script));
    command
        .arg(version)
        .arg(array.url().trim_start_matches("https://"))
        .arg(array.api_token())
        .arg(array.certificate_path())
        .args(more);
    finish(command, RUN).await
}

async fn finish(mut command: Command, deadline: Duration) -> Finished {
    tokio::task::spawn_blocking(move || process::run(&mut command, deadline))
        .await
        .unwrap()
}

/// Python with the client, or the line that says why there is none. Tried once.
async fn environment() -> Option<PathBuf> {
    static ENVIRONMENT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let prepare = || ENVIRONMENT.get_or_init(|| python::environment(&scripts()));
    match tokio::task::spawn_blocking(prepare).await.unwrap() {
        Ok(python) => Some(python.clone()),
        Err(reason) => {
            println!("SKIPPED: {reason}");
            None
        }
    }
}

fn control(simulator: &Simulator) -> String {
    let description = simulator.describe();
    format!(
        "{}/sim/arrays/array-a",
        description["control"].as_str().unwrap()
    )
}

async fn drive(version: &str) {
    let Some(python) = environment().await else {
        return;
    };
    let (simulator, array) = start().await;
    let control = control(&simulator);
    let more = [OsStr::new(&control), OsStr::new("/dev/null")];
    let finished = run(&python, "drive.py", version, &array, &more).await;
    println!("{}", finished.output);
    assert!(finished.success, "the client and the simulator disagree");
    simulator.stop().await.unwrap();
}

#[tokio::test]
async fn py_pure_client_reads_2_2() {
    drive("2.2").await;
}

#[tokio::test]
async fn py_pure_client_reads_2_26() {
    drive("2.26").await;
}

#[tokio::test]
async fn py_pure_client_reads_2_50() {
    drive("2.50").await;
}

/// The answers of three sources: the client's run, one call of everything that the documents have,
/// and all other tests of this program, which is started once more for that.
#[tokio::test]
async fn every_answer_fits_the_vendors_documents() {
    let Some(specs) = std::env::var_os("FAIRLEAD_OPENAPI_SPECS") else {
        println!(
            "SKIPPED: FAIRLEAD_OPENAPI_SPECS does not name a folder with the vendor's OpenAPI files"
        );
        return;
    };
    let Some(python) = environment().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut check = python::script(&python, &scripts().join("openapi.py"));
    check.arg(&specs);
    let mut probes_agree = true;
    for version in VERSIONS {
        let path = folder.path().join(version);
        let (simulator, array) = start().await;
        let control = control(&simulator);
        let more = [OsStr::new(&control), path.as_os_str()];
        // Its own test tells what the client thinks of it.
        run(&python, "drive.py", version, &array, &more).await;
        let more = [specs.as_os_str(), path.as_os_str()];
        let probe = run(&python, "probe.py", version, &array, &more).await;
        println!("{}", probe.output);
        probes_agree &= probe.success;
        check.arg(&path);
        simulator.stop().await.unwrap();
    }
    let path = folder.path().join("tests");
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--skip", "clients::"]);
    tests.env(record::RECORD, &path);
    let tests = finish(tests, RUN).await;
    assert!(tests.success, "{}", tests.output);
    check.arg(&path);
    let checked = finish(check, RUN).await;
    println!("{}", checked.output);
    assert!(checked.success && probes_agree, "an answer does not fit");
}
