//! A virtual environment with what `requirements.txt` and `client.txt` of `tests/clients` pin, made
//! once for each state of these files and each Python, in cargo's folder for tests' files.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::VERSIONS;
use super::process::{Finished, run};

/// Beside the scripts: packages with their hashes, in pip's format.
const PACKAGES: &str = "requirements.txt";
const CLIENT: &str = "client.txt";
/// One installation, on a slow network.
const INSTALL: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(60);

/// The Python of the environment.
///
/// # Errors
/// Why there is none here: no Python with `venv`, or no packages to be had.
pub(super) fn environment(scripts: &Path) -> Result<PathBuf, String> {
    let found = run(
        Command::new("python3").args([
            "-c",
            "import sys, ensurepip, venv; print(sys.version, sys.executable)",
        ]),
        SHORT,
    );
    if !found.success {
        return Err("Python with venv is missing (apt-get install python3-venv)".to_owned());
    }
    let mut key = Sha256::new();
    key.update(&found.output);
    for name in [PACKAGES, CLIENT] {
        key.update(fs::read(scripts.join(name)).unwrap());
    }
    key.update(VERSIONS.concat());
    let key: String = key.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = cache.join(format!("clients-{key}"));
    // Held until this function returns: another test, or another cargo, waits and finds it ready.
    let _lock = lock(&cache.join(format!("clients-{key}.lock")))?;
    if !folder.exists() {
        // Only what is whole gets the name. What a kill left behind is begun anew, in a folder of
        // its own: the killed run's pip may be at work still.
        sweep(cache, &format!("clients-{key}.partial"));
        let partial = cache.join(format!("clients-{key}.partial-{}", std::process::id()));
        install(&partial, scripts)?;
        trim(&partial);
        fs::rename(&partial, &folder).unwrap();
    }
    Ok(folder.join("bin/python"))
}

fn sweep(cache: &Path, prefix: &str) {
    for entry in fs::read_dir(cache).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn lock(path: &Path) -> Result<File, String> {
    let file = File::create(path).unwrap();
    let end = Instant::now() + INSTALL + SHORT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(format!("{} is locked: {error}", path.display())),
        }
    }
}

fn install(folder: &Path, scripts: &Path) -> Result<(), String> {
    let made = run(
        Command::new("python3").args(["-m", "venv"]).arg(folder),
        SHORT,
    );
    if !made.success {
        return Err(told("python3 -m venv", &made));
    }
    let binary = ["--only-binary", ":all:"];
    pip(folder, &binary, &scripts.join(PACKAGES))?;
    // Built with what was just installed, so that this is pinned too.
    let source = ["--no-binary", ":all:", "--no-build-isolation", "--no-deps"];
    pip(folder, &source, &scripts.join(CLIENT))
}

fn pip(folder: &Path, options: &[&str], requirements: &Path) -> Result<(), String> {
    let mut command = Command::new(folder.join("bin/python"));
    // What is imported is compiled then: a fifth of it.
    command
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--no-compile", "--disable-pip-version-check"])
        .args(options)
        .args(["--require-hashes", "--requirement"])
        .arg(requirements);
    let installed = run(&mut command, INSTALL);
    assert!(
        !installed.output.contains("DO NOT MATCH THE HASHES"),
        "{}",
        installed.output
    );
    if installed.success {
        Ok(())
    } else {
        Err(told(
            "pip install, which needs a package index,",
            &installed,
        ))
    }
}

/// The client comes with sixty versions of its interface, 400 MB: keeps those that are driven.
fn trim(folder: &Path) {
    let libraries = fs::read_dir(folder.join("lib")).unwrap();
    for library in libraries {
        let client = library.unwrap().path().join("site-packages/pypureclient");
        let Ok(versions) = fs::read_dir(client.join("flasharray")) else {
            continue;
        };
        for version in versions.map(Result::unwrap) {
            let name = version.file_name().into_string().unwrap();
            let number = name.strip_prefix("FA_").map(|n| n.replace('_', "."));
            if number.is_some_and(|number| !VERSIONS.contains(&number.as_str())) {
                fs::remove_dir_all(version.path()).unwrap();
            }
        }
        fs::remove_dir_all(client.join("flashblade")).unwrap();
    }
}

fn told(what: &str, finished: &Finished) -> String {
    let last = finished
        .output
        .lines()
        .rfind(|line| !line.trim().is_empty());
    format!("{what} failed: {}", last.unwrap_or("without a word"))
}

/// A script in the environment: deaf to the environment's variables, and leaving no compiled files
/// beside the sources.
pub(super) fn script(python: &Path, path: &Path) -> Command {
    let mut command = Command::new(python);
    let compiled = python.with_file_name("compiled");
    let option = format!("pycache_prefix={}", compiled.display());
    command.args(["-E", "-s", "-X", &option]).arg(path);
    command
}
