//! Records as REST shows them, property by property as in the vendor's REST document (2.2 and
//! 2.26; what differs between versions is marked where it does).

mod connections;
mod hosts;
mod snapshots;
mod space;
mod tags;
mod volumes;

pub(crate) use connections::ConnectionRow;
pub(crate) use hosts::{GroupRow, HostRow, MemberRow};
pub(crate) use snapshots::SnapshotRow;
pub(crate) use space::{ARRAY_SPACE, Usage, space};
pub(crate) use tags::TagRow;
pub(crate) use volumes::{VolumeRow, VolumeSpaceRow};

use serde_json::{Value, json};

/// The place of a row in its listing, so that text order is number order.
pub(crate) fn place(sequence: u64, rest: &str) -> String {
    format!("{sequence:020}/{rest}")
}

/// A reference by name; `{}` where there is nothing to refer to (assumed).
pub(crate) fn named(name: Option<&str>) -> Value {
    name.map_or_else(|| json!({}), |name| json!({ "name": name }))
}
