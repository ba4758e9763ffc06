//! What must hold for names, identities, options and selectors: `storage-core` parses them in
//! public, so its targets stand here.

use storage_core::{
    Filesystem, Host, Initiators, LabelSelector, Labels, NameRules, Namespace, OptionDefaults,
    Size, SnapshotName, SourceName, VolumeId, VolumeName, VolumeOptions, is_reserved, object_names,
    parse_create_options, parse_mount_options, plain_name, trash_name,
};

/// As a FlashArray has it.
const RULES: NameRules = NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    case_insensitive: true,
};

/// What an accepted mount option never says: force, other devices, privileges, weaker recovery.
const NEVER_MOUNTED_WITH: [&str; 12] = [
    "suid",
    "dev",
    "exec",
    "remount",
    "bind",
    "nouuid",
    "norecovery",
    "noload",
    "nobarrier",
    "logdev",
    "rtdev",
    "journal_path",
];

/// Names of volumes, namespaces, snapshots, hosts, and the identities made of them.
pub(crate) fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (first, second) = text.split_once('\n').unwrap_or((&text, "ns"));
    let namespace = Namespace::new(second).ok();
    if let Ok(name) = VolumeName::new(first) {
        assert_eq!(name.as_str(), first);
        assert!(!first.contains(['/', '\\', '\0']) && first != ".." && first.len() <= 255);
        let json = serde_json::to_string(&name).unwrap_or_default();
        assert_eq!(
            serde_json::from_str::<VolumeName>(&json).ok().as_ref(),
            Some(&name)
        );
        if let Some(namespace) = &namespace {
            for object in object_names(namespace, &name, &RULES).iter() {
                assert!(object.len() <= RULES.max_length && object.chars().all(RULES.allowed));
                assert!(!is_reserved(namespace, object), "{object}");
            }
            assert!(is_reserved(
                namespace,
                &trash_name(namespace, &name, uuid::Uuid::nil())
            ));
        }
    }
    if let Some(namespace) = &namespace
        && let Some(name) = plain_name(namespace, first)
    {
        assert_eq!(format!("{namespace}-{name}"), first);
    }
    if let Ok(id) = first.parse::<VolumeId>() {
        assert_eq!(id.to_string(), first);
        assert!(first.len() <= VolumeId::MAX_BYTES && !first.contains(char::is_control));
        assert_eq!(id.to_string().parse::<VolumeId>().ok(), Some(id));
    }
    if let Ok(snapshot) = SnapshotName::new(first) {
        assert_eq!(SnapshotName::new(snapshot.as_str()).ok(), Some(snapshot));
    }
    if let Ok(source) = first.parse::<SourceName>() {
        assert!(source.volume().is_some() || source.snapshot().is_some());
    }
    let host = Host::new(first, second, Initiators::default());
    let object = host.object_name();
    assert!(object.len() <= 63, "{object}");
    assert!(
        object
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{object}"
    );
}

/// Options as `-o key=value`, one a line, and sizes.
pub(crate) fn options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines().take(8) {
        if let Ok(size) = line.parse::<Size>() {
            assert!(size.bytes() > 0, "{line}");
            assert_eq!(size.to_string().parse::<Size>().ok(), Some(size));
        }
        for kind in Filesystem::ALL {
            if let Ok(options) = parse_mount_options(kind, line) {
                assert!(
                    options.iter().all(|option| is_harmless(option)),
                    "{options:?}"
                );
                assert_eq!(
                    parse_mount_options(kind, &options.join(",")).ok(),
                    Some(options)
                );
            }
            if let Ok(words) = parse_create_options(kind, line) {
                let forced = words
                    .iter()
                    .any(|word| matches!(&**word, "-F" | "-f" | "-n" | "-U"));
                assert!(
                    !forced && words.iter().all(|word| !word.contains('/')),
                    "{words:?}"
                );
                assert_eq!(
                    parse_create_options(kind, &words.join(" ")).ok(),
                    Some(words)
                );
            }
        }
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    match VolumeOptions::parse(pairs, &OptionDefaults::default()) {
        Ok(options) => assert!(options.filesystem.check().is_ok()),
        Err(error) => assert!(error.chain().to_string().len() < 4096, "{error}"),
    }
}

fn is_harmless(option: &str) -> bool {
    let name = option.split('=').next().unwrap_or_default();
    !option.contains([',', '/', ' ', '\0']) && !NEVER_MOUNTED_WITH.contains(&name)
}

/// A selector, and labels as `key=value`, one a line.
pub(crate) fn selectors(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (selector, labels) = text.split_once('\n').unwrap_or((&text, "a=b"));
    let pairs = labels.lines().filter_map(|line| line.split_once('='));
    let labels: Labels = pairs
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    match selector.parse::<LabelSelector>() {
        Ok(parsed) => {
            let shown = parsed.to_string();
            let again = shown.parse::<LabelSelector>();
            assert_eq!(again.as_ref().ok(), Some(&parsed), "{shown}");
            assert_eq!(
                parsed.matches(&labels),
                parsed.first_unmet(&labels).is_none()
            );
        }
        Err(error) => assert!(error.chain().to_string().len() < 4096, "{error}"),
    }
}
