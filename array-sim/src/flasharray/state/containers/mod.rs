//! Pods and volume groups: what volumes can be in, and what their names begin with.
//!
//! A volume's name holds the names of its containers, `pod::group/volume`, so the name alone says
//! what it is in; a container that is renamed renames all that it holds, in the same step. A
//! container that is destroyed holds nothing that is not.
//!
//! Not here: what pods are for (replication, several arrays). A pod of this array has one array.

mod paths;
mod pods;
mod volume_groups;

use serde::{Deserialize, Serialize};

use super::State;
use super::change::{Change, Plan};
use super::lifecycle::not_destroyed;
use super::model::{Destroyed, Qos, Volume};
use super::refusal::{Kind, Refusal};
use super::rules::Rules;
use super::table::Record;

pub(crate) use paths::Move;
use paths::{VolumePath, starts_with};
pub(crate) use pods::{NewPod, PodPatch};
pub(crate) use volume_groups::{NewVolumeGroup, VolumeGroupPatch};

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pod {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// A uuid.
    pub id: String,
    /// The name as it was given; looked up ignoring case.
    pub name: String,
    /// Set while the pod is pending eradication.
    pub destroyed: Option<Destroyed>,
    /// Logical quota in bytes. Shown, not enforced.
    pub quota_limit: Option<u64>,
    /// Whether `requested_promotion_state` is `demoted`.
    pub demoted: bool,
}

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VolumeGroup {
    /// Place in the order of creation among all records of the array.
    pub sequence: u64,
    /// A uuid.
    pub id: String,
    /// The whole name, `group` or `pod::group`; looked up ignoring case.
    pub name: String,
    /// Set while the group is pending eradication.
    pub destroyed: Option<Destroyed>,
    /// Limits.
    pub qos: Qos,
    /// Operator and value of the priority adjustment.
    pub priority_adjustment: (String, i64),
}

impl Record for Pod {
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

impl Record for VolumeGroup {
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

impl Pod {
    /// What the names of its contents begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}::", self.name)
    }
}

impl VolumeGroup {
    /// What the names of its volumes begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/", self.name)
    }
}

impl State {
    /// The volumes in a container, destroyed ones included, oldest first.
    pub(crate) fn volumes_in(&self, prefix: &str) -> impl Iterator<Item = &Volume> + Clone {
        self.volumes
            .iter()
            .filter(move |volume| starts_with(&volume.name, prefix))
    }

    /// The volume groups in a pod, destroyed ones included.
    pub(crate) fn volume_groups_in(&self, prefix: &str) -> impl Iterator<Item = &VolumeGroup> {
        self.volume_groups
            .iter()
            .filter(move |group| starts_with(&group.name, prefix))
    }

    /// The pod that a name begins with.
    pub(crate) fn pod_of(&self, name: &str) -> Option<&Pod> {
        self.pods.by_name(VolumePath::of(name).pod?)
    }

    /// The volume group that a volume's name begins with.
    pub(crate) fn volume_group_of(&self, name: &str) -> Option<&VolumeGroup> {
        self.volume_groups.by_name(&VolumePath::of(name).group()?)
    }

    /// Refuses when the container that a name begins with is destroyed. The texts are assumed.
    pub(super) fn check_container_lives(&self, name: &str) -> Result<(), Refusal> {
        if let Some(pod) = self.pod_of(name)
            && pod.destroyed.is_some()
        {
            return Err(destroyed(Kind::Pod, &pod.name));
        }
        if let Some(group) = self.volume_group_of(name)
            && group.destroyed.is_some()
        {
            return Err(destroyed(Kind::VolumeGroup, &group.name));
        }
        Ok(())
    }

    /// Destroys everything that is in a container and not destroyed.
    fn destroy_contents(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        prefix: &str,
    ) -> Result<(), Refusal> {
        let gone = Destroyed {
            with_container: true,
            ..Destroyed::now(rules)
        };
        for volume in self.volumes_in(prefix) {
            if volume.destroyed.is_none() {
                self.destroy_volume_as(plan, rules, volume, &gone)?;
            }
        }
        for group in self.volume_groups_in(prefix) {
            if group.destroyed.is_none() {
                plan.changes.push(Change::VolumeGroup(VolumeGroup {
                    destroyed: Some(gone.clone()),
                    ..group.clone()
                }));
            }
        }
        Ok(())
    }

