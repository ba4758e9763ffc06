//! The calls of the array: which exist, since when, and with which parameters.
//!
//! Each function of the modules below is one call, thin: it decodes, lets the state plan, commits,
//! and renders. Its doc says where the call's behaviour is from: *documented* (the vendor's REST
//! documents, `FlashArray REST API` 2.2, 2.26 and 2.50), *observed* (public clients depend on it)
//! or *assumed* (`docs/assumptions.md`).

mod array;
mod connections;
mod fleet;
mod groups;
mod hosts;
mod initiators;
mod members;
mod pods;
mod realms;
mod rendered;
mod select;
mod snapshots;
mod tags;
mod usage;
mod volume_groups;
mod volumes;

pub(crate) use fleet::serve;

use super::state::Refusal;
use super::{Core, Reply, Request, RestVersion};

/// A parameter, and the first REST 2.x minor version that has it.
type Param = (&'static str, u32);

pub(crate) type Handler = fn(&mut Core, &Request) -> Result<Reply, Refusal>;

/// One call.
#[derive(Debug)]
pub(crate) struct Route {
    method: &'static str,
    path: &'static str,
    /// The first REST 2.x minor version that has the call.
    since: u32,
    params: &'static [&'static [Param]],
    /// Whether it may copy a volume's bytes, and so take a while.
    pub(crate) copies: bool,
    run: Handler,
}

impl Route {
    /// Whether the call has this parameter in this version.
    fn has_param(&self, name: &str, version: RestVersion) -> bool {
        self.params
            .iter()
            .flat_map(|params| params.iter())
            .any(|(param, since)| *param == name && RestVersion(*since) <= version)
    }
}

/// What every listing takes.
const LIST: &[Param] = &[
    ("continuation_token", 0),
    ("filter", 0),
    ("limit", 0),
    ("offset", 0),
    ("sort", 0),
    ("total_item_count", 0),
    ("context_names", 38),
    ("allow_errors", 38),
];
/// Listings that go on by offset; by token in 2.50 and not in 2.26, in between is not known.
const BY_OFFSET: &[Param] = &[
    ("continuation_token", 27),
    ("filter", 0),
    ("limit", 0),
    ("offset", 0),
    ("sort", 0),
    ("total_item_count", 0),
    ("context_names", 38),
    ("allow_errors", 38),
];
/// Listings of this array alone, in every version: figures and parts.
const PARTS: &[Param] = &[
    ("filter", 0),
    ("limit", 0),
    ("offset", 0),
    ("sort", 0),
    ("total_item_count", 0),
];
const TOTAL: &[Param] = &[("total_only", 0)];
const DESTROYED: &[Param] = &[("destroyed", 0)];
const NAMES: &[Param] = &[("names", 0)];
const NAMES_IDS: &[Param] = &[("names", 0), ("ids", 0)];
const HISTORY: &[Param] = &[("start_time", 0), ("end_time", 0), ("resolution", 0)];
/// Protection groups came to POST `/volumes` with 2.16.
const PROTECTION: &[Param] = &[
    ("add_to_protection_group_ids", 16),
    ("add_to_protection_group_names", 16),
    ("with_default_protection", 16),
    // In 2.50 and not in 2.26; the version in between is not known.
    ("allow_throttle", 27),
];
const PROTECTION_MOVE: &[Param] = &[
    ("add_to_protection_group_ids", 16),
    ("add_to_protection_group_names", 16),
    ("remove_from_protection_group_ids", 16),
    ("remove_from_protection_group_names", 16),
];
const SOURCES: &[Param] = &[("source_names", 0), ("source_ids", 0)];
const RESOURCES: &[Param] = &[("resource_names", 0), ("resource_ids", 0)];
const MEMBERS: &[Param] = &[("group_names", 0), ("member_names", 0)];
/// Ids of protection groups are in 2.26 and not in 2.2; the version in between is not known.
const PROTECTION_MEMBERS: &[Param] = &[
    ("group_names", 0),
    ("group_ids", 3),
    ("member_names", 0),
    ("member_ids", 3),
];
/// Hosts, host groups and targets have no ids.
const PROTECTED: &[Param] = &[("group_names", 0), ("group_ids", 3), ("member_names", 0)];
const GROUP_MEMBERS: &[Param] = &[
    ("group_names", 0),
    ("group_ids", 0),
    ("member_names", 0),
    ("member_ids", 0),
];
/// As with protection groups.
const DESTROY_CONTENTS: &[Param] = &[("destroy_contents", 3)];
const ERADICATE_CONTENTS: &[Param] = &[("eradicate_contents", 3)];
/// `volume_ids` is in 2.26 and not in 2.2; the version in between is not known.
const CONNECTION: &[Param] = &[
    ("volume_names", 0),
    ("volume_ids", 3),
    ("host_names", 0),
    ("host_group_names", 0),
];
const ENDPOINTS: &[Param] = &[("protocol_endpoint_names", 0), ("protocol_endpoint_ids", 3)];
/// Several arrays as one: 2.38 and later.
const FLEET: &[Param] = &[("context_names", 38)];
/// Hosts and host groups of realms only; in 2.50 and not in 2.26, in between is not known.
const REALM_DESTROYED: &[Param] = &[("destroyed", 27)];
/// As with those.
const REALMS: &[Param] = &[
    ("from_member_ids", 27),
    ("from_member_names", 27),
    ("to_member_ids", 27),
    ("to_member_names", 27),
];
const RESOURCE_ACCESS: &[Param] = &[("modify_resource_access", 27)];
const MOVE_WITH: &[Param] = &[
    ("move_with_host_names", 27),
    ("move_with_host_group_names", 27),
];
const PROMOTION: &[Param] = &[
    ("abort_quiesce", 0),
    ("promote_from", 0),
    ("quiesce", 0),
    ("skip_quiesce", 0),
];
/// In 2.26 and not in 2.2; the version in between is not known.
const HISTORY_LATER: &[Param] = &[("start_time", 3), ("end_time", 3), ("resolution", 3)];

