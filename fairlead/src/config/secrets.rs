//! Files that hold secrets: read with a bound, judged by who else can read them.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use storage_core::Secret;

use super::values;

/// The largest file that can be a token.
const BYTES_MAX: u64 = 4096;

/// Mode bits that let the group or others read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// The secret in a file: its one line, without the line's end.
///
/// # Errors
/// Why it cannot be used, without showing any of it.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let file = open_regular(path)?;
    let mut text = String::new();
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("the file has more than {BYTES_MAX} bytes"));
    }
    let line = text.trim_end_matches(['\r', '\n']);
    values::secret(line).map_err(|(message, _)| format!("what the file holds: {message}"))?;
    Ok(Secret::new(line))
}

/// Opens a file if it is a regular one. Looked at first: opening a FIFO waits for whoever writes.
///
/// # Errors
/// Why it is not open.
pub(super) fn open_regular(path: &Path) -> Result<File, String> {
    let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    File::open(path).map_err(failed)
}

/// Whether somebody besides its owner can read a file. `None` when it cannot be told.
pub(super) fn readable_by_others(path: &Path) -> Option<bool> {
    let mode = std::fs::metadata(path).ok()?.mode();
    Some(mode & READABLE_BY_OTHERS != 0)
}
