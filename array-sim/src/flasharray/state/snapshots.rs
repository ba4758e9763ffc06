//! Snapshots of volumes: take, rename, destroy, recover, eradicate. Copying one is in `volumes`.

use uuid::Uuid;

use super::State;
use super::change::{Change, DataStep, Plan};
use super::lifecycle::not_destroyed;
use super::model::{Destroyed, Snapshot, Volume};
use super::names::check_suffix;
use super::refusal::{Kind, Refusal};
use super::rules::{Rules, SpaceLeft};
use super::volumes::copyable;

/// POST `/volume-snapshots`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewSnapshots {
    /// Sequence numbers of the volumes.
    pub(crate) sources: Vec<u64>,
    pub(crate) suffix: Option<String>,
}

/// PATCH `/volume-snapshots`.
#[derive(Debug, Clone, Default)]
pub(crate) struct SnapshotPatch {
    /// The new suffix.
    pub(crate) name: Option<String>,
    pub(crate) destroyed: Option<bool>,
}

impl State {
    /// `VOLUME.SUFFIX`, ignoring case.
    pub(crate) fn snapshot_by_name(&self, name: &str) -> Option<&Snapshot> {
        let (volume, suffix) = name.split_once('.')?;
        let volume = self.volumes.by_name(volume)?;
        self.snapshots
            .by_name(&Snapshot::key(volume.sequence, suffix))
    }

    /// The name of a snapshot, which follows its volume's.
    pub(crate) fn snapshot_name(&self, snapshot: &Snapshot) -> String {
        let volume = self
            .volumes
            .get(snapshot.volume)
            .map_or("", |volume| volume.name.as_str());
        format!("{volume}.{}", snapshot.suffix)
    }

    pub(crate) fn plan_snapshots(
        &self,
        rules: &Rules,
        new: &NewSnapshots,
    ) -> Result<Plan, Refusal> {
        if let Some(suffix) = &new.suffix {
            check_suffix(suffix)?;
        }
        if self.snapshots.len() + new.sources.len() > rules.limits.snapshots {
            return Err(Refusal::limit("Volume snapshot"));
        }
        if rules.space == SpaceLeft::Full {
            return Err(Refusal::new("Array is out of space.", None));
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for volume in new
            .sources
            .iter()
            .filter_map(|source| self.volumes.get(*source))
        {
            let taken = self.take_snapshot(&mut plan, rules, (volume, new.suffix.as_deref()));
            refusals.extend(taken.err());
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    fn take_snapshot(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        (volume, suffix): (&Volume, Option<&str>),
    ) -> Result<(), Refusal> {
        if volume.destroyed.is_some() {
            return Err(Refusal::volume_destroyed(&volume.name));
        }
        let suffix = match suffix {
            Some(suffix) => suffix.to_owned(),
            None => {
                let number = self.free_number(volume);
                let mut volume = volume.clone();
                volume.next_suffix = number + 1;
                plan.changes.push(Change::Volume(volume));
                number.to_string()
            }
        };
        self.check_suffix_free(volume, &suffix)?;
        let sequence = plan.sequence();
        let serial = plan.serial(rules);
        plan.data.push(DataStep::Copy {
            from: volume.serial.clone(),
            to: serial.clone(),
        });
        plan.changes.push(Change::Snapshot(Snapshot {
            sequence,
            id: Uuid::new_v4().to_string(),
            volume: volume.sequence,
            suffix,
            serial,
            provisioned: volume.provisioned,
            created_ms: rules.now_ms,
            destroyed: None,
            tags: copyable(&volume.tags),
        }));
        plan.touched.push(sequence);
        Ok(())
    }

    /// The next number that is not somebody's explicit suffix.
    fn free_number(&self, volume: &Volume) -> u64 {
        let mut number = volume.next_suffix;
        while self
            .snapshots
            .by_name(&Snapshot::key(volume.sequence, &number.to_string()))
            .is_some()
        {
            number += 1;
        }
        number
    }

    fn check_suffix_free(&self, volume: &Volume, suffix: &str) -> Result<(), Refusal> {
        match self
            .snapshots
            .by_name(&Snapshot::key(volume.sequence, suffix))
        {
            None => Ok(()),
            Some(taken) => Err(Refusal::exists(Kind::Snapshot, &self.snapshot_name(taken))),
        }
    }

    pub(crate) fn plan_patch_snapshots(
        &self,
        rules: &Rules,
        snapshots: &[u64],
        patch: &SnapshotPatch,
    ) -> Result<Plan, Refusal> {
        let both = patch.name.is_some() && patch.destroyed.is_some();
        if both || (patch.name.is_some() && snapshots.len() > 1) {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for sequence in snapshots {
            let Some(snapshot) = self.snapshots.get(*sequence) else {
                continue;
            };
            match self.patched(rules, snapshot, patch) {
                Ok(changed) => plan.changes.push(Change::Snapshot(changed)),
                Err(refusal) => refusals.push(refusal),
            }
            plan.touched.push(*sequence);
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    fn patched(
        &self,
        rules: &Rules,
        snapshot: &Snapshot,
        patch: &SnapshotPatch,
    ) -> Result<Snapshot, Refusal> {
        let name = self.snapshot_name(snapshot);
        let gone = || Refusal::snapshot_destroyed(&name);
        let mut changed = snapshot.clone();
        match patch.destroyed {
            Some(true) if snapshot.destroyed.is_some() => return Err(gone()),
            Some(true) => {
                changed.destroyed = Some(Destroyed::now(rules));
            }
            Some(false) if snapshot.destroyed.is_none() => {
                return Err(not_destroyed(Kind::Snapshot, &name));
            }
            Some(false) => {
                if let Some(volume) = self.volumes.get(snapshot.volume)
                    && volume.destroyed.is_some()
                {
                    return Err(Refusal::volume_destroyed(&volume.name));
                }
                changed.destroyed = None;
            }
            None if snapshot.destroyed.is_some() => return Err(gone()),
            None => {}
        }
        if let Some(suffix) = &patch.name {
            check_suffix(suffix)?;
            if let Some(volume) = self.volumes.get(snapshot.volume)
                && !suffix.eq_ignore_ascii_case(&snapshot.suffix)
            {
                self.check_suffix_free(volume, suffix)?;
            }
            changed.suffix.clone_from(suffix);
        }
        Ok(changed)
    }

    pub(crate) fn plan_eradicate_snapshots(
        &self,
        rules: &Rules,
        snapshots: &[u64],
    ) -> Result<Plan, Refusal> {
        if rules.eradication_disabled {
            return Err(Refusal::new("Eradication is disabled.", None));
        }
        let refusals = snapshots
            .iter()
            .filter_map(|sequence| self.snapshots.get(*sequence))
            .filter(|snapshot| snapshot.destroyed.is_none())
            .map(|snapshot| not_destroyed(Kind::Snapshot, &self.snapshot_name(snapshot)))
            .collect();
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let mut plan = Plan::new(self);
        for sequence in snapshots {
            self.eradicate_snapshot(&mut plan, *sequence);
        }
        Ok(plan)
    }

    pub(super) fn eradicate_snapshot(&self, plan: &mut Plan, sequence: u64) {
        if let Some(snapshot) = self.snapshots.get(sequence) {
            let gone = Change::SnapshotGone(sequence);
            if !plan.changes.contains(&gone) {
                plan.changes.push(gone);
                plan.data.push(DataStep::Remove(snapshot.serial.clone()));
            }
        }
    }
}
