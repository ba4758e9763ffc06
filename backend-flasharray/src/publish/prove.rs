//! F6: the read-back, the holder tag, and the grant; and what happens where others appeared.

use storage_core::{Access, AccessPath, Error, ErrorKind, Grant, Outcome, Result};
use uuid::Uuid;

use super::{Case, Round, fate, moved, not_built};
use crate::access::{Way, loop_path};
use crate::api::{WireConnection, WireVolumeKey};
use crate::error::Refusal;
use crate::fence_tag::fence_tag;
use crate::present::Present;
use crate::record::{Holder, Record, holder_tag};

impl Case<'_> {
    /// The read-back, and the grant.
    pub(super) async fn prove(&mut self) -> Result<Round> {
        crash_points::point!("fence.F6");
        let connections = self.connections("F6").await?;
        self.judge(&Present::of(&connections, self.host)).await
    }

    /// What a read after this host's POST means.
    pub(super) async fn judge(&mut self, present: &Present) -> Result<Round> {
        if !present.alone() {
            return self.lost_race(present).await;
        }
        if present.own.is_none() {
            let message = "the connection was removed as soon as it was made";
            return Err(Error::new(ErrorKind::Busy, message));
        }
        let lun = present.lun()?;
        let volume = &self.request.volume.id;
        let asked = &self.array.asked_numbers;
        if self.request.avoid_luns.contains(&lun) || asked.is_anothers(volume, self.host, lun) {
            // Left by a publish that did not know, and no grant was told for it.
            self.undo().await?;
            return Ok(Round::WrongLun);
        }
        let record = self.record().await?;
        let holder = Holder {
            nonce: Uuid::new_v4(),
            machine: self.request.host.object_name(),
            object: self.host.to_owned(),
        };
        let mut tags = vec![holder_tag(&holder)];
        tags.extend(self.attempt.taken.fence.as_ref().map(fence_tag));
        crash_points::point!("fence.holder");
        self.tell_grant("holder", holder.nonce, "asked");
        let id = self.request.volume.id.object();
        if let Err(failure) = self.api.put_tags(id, &tags).await {
            self.tell_grant("holder", holder.nonce, fate(&failure));
            return Err(failure.into());
        }
        self.tell_grant("holder", holder.nonce, "done");
        crash_points::point!("fence.granted");
        let access = self.access(lun, holder.nonce, record)?;
        self.tell_grant("granted", holder.nonce, "done");
        Ok(Round::Granted(Box::new(Outcome::Done(access))))
    }

    /// Another host appeared that was not there before the POST. It may hold a grant already, so
    /// its connection is not touched. The lower name tries again, and is refused then if the other
    /// one stayed.
    async fn lost_race(&mut self, present: &Present) -> Result<Round> {
        if present.own.is_some() {
            self.undo().await?;
        }
        let first = present.hosts.iter().all(|other| self.host < other.as_str());
        if first && present.groups.is_empty() {
            return Ok(Round::Raced);
        }
        Err(present.busy())
    }

    /// The connections of the volume under its name, if that name is still this volume's.
    ///
    /// # Errors
    /// `NotFound` when the name is nobody's or another volume's.
    pub(super) async fn connections(&self, step: &'static str) -> Result<Vec<WireConnection>> {
        let volume = &self.request.volume;
        let key = WireVolumeKey::Name(volume.object.clone());
        let connections = match self.api.connections(&key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {
                return Err(moved());
            }
            Err(failure) => {
                self.tell(step, "", "silent");
                return Err(failure.into());
            }
        };
        self.tell_read(step, &connections);
        let other = connections
            .iter()
            .filter_map(|connection| connection.volume.id.as_deref())
            .any(|id| id != volume.id.object());
        if other { Err(moved()) } else { Ok(connections) }
    }

    pub(super) async fn record(&self) -> Result<Record> {
        match self.api.tags_of(&[self.request.volume.id.object()]).await {
            Ok(tags) => Record::read(&tags),
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => Err(moved()),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) fn is_mine(&self, holder: &Holder) -> bool {
        holder.machine == self.request.host.object_name()
            && holder.object.eq_ignore_ascii_case(self.host)
    }

    pub(super) fn access(&self, lun: u16, nonce: Uuid, record: Record) -> Result<Access> {
        let volume = &self.request.volume;
        let path = match &self.array.way {
            Way::Loop { folder } => loop_path(folder, self.host, lun),
            Way::Iscsi { .. } => AccessPath::Iscsi {
                targets: self.targets.to_vec(),
                lun,
            },
            Way::NotBuilt(protocol) => return Err(not_built(*protocol)),
        };
        let identity = volume.identity.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "the volume was read without its serial",
            )
        })?;
        Ok(Access {
            volume: volume.id.clone(),
            path,
            identity,
            size: volume.size,
            grant: Grant {
                nonce,
                host: self.request.host.object_name(),
            },
            format_grant: record.format_grant,
        })
    }
}
