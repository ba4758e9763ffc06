//! Pods: create, rename, destroy, recover, eradicate.

use uuid::Uuid;

use super::super::State;
use super::super::change::{Change, Plan};
use super::super::names::{check_distinct, check_host_name};
use super::super::refusal::{Kind, Refusal};
use super::super::rules::Rules;
use super::{Container, Pod, destroyed};

/// POST `/pods`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewPod {
    pub(crate) names: Vec<String>,
    pub(crate) quota_limit: Option<u64>,
}

/// PATCH `/pods`. `None` leaves a property as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodPatch {
    pub(crate) name: Option<String>,
    pub(crate) destroyed: Option<bool>,
    pub(crate) destroy_contents: bool,
    /// `Some(None)` removes the quota.
    pub(crate) quota_limit: Option<Option<u64>>,
    pub(crate) demoted: Option<bool>,
}

impl State {
    pub(crate) fn plan_create_pods(&self, rules: &Rules, new: &NewPod) -> Result<Plan, Refusal> {
        check_distinct(&new.names)?;
        if self.pods.len() + new.names.len() > rules.limits.pods {
            return Err(Refusal::limit("Pod"));
        }
        let mut plan = Plan::new(self);
        for name in &new.names {
            self.check_pod_name(name, None)?;
            let sequence = plan.sequence();
            plan.touched.push(sequence);
            plan.changes.push(Change::Pod(Pod {
                sequence,
                id: Uuid::new_v4().to_string(),
                name: name.clone(),
                destroyed: None,
                quota_limit: new.quota_limit,
                demoted: false,
            }));
        }
        Ok(plan)
    }

    fn check_pod_name(&self, name: &str, own: Option<u64>) -> Result<(), Refusal> {
        check_host_name(Kind::Pod, name)?;
        match self.pods.by_name(name) {
            Some(other) if Some(other.sequence) != own => {
                Err(Refusal::exists(Kind::Pod, &other.name))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn plan_patch_pods(
        &self,
        rules: &Rules,
        pods: &[u64],
        patch: &PodPatch,
    ) -> Result<Plan, Refusal> {
        let changes =
            patch.name.is_some() || patch.quota_limit.is_some() || patch.demoted.is_some();
        if patch.destroyed.is_some() && changes || patch.name.is_some() && pods.len() > 1 {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        for pod in pods.iter().filter_map(|at| self.pods.get(*at)) {
            let mut changed = pod.clone();
            if let Some(wanted) = patch.destroyed {
                let wanted = (wanted, patch.destroy_contents);
                let container = Container::from(pod);
                changed.destroyed =
                    self.plan_container_destroyed(&mut plan, rules, &container, wanted)?;
            } else if pod.destroyed.is_some() {
                return Err(destroyed(Kind::Pod, &pod.name));
            }
            if let Some(name) = &patch.name {
                self.check_pod_name(name, Some(pod.sequence))?;
                changed.name.clone_from(name);
                self.rename_contents(&mut plan, &pod.prefix(), &changed.prefix());
            }
            changed.quota_limit = patch.quota_limit.unwrap_or(pod.quota_limit);
            changed.demoted = patch.demoted.unwrap_or(pod.demoted);
            plan.changes.push(Change::Pod(changed));
            plan.touched.push(pod.sequence);
        }
        Ok(plan)
    }

    pub(crate) fn plan_eradicate_pods(
        &self,
        rules: &Rules,
        pods: &[u64],
        with_contents: bool,
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        for pod in pods.iter().filter_map(|at| self.pods.get(*at)) {
            self.check_may_eradicate(rules, &Container::from(pod), with_contents)?;
            self.eradicate_contents(&mut plan, &pod.prefix());
            plan.changes.push(Change::PodGone(pod.sequence));
        }
        Ok(plan)
    }
}
