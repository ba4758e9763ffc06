//! Protection groups: who is in which. They are put there from outside (configuration, control
//! listener), and clients read them; a volume can also be put in and taken out when it is made or
//! changed. Nothing is ever snapshotted or replicated by them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::State;
use super::change::{Change, Plan};
use super::names::check_host_name;
use super::refusal::{Kind, Refusal};
use super::table::Record;

/// A protection group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProtectionGroup {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// A uuid.
    pub id: String,
    /// The whole name, `group` or `pod::group`; looked up ignoring case.
    pub name: String,
    /// Sequence numbers of the volumes in it.
    pub volumes: Vec<u64>,
    /// Sequence numbers of the hosts in it.
    pub hosts: Vec<u64>,
    /// Sequence numbers of the host groups in it.
    pub host_groups: Vec<u64>,
    /// Names of the arrays that it would replicate to.
    pub targets: Vec<String>,
    /// Whether `SafeMode` protects it: `retention_lock` is `ratcheted`.
    pub ratcheted: bool,
}

impl Record for ProtectionGroup {
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn name_key(&self) -> Option<String> {
        Some(self.name.to_ascii_lowercase())
    }
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

/// A protection group as configuration and control listener give it: members by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProtectionGroupSeed {
    /// Its name, `group` or `pod::group`.
    pub name: String,
    /// Volumes.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Hosts.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Host groups.
    #[serde(default)]
    pub host_groups: Vec<String>,
    /// Arrays to replicate to; nothing looks whether they are there.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Whether `SafeMode` protects it.
    #[serde(default)]
    pub ratcheted: bool,
}

impl ProtectionGroupSeed {
    /// An empty group.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

fn sequences<T: Record>(
    kind: Kind,
    names: &[String],
    table: &super::table::Table<T>,
) -> Result<Vec<u64>, Refusal> {
    names
        .iter()
        .map(|name| {
            let found = table.by_name(name).map(Record::sequence);
            found.ok_or_else(|| Refusal::missing(kind, name))
        })
        .collect()
}

impl State {
    /// The group as it is to be from now on, in place of one of this name.
    pub(crate) fn plan_protection_group(
        &self,
        seed: &ProtectionGroupSeed,
    ) -> Result<Plan, Refusal> {
        let (pod, short) = match seed.name.split_once("::") {
            Some((pod, short)) => (Some(pod), short),
            None => (None, seed.name.as_str()),
        };
        if let Some(pod) = pod
            && self.pods.by_name(pod).is_none()
        {
            return Err(Refusal::missing(Kind::Pod, pod));
        }
        check_host_name(Kind::ProtectionGroup, short)?;
        let mut plan = Plan::new(self);
        let known = self.protection_groups.by_name(&seed.name);
        let (sequence, id) = match known {
            Some(known) => (known.sequence, known.id.clone()),
            None => (plan.sequence(), Uuid::new_v4().to_string()),
        };
        plan.changes.push(Change::ProtectionGroup(ProtectionGroup {
            sequence,
            id,
            name: seed.name.clone(),
            volumes: sequences(Kind::Volume, &seed.volumes, &self.volumes)?,
            hosts: sequences(Kind::Host, &seed.hosts, &self.hosts)?,
            host_groups: sequences(Kind::HostGroup, &seed.host_groups, &self.groups)?,
            targets: seed.targets.clone(),
            ratcheted: seed.ratcheted,
        }));
        Ok(plan)
    }

    /// Adds the changes that put volumes into protection groups and take them out. "already
    /// includes" is observed.
    pub(super) fn protect(
        &self,
        plan: &mut Plan,
        volumes: &[u64],
        (add, remove): (&[u64], &[u64]),
    ) -> Result<(), Refusal> {
        let name = |at: u64| {
            let volume = self.volumes.get(at);
            volume.map(|volume| volume.name.clone())
        };
        let mut groups: Vec<u64> = add.iter().chain(remove).copied().collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups
            .iter()
            .filter_map(|at| self.protection_groups.get(*at))
        {
            let mut changed = group.clone();
            for volume in volumes {
                let inside = changed.volumes.contains(volume);
                let (adds, removes) = (
                    add.contains(&group.sequence),
                    remove.contains(&group.sequence),
                );
                if adds && inside {
                    return Err(Refusal::new(
                        "Protection group already includes the volume.",
                        name(*volume).as_deref(),
                    ));
                }
                if removes && !inside {
                    return Err(Refusal::new(
                        "Volume could not be found in the protection group.",
                        name(*volume).as_deref(),
                    ));
                }
                if adds {
                    changed.volumes.push(*volume);
                } else {
                    changed.volumes.retain(|known| known != volume);
                }
            }
            plan.changes.push(Change::ProtectionGroup(changed));
        }
        Ok(())
    }

    /// What is gone is in no protection group.
    pub(super) fn leave_protection(
        &mut self,
        members: fn(&mut ProtectionGroup) -> &mut Vec<u64>,
        gone: u64,
    ) {
        let changed: Vec<ProtectionGroup> = self
            .protection_groups
            .iter()
            .filter_map(|group| {
                let mut group = group.clone();
                let list = members(&mut group);
                let before = list.len();
                list.retain(|member| *member != gone);
                (list.len() != before).then_some(group)
            })
            .collect();
        for group in changed {
            self.protection_groups.put(group);
        }
    }
}
