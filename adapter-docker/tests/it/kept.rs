//! What the claims of names keep on an array beside volumes: fleet records and markers. It does not
//! judge tentative volumes and trash, which are volumes on their way.

use array_sim::{Array, Volume};

/// Whether the object is a fleet record.
pub(crate) fn is_fleet_record(object: &str) -> bool {
    object.starts_with("fl-fleet-")
}

/// Whether the object is a name's marker, of any namespace.
pub(crate) fn is_marker(object: &str) -> bool {
    object.contains("-fl-claim-")
}

/// The array's volumes, destroyed ones too, without what claims keep: both outlive the volumes.
pub(crate) fn volumes(array: &Array) -> Vec<Volume> {
    let mut volumes = array.volumes();
    volumes.retain(|volume| !is_fleet_record(&volume.name) && !is_marker(&volume.name));
    volumes
}
