//! Calls and answers of the other tests, written down for the comparison with the vendor's
//! documents when the comparison started this program.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, OnceLock};

use serde_json::json;

/// Names the file to which every call and its answer is appended as a line of JSON.
pub(super) const RECORD: &str = "ARRAY_SIM_RECORD";

/// Writes one call down, if somebody wants it. `path` begins with `/api/`, without the query.
pub(crate) fn record(method: &str, target: &str, status: u16, answer: &str) {
    static FILE: OnceLock<Option<Mutex<File>>> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let path = std::env::var_os(RECORD)?;
        let file = OpenOptions::new().create(true).append(true).open(path);
        Some(Mutex::new(file.unwrap()))
    });
    let Some(file) = file else {
        return;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let line = json!({
        "by": "tests", "method": method, "path": path, "query": query,
        "status": status, "answer": answer,
    });
    let mut file = file.lock().unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
