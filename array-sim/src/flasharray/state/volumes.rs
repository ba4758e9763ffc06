//! Volumes: create, copy, overwrite, resize, rename, destroy, recover, eradicate.

use uuid::Uuid;

use super::change::{Change, DataStep, Plan};
use super::model::{Destroyed, Origin, Qos, Tag, Volume};
use super::names::{check_distinct, check_volume_name};
use super::refusal::{Kind, Refusal};
use super::rules::{MAX_VOLUME_SIZE, MIN_VOLUME_SIZE, OnDestroy, Rules, SECTOR, SpaceLeft};
use super::{ConnectionTarget, State};

/// What to copy: a volume or a snapshot, by name or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceReference {
    Name(String),
    Id(String),
}

/// POST `/volumes`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewVolumes {
    pub(crate) names: Vec<String>,
    pub(crate) provisioned: Option<u64>,
    pub(crate) source: Option<SourceReference>,
    pub(crate) overwrite: bool,
    pub(crate) qos: Qos,
    pub(crate) subtype: Option<String>,
    pub(crate) priority_adjustment: Option<(String, i64)>,
}

/// PATCH `/volumes`. `None` leaves a property as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct VolumePatch {
    pub(crate) name: Option<String>,
    pub(crate) destroyed: Option<bool>,
    pub(crate) provisioned: Option<u64>,
    pub(crate) truncate: bool,
    /// `Some(None)` removes the limit.
    pub(crate) bandwidth_limit: Option<Option<u64>>,
    pub(crate) iops_limit: Option<Option<u64>>,
    pub(crate) demoted: Option<bool>,
    pub(crate) priority_adjustment: Option<(String, i64)>,
}

impl VolumePatch {
    const fn changes_anything_but_destroyed(&self) -> bool {
        self.provisioned.is_some()
            || self.bandwidth_limit.is_some()
            || self.iops_limit.is_some()
            || self.demoted.is_some()
            || self.priority_adjustment.is_some()
    }
}

/// The bytes and properties that a copy takes over.
struct Source {
    serial: String,
    provisioned: u64,
    origin: Origin,
    tags: Vec<Tag>,
}

impl State {
    pub(crate) fn plan_create_volumes(
        &self,
        rules: &Rules,
        new: &NewVolumes,
    ) -> Result<Plan, Refusal> {
        check_distinct(&new.names)?;
        let source = match &new.source {
            Some(reference) => Some(self.find_source(reference)?),
            None if new.overwrite => return Err(Refusal::required("source")),
            None => None,
        };
        let size = match &source {
            Some(source) => source.provisioned,
            None => check_size(new.provisioned.unwrap_or(MIN_VOLUME_SIZE))?,
        };
        let refusals = new
            .names
            .iter()
            .filter_map(|name| self.check_new_volume(rules, name, new.overwrite).err())
            .collect();
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let mut plan = Plan::new(self);
        for name in &new.names {
            match (self.volumes.by_name(name), &source) {
                (Some(target), Some(source)) => overwrite(&mut plan, target, source),
                _ => create(&mut plan, rules, new, (name, size, source.as_ref())),
            }
        }
        let created = plan
            .data
            .iter()
            .filter(|step| !matches!(step, DataStep::Replace { .. }))
            .count();
        if self.volumes.len() + created > rules.limits.volumes {
            return Err(Refusal::limit("Volume"));
        }
        Ok(plan)
    }

    fn check_new_volume(&self, rules: &Rules, name: &str, overwrite: bool) -> Result<(), Refusal> {
        check_volume_name(name)?;
        match self.volumes.by_name(name) {
            None => match rules.space {
                SpaceLeft::Enough => Ok(()),
                SpaceLeft::VolumeLimit => Err(Refusal::limit("Volume")),
                SpaceLeft::Full => Err(Refusal::new("Array is out of space.", Some(name))),
            },
            Some(target) if !overwrite => Err(Refusal::exists(Kind::Volume, &target.name)),
            Some(target) if target.destroyed.is_some() => {
                Err(Refusal::volume_destroyed(&target.name))
            }
            Some(_) => Ok(()),
        }
    }

    /// A volume or snapshot to copy. Destroyed ones cannot be copied; that text is assumed.
    fn find_source(&self, reference: &SourceReference) -> Result<Source, Refusal> {
        let (volume, snapshot, asked) = match reference {
            SourceReference::Name(name) => (
                self.volumes.by_name(name),
                self.snapshot_by_name(name),
                name,
            ),
            SourceReference::Id(id) => (self.volumes.by_id(id), self.snapshots.by_id(id), id),
        };
        if let Some(volume) = volume {
            if volume.destroyed.is_some() {
                return Err(Refusal::volume_destroyed(&volume.name));
            }
            return Ok(Source {
                serial: volume.serial.clone(),
                provisioned: volume.provisioned,
                origin: origin_of(volume),
                tags: copyable(&volume.tags),
            });
        }
        let missing = || Refusal::missing(Kind::Snapshot, asked);
        let snapshot = snapshot.ok_or_else(missing)?;
        if snapshot.destroyed.is_some() {
            return Err(missing());
        }
        let volume = self.volumes.get(snapshot.volume).ok_or_else(missing)?;
        Ok(Source {
            serial: snapshot.serial.clone(),
            provisioned: snapshot.provisioned,
            origin: origin_of(volume),
            tags: snapshot.tags.clone(),
        })
    }

