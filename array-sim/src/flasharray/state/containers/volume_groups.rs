//! Volume groups: create, rename, limits, destroy, recover, eradicate.

use uuid::Uuid;

use super::super::State;
use super::super::change::{Change, Plan};
use super::super::model::Qos;
use super::super::names::{check_distinct, check_group_name};
use super::super::refusal::{Kind, Refusal};
use super::super::rules::Rules;
use super::{Container, VolumeGroup, VolumePath, destroyed};

/// POST `/volume-groups`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewVolumeGroup {
    pub(crate) names: Vec<String>,
    pub(crate) qos: Qos,
    pub(crate) priority_adjustment: Option<(String, i64)>,
}

/// PATCH `/volume-groups`. `None` leaves a property as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct VolumeGroupPatch {
    pub(crate) name: Option<String>,
    pub(crate) destroyed: Option<bool>,
    pub(crate) destroy_contents: bool,
    /// `Some(None)` removes the limit.
    pub(crate) bandwidth_limit: Option<Option<u64>>,
    pub(crate) iops_limit: Option<Option<u64>>,
    pub(crate) priority_adjustment: Option<(String, i64)>,
}

impl VolumeGroupPatch {
    const fn changes_anything_but_destroyed(&self) -> bool {
        self.name.is_some()
            || self.bandwidth_limit.is_some()
            || self.iops_limit.is_some()
            || self.priority_adjustment.is_some()
    }
}

impl State {
    pub(crate) fn plan_create_volume_groups(
        &self,
        rules: &Rules,
        new: &NewVolumeGroup,
    ) -> Result<Plan, Refusal> {
        check_distinct(&new.names)?;
        if self.volume_groups.len() + new.names.len() > rules.limits.volume_groups {
            return Err(Refusal::limit("Volume group"));
        }
        let mut plan = Plan::new(self);
        for name in &new.names {
            let name = self.volume_group_name(name, None)?;
            let sequence = plan.sequence();
            plan.touched.push(sequence);
            plan.changes.push(Change::VolumeGroup(VolumeGroup {
                sequence,
                id: Uuid::new_v4().to_string(),
                name,
                destroyed: None,
                qos: new.qos,
                priority_adjustment: new
                    .priority_adjustment
                    .clone()
                    .unwrap_or_else(|| ("+".to_owned(), 0)),
            }));
        }
        Ok(plan)
    }

    /// The name under which a group is kept: as given, its pod in the pod's own case.
    fn volume_group_name(&self, name: &str, own: Option<u64>) -> Result<String, Refusal> {
        let path = VolumePath::of(name);
        let prefix = match path.pod {
            None => String::new(),
            Some(pod) => match self.pods.by_name(pod) {
                None => return Err(Refusal::missing(Kind::Pod, pod)),
                Some(pod) if pod.destroyed.is_some() => {
                    return Err(destroyed(Kind::Pod, &pod.name));
                }
                Some(pod) => pod.prefix(),
            },
        };
        let short = name.split_once("::").map_or(name, |(_, short)| short);
        check_group_name(short, name)?;
        let name = format!("{prefix}{short}");
        match self.volume_groups.by_name(&name) {
            Some(other) if Some(other.sequence) != own => {
                Err(Refusal::exists(Kind::VolumeGroup, &other.name))
            }
            _ => Ok(name),
        }
    }

    pub(crate) fn plan_patch_volume_groups(
        &self,
        rules: &Rules,
        groups: &[u64],
        patch: &VolumeGroupPatch,
    ) -> Result<Plan, Refusal> {
        let both = patch.destroyed.is_some() && patch.changes_anything_but_destroyed();
        if both || patch.name.is_some() && groups.len() > 1 {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        for group in groups.iter().filter_map(|at| self.volume_groups.get(*at)) {
            let mut changed = group.clone();
            if let Some(wanted) = patch.destroyed {
                if !wanted {
                    self.check_pod_lives(&group.name)?;
                }
                let wanted = (wanted, patch.destroy_contents);
                let container = Container::from(group);
                changed.destroyed =
                    self.plan_container_destroyed(&mut plan, rules, &container, wanted)?;
            } else if group.destroyed.is_some() {
                return Err(destroyed(Kind::VolumeGroup, &group.name));
            }
            if let Some(name) = &patch.name {
                changed.name = self.renamed_group(group, name)?;
                self.rename_contents(&mut plan, &group.prefix(), &changed.prefix());
            }
            let (bandwidth, iops) = (patch.bandwidth_limit, patch.iops_limit);
            changed.qos.bandwidth_limit = bandwidth.unwrap_or(group.qos.bandwidth_limit);
            changed.qos.iops_limit = iops.unwrap_or(group.qos.iops_limit);
            if let Some(adjustment) = &patch.priority_adjustment {
                changed.priority_adjustment.clone_from(adjustment);
            }
            plan.changes.push(Change::VolumeGroup(changed));
            plan.touched.push(group.sequence);
        }
        Ok(plan)
    }

    /// A group stays in its pod when it is renamed (assumed).
    fn renamed_group(&self, group: &VolumeGroup, name: &str) -> Result<String, Refusal> {
        let pod = |name: &str| {
            let pod = VolumePath::of(name).pod?;
            Some(pod.to_ascii_lowercase())
        };
        if pod(&group.name) != pod(name) {
            return Err(Refusal::new(
                "Volume group cannot be renamed into or out of a pod.",
                Some(&group.name),
            ));
        }
        self.volume_group_name(name, Some(group.sequence))
    }

    fn check_pod_lives(&self, name: &str) -> Result<(), Refusal> {
        match self.pod_of(name) {
            Some(pod) if pod.destroyed.is_some() => Err(destroyed(Kind::Pod, &pod.name)),
            _ => Ok(()),
        }
    }

    pub(crate) fn plan_eradicate_volume_groups(
        &self,
        rules: &Rules,
        groups: &[u64],
        with_contents: bool,
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        for group in groups.iter().filter_map(|at| self.volume_groups.get(*at)) {
            self.check_may_eradicate(rules, &Container::from(group), with_contents)?;
            self.eradicate_contents(&mut plan, &group.prefix());
            plan.changes.push(Change::VolumeGroupGone(group.sequence));
        }
        Ok(plan)
    }
}
