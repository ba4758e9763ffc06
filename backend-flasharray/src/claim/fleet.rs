//! The fleet record on this array: complete or absent, one for each epoch.
//!
//! 1. GET `fl-fleet-<epoch>`: it is there, so that is the record.
//! 2. POST `fl-fleet-new-<epoch>-<nonce>`, PUT its tags ([`crate::fleet_tags`]).
//! 3. PATCH the name to `fl-fleet-<epoch>`: the array refuses a second one of the epoch.
//!
//! Whoever writes the same record does the same steps under the same names, so they may do it
//! together. What is executed late or twice finds its name taken, or makes an object that says by its
//! name what it is. A record ends as a marker does: aside by id, then destroyed.

use storage_core::{Epoch, Error, ErrorKind, FleetRecord, Outcome, Result};
use uuid::Uuid;

use super::commit::lost_volume;
use crate::api::{Api, NewVolume, WireVolume};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::fleet_tags;
use crate::name::quoted;

/// How often it begins again with what it finds, because others are at it.
const ROUNDS: usize = 4;

/// The smallest volume there is.
const BYTES: u64 = 1 << 20;

/// What the names of records begin with that were taken away and not destroyed yet.
const GONE: &str = "fl-fleet-gone-";

/// A record and the object that holds it.
struct Held {
    record: FleetRecord,
    wire: WireVolume,
}

fn tentative_of(record: &FleetRecord) -> String {
    let prefix = FleetRecord::OBJECT_PREFIX;
    format!("{prefix}new-{}-{:08x}", record.epoch, record.nonce)
}

impl FlashArray {
    pub(super) async fn read_fleet_record(&self) -> Result<Option<FleetRecord>> {
        let api = self.api().await?;
        for _round in 0..ROUNDS {
            let pattern = format!("{}*", FleetRecord::OBJECT_PREFIX);
            let found = api
                .find_volumes(format!("name={}", quoted(&pattern)))
                .await?;
            let epoch = |wire: &WireVolume| FleetRecord::epoch_of(&wire.name);
            let latest = found.into_iter().filter(|wire| epoch(wire).is_some());
            let Some(latest) = latest.max_by_key(epoch) else {
                return Ok(None);
            };
            if let Some(held) = self.held(&api, latest).await? {
                return Ok(Some(held.record));
            }
        }
        Err(comes_and_goes())
    }

    pub(super) async fn write_fleet_record(&self, record: &FleetRecord) -> Result<FleetRecord> {
        let tags = fleet_tags::write(record)?;
        let api = self.api().await?;
        let object = tentative_of(record);
        let mut last = None;
        for _round in 0..ROUNDS {
            if let Some(held) = self.of_epoch(&api, record.epoch).await? {
                if held.record.nonce != record.nonce {
                    self.drop_tentative(&api, &object).await;
                }
                return Ok(held.record);
            }
            crash_points::point!("fleet.volume");
            let new = NewVolume::blank(BYTES, storage_core::Limits::default());
            match api.make_volume(&object, &new).await {
                Ok(_) => {}
                // By an earlier try, or by another node that writes the same record.
                Err(failure) if failure.is(&[Refusal::NameTaken]) => {}
                Err(failure) => return Err(failure.into()),
            }
            crash_points::point!("fleet.tags");
            match api.put_tags_by_name(&object, &tags).await {
                Ok(()) => {}
                // Named by another node meanwhile, or swept.
                Err(failure) if failure.is(&[Refusal::VolumeMissing]) => continue,
                Err(failure) if failure.is(&[Refusal::Destroyed]) => {
                    self.revive(&api, &object).await?;
                    continue;
                }
                Err(failure) => return Err(failure.into()),
            }
            crash_points::point!("fleet.rename");
            match api
                .rename_volume(&object, &FleetRecord::object_name(record.epoch))
                .await
            {
                Ok(_) => return Ok(record.clone()),
                // The next round reads who has it, and whether it was this very call.
                Err(failure) => last = Some(Error::from(failure)),
            }
        }
        Err(last.unwrap_or_else(lost_volume))
    }

    pub(super) async fn remove_fleet_record(&self, record: &FleetRecord) -> Result<Outcome<()>> {
        let api = self.api().await?;
        self.drop_tentative(&api, &tentative_of(record)).await;
        let mut last = None;
        for _round in 0..ROUNDS {
            let held = self.of_epoch(&api, record.epoch).await?;
            let Some(held) = held.filter(|held| held.record.nonce == record.nonce) else {
                return Ok(match last {
                    Some(_) => Outcome::Done(()),
                    None => Outcome::AlreadySo(()),
                });
            };
            let nonce = Uuid::new_v4().simple();
            let aside = format!("{GONE}{nonce}");
            crash_points::point!("fleet.drop.rename");
            match api.rename_volume_once(&held.wire.id, &aside).await {
                Ok(_) => return self.destroy_aside(&api, &aside).await,
                Err(failure) if failure.may_have_executed() => {
                    let now = self.wire_of(&api, &held.wire.id).await?;
                    if let Some(now) = now.filter(|now| now.name.starts_with(GONE)) {
                        return self.destroy_aside(&api, &now.name).await;
                    }
                    last = Some(failure.into());
                }
                Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(last.unwrap_or_else(comes_and_goes))
    }

    async fn destroy_aside(&self, api: &Api, aside: &str) -> Result<Outcome<()>> {
        crash_points::point!("fleet.drop.destroy");
        match api.destroy_volume(aside).await {
            Ok(()) => Ok(Outcome::Done(())),
            // By an earlier try of this very call, or swept by others.
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                Ok(Outcome::Done(()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn of_epoch(&self, api: &Api, epoch: Epoch) -> Result<Option<Held>> {
        let object = FleetRecord::object_name(epoch);
        let found = api
            .find_volumes(format!("name={}", quoted(&object)))
            .await?;
        match found.into_iter().find(|wire| wire.name == object) {
            Some(wire) => self.held(api, wire).await,
            None => Ok(None),
        }
    }

    /// The record that an object holds; `None` when it vanished meanwhile.
    async fn held(&self, api: &Api, wire: WireVolume) -> Result<Option<Held>> {
        if wire.destroyed {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                format!(
                    "the fleet record {} was destroyed; recover it on the array",
                    wire.name
                ),
            ));
        }
        let tags = match api.tags_of(&[&wire.id]).await {
            Ok(tags) => tags,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let record = fleet_tags::read(&tags)
            .and_then(|record| {
                let same = FleetRecord::object_name(record.epoch) == wire.name;
                if same {
                    Ok(record)
                } else {
                    Err(fleet_tags::broken())
                }
            })
            .map_err(|error| error.with_context("object", &wire.name))?;
        Ok(Some(Held { record, wire }))
    }

    /// A tentative record that lost its epoch, or is not wanted any more.
    async fn drop_tentative(&self, api: &Api, object: &str) {
        crash_points::point!("fleet.discard");
        match api.destroy_volume(object).await {
            Ok(()) => {}
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {}
            Err(failure) => {
                let error = Error::from(failure);
                tracing::warn!(object, error = %error.chain(), "a fleet record that lost is left behind");
            }
        }
    }

    /// The same record was given up once, and is wanted again: its tentative name is kept by what
    /// was destroyed.
    async fn revive(&self, api: &Api, object: &str) -> Result<()> {
        match api.recover_volume(object).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is(&[Refusal::NotDestroyed, Refusal::VolumeMissing]) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn comes_and_goes() -> Error {
    Error::new(ErrorKind::Busy, "the fleet record changes while it is read")
}
