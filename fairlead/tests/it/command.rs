//! The command line: text, JSON and exit codes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fairlead::cli;
use serde_json::Value;
use tempfile::TempDir;

const GOOD: &str = r#"{"Namespace": "ns", "FlashArrays": [
    {"MgmtEndPoint": "localhost:8443", "APIToken": "t0k3n", "SanType": "LOOP",
     "LoopFolder": "/tmp", "Fingerprint": "FP"}]}"#;

fn run(arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = std::iter::once("fairlead").chain(arguments.iter().copied());
    let code = cli::run(all.map(OsString::from), &mut out, &mut err);
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn good() -> String {
    GOOD.replace("FP", &"ab".repeat(32))
}

#[test]
fn a_good_file_is_exit_0() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), "pure.json", &good(), 0o600);
    let (code, out, _) = run(&["config", "check", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("0 errors, 0 warnings"), "{out}");
}

#[test]
fn a_bad_file_is_exit_1_with_a_table_and_with_json() {
    let folder = TempDir::new().unwrap();
    let text =
        "{\n  \"FlashArrays\": [\n    {\"MgmtEndPoint\": \"a/b\", \"APIToken\": \"t0k3n\"}\n  ]\n}";
    let path = write(folder.path(), "pure.json", text, 0o600);
    let file = path.to_str().unwrap();
    let (code, out, _) = run(&["config", "check", file]);
    assert_eq!(code, 1);
    assert!(out.contains("3:22"), "{out}");
    assert!(out.contains("FlashArrays[0].MgmtEndPoint"), "{out}");
    assert!(!out.contains("t0k3n"), "{out}");

    let (code, out, _) = run(&["config", "check", file, "-o", "json"]);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["valid"], false);
    assert_eq!(json["problems"][0]["line"], 3);
    assert_eq!(json["problems"][0]["severity"], "error");
}

#[test]
fn a_missing_file_is_exit_1() {
    let (code, out, _) = run(&["config", "check", "/nonexistent/pure.json"]);
    assert_eq!(code, 1);
    assert!(out.contains("cannot be read"), "{out}");
}

#[test]
fn wrong_usage_is_exit_2_and_help_is_exit_0() {
    for arguments in [
        &["config"][..],
        &["nonsense"],
        &["config", "check", "a", "b"],
        &[],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {out}{err}");
        assert!(out.is_empty() && !err.is_empty());
    }
    let (code, out, err) = run(&["config", "check", "--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Usage") && err.is_empty());
}

#[test]
fn token_files_are_read_and_judged() {
    let folder = TempDir::new().unwrap();
    let token = write(folder.path(), "token", "t0k3n\n", 0o644);
    let text = good().replace(
        "\"APIToken\": \"t0k3n\"",
        &format!("\"APITokenFile\": \"{}\"", token.display()),
    );
    let path = write(folder.path(), "pure.json", &text, 0o644);
    let file = path.to_str().unwrap();
    let (code, out, _) = run(&["config", "check", file]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("0 errors, 1 warning"), "{out}");
    assert!(
        out.contains("FlashArrays[0].APITokenFile: the file holds a secret"),
        "{out}"
    );

    write(folder.path(), "token", "two words", 0o600);
    let (code, out, _) = run(&["config", "check", file]);
    assert_eq!(code, 1, "{out}");
    assert!(!out.contains("two words"), "{out}");

    fs::remove_file(&token).unwrap();
    let (code, out, _) = run(&["config", "check", file]);
    assert_eq!(code, 1, "{out}");
}

#[test]
fn an_open_file_with_a_token_inside_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let path = write(folder.path(), "pure.json", &good(), 0o640);
    let (code, out, _) = run(&["config", "check", path.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("(file): the file holds a secret"), "{out}");
}

/// What the check of a file with that content says.
fn check(folder: &Path, text: &str) -> (u8, String) {
    let path = write(folder, "pure.json", text, 0o600);
    let (code, out, _) = run(&["config", "check", path.to_str().unwrap()]);
    (code, out)
}

#[test]
fn a_file_without_a_namespace_is_a_warning_that_names_the_hosts_own() {
    let folder = TempDir::new().unwrap();
    let (code, out) = check(
        folder.path(),
        &good().replace("\"Namespace\": \"ns\", ", ""),
    );
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("0 errors, 1 warning"), "{out}");
    assert!(
        out.contains("here `docker-") && out.contains("set the same one everywhere"),
        "{out}"
    );
}

#[test]
fn a_file_without_an_array_to_attach_is_an_error() {
    let folder = TempDir::new().unwrap();
    let text = r#"{"Namespace": "ns", "FlashArrays": [
    {"MgmtEndPoint": "a", "APIToken": "t", "SanType": "FC"},
    {"MgmtEndPoint": "b", "APIToken": "t"}]}"#;
    let (code, out) = check(folder.path(), text);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("1 error, 2 warnings"), "{out}");
    assert!(
        out.contains("can be attached by this version: a is FC, b is ISCSI"),
        "{out}"
    );
    // The second entry's warning is about a key that is not there: it stands at the entry.
    assert!(out.contains("3:5  FlashArrays[1]"), "{out}");
}

#[test]
fn a_byte_order_mark_is_named() {
    let folder = TempDir::new().unwrap();
    let (code, out) = check(folder.path(), &format!("\u{feff}{}", good()));
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("1 error, 0 warnings") && out.contains("byte order mark"),
        "{out}"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let folder = TempDir::new().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for path in [fifo.as_path(), folder.path()] {
        let (code, out, _) = run(&["config", "check", path.to_str().unwrap()]);
        assert_eq!(code, 1, "{out}");
        assert!(out.contains("not a regular file"), "{out}");
    }
    let text = good().replace(
        "\"Fingerprint\": \"",
        &format!("\"CAFile\": \"{}\", \"X\": \"", fifo.display()),
    );
    let (_, out) = check(folder.path(), &text);
    assert!(out.contains("CAFile: this is not a regular file"), "{out}");
}

#[test]
fn named_files_and_folders_are_looked_into() {
    let folder = TempDir::new().unwrap();
    let pem = write(folder.path(), "ca.pem", "no certificate", 0o600);
    let fingerprint = format!("\"Fingerprint\": \"{}\"", "ab".repeat(32));
    let text = good()
        .replace(&fingerprint, &format!("\"CAFile\": \"{}\"", pem.display()))
        .replace("\"/tmp\"", "\"/nonexistent\"");
    let (code, out) = check(folder.path(), &text);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("1 error, 1 warning"), "{out}");
    assert!(out.contains("CAFile: there is no certificate"), "{out}");
    assert!(out.contains("LoopFolder: there is no such folder"), "{out}");
    write(
        folder.path(),
        "ca.pem",
        "-----BEGIN CERTIFICATE-----",
        0o600,
    );
    assert_eq!(check(folder.path(), &text).0, 0);
}