macro_rules! route {
    ($method:literal $path:literal, $since:literal, [$($params:expr),*], $run:path) => {
        route!(@ $method, $path, $since, [$($params),*], $run, false)
    };
    (copies $method:literal $path:literal, $since:literal, [$($params:expr),*], $run:path) => {
        route!(@ $method, $path, $since, [$($params),*], $run, true)
    };
    (@ $method:literal, $path:literal, $since:literal, [$($params:expr),*], $run:path, $copies:literal) => {
        Route {
            method: $method,
            path: $path,
            since: $since,
            params: &[$($params),*],
            copies: $copies,
            run: $run,
        }
    };
}

static ROUTES: &[Route] = &[
    route!("GET" "volumes", 0, [LIST, TOTAL, DESTROYED, NAMES_IDS], volumes::list),
    route!(copies "POST" "volumes", 0, [NAMES, &[("overwrite", 0)], PROTECTION, FLEET], volumes::create),
    route!("PATCH" "volumes", 0, [NAMES_IDS, &[("truncate", 0)], PROTECTION_MOVE, FLEET], volumes::patch),
    route!("DELETE" "volumes", 0, [NAMES_IDS, FLEET], volumes::eradicate),
    route!("GET" "volumes/space", 0, [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY], volumes::space),
    route!("GET" "volumes/tags", 2,
        [LIST, RESOURCES, &[("namespaces", 3), ("resource_destroyed", 0)]], tags::list_volumes),
    route!("DELETE" "volumes/tags", 2, [RESOURCES, &[("namespaces", 0), ("keys", 0)], FLEET], tags::delete_volumes),
    route!("PUT" "volumes/tags/batch", 2, [RESOURCES, FLEET], tags::put_volumes),
    route!("GET" "volume-snapshots", 0, [LIST, TOTAL, DESTROYED, NAMES_IDS, SOURCES], snapshots::list),
    route!(copies "POST" "volume-snapshots", 0,
        [SOURCES, &[("on", 0), ("allow_throttle", 16)], FLEET], snapshots::create),
    route!("PATCH" "volume-snapshots", 0, [NAMES_IDS, &[("replication_snapshot", 16)], FLEET], snapshots::patch),
    route!("DELETE" "volume-snapshots", 0,
        [NAMES_IDS, &[("replication_snapshot", 16)], FLEET], snapshots::eradicate),
    route!("GET" "volume-snapshots/tags", 2,
        [LIST, RESOURCES, &[("namespaces", 3), ("resource_destroyed", 0)]], tags::list_snapshots),
    route!("DELETE" "volume-snapshots/tags", 2,
        [RESOURCES, &[("namespaces", 0), ("keys", 0)], FLEET], tags::delete_snapshots),
    route!("PUT" "volume-snapshots/tags/batch", 2, [RESOURCES, FLEET], tags::put_snapshots),
    route!("GET" "hosts", 0, [LIST, NAMES, REALM_DESTROYED], hosts::list),
    route!("POST" "hosts", 0, [NAMES, FLEET], hosts::create),
    route!("PATCH" "hosts", 0, [NAMES, REALMS, RESOURCE_ACCESS, FLEET], hosts::patch),
    route!("DELETE" "hosts", 0, [NAMES, FLEET], hosts::delete),
    route!("GET" "host-groups", 0, [LIST, NAMES, REALM_DESTROYED], groups::list),
    route!("POST" "host-groups", 0, [NAMES, FLEET], groups::create),
    route!("PATCH" "host-groups", 0, [NAMES, REALMS, RESOURCE_ACCESS, FLEET], groups::patch),
    route!("DELETE" "host-groups", 0, [NAMES, FLEET], groups::delete),
    route!("GET" "host-groups/hosts", 0, [LIST, MEMBERS], groups::list_members),
    route!("POST" "host-groups/hosts", 0, [MEMBERS, FLEET], groups::join),
    route!("DELETE" "host-groups/hosts", 0, [MEMBERS, FLEET], groups::leave),
    route!("GET" "hosts/host-groups", 0, [LIST, MEMBERS], groups::list_members),
    route!("POST" "hosts/host-groups", 0, [MEMBERS, FLEET], groups::join),
    route!("DELETE" "hosts/host-groups", 0, [MEMBERS, FLEET], groups::leave),
    route!("GET" "connections", 0, [LIST, CONNECTION, ENDPOINTS], connections::list),
    route!("POST" "connections", 0, [CONNECTION, FLEET], connections::create),
    route!("DELETE" "connections", 0, [CONNECTION, FLEET], connections::delete),
    route!("GET" "volumes/performance", 0,
        [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY], usage::volumes_performance),
    route!("GET" "hosts/space", 0, [BY_OFFSET, NAMES], usage::hosts_space),
    route!("GET" "hosts/performance", 0, [BY_OFFSET, TOTAL, NAMES, HISTORY_LATER], usage::hosts_performance),
    route!("GET" "host-groups/space", 0, [BY_OFFSET, NAMES], usage::host_groups_space),
    route!("GET" "host-groups/performance", 0,
        [BY_OFFSET, TOTAL, NAMES, HISTORY_LATER], usage::host_groups_performance),
    route!("GET" "pods", 0, [LIST, TOTAL, DESTROYED, NAMES_IDS], pods::list),
    route!("POST" "pods", 0, [NAMES, &[("allow_throttle", 27)], FLEET], pods::create),
    route!("PATCH" "pods", 0,
        [NAMES_IDS, DESTROY_CONTENTS, PROMOTION, REALMS, MOVE_WITH, FLEET], pods::patch),
    route!("DELETE" "pods", 0, [NAMES_IDS, ERADICATE_CONTENTS, FLEET], pods::eradicate),
    route!("GET" "pods/arrays", 0, [BY_OFFSET, GROUP_MEMBERS], pods::arrays),
    route!("GET" "pods/space", 0, [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY], usage::pods_space),
    route!("GET" "pods/performance", 0,
        [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY, &[("protocol", 3), ("protocol_group", 3)]],
        usage::pods_performance),
    route!("GET" "volume-groups", 0, [LIST, TOTAL, DESTROYED, NAMES_IDS], volume_groups::list),
    route!("POST" "volume-groups", 0, [NAMES, FLEET], volume_groups::create),
    route!("PATCH" "volume-groups", 0, [NAMES_IDS, DESTROY_CONTENTS, FLEET], volume_groups::patch),
    route!("DELETE" "volume-groups", 0, [NAMES_IDS, ERADICATE_CONTENTS, FLEET], volume_groups::eradicate),
    route!("GET" "volume-groups/space", 0,
        [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY], usage::volume_groups_space),
    route!("GET" "volume-groups/performance", 0,
        [BY_OFFSET, TOTAL, DESTROYED, NAMES_IDS, HISTORY], usage::volume_groups_performance),
    route!("GET" "volume-groups/volumes", 0, [LIST, GROUP_MEMBERS], members::of_volume_groups),
    route!("GET" "volumes/volume-groups", 0, [LIST, GROUP_MEMBERS], members::of_volume_groups),
    route!("GET" "protection-groups", 0,
        [LIST, TOTAL, DESTROYED, NAMES, &[("ids", 3)]], members::protection_groups),
    route!("GET" "protection-groups/space", 0,
        [BY_OFFSET, DESTROYED, NAMES, &[("ids", 3), ("total_only", 3)]], usage::protection_groups_space),
    // No group here is another array's: there are no remote members to include.
    route!("GET" "protection-groups/volumes", 0,
        [LIST, PROTECTION_MEMBERS, &[("member_destroyed", 3), ("include_remote", 27)]],
        members::volumes),
    route!("GET" "volumes/protection-groups", 0,
        [LIST, PROTECTION_MEMBERS, &[("member_destroyed", 3)]], members::volumes),
    route!("GET" "protection-groups/hosts", 0, [LIST, PROTECTED], members::hosts),
    route!("GET" "hosts/protection-groups", 0, [LIST, PROTECTED], members::hosts),
    route!("GET" "protection-groups/host-groups", 0, [LIST, PROTECTED], members::host_groups),
    route!("GET" "host-groups/protection-groups", 0, [LIST, PROTECTED], members::host_groups),
    route!("GET" "protection-groups/targets", 0,
        [LIST, PROTECTED, &[("member_ids", 27)]], members::targets),
    route!("GET" "ports/initiators", 0, [BY_OFFSET, NAMES], initiators::list_initiators),
    route!("GET" "ports", 0, [BY_OFFSET, NAMES], array::ports),
    // In 2.26 and not in 2.2; the version in between is not known.
    route!("GET" "network-interfaces", 3, [LIST, NAMES], array::interfaces),
    route!("GET" "arrays", 0, [BY_OFFSET], array::arrays),
    route!("GET" "arrays/space", 0, [BY_OFFSET, HISTORY], array::space),
    route!("GET" "arrays/performance", 0,
        [PARTS, HISTORY, &[("protocol", 0), ("protocol_group", 0)]], array::performance),
    route!("GET" "controllers", 2, [PARTS, &[("continuation_token", 0)], NAMES], array::controllers),
    route!("GET" "hardware", 0, [PARTS, NAMES], array::hardware),
];

/// Finds the call and checks its parameters.
///
/// # Errors
/// 404 for a path that this version does not have, 405 for a method that the path does not have,
/// 400 for a parameter that the call does not have. All assumed.
pub(crate) fn find(method: &str, path: &str, request: &Request) -> Result<&'static Route, Refusal> {
    let version = request.version;
    let mut routes = ROUTES
        .iter()
        .filter(|route| route.path == path && RestVersion(route.since) <= version)
        .peekable();
    if routes.peek().is_none() {
        return Err(Refusal::with_status(
            404,
            format!("REST {version} has no endpoint {path}."),
            None,
        ));
    }
    let Some(route) = routes.find(|route| route.method == method) else {
        return Err(Refusal::with_status(
            405,
            format!("Method {method} is not allowed on {path}."),
            None,
        ));
    };
    let known = |name: &str| route.has_param(name, version);
    match request.params.names().find(|name| !known(name)) {
        None => Ok(route),
        Some(name) => Err(Refusal::new(
            format!("Query parameter {name} is not supported."),
            None,
        )),
    }
}
