//! Host groups and their members.

use super::State;
use super::change::{Change, Plan};
use super::model::{ConnectionTarget, Host, HostGroup};
use super::names::{check_distinct, check_host_name};
use super::refusal::{Kind, Refusal};
use super::rules::Rules;

impl State {
    pub(crate) fn plan_create_groups(
        &self,
        rules: &Rules,
        names: &[String],
    ) -> Result<Plan, Refusal> {
        check_distinct(names)?;
        if self.groups.len() + names.len() > rules.limits.host_groups {
            return Err(Refusal::limit("Host group"));
        }
        let mut plan = Plan::new(self);
        for name in names {
            check_host_name(Kind::HostGroup, name)?;
            if let Some(taken) = self.groups.by_name(name) {
                return Err(Refusal::exists(Kind::HostGroup, &taken.name));
            }
            let sequence = plan.sequence();
            plan.touched.push(sequence);
            plan.changes.push(Change::Group(HostGroup {
                sequence,
                name: name.clone(),
            }));
        }
        Ok(plan)
    }

    pub(crate) fn plan_rename_groups(
        &self,
        groups: &[u64],
        name: Option<&str>,
    ) -> Result<Plan, Refusal> {
        if groups.len() > 1 && name.is_some() {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        for group in groups.iter().filter_map(|at| self.groups.get(*at)) {
            plan.touched.push(group.sequence);
            let Some(name) = name else { continue };
            check_host_name(Kind::HostGroup, name)?;
            if let Some(other) = self.groups.by_name(name)
                && other.sequence != group.sequence
            {
                return Err(Refusal::exists(Kind::HostGroup, &other.name));
            }
            plan.changes.push(Change::Group(HostGroup {
                sequence: group.sequence,
                name: name.to_owned(),
            }));
        }
        Ok(plan)
    }

    /// A group with members or connections stays. Both texts are assumed.
    pub(crate) fn plan_delete_groups(&self, groups: &[u64]) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        for group in groups.iter().filter_map(|at| self.groups.get(*at)) {
            let target = ConnectionTarget::Group(group.sequence);
            if self.connections_of_target(target).next().is_some() {
                return Err(Refusal::new(
                    "Host group cannot be deleted due to existing connections.",
                    Some(&group.name),
                ));
            }
            if self.members(group.sequence).next().is_some() {
                return Err(Refusal::new(
                    "Host group cannot be deleted because it contains hosts.",
                    Some(&group.name),
                ));
            }
            plan.changes.push(Change::GroupGone(group.sequence));
        }
        Ok(plan)
    }

    /// Adds hosts to one group: every member sees the group's volumes from then on.
    pub(crate) fn plan_join(&self, group: &HostGroup, hosts: &[u64]) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        for host in hosts.iter().filter_map(|at| self.hosts.get(*at)) {
            if let Some(other) = host.group {
                let text = if other == group.sequence {
                    "Host already belongs to the host group."
                } else {
                    "Host already belongs to another host group."
                };
                return Err(Refusal::new(text, Some(&host.name)));
            }
            self.check_may_join(host, group)?;
            plan.changes.push(Change::Host(Host {
                group: Some(group.sequence),
                ..host.clone()
            }));
            plan.touched.push(host.sequence);
        }
        Ok(plan)
    }

    pub(crate) fn plan_leave(&self, group: &HostGroup, hosts: &[u64]) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        for host in hosts.iter().filter_map(|at| self.hosts.get(*at)) {
            if host.group != Some(group.sequence) {
                return Err(Refusal::new(
                    "Host does not belong to the host group.",
                    Some(&host.name),
                ));
            }
            plan.changes.push(Change::Host(Host {
                group: None,
                ..host.clone()
            }));
        }
        Ok(plan)
    }

    /// A host's own LUNs and volumes must not collide with the group's (assumed).
    pub(super) fn check_may_join(&self, host: &Host, group: &HostGroup) -> Result<(), Refusal> {
        for shared in self.connections_of_target(ConnectionTarget::Group(group.sequence)) {
            for private in self.connections_of_target(ConnectionTarget::Host(host.sequence)) {
                if private.volume == shared.volume {
                    return Err(Refusal::new(
                        "Connection already exists.",
                        self.volumes
                            .get(private.volume)
                            .map(|volume| volume.name.as_str()),
                    ));
                }
                if private.number == shared.number {
                    return Err(lun_taken(private.number, &host.name));
                }
            }
        }
        Ok(())
    }
}

/// Assumed.
pub(super) fn lun_taken(number: u16, context: &str) -> Refusal {
    Refusal::new(format!("LUN {number} is already in use."), Some(context))
}
