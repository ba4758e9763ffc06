//! From the file and the environment to the configuration that programs use.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use storage_core::{
    Filesystem, Labels, Namespace, OptionDefaults, Secret, Size, parse_create_options,
    parse_mount_options,
};

use super::entry;
use super::environment::{self, Environment};
use super::file::{ConfigFile, FlashArrayEntry, SanType};
use super::problem::{Problem, Severity};
use super::values::{self, Endpoint, Fingerprint};

/// A complete, checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The cluster's prefix on every array object.
    pub namespace: Namespace,
    /// Where the namespace came from.
    pub namespace_source: NamespaceSource,
    /// Every FlashArray, in the order of the file.
    pub flash_arrays: Vec<FlashArray>,
    /// Every FlashBlade, in the order of the file.
    pub flash_blades: Vec<FlashBlade>,
    /// What a volume gets when its options do not say.
    pub defaults: OptionDefaults,
    /// Whether a host may take a volume from the one that has it, where its adapter's rules allow.
    pub preempt: bool,
}

/// Who named the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamespaceSource {
    /// `Namespace` in the file.
    File,
    /// `PURE_DOCKER_NAMESPACE`.
    Environment,
    /// Nobody: `docker-<host name>`, for a single host only.
    HostName,
}

/// One FlashArray.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlashArray {
    /// Management address, in one spelling.
    pub endpoint: Endpoint,
    /// The API token.
    pub token: Secret,
    /// Configured labels.
    pub labels: Labels,
    /// How hosts reach its volumes.
    pub san_type: SanType,
    /// Certificate authority to trust.
    pub ca_file: Option<PathBuf>,
    /// The one certificate to trust.
    pub fingerprint: Option<Fingerprint>,
    /// Networks of portals to use, CIDR notation; empty for all.
    pub allowed_networks: Vec<String>,
    /// No new volumes.
    pub draining: bool,
    /// With [`SanType::Loop`]: the folder with the LUNs.
    pub loop_folder: Option<PathBuf>,
}

/// One FlashBlade: known by address, not served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlashBlade {
    /// Management address.
    pub endpoint: Endpoint,
}

/// Joins file and environment. `None` when an error leaves no configuration.
pub(super) fn resolve(
    file: &ConfigFile,
    environment: &Environment,
) -> (Option<Config>, Vec<Problem>) {
    let mut problems = Vec::new();
    for name in &environment.ignored {
        let message = "the variable is set and has no effect in this version";
        problems.push(Problem::outside_file(
            Severity::Warning,
            *name,
            message,
            "unset it",
        ));
    }
    let namespace = namespace(file, environment, &mut problems);
    let san_type = default_san_type(environment, &mut problems);
    let defaults = defaults(environment, &mut problems);
    let preempt = preempt(environment, &mut problems);
    let arrays: Vec<FlashArray> = file
        .flash_arrays
        .iter()
        .filter_map(|entry| flash_array(entry, san_type))
        .collect();
    for (index, array) in arrays.iter().enumerate() {
        let inherited = file
            .flash_arrays
            .get(index)
            .is_some_and(|e| e.san_type.is_none());
        if inherited && !array.san_type.is_built() {
            problems.push(not_built(index, array.san_type));
        }
        if inherited && array.san_type == SanType::Loop && array.loop_folder.is_none() {
            let message = "PURE_FLASHARRAY_SAN_TYPE says LOOP and there is no `LoopFolder`";
            let path = format!("FlashArrays[{index}]");
            let advice = "add \"SanType\" and \"LoopFolder\" to this entry";
            problems.push(Problem::outside_file(
                Severity::Error,
                path,
                message,
                advice,
            ));
        }
    }
    let config = namespace
        .zip(defaults)
        .map(|((namespace, source), defaults)| Config {
            namespace,
            namespace_source: source,
            flash_arrays: arrays,
            flash_blades: flash_blades(file),
            defaults,
            preempt,
        });
    (config, problems)
}

fn not_built(index: usize, san_type: SanType) -> Problem {
    Problem::outside_file(
        Severity::Warning,
        format!("FlashArrays[{index}]"),
        format!(
            "without a `SanType` this array is reached by {}, whose connector is not built yet",
            san_type.as_str()
        ),
        entry::LOOKED_UP_ONLY,
    )
}

fn flash_array(entry: &FlashArrayEntry, default: SanType) -> Option<FlashArray> {
    let fingerprint = entry.fingerprint.as_deref().map(Fingerprint::parse);
    let networks = entry.iscsi_allowed_cidr.as_deref().unwrap_or_default();
    Some(FlashArray {
        endpoint: Endpoint::parse(&entry.mgmt_end_point).ok()?,
        token: entry.api_token.clone()?,
        labels: entry.labels.clone(),
        san_type: entry.san_type.unwrap_or(default),
        ca_file: entry.ca_file.clone(),
        fingerprint: fingerprint.transpose().ok()?,
        allowed_networks: values::cidrs(networks).unwrap_or_default(),
        draining: entry.drain,
        loop_folder: entry.loop_folder.clone(),
    })
}

fn flash_blades(file: &ConfigFile) -> Vec<FlashBlade> {
    let endpoints = file.flash_blades.iter().map(|entry| &entry.mgmt_end_point);
    endpoints
        .filter_map(|text| Endpoint::parse(text).ok())
        .map(|endpoint| FlashBlade { endpoint })
        .collect()
}

