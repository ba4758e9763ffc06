//! What is true of all volumes, from what nodes acknowledged and what was seen to land on arrays,
//! and the rules that hold at any time.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{Volume, VolumeId, VolumeName, VolumeState};
use uuid::Uuid;

use crate::world::World;

/// How long after the end of a remove its requests may still strike, in milliseconds; and after
/// one without a clear end, whose work may go on.
const REMOVE_TAIL_MS: (u64, u64) = (4 * 60 * 1000, 20 * 60 * 1000);

/// A grant that a publish gave out.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    host: String,
    nonce: Uuid,
    /// The connection that it stands on: gone with it.
    pub(crate) connection: u64,
}

/// The truth.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Volumes that somebody was told of.
    pub(crate) acknowledged: BTreeMap<VolumeId, VolumeName>,
    /// Those of them that somebody asked to remove.
    pub(crate) condemned: BTreeSet<VolumeId>,
    /// Names under removal, and until when what is acknowledged under them may go too.
    removing: BTreeMap<VolumeName, u64>,
    pub(crate) formatted: BTreeSet<VolumeId>,
    given: BTreeMap<VolumeId, Vec<Given>>,
    /// The last data that landed on each volume.
    pub(crate) landed: BTreeMap<VolumeId, u64>,
    pub(crate) violations: Vec<String>,
    /// What happened how often, for the report.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn count(&self, what: &'static str) {
        *self.truth().counts.entry(what).or_default() += 1;
    }

    /// A caller was told that this volume has the name.
    pub(crate) fn acknowledged(&self, volume: &Volume) {
        let now = self.now_ms();
        let mut truth = self.truth();
        let until = truth.removing.get(&volume.name).copied();
        if until.is_some_and(|until| now <= until) {
            truth.condemned.insert(volume.id.clone());
        }
        truth
            .acknowledged
            .insert(volume.id.clone(), volume.name.clone());
        drop(truth);
        self.count("acknowledged");
        self.check_names();
    }

    /// Somebody asks to remove the name: what has it may go from now on.
    pub(crate) fn remove_begins(&self, name: &VolumeName) {
        let mut truth = self.truth();
        truth.removing.insert(name.clone(), u64::MAX);
        let of_name = |(id, one): (&VolumeId, &VolumeName)| (one == name).then(|| id.clone());
        let ids: Vec<VolumeId> = truth.acknowledged.iter().filter_map(of_name).collect();
        truth.condemned.extend(ids);
    }

    /// The caller of a remove has its answer, or gave up.
    pub(crate) fn remove_ends(&self, name: &VolumeName, clearly: bool) {
        let (short, long) = REMOVE_TAIL_MS;
        let until = self.now_ms() + if clearly { short } else { long };
        self.truth().removing.insert(name.clone(), until);
    }

    /// A publish gave this host a grant, which stands for as long as its connection does.
    pub(crate) fn granted(&self, volume: &VolumeId, host: &str, nonce: Uuid) {
        let Some(connection) = self.connection(volume, host) else {
            // Taken away again before the answer got here.
            return;
        };
        let given = Given {
            host: host.to_owned(),
            nonce,
            connection,
        };
        self.truth()
            .given
            .entry(volume.clone())
            .or_default()
            .push(given);
        self.count("grants");
        self.check_grants(volume);
    }

    fn connections(&self, volume: &VolumeId) -> Vec<(String, u64)> {
        let objects = self.array_of(volume.array()).map(|array| array.look());
        let mut objects = objects.into_iter().flatten();
        let object = objects.find(|object| object.id == volume.object());
        object.map(|object| object.connections).unwrap_or_default()
    }

    fn connection(&self, volume: &VolumeId, host: &str) -> Option<u64> {
        let all = self.connections(volume);
        all.iter().find(|(one, _)| one == host).map(|(_, id)| *id)
    }

    /// At no time two hosts with a grant.
    pub(crate) fn check_grants(&self, volume: &VolumeId) {
        let now = self.connections(volume);
        let mut truth = self.truth();
        let Some(given) = truth.given.get_mut(volume) else {
            return;
        };
        given.retain(|one| now.contains(&(one.host.clone(), one.connection)));
        let hosts: BTreeSet<&String> = given.iter().map(|one| &one.host).collect();
        let told = |one: &Given| format!("{} by {}", one.host, one.nonce);
        let two = (hosts.len() > 1).then(|| given.iter().map(told).collect::<Vec<_>>());
        drop(truth);
        if let Some(two) = two {
            let two = two.join(", ");
            self.violation(&format!("two grants at once on {volume}: {two}"));
        }
    }

    /// Never two acknowledged volumes of a name, and none of them gone that nobody removed.
    pub(crate) fn check_names(&self) {
        let mut problems = Vec::new();
        let truth = self.truth();
        let mut alive: BTreeMap<&VolumeName, Vec<&VolumeId>> = BTreeMap::new();
        for (id, name) in &truth.acknowledged {
            match self.state_of(id, name) {
                Some(VolumeState::Ready) => alive.entry(name).or_default().push(id),
                // On its way: a remove that was asked for, or is given up again.
                Some(VolumeState::Deleting) => {}
                _ if truth.condemned.contains(id) => {}
                _ => problems.push(format!("{name} ({id}) was acknowledged and is gone")),
            }
        }
        for (name, ids) in alive {
            if ids.len() > 1 {
                problems.push(format!("two acknowledged volumes of {name}: {ids:?}"));
            }
        }
        drop(truth);
        for problem in problems {
            self.violation(&problem);
        }
    }

    /// Names that somebody was told of a volume of.
    pub(crate) fn known_names(&self) -> Vec<VolumeName> {
        let truth = self.truth();
        let names: BTreeSet<&VolumeName> = truth.acknowledged.values().collect();
        names.into_iter().cloned().collect()
    }

    /// The usable volumes of a name that were acknowledged and that nobody removes.
    pub(crate) fn standing(&self, name: &VolumeName) -> Vec<VolumeId> {
        let truth = self.truth();
        let of_name = truth.acknowledged.iter().filter(|(_, one)| *one == name);
        let standing = of_name.filter(|(id, _)| {
            !truth.condemned.contains(*id) && self.state_of(id, name) == Some(VolumeState::Ready)
        });
        standing.map(|(id, _)| id.clone()).collect()
    }

    /// Where the volume is in its life, under that name.
    pub(crate) fn state_of(&self, id: &VolumeId, name: &VolumeName) -> Option<VolumeState> {
        let objects = self.array_of(id.array())?.look();
        let object = objects
            .into_iter()
            .find(|object| object.id == id.object())?;
        let (_, has) = object.name?;
        (has == *name).then_some(object.state)
    }

    /// A write of a mount landed.
    pub(crate) fn landed(&self, volume: &VolumeId, data: u64) {
        self.truth().landed.insert(volume.clone(), data);
        self.count("writes");
    }

    /// Every acknowledged volume that nobody removed is there, with its data.
    pub(crate) fn check_data(&self) {
        self.check_names();
        let truth = self.truth();
        let mut problems = Vec::new();
        for (id, name) in &truth.acknowledged {
            let objects = self.array_of(id.array()).map(|array| array.look());
            let mut objects = objects.into_iter().flatten();
            let Some(object) = objects.find(|object| object.id == id.object()) else {
                continue;
            };
            if let Some(landed) = truth.landed.get(id)
                && object.data != *landed
            {
                let found = object.data;
                problems.push(format!("{name} ({id}) has {found}, written was {landed}"));
            }
        }
        drop(truth);
        for problem in problems {
            self.violation(&problem);
        }
    }
}
