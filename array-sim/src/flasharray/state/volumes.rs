//! Volumes: create, copy, overwrite, resize, rename, move. Their end is in `lifecycle`.

use uuid::Uuid;

use super::change::{Change, DataStep, Plan};
use super::containers::Move;
use super::model::{Destroyed, Origin, Qos, Tag, Volume};
use super::names::check_distinct;
use super::refusal::{Kind, Refusal};
use super::rules::{MAX_VOLUME_SIZE, MIN_VOLUME_SIZE, Rules, SECTOR, SpaceLeft};
use super::tags::{TagInput, checked_tags, put_tags};
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
    /// Sequence numbers of the protection groups that the new volumes are put into.
    pub(crate) protect: Vec<u64>,
    pub(crate) tags: Vec<TagInput>,
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
    /// To another pod or volume group, or out of it.
    pub(crate) container: Option<Move>,
    /// Sequence numbers of protection groups: to join, and to leave.
    pub(crate) protection: (Vec<u64>, Vec<u64>),
}

impl VolumePatch {
    const fn changes_anything_but_destroyed(&self) -> bool {
        self.provisioned.is_some()
            || self.bandwidth_limit.is_some()
            || self.iops_limit.is_some()
            || self.demoted.is_some()
            || self.priority_adjustment.is_some()
            || self.container.is_some()
            || !self.protection.0.is_empty()
            || !self.protection.1.is_empty()
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
        let mut names = Vec::new();
        let mut refusals = Vec::new();
        for name in &new.names {
            match self.check_new_volume(rules, name, new.overwrite) {
                Ok(name) => names.push(name),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let tags = checked_tags(rules, &new.tags)?;
        let mut plan = Plan::new(self);
        for name in &names {
            match (self.volumes.by_name(name), &source) {
                (Some(target), Some(source)) => overwrite(&mut plan, target, source),
                _ => create(
                    &mut plan,
                    (rules, new),
                    &tags,
                    (name, size, source.as_ref()),
                ),
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
        let created = plan.touched.clone();
        self.protect(&mut plan, &created, (&new.protect, &[]))?;
        Ok(plan)
    }

    /// The name under which the volume is kept.
    fn check_new_volume(
        &self,
        rules: &Rules,
        name: &str,
        overwrite: bool,
    ) -> Result<String, Refusal> {
        let kept = self.volume_name(name)?;
        match self.volumes.by_name(name) {
            None => match rules.space {
                SpaceLeft::Enough => Ok(kept),
                SpaceLeft::VolumeLimit => Err(Refusal::limit("Volume")),
                SpaceLeft::Full => Err(Refusal::new("Array is out of space.", Some(name))),
            },
            Some(target) if !overwrite => Err(Refusal::exists(Kind::Volume, &target.name)),
            Some(target) if target.destroyed.is_some() => {
                Err(Refusal::volume_destroyed(&target.name))
            }
            Some(_) => Ok(kept),
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
            tags: copyable(&snapshot.tags),
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
        if renames && (volumes.len() > 1 || patch.container.is_some()) {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for sequence in volumes {
            let Some(volume) = self.volumes.get(*sequence) else {
                continue;
            };
            let planned = match patch.destroyed {
                Some(true) => {
                    self.destroy_volume_as(&mut plan, rules, volume, &Destroyed::now(rules))
                }
                Some(false) => self.recover_volume(&mut plan, volume),
                None => self.change_volume(&mut plan, rules, volume, patch),
            };
            refusals.extend(planned.err());
            plan.touched.push(*sequence);
        }
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let (add, remove) = &patch.protection;
        self.protect(&mut plan, volumes, (add, remove))?;
        Ok(plan)
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
        let name = match (&patch.name, &patch.container) {
            (Some(name), _) => Some(self.renamed_volume(&volume.name, name)?),
            (None, Some(target)) => Some(self.moved_volume(&volume.name, target)?),
            (None, None) => None,
        };
        if let Some(name) = name {
            let own_name_too = rules.refuse_rename_to_own_name && name == volume.name;
            if let Some(other) = self.volumes.by_name(&name)
                && (other.sequence != volume.sequence || own_name_too)
            {
                return Err(Refusal::exists(Kind::Volume, &other.name));
            }
            changed.name = name;
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

fn create(
    plan: &mut Plan,
    (rules, new): (&Rules, &NewVolumes),
    tags: &[Tag],
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
    let mut all_tags = source.map(|source| source.tags.clone()).unwrap_or_default();
    put_tags(&mut all_tags, tags);
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
        tags: all_tags,
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
