//! Refusals: the texts in which the array says no.
//!
//! Texts marked *observed* are quoted by public clients that depend on them, so they are exact;
//! *assumed* ones are modelled on them and listed in `docs/assumptions.md`.

use serde::Serialize;

/// One element of `errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorItem {
    /// The name of the object concerned, or null.
    pub(crate) context: Option<String>,
    pub(crate) message: String,
}

/// A request that the array did not accept. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) errors: Vec<ErrorItem>,
}

impl Refusal {
    /// 400, the status of nearly every refusal.
    pub(crate) fn new(message: impl Into<String>, context: Option<&str>) -> Self {
        Self::with_status(400, message, context)
    }

    pub(crate) fn with_status(
        status: u16,
        message: impl Into<String>,
        context: Option<&str>,
    ) -> Self {
        Self {
            status,
            errors: vec![ErrorItem {
                context: context.map(str::to_owned),
                message: message.into(),
            }],
        }
    }

    /// Joins refusals of several objects of one request into one.
    pub(crate) fn all(refusals: Vec<Self>) -> Option<Self> {
        refusals.into_iter().reduce(|mut all, next| {
            all.errors.extend(next.errors);
            all
        })
    }

    /// Observed.
    pub(crate) fn missing(kind: Kind, name: &str) -> Self {
        match kind {
            Kind::Snapshot => Self::new("No such volume or snapshot.", Some(name)),
            _ => Self::new(format!("{} does not exist.", kind.title()), Some(name)),
        }
    }

    /// Observed.
    pub(crate) fn exists(kind: Kind, name: &str) -> Self {
        Self::new(format!("{} already exists.", kind.title()), Some(name))
    }

    /// Observed: connecting, disconnecting. Assumed: every other change of a destroyed volume.
    pub(crate) fn volume_destroyed(name: &str) -> Self {
        Self::new("Volume has been destroyed.", Some(name))
    }

    /// Observed: destroying. Assumed: every other change of a destroyed snapshot.
    pub(crate) fn snapshot_destroyed(name: &str) -> Self {
        Self::new(
            "Volume snapshot has been destroyed. It can be recovered by purevol recover and \
             eradicated by purevol eradicate.",
            Some(name),
        )
    }

    /// Observed: "limit reached" is what clients look for.
    pub(crate) fn limit(kind: &str) -> Self {
        Self::new(format!("{kind} limit reached."), None)
    }

    /// Observed for name and destroyed in one PATCH.
    pub(crate) fn combination() -> Self {
        Self::new("Invalid combination of parameters specified.", None)
    }

    /// Assumed.
    pub(crate) fn invalid(what: &str, context: Option<&str>) -> Self {
        Self::new(format!("Invalid {what}."), context)
    }

    /// Assumed.
    pub(crate) fn required(what: &str) -> Self {
        Self::new(format!("{what} is required."), None)
    }
}

/// Kinds of named objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Volume,
    Snapshot,
    Host,
    HostGroup,
    Pod,
    VolumeGroup,
    ProtectionGroup,
}

impl Kind {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Volume => "Volume",
            Self::Snapshot => "Volume snapshot",
            Self::Host => "Host",
            Self::HostGroup => "Host group",
            Self::Pod => "Pod",
            Self::VolumeGroup => "Volume group",
            Self::ProtectionGroup => "Protection group",
        }
    }
}
