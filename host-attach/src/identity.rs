//! Who this machine is: its host name and the content of `/etc/machine-id`. Initiator names come
//! with the connectors that use them; LOOP has none.

use std::fs;
use std::path::Path;

use storage_core::{ErrorKind, Host, Initiators, Result};

use crate::failure::{error, io_error};

/// Describes this machine as arrays are to know it.
///
/// # Errors
/// When `/etc/machine-id` cannot be read or is not set: two machines without one could not be
/// told apart, and would share their volumes.
pub fn this_host() -> Result<Host> {
    let uname = rustix::system::uname();
    let hostname = uname.nodename().to_string_lossy();
    host_with_id_file(&hostname, Path::new("/etc/machine-id"))
}

fn host_with_id_file(hostname: &str, path: &Path) -> Result<Host> {
    let id = fs::read_to_string(path)
        .map_err(|source| io_error("reading the machine id", path, source))?;
    let id = id.trim();
    // machine-id(5): 32 hexadecimal digits; "uninitialized" while an image boots first.
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(error(
            ErrorKind::FailedPrecondition,
            "this machine has no valid machine id; run systemd-machine-id-setup",
        )
        .with_context("path", path.display().to_string()));
    }
    Ok(Host::new(hostname, id, Initiators::default()))
}

#[cfg(test)]
mod tests {
    use super::host_with_id_file;

    #[test]
    fn a_machine_without_an_id_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine-id");
        assert!(host_with_id_file("h", &path).is_err());
        for text in ["", "uninitialized\n", "00"] {
            std::fs::write(&path, text).unwrap();
            assert!(host_with_id_file("h", &path).is_err(), "{text:?}");
        }
        std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(host_with_id_file("H1.example", &path).unwrap().name(), "h1");
    }
}
