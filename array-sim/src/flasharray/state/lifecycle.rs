//! The end of volumes, and their return: destroy, recover, eradicate.

use super::State;
use super::change::{Change, DataStep, Plan};
use super::model::{Destroyed, Volume};
use super::refusal::{Kind, Refusal};
use super::rules::{OnDestroy, Rules};

impl State {
    /// Destroys a volume with its snapshots; `destroyed` says with what else.
    pub(super) fn destroy_volume_as(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        volume: &Volume,
        destroyed: &Destroyed,
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
        changed.destroyed = Some(destroyed.clone());
        plan.changes.push(Change::Volume(changed));
        Ok(())
    }

    pub(super) fn recover_volume(&self, plan: &mut Plan, volume: &Volume) -> Result<(), Refusal> {
        if volume.destroyed.is_none() {
            return Err(not_destroyed(Kind::Volume, &volume.name));
        }
        self.check_container_lives(&volume.name)?;
        self.bring_back(plan, volume);
        Ok(())
    }

    /// Recovers a volume with the snapshots that were destroyed with it.
    pub(super) fn bring_back(&self, plan: &mut Plan, volume: &Volume) {
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
}

pub(super) fn not_destroyed(kind: Kind, name: &str) -> Refusal {
    Refusal::new(
        format!("{} has not been destroyed.", kind.title()),
        Some(name),
    )
}
