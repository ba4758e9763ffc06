//! The predecessor's environment variables, and what they do together with the file.

use std::fs;

use fairlead::config::{Config, ConfigError, Environment, NamespaceSource, SanType, load};
use storage_core::{Filesystem, Size};
use tempfile::TempDir;

fn loaded(file: &str, variables: &[(&str, &str)], host: &str) -> Result<Config, ConfigError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pure.json");
    fs::write(&path, file).unwrap();
    let mut environment = Environment::from_lookup(|name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    environment.host_name = Some(host.to_owned());
    load(&path, &environment).map(|loaded| loaded.config)
}

fn problems(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

const PLAIN: &str = r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "t"}]}"#;
const NAMED: &str =
    r#"{"Namespace": "f", "FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "t"}]}"#;

#[test]
fn the_defaults_are_the_predecessors() {
    let config = loaded(PLAIN, &[], "web-1").unwrap();
    assert_eq!(config.namespace.as_str(), "docker-web-1");
    assert_eq!(config.namespace_source, NamespaceSource::HostName);
    assert_eq!(config.flash_arrays[0].san_type, SanType::Iscsi);
    assert_eq!(config.defaults.size, Size::from_gib(32));
    assert_eq!(config.defaults.filesystem, Filesystem::Xfs);
    assert!(config.preempt);
}

#[test]
fn a_machine_called_localhost_needs_a_namespace() {
    assert!(problems(loaded(PLAIN, &[], "localhost")).contains("add \"Namespace\""));
}

#[test]
fn namespaces_of_file_and_environment_must_agree() {
    let variable = "PURE_DOCKER_NAMESPACE";
    let config = loaded(PLAIN, &[(variable, "e")], "h").unwrap();
    assert_eq!(config.namespace_source, NamespaceSource::Environment);
    assert_eq!(
        loaded(NAMED, &[(variable, "f")], "h")
            .unwrap()
            .namespace
            .as_str(),
        "f"
    );
    assert!(problems(loaded(NAMED, &[(variable, "e")], "h")).contains("differ"));
    assert!(problems(loaded(PLAIN, &[(variable, "-")], "h")).contains(variable));
    // Docker hands an unset variable over as the empty text.
    assert_eq!(
        loaded(NAMED, &[(variable, "")], "h")
            .unwrap()
            .namespace
            .as_str(),
        "f"
    );
}

#[test]
fn block_defaults_come_from_the_environment() {
    let variables = [
        ("PURE_FLASHARRAY_SAN_TYPE", "fc"),
        ("PURE_DEFAULT_BLOCK_FS_TYPE", "ext4"),
        ("PURE_DEFAULT_BLOCK_MNT_OPT", "noatime discard"),
        ("PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT", "False"),
    ];
    let config = loaded(NAMED, &variables, "h").unwrap();
    assert_eq!(config.flash_arrays[0].san_type, SanType::FibreChannel);
    assert_eq!(config.defaults.filesystem, Filesystem::Ext4);
    assert_eq!(config.defaults.mount_options, ["noatime", "discard"]);
    assert!(!config.preempt);
}

#[test]
fn wrong_variables_are_errors_that_name_them() {
    for (name, value) in [
        ("PURE_FLASHARRAY_SAN_TYPE", "tape"),
        ("PURE_DEFAULT_BLOCK_FS_TYPE", "ntfs"),
        ("PURE_DEFAULT_BLOCK_FS_OPT", "-f"),
        ("PURE_DEFAULT_BLOCK_MNT_OPT", "nouuid"),
        ("PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT", "maybe"),
    ] {
        let text = problems(loaded(NAMED, &[(name, value)], "h"));
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn loop_by_environment_needs_a_folder_too() {
    let text = problems(loaded(NAMED, &[("PURE_FLASHARRAY_SAN_TYPE", "LOOP")], "h"));
    assert!(text.contains("LoopFolder"), "{text}");
}
