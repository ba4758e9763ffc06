//! The targets by name. `xtask` finds them by their folders in `corpus/`.

use crate::core;

/// What a target does with bytes.
pub type Target = fn(&[u8]);

/// Every target; the folder in `corpus/` has the same name.
pub const TARGETS: &[(&str, Target)] = &[
    ("array-answers", backend_flasharray::fuzzing::answers),
    ("array-records", backend_flasharray::fuzzing::records),
    ("array-refusals", backend_flasharray::fuzzing::refusals),
    ("certificates", storage_http::fuzzing::certificates),
    ("config-environment", fairlead::config::fuzzing::environment),
    ("config-file", fairlead::config::fuzzing::file),
    ("docker-requests", adapter_docker::fuzzing::request),
    ("docker-state", adapter_docker::fuzzing::state),
    ("host-records", host_attach::fuzzing::records),
    ("host-superblocks", host_attach::fuzzing::superblocks),
    ("host-tables", host_attach::fuzzing::tables),
    ("http-headers", storage_http::fuzzing::headers),
    ("http-texts", storage_http::fuzzing::texts),
    ("names", core::names),
    ("options", core::options),
    ("selectors", core::selectors),
    ("sim-config", array_sim::fuzzing::config),
    ("sim-queries", array_sim::fuzzing::query),
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}