fn namespace(
    file: &ConfigFile,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Option<(Namespace, NamespaceSource)> {
    let mut complain = |message: String, advice: &str| {
        let path = environment::NAMESPACE;
        problems.push(Problem::outside_file(
            Severity::Error,
            path,
            message,
            advice,
        ));
    };
    if let Some(text) = &file.namespace {
        if environment
            .namespace
            .as_ref()
            .is_some_and(|other| other != text)
        {
            let message = "the variable and `Namespace` in the file differ".to_owned();
            complain(message, "leave one of the two, the same on every node");
            return None;
        }
        return Namespace::new(text.as_str())
            .ok()
            .map(|n| (n, NamespaceSource::File));
    }
    if let Some(text) = &environment.namespace {
        return match Namespace::new(text.as_str()) {
            Ok(namespace) => Some((namespace, NamespaceSource::Environment)),
            Err(error) => {
                complain(error.message().to_owned(), "correct the variable");
                None
            }
        };
    }
    let host = environment.host_name.as_deref().unwrap_or_default();
    if let Some(namespace) = host_namespace(host) {
        return Some((namespace, NamespaceSource::HostName));
    }
    complain(
        "no namespace is set, and this machine's name tells it from no other machine".to_owned(),
        "add \"Namespace\" to the file, or set the variable",
    );
    None
}

/// The longest host name that fits behind `docker-` in a namespace of 32 characters.
const HOST_NAME_MAX: usize = 25;

/// `docker-<host name>`, as the predecessor named it on a single host. A host name that does not
/// fit as it is gets a stem and eight digits of its hash, so that two hosts never share a
/// namespace by being cut alike.
fn host_namespace(host: &str) -> Option<Namespace> {
    let generic = ["", "localhost", "localhost.localdomain", "(none)"];
    if generic.contains(&host) {
        return None;
    }
    if host.len() <= HOST_NAME_MAX
        && let Ok(namespace) = Namespace::new(format!("docker-{host}"))
    {
        return Some(namespace);
    }
    let stem: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(HOST_NAME_MAX - 9)
        .collect();
    let digest = Sha256::digest(host.as_bytes());
    let hash: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Namespace::new(format!("docker-{stem}-{hash}")).ok()
}

fn default_san_type(environment: &Environment, problems: &mut Vec<Problem>) -> SanType {
    let Some(text) = &environment.san_type else {
        return SanType::Iscsi;
    };
    // The predecessor's charts upper-case this one, so any case was accepted in practice.
    SanType::from_text(&text.trim().to_ascii_uppercase()).unwrap_or_else(|| {
        let message = "this is no way to reach an array's volumes";
        let advice = format!("set it to one of {}", SanType::known());
        let path = environment::SAN_TYPE;
        problems.push(Problem::outside_file(
            Severity::Error,
            path,
            message,
            advice,
        ));
        SanType::Iscsi
    })
}

/// On unless turned off, as the predecessor had it. Its charts wrote these two words.
fn preempt(environment: &Environment, problems: &mut Vec<Problem>) -> bool {
    let text = environment.preempt.as_deref().unwrap_or("true").trim();
    match text.to_ascii_lowercase().as_str() {
        "true" => true,
        "false" => false,
        _ => {
            problems.push(Problem::outside_file(
                Severity::Error,
                environment::PREEMPT,
                "this is neither yes nor no",
                "set it to true or false",
            ));
            false
        }
    }
}

/// A volume's size when nobody says: the predecessor's, and documented.
const DEFAULT_SIZE: Size = Size::from_gib(32);

fn defaults(environment: &Environment, problems: &mut Vec<Problem>) -> Option<OptionDefaults> {
    let mut complain = |path: &str, error: &storage_core::Error| {
        let advice = "correct or unset the variable";
        let problem = Problem::outside_file(Severity::Error, path, error.message(), advice);
        problems.push(problem);
    };
    let kind = match environment.filesystem.as_deref().map(str::parse) {
        None => Filesystem::Xfs,
        Some(Ok(kind)) => kind,
        Some(Err(error)) => {
            complain(environment::FS_TYPE, &error);
            return None;
        }
    };
    let mut defaults = OptionDefaults {
        size: DEFAULT_SIZE,
        filesystem: kind,
        ..OptionDefaults::default()
    };
    if let Some(text) = &environment.create_options {
        match parse_create_options(kind, text) {
            Ok(options) => defaults.create_options = options,
            Err(error) => complain(environment::FS_OPT, &error),
        }
    }
    if let Some(text) = &environment.mount_options {
        // The predecessor's charts joined these with blanks, mount(8) with commas.
        let words: Vec<&str> = text
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .collect();
        match parse_mount_options(kind, &words.join(",")) {
            Ok(options) => defaults.mount_options = options,
            Err(error) => complain(environment::MNT_OPT, &error),
        }
    }
    Some(defaults)
}

#[cfg(test)]
mod tests {
    use super::host_namespace;

    #[test]
    fn host_names_make_namespaces() {
        let name = |host: &str| host_namespace(host).map(|n| n.as_str().to_owned());
        assert_eq!(name("web-1").as_deref(), Some("docker-web-1"));
        assert_eq!(name("localhost"), None);
        assert_eq!(name(""), None);
        let long = name(&"a".repeat(64)).unwrap();
        assert!(long.len() <= 32, "{long}");
        assert_ne!(name("node.site-a"), name("node.site-b"));
        assert_ne!(name("node.site"), name("node-site"));
    }
}
