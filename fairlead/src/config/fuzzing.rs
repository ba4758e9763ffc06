//! What must hold for any text that is given as configuration. For tests and for the fuzz
//! targets, which call these; not part of the library.

use storage_core::Secret;

use super::check::check_text;
use super::environment::Environment;
use super::problem::{Problem, Severity};
use super::resolve::resolve;

/// Shorter secrets may stand in a message by accident.
const SECRET_MIN: usize = 12;

/// A configuration file: every problem has a place in it, and no secret is told.
pub fn file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let checked = check_text(&text);
    let lines = text.split('\n').count();
    for problem in &checked.problems {
        sound(problem);
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "{problem}"
        );
    }
    let mut environment = Environment::from_lookup(|_| None);
    environment.host_name = Some("host".to_owned());
    let (config, problems) = resolve(&checked.file, &environment);
    problems.iter().for_each(sound);
    let arrays = checked.file.flash_arrays.iter();
    let blades = checked.file.flash_blades.iter();
    let secrets = arrays
        .filter_map(|array| array.api_token.as_ref())
        .chain(blades.filter_map(|blade| blade.api_token.as_ref()));
    for secret in secrets
        .map(Secret::expose)
        .filter(|secret| secret.len() >= SECRET_MIN)
    {
        // One that also stands elsewhere in the file is told as what it is there.
        if text.matches(secret).count() == 1 {
            assert!(!format!("{:?} {config:?}", checked.problems).contains(secret));
        }
    }
    let broken = checked
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    // A token's file is read by whoever loads; without it, its array is left out here.
    let entries = &checked.file;
    let elsewhere = entries
        .flash_arrays
        .iter()
        .any(|array| array.api_token_file.is_some())
        || entries
            .flash_blades
            .iter()
            .any(|blade| blade.api_token_file.is_some());
    if let Some(config) = config.filter(|_| !broken && !elsewhere) {
        assert!(!config.flash_arrays.is_empty() || !config.flash_blades.is_empty());
        assert!(
            config
                .flash_arrays
                .iter()
                .all(|array| !array.token.is_empty())
        );
    }
}

/// The environment, as lines `NAME=value`.
pub fn environment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut environment = Environment::from_lookup(|name| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    });
    environment.host_name = text.lines().last().map(str::to_owned);
    let checked = check_text(r#"{"FlashArrays":[{"MgmtEndPoint":"a","APIToken":"t"}]}"#);
    let (config, problems) = resolve(&checked.file, &environment);
    problems.iter().for_each(sound);
    if let Some(config) = config {
        let namespace = config.namespace.as_str();
        assert!(
            !namespace.contains('/') && namespace.len() <= 32,
            "{namespace}"
        );
        let filesystem = storage_core::FilesystemSpec {
            kind: config.defaults.filesystem,
            create_options: config.defaults.create_options,
            mount_options: config.defaults.mount_options,
        };
        assert!(filesystem.check().is_ok(), "{filesystem:?}");
    }
}

fn sound(problem: &Problem) {
    let shown = problem.to_string();
    assert!(shown.len() < 4096, "{} bytes", shown.len());
    assert!(!problem.message.is_empty() && !problem.advice.is_empty());
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..300)) {
            super::file(&data);
            super::environment(&data);
        }

        #[test]
        fn almost_files(text in r#"([{}\[\],:"]|"Namespace":"a"|"FlashArrays":\[\{|"MgmtEndPoint":"(a|[0-9.:]{1,9})"|"APIToken":"[a-z-]{12,20}"|"Labels":\{"a":"b"\}|"SanType":"(LOOP|FC|x)"|"LoopFolder":"/x"|"Fingerprint":"[0-9a-f]{0,64}"|"Drain":true|"CHAP":\{"User":"u"|//x|null|1|\n){0,30}"#) {
            super::file(text.as_bytes());
        }

        #[test]
        fn almost_environments(text in "((PURE_DOCKER_NAMESPACE|PURE_FLASHARRAY_SAN_TYPE|PURE_DEFAULT_BLOCK_FS_TYPE|PURE_DEFAULT_BLOCK_FS_OPT|PURE_DEFAULT_BLOCK_MNT_OPT)=(ext4|xfs|-F|-q|-b 4096|noatime|nouuid|LOOP|[a-zA-Z./ -]{0,12})\n){0,6}") {
            super::environment(text.as_bytes());
        }
    }
}