    /// Recovers what was destroyed together with its container, and nothing else (assumed).
    fn recover_contents(&self, plan: &mut Plan, prefix: &str) {
        let went_along =
            |destroyed: &Option<Destroyed>| destroyed.as_ref().is_some_and(|at| at.with_container);
        for group in self.volume_groups_in(prefix) {
            if went_along(&group.destroyed) {
                plan.changes.push(Change::VolumeGroup(VolumeGroup {
                    destroyed: None,
                    ..group.clone()
                }));
            }
        }
        for volume in self.volumes_in(prefix) {
            if went_along(&volume.destroyed) {
                self.bring_back(plan, volume);
            }
        }
    }

    /// Drops everything in a container, whatever its state.
    pub(super) fn eradicate_contents(&self, plan: &mut Plan, prefix: &str) {
        for volume in self.volumes_in(prefix) {
            self.eradicate_volume(plan, volume.sequence);
        }
        for group in self.volume_groups_in(prefix) {
            plan.changes.push(Change::VolumeGroupGone(group.sequence));
        }
    }

    fn holds_live(&self, prefix: &str) -> bool {
        self.volumes_in(prefix)
            .any(|volume| volume.destroyed.is_none())
            || self
                .volume_groups_in(prefix)
                .any(|group| group.destroyed.is_none())
    }

    fn holds_anything(&self, prefix: &str) -> bool {
        self.volumes_in(prefix).next().is_some() || self.volume_groups_in(prefix).next().is_some()
    }

    /// The names of a renamed container's contents follow it.
    fn rename_contents(&self, plan: &mut Plan, old: &str, new: &str) {
        let renamed = |name: &str| format!("{new}{}", name.get(old.len()..).unwrap_or_default());
        for group in self.volume_groups_in(old) {
            plan.changes.push(Change::VolumeGroup(VolumeGroup {
                name: renamed(&group.name),
                ..group.clone()
            }));
        }
        for volume in self.volumes_in(old) {
            plan.changes.push(Change::Volume(Volume {
                name: renamed(&volume.name),
                ..volume.clone()
            }));
        }
    }

    /// What a change of `destroyed` does to a container: its contents go and come with it.
    fn plan_container_destroyed(
        &self,
        plan: &mut Plan,
        rules: &Rules,
        container: &Container<'_>,
        wanted: (bool, bool),
    ) -> Result<Option<Destroyed>, Refusal> {
        let (destroy, with_contents) = wanted;
        match (destroy, container.destroyed) {
            (true, Some(_)) => Err(destroyed(container.kind, container.name)),
            (true, None) if !with_contents && self.holds_live(&container.prefix) => {
                Err(Refusal::new(
                    format!("{} is not empty.", container.kind.title()),
                    Some(container.name),
                ))
            }
            (true, None) => {
                self.destroy_contents(plan, rules, &container.prefix)?;
                Ok(Some(Destroyed::now(rules)))
            }
            (false, None) => Err(not_destroyed(container.kind, container.name)),
            (false, Some(_)) => {
                self.recover_contents(plan, &container.prefix);
                Ok(None)
            }
        }
    }

    /// Refuses to eradicate a container that lives, or that holds something.
    fn check_may_eradicate(
        &self,
        rules: &Rules,
        container: &Container<'_>,
        with_contents: bool,
    ) -> Result<(), Refusal> {
        let kind = container.kind.title();
        if rules.eradication_disabled {
            // Observed: "Cannot eradicate pod" is what a client looks for.
            return Err(Refusal::new(
                format!(
                    "Cannot eradicate {}. Eradication is disabled.",
                    kind.to_lowercase()
                ),
                Some(container.name),
            ));
        }
        if container.destroyed.is_none() {
            return Err(not_destroyed(container.kind, container.name));
        }
        if !with_contents && self.holds_anything(&container.prefix) {
            return Err(Refusal::new(
                format!("{kind} is not empty."),
                Some(container.name),
            ));
        }
        Ok(())
    }
}

/// What pods and volume groups have in common.
struct Container<'a> {
    kind: Kind,
    name: &'a str,
    prefix: String,
    destroyed: Option<&'a Destroyed>,
}

impl<'a> From<&'a Pod> for Container<'a> {
    fn from(pod: &'a Pod) -> Self {
        Self {
            kind: Kind::Pod,
            name: &pod.name,
            prefix: pod.prefix(),
            destroyed: pod.destroyed.as_ref(),
        }
    }
}

impl<'a> From<&'a VolumeGroup> for Container<'a> {
    fn from(group: &'a VolumeGroup) -> Self {
        Self {
            kind: Kind::VolumeGroup,
            name: &group.name,
            prefix: group.prefix(),
            destroyed: group.destroyed.as_ref(),
        }
    }
}

fn destroyed(kind: Kind, name: &str) -> Refusal {
    Refusal::new(format!("{} has been destroyed.", kind.title()), Some(name))
}
