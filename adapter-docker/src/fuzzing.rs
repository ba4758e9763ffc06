//! What must hold for any bytes that somebody else wrote. For tests and for the fuzz targets,
//! which call these; not part of the library.

use storage_core::{OptionDefaults, VolumeName, VolumeOptions};

use crate::message::{self, Call, CreateRequest, MountRequest, NameRequest};
use crate::state;
use crate::{error, swarm};

/// A request: its path up to a newline, then its body.
pub fn request(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (path, body) = data.split_at(at);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let path = String::from_utf8_lossy(path);
    if let Some(call) = Call::from_path(&path) {
        assert!(path.ends_with(call.as_str()));
    }
    let named = message::named(body).unwrap_or_default();
    assert!(named.chars().count() <= 128 && !named.contains(char::is_control));
    name(message::parse::<NameRequest>(body).map(|request| request.name));
    name(message::parse::<MountRequest>(body).map(|request| {
        if let Ok(id) = state::MountId::new(request.id) {
            let text = serde_json::to_string(&id).unwrap_or_default();
            assert!(text.len() < 8 * 256, "an ID is bounded");
        }
        request.name
    }));
    let created = message::parse::<CreateRequest>(body).map(|request| {
        for defaults in [OptionDefaults::default(), ext4()] {
            options(request.opts.clone().unwrap_or_default(), &defaults);
        }
        request.name
    });
    name(created);
    let line = error::one_line(&String::from_utf8_lossy(body));
    assert!(line.len() < 4200 && !line.contains(char::is_control));
}

fn ext4() -> OptionDefaults {
    OptionDefaults {
        filesystem: storage_core::Filesystem::Ext4,
        ..OptionDefaults::default()
    }
}

fn name(read: Result<String, String>) {
    match read {
        Ok(name) => match VolumeName::new(name) {
            Ok(name) => {
                let name = name.as_str();
                assert!(!name.contains(['/', '\\', '\0', '\n']) && name != "..");
                assert!((1..=255).contains(&name.len()));
            }
            Err(refused) => told(&refused),
        },
        Err(text) => assert!(text.len() < 300 && !text.contains(char::is_control)),
    }
}

fn options(given: std::collections::BTreeMap<String, String>, defaults: &OptionDefaults) {
    match VolumeOptions::parse(given, defaults) {
        Ok(options) => assert!(options.filesystem.check().is_ok(), "checked again"),
        Err(refused) => told(&refused),
    }
}

/// A refusal is for a terminal and a log: it is bounded, and one line.
fn told(refused: &storage_core::Error) {
    let text = refused.chain().to_string();
    assert!(text.len() < 4096, "{} bytes", text.len());
    let sent = error::text(refused);
    assert!(!sent.contains(char::is_control), "{sent:?}");
}

/// What the plugin keeps on disk, as a crash, another version or somebody's editor may leave it;
/// the daemon's command line; the kernel's table of mounts.
pub fn state(data: &[u8]) {
    state::fuzz_counts(data);
    state::fuzz_names(data);
    state::fuzz_used(data);
    state::fuzz_mounts(data);
    swarm::fuzz(data);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    const TOKENS: &str = r#"([{}\[\],:"]|"Name":|"ID":|"Opts":|"size"|"v"|"\\u00e9"|null|1|\{"format":1,"volume":"v","mounts":|"ids":\["x"|"x":\{"mounts":1,"carried":0\}| |\n|/VolumeDriver\.Get|--data-root|\\040|é){0,40}"#;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..400)) {
            super::request(&data);
            super::state(&data);
        }

        #[test]
        fn almost_requests_and_almost_files(text in TOKENS) {
            super::request(text.as_bytes());
            super::state(text.as_bytes());
        }
    }
}