    pub(crate) fn plan_patch_volumes(
        &self,
        rules: &Rules,
        volumes: &[u64],
        patch: &VolumePatch,
    ) -> Result<Plan, Refusal> {
        let renames = patch.name.is_some();
        if patch.destroyed.is_some() && (renames || patch.changes_anything_but_destroyed()) {
            return Err(Refusal::combination());
        }
        if renames && volumes.len() > 1 {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for sequence in volumes {
            let Some(volume) = self.volumes.get(*sequence) else {
                continue;
            };
            let planned = match patch.destroyed {
                Some(true) => self.destroy_volume(&mut plan, rules, volume),
                Some(false) => self.recover_volume(&mut plan, volume),
                None => self.change_volume(&mut plan, rules, volume, patch),
            };
            refusals.extend(planned.err());
            plan.touched.push(*sequence);
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    fn change_volume(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        volume: &Volume,
        patch: &VolumePatch,
    ) -> Result<(), Refusal> {
        if volume.destroyed.is_some() {
            return Err(Refusal::volume_destroyed(&volume.name));
        }
        let mut changed = volume.clone();
        if let Some(name) = &patch.name {
            check_volume_name(name)?;
            let own_name_too = rules.refuse_rename_to_own_name && *name == volume.name;
            if let Some(other) = self.volumes.by_name(name)
                && (other.sequence != volume.sequence || own_name_too)
            {
                return Err(Refusal::exists(Kind::Volume, &other.name));
            }
            changed.name.clone_from(name);
        }
        if let Some(size) = patch.provisioned {
            let size = check_size(size)?;
            if size < volume.provisioned {
                if !patch.truncate {
                    return Err(Refusal::new(
                        "Implicit truncation not permitted.",
                        Some(&volume.name),
                    ));
                }
                plan.data.push(DataStep::Truncate {
                    serial: volume.serial.clone(),
                    size,
                });
            }
            changed.provisioned = size;
        }
        if let Some(limit) = patch.bandwidth_limit {
            changed.qos.bandwidth_limit = limit;
        }
        if let Some(limit) = patch.iops_limit {
            changed.qos.iops_limit = limit;
        }
        if let Some(demoted) = patch.demoted {
            changed.demoted = demoted;
        }
        if let Some(adjustment) = &patch.priority_adjustment {
            changed.priority_adjustment.clone_from(adjustment);
        }
        plan.changes.push(Change::Volume(changed));
        Ok(())
    }

    fn destroy_volume(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        volume: &Volume,
    ) -> Result<(), Refusal> {
        if volume.destroyed.is_some() {
            return Err(Refusal::new("Volume has been deleted.", Some(&volume.name)));
        }
        let connections: Vec<u64> = self
            .connections_of_volume(volume.sequence)
            .map(|connection| connection.sequence)
            .collect();
        match rules.on_destroy {
            OnDestroy::Refuse if !connections.is_empty() => {
                return Err(Refusal::new(
                    "Volume cannot be destroyed due to existing connections.",
                    Some(&volume.name),
                ));
            }
            OnDestroy::Disconnect => plan
                .changes
                .extend(connections.into_iter().map(Change::ConnectionGone)),
            OnDestroy::Refuse | OnDestroy::Keep => {}
        }
        let destroyed = Destroyed {
            at_ms: rules.now_ms,
            eradicate_at_ms: rules.now_ms.saturating_add(rules.eradication_delay_ms),
            with_volume: false,
        };
        for snapshot in self.snapshots_of(volume.sequence) {
            if snapshot.destroyed.is_none() {
                let mut snapshot = snapshot.clone();
                snapshot.destroyed = Some(Destroyed {
                    with_volume: true,
                    ..destroyed.clone()
                });
                plan.changes.push(Change::Snapshot(snapshot));
            }
        }
        let mut changed = volume.clone();
        changed.destroyed = Some(destroyed);
        plan.changes.push(Change::Volume(changed));
        Ok(())
    }

    fn recover_volume(&self, plan: &mut Plan, volume: &Volume) -> Result<(), Refusal> {
        if volume.destroyed.is_none() {
            return Err(not_destroyed(Kind::Volume, &volume.name));
        }
        for snapshot in self.snapshots_of(volume.sequence) {
            if snapshot
                .destroyed
                .as_ref()
                .is_some_and(|destroyed| destroyed.with_volume)
            {
                let mut snapshot = snapshot.clone();
                snapshot.destroyed = None;
                plan.changes.push(Change::Snapshot(snapshot));
            }
        }
        let mut changed = volume.clone();
        changed.destroyed = None;
        plan.changes.push(Change::Volume(changed));
        Ok(())
    }

    pub(crate) fn plan_eradicate_volumes(
        &self,
        rules: &Rules,
        volumes: &[u64],
    ) -> Result<Plan, Refusal> {
        if rules.eradication_disabled {
            return Err(Refusal::new("Eradication is disabled.", None));
        }
        let refusals = volumes
            .iter()
            .filter_map(|sequence| self.volumes.get(*sequence))
            .filter(|volume| volume.destroyed.is_none())
            .map(|volume| not_destroyed(Kind::Volume, &volume.name))
            .collect();
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let mut plan = Plan::new(self);
        for sequence in volumes {
            self.eradicate_volume(&mut plan, *sequence);
        }
        Ok(plan)
    }

    /// Drops a volume with its snapshots and connections.
    pub(super) fn eradicate_volume(&self, plan: &mut Plan, sequence: u64) {
        let Some(volume) = self.volumes.get(sequence) else {
            return;
        };
        for snapshot in self.snapshots_of(sequence) {
            self.eradicate_snapshot(plan, snapshot.sequence);
        }
        for connection in self.connections_of_volume(sequence) {
            plan.changes
                .push(Change::ConnectionGone(connection.sequence));
        }
        plan.changes.push(Change::VolumeGone(sequence));
        plan.data.push(DataStep::Remove(volume.serial.clone()));
    }

    /// Whether the volume has a connection of its own to this target.
    pub(crate) fn connection_between(
        &self,
        volume: u64,
        target: ConnectionTarget,
    ) -> Option<&super::Connection> {
        self.connections_of_volume(volume)
            .find(|connection| connection.target == target)
    }
}

pub(super) fn not_destroyed(kind: Kind, name: &str) -> Refusal {
    Refusal::new(
        format!("{} has not been destroyed.", kind.title()),
        Some(name),
    )
}

fn create(
    plan: &mut Plan,
    rules: &Rules,
    new: &NewVolumes,
    (name, size, source): (&str, u64, Option<&Source>),
) {
    let sequence = plan.sequence();
    let serial = plan.serial(rules);
    plan.data.push(match source {
        Some(source) => DataStep::Copy {
            from: source.serial.clone(),
            to: serial.clone(),
        },
        None => DataStep::Create(serial.clone()),
    });
    plan.changes.push(Change::Volume(Volume {
        sequence,
        id: Uuid::new_v4().to_string(),
        name: name.to_owned(),
        serial,
        provisioned: size,
        created_ms: rules.now_ms,
        destroyed: None,
        source: source.map(|source| source.origin.clone()),
        qos: new.qos,
        tags: source.map(|source| source.tags.clone()).unwrap_or_default(),
        subtype: new.subtype.clone().unwrap_or_else(|| "regular".to_owned()),
        demoted: false,
        priority_adjustment: new
            .priority_adjustment
            .clone()
            .unwrap_or_else(|| ("+".to_owned(), 0)),
        next_suffix: 1,
    }));
    plan.touched.push(sequence);
}

/// Serial, id, name, tags and connections stay; bytes, size and origin are the source's.
fn overwrite(plan: &mut Plan, target: &Volume, source: &Source) {
    plan.data.push(DataStep::Replace {
        from: source.serial.clone(),
        to: target.serial.clone(),
    });
    let mut changed = target.clone();
    changed.provisioned = source.provisioned;
    if source.origin.id != target.id {
        changed.source = Some(source.origin.clone());
    }
    plan.touched.push(changed.sequence);
    plan.changes.push(Change::Volume(changed));
}

fn origin_of(volume: &Volume) -> Origin {
    Origin {
        id: volume.id.clone(),
        name: volume.name.clone(),
    }
}

pub(super) fn copyable(tags: &[Tag]) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.copyable).cloned().collect()
}

/// A multiple of 512, at most 4 PiB; less than 1 MiB is raised to it. The texts are assumed.
fn check_size(size: u64) -> Result<u64, Refusal> {
    if !size.is_multiple_of(SECTOR) {
        return Err(Refusal::new(
            "Volume size must be a multiple of 512 bytes.",
            None,
        ));
    }
    if size > MAX_VOLUME_SIZE {
        return Err(Refusal::new("Volume size must not exceed 4PB.", None));
    }
    if size == 0 {
        return Err(Refusal::new("Volume size must not be zero.", None));
    }
    Ok(size.max(MIN_VOLUME_SIZE))
}
