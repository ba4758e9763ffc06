//! C0: everything on the array that bears on one name, from one GET.
//!
//! The filter finds the objects that may be the volume (destroyed ones too), its undestroyed trash,
//! the name's marker, what waits for the name, and fleet records. Names are compared byte for byte
//! here. Tags are asked for only where an object may be the volume: a marker's nonce is its size, a
//! tentative's and a fleet record's epoch stand in their names.

use std::time::SystemTime;

use storage_core::{
    ClaimNonce, Epoch, FleetRecord, NameView, Namespace, Result, Size, Tentative, TentativeKind,
    Volume, VolumeName, import_prefix, marker_name, tentative_prefix,
};

use super::mark::marker_at;
use crate::api::{Api, WireVolume};
use crate::backend::FlashArray;
use crate::lookup::one_of;
use crate::name::{may_bear, view_filter};

/// What one read showed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What is, or keeps, the name's volume, and the attempt that named it.
    pub(super) volumes: Vec<(Volume, Option<ClaimNonce>)>,
    /// The volumes that wait for the name, not destroyed.
    pub(super) waiting: Vec<(Tentative, WireVolume)>,
    /// The name's live marker.
    marker: Option<WireVolume>,
    /// The array's time.
    now: Option<SystemTime>,
    /// The highest epoch of a fleet record. A destroyed one counts: it was in force once, and
    /// reading it says what is wrong.
    epoch: Option<Epoch>,
}

impl FlashArray {
    pub(super) async fn view_name(&self, name: &VolumeName) -> Result<NameView> {
        let api = self.api().await?;
        let seen = self.see(&api, name).await?;
        let marker = seen.marker.as_ref().map(|wire| marker_at(wire, seen.now));
        let volumes = seen.volumes.into_iter().map(|(volume, _)| volume);
        Ok(NameView {
            volume: one_of(volumes.collect())?,
            marker: marker.transpose()?,
            tentatives: seen.waiting.into_iter().map(|(one, _)| one).collect(),
            epoch: seen.epoch,
        })
    }

    pub(super) async fn see(&self, api: &Api, name: &VolumeName) -> Result<Seen> {
        let namespace = &self.namespace;
        let concerned = |wire: &WireVolume| may_bear(namespace, name, wire);
        let filter = view_filter(namespace, name);
        let found = self.with_records(api, filter, concerned).await?;
        let mut seen = Seen {
            volumes: self.bearing(api, name, found.concerned)?,
            now: found.now,
            ..Seen::default()
        };
        let marker = marker_name(namespace, name);
        for wire in found.others {
            seen.epoch = seen.epoch.max(FleetRecord::epoch_of(&wire.name));
            if wire.destroyed {
                continue;
            }
            if let Some(tentative) = waiting(namespace, name, &wire) {
                seen.waiting.push((tentative, wire));
            } else if wire.name == marker {
                seen.marker = Some(wire);
            }
        }
        Ok(seen)
    }
}

/// What the object's name says of an attempt at the volume's name.
fn waiting(namespace: &Namespace, name: &VolumeName, wire: &WireVolume) -> Option<Tentative> {
    let (kind, nonce) = [
        (
            TentativeKind::of_new(Size::from_bytes(wire.provisioned)),
            tentative_prefix(namespace, name),
        ),
        (TentativeKind::Imported, import_prefix(namespace, name)),
    ]
    .into_iter()
    .find_map(|(kind, prefix)| {
        let nonce = wire.name.strip_prefix(&prefix)?;
        Some((kind, nonce.parse().ok()?))
    })?;
    Some(Tentative {
        object: wire.id.clone(),
        object_name: wire.name.clone(),
        nonce,
        kind,
    })
}
