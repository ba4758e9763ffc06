//! Records as REST shows them, property by property as in the vendor's REST document (2.2 and
//! 2.26; what differs between versions is marked where it does).

mod connections;
mod containers;
mod hosts;
mod performance;
mod protection;
mod snapshots;
mod space;
mod tags;
mod volumes;

pub(crate) use connections::ConnectionRow;
pub(crate) use containers::{CONTAINER, pod, volume_group};
pub(crate) use hosts::{GroupRow, HostRow, MemberRow};
pub(crate) use performance::{PERFORMANCE, array_performance, performance};
pub(crate) use protection::{PROTECTION_GROUP, protection_group};
pub(crate) use snapshots::SnapshotRow;
pub(crate) use space::{ARRAY_SPACE, Usage, space};
pub(crate) use tags::TagRow;
pub(crate) use volumes::{VolumeRow, VolumeSpaceRow, context};

use serde_json::{Value, json};

/// The place of a row in its listing, so that text order is number order.
pub(crate) fn place(sequence: u64, rest: &str) -> String {
    format!("{sequence:020}/{rest}")
}

/// A reference by name; `{}` where there is nothing to refer to (assumed).
pub(crate) fn named(name: Option<&str>) -> Value {
    name.map_or_else(|| json!({}), |name| json!({ "name": name }))
}

/// A reference by id and name; `{}` where there is nothing to refer to (assumed).
pub(crate) fn reference(to: Option<(&String, &String)>) -> Value {
    to.map_or_else(|| json!({}), |(id, name)| json!({ "id": id, "name": name }))
}
