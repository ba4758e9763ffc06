//! The environment variables of the predecessor: the one place that reads them.

use std::fmt;

/// What the environment says. Text as it stands; loading checks it.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Environment {
    /// `PURE_DOCKER_NAMESPACE`.
    pub namespace: Option<String>,
    /// `PURE_FLASHARRAY_SAN_TYPE`.
    pub san_type: Option<String>,
    /// `PURE_DEFAULT_BLOCK_FS_TYPE`.
    pub filesystem: Option<String>,
    /// `PURE_DEFAULT_BLOCK_FS_OPT`.
    pub create_options: Option<String>,
    /// `PURE_DEFAULT_BLOCK_MNT_OPT`.
    pub mount_options: Option<String>,
    /// `PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT`.
    pub preempt: Option<String>,
    /// Variables of the predecessor that are set and have no effect here.
    pub ignored: Vec<&'static str>,
    /// The machine's name.
    pub host_name: Option<String>,
}

/// Names of the variables, also for messages.
pub(super) const NAMESPACE: &str = "PURE_DOCKER_NAMESPACE";
pub(super) const SAN_TYPE: &str = "PURE_FLASHARRAY_SAN_TYPE";
pub(super) const FS_TYPE: &str = "PURE_DEFAULT_BLOCK_FS_TYPE";
pub(super) const FS_OPT: &str = "PURE_DEFAULT_BLOCK_FS_OPT";
pub(super) const MNT_OPT: &str = "PURE_DEFAULT_BLOCK_MNT_OPT";
pub(super) const PREEMPT: &str = "PURE_PREEMPT_RWO_ATTACHMENTS_DEFAULT";

/// The predecessor's other variables. A person who set one expects something of it.
const IGNORED: [&str; 3] = [
    "PURE_ISCSI_ALLOWED_CIDRS",
    "PURE_ISCSI_LOGIN_TIMEOUT",
    "PURE_DEFAULT_ENABLE_FB_NFS_SNAPSHOT",
];

impl Environment {
    /// Reads this process's environment and the machine's name.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is the configuration's one reader of the environment"
    )]
    pub fn from_process() -> Self {
        let host_name = rustix::system::uname()
            .nodename()
            .to_str()
            .ok()
            .map(str::to_owned);
        let mut environment = Self::from_lookup(|name| std::env::var(name).ok());
        environment.host_name = host_name;
        environment
    }

    /// Reads variables through a function, for tests and embedders.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        // Docker passes a variable that was never given a value as the empty text.
        let value = |name: &str| lookup(name).filter(|text| !text.trim().is_empty());
        Self {
            namespace: value(NAMESPACE),
            san_type: value(SAN_TYPE),
            filesystem: value(FS_TYPE),
            create_options: value(FS_OPT),
            mount_options: value(MNT_OPT),
            preempt: value(PREEMPT),
            ignored: IGNORED
                .into_iter()
                .filter(|name| value(name).is_some())
                .collect(),
            host_name: None,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("namespace", &self.namespace)
            .field("san_type", &self.san_type)
            .field("filesystem", &self.filesystem)
            .field("host_name", &self.host_name)
            .finish_non_exhaustive()
    }
}
