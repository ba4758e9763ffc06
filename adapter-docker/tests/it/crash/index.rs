//! The index of crash points in the documentation is what is in the source: a new step that is
//! not listed fails here, and so does a listed one that is gone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The crates whose steps have names.
const CRATES: [&str; 5] = [
    "adapter-docker",
    "storage-core",
    "storage-http",
    "backend-flasharray",
    "host-attach",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// What stands between two texts, wherever that is.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(after)?.0))
        .collect()
}

/// The names and their parts in the source.
fn in_source() -> BTreeSet<String> {
    let mut files = Vec::new();
    for name in CRATES {
        sources(&root().join(name).join("src"), &mut files);
    }
    let mut names = BTreeSet::new();
    for (path, text) in &files {
        names.extend(
            between(text, "point!(\"", "\"")
                .into_iter()
                .map(str::to_owned),
        );
        let ends = |end: &str| path.ends_with(end);
        // The parts: what the types behind them are called.
        if ends("host-attach/src/steps.rs") || ends("src/state/durable.rs") {
            names.extend(between(text, " => \"", "\"").into_iter().map(str::to_owned));
        }
        if ends("host-attach/src/runner.rs") || ends("adapter-docker/src/message.rs") {
            let body = text.split(") -> &'static str {").nth(1).unwrap();
            let body = body.split("\n    }").next().unwrap();
            names.extend(between(body, " => \"", "\"").into_iter().map(str::to_owned));
        }
        names.extend(calls(text));
    }
    names
}

/// The REST calls that a file makes.
fn calls(text: &str) -> Vec<String> {
    let text: String = text
        .split("#[cfg(test)]")
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let path = |path: &&str| path.starts_with('/');
    let gets = between(&text, "Call::get(\"", "\"")
        .into_iter()
        .filter(path);
    let mut calls: Vec<String> = gets.map(|path| format!("GET {path}")).collect();
    for call in between(&text, "Call::new(Method::", "\",").into_iter() {
        if let Some((method, path)) = call.split_once(",\"") {
            calls.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    calls
}

/// The names and their parts in the documentation.
pub(super) fn in_documentation() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/crash-safety.md")).unwrap();
    let section = text.split("\n## Index\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    // The rows alone, and of them the first column.
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_start_matches("| ").split(" | ").next().unwrap());
    let examples = ["host mount.before"];
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| !examples.contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_step_is_listed() {
    let (source, documentation) = (in_source(), in_documentation());
    let missing: Vec<_> = source.difference(&documentation).collect();
    let stale: Vec<_> = documentation.difference(&source).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/crash-safety.md does not list {missing:?}, and lists what is not there: {stale:?}"
    );
    assert!(source.len() > 100, "{source:?}");
}
/// Whether what the armed program recorded is a name of the index with parts of the index.
pub(super) fn is_listed(passed: &str, index: &BTreeSet<String>) -> bool {
    match passed.split_once(' ') {
        None => index.contains(passed),
        Some(("host", part)) => {
            index.contains("host") && part.split('.').all(|word| index.contains(word))
        }
        Some((name, part)) => index.contains(name) && index.contains(part),
    }
}
