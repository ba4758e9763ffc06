//! Hosts: create, change, delete, and whose initiator is whose.

use super::State;
use super::change::{Change, Plan};
use super::model::{ConnectionTarget, Host};
use super::names::{check_distinct, check_host_name, check_iqn, check_nqn, normal_wwn};
use super::refusal::{Kind, Refusal};
use super::rules::Rules;

/// POST `/hosts`.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewHost {
    pub(crate) names: Vec<String>,
    pub(crate) patch: HostPatch,
}

/// PATCH `/hosts`. `None`, or empty lists of additions and removals, leave a property as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostPatch {
    pub(crate) name: Option<String>,
    pub(crate) iqns: Initiators,
    pub(crate) nqns: Initiators,
    pub(crate) wwns: Initiators,
    pub(crate) chap: Option<Chap>,
    pub(crate) personality: Option<String>,
    pub(crate) vlan: Option<String>,
    /// An empty name leaves the group (assumed).
    pub(crate) group: Option<String>,
}

/// Changes of one list of initiators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Initiators {
    pub(crate) set: Option<Vec<String>>,
    pub(crate) add: Vec<String>,
    pub(crate) remove: Vec<String>,
}

/// What is kept of a CHAP setting: names, and whether there is a secret. An empty string clears.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chap {
    pub(crate) host_user: Option<String>,
    pub(crate) target_user: Option<String>,
    pub(crate) host_secret: Option<bool>,
    pub(crate) target_secret: Option<bool>,
}

impl State {
    pub(crate) fn plan_create_hosts(&self, rules: &Rules, new: &NewHost) -> Result<Plan, Refusal> {
        check_distinct(&new.names)?;
        if self.hosts.len() + new.names.len() > rules.limits.hosts {
            return Err(Refusal::limit("Host"));
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for name in &new.names {
            match self.new_host(&mut plan, name, &new.patch) {
                Ok(host) => {
                    plan.touched.push(host.sequence);
                    plan.changes.push(Change::Host(host));
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        check_disjoint(&plan)?;
        Ok(plan)
    }

    fn new_host(&self, plan: &mut Plan, name: &str, patch: &HostPatch) -> Result<Host, Refusal> {
        check_host_name(Kind::Host, name)?;
        if let Some(taken) = self.hosts.by_name(name) {
            return Err(Refusal::exists(Kind::Host, &taken.name));
        }
        let empty = Host {
            sequence: plan.sequence(),
            name: name.to_owned(),
            iqns: Vec::new(),
            nqns: Vec::new(),
            wwns: Vec::new(),
            chap_host_user: None,
            chap_target_user: None,
            chap_secrets: (false, false),
            personality: None,
            vlan: None,
            group: None,
        };
        self.patched_host(&empty, patch)
    }

    pub(crate) fn plan_patch_hosts(
        &self,
        hosts: &[u64],
        patch: &HostPatch,
    ) -> Result<Plan, Refusal> {
        if patch.name.is_some() && hosts.len() > 1 {
            return Err(Refusal::combination());
        }
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for host in hosts.iter().filter_map(|at| self.hosts.get(*at)) {
            match self.patched_host(host, patch) {
                Ok(changed) => plan.changes.push(Change::Host(changed)),
                Err(refusal) => refusals.push(refusal),
            }
            plan.touched.push(host.sequence);
        }
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        check_disjoint(&plan)?;
        Ok(plan)
    }

    fn patched_host(&self, host: &Host, patch: &HostPatch) -> Result<Host, Refusal> {
        let mut changed = host.clone();
        if let Some(name) = &patch.name {
            check_host_name(Kind::Host, name)?;
            if let Some(other) = self.hosts.by_name(name)
                && other.sequence != host.sequence
            {
                return Err(Refusal::exists(Kind::Host, &other.name));
            }
            changed.name.clone_from(name);
        }
        let check = |iqn: &str| check_iqn(iqn).map(|()| iqn.to_owned());
        changed.iqns = self.initiators_of(host, (&host.iqns, &patch.iqns), check)?;
        let check = |nqn: &str| check_nqn(nqn).map(|()| nqn.to_owned());
        changed.nqns = self.initiators_of(host, (&host.nqns, &patch.nqns), check)?;
        changed.wwns = self.initiators_of(host, (&host.wwns, &patch.wwns), normal_wwn)?;
        if changed.is_nvme() != host.is_nvme() && self.has_connections(host) {
            return Err(Refusal::new(
                "Host protocol cannot be changed due to existing connections.",
                Some(&host.name),
            ));
        }
        if let Some(chap) = &patch.chap {
            apply_chap(&mut changed, chap);
        }
        if let Some(personality) = &patch.personality {
            changed.personality = (!personality.is_empty()).then(|| personality.clone());
        }
        if let Some(vlan) = &patch.vlan {
            changed.vlan = Some(vlan.clone());
        }
        if let Some(group) = &patch.group {
            changed.group = self.moved_to(host, group)?;
        }
        Ok(changed)
    }

    fn initiators_of(
        &self,
        host: &Host,
        (old, change): (&[String], &Initiators),
        check: impl Fn(&str) -> Result<String, Refusal>,
    ) -> Result<Vec<String>, Refusal> {
        let mut list: Vec<String> = Vec::new();
        let wanted = change.set.as_deref().unwrap_or(old).iter();
        for name in wanted.chain(&change.add) {
            let name = check(name)?;
            if let Some(owner) = self.initiator_owner(&name)
                && owner.sequence != host.sequence
            {
                // Observed: "already in use" is what clients look for.
                return Err(Refusal::new(
                    "The specified initiator is already in use.",
                    Some(&name),
                ));
            }
            if !list.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                list.push(name);
            }
        }
        for name in &change.remove {
            let name = check(name)?;
            let before = list.len();
            list.retain(|known| !known.eq_ignore_ascii_case(&name));
            if list.len() == before {
                return Err(Refusal::new(
                    "The specified initiator does not exist.",
                    Some(&name),
                ));
            }
        }
        Ok(list)
    }

    /// The group that a host is in after PATCH with `host_group`.
    fn moved_to(&self, host: &Host, group: &str) -> Result<Option<u64>, Refusal> {
        if group.is_empty() {
            return Ok(None);
        }
        let group = self
            .groups
            .by_name(group)
            .ok_or_else(|| Refusal::missing(Kind::HostGroup, group))?;
        self.check_may_join(host, group)?;
        Ok(Some(group.sequence))
    }

    /// Whether the host sees any volume, through itself or its group.
    pub(crate) fn has_connections(&self, host: &Host) -> bool {
        let group = host.group.map(ConnectionTarget::Group);
        std::iter::once(ConnectionTarget::Host(host.sequence))
            .chain(group)
            .any(|target| self.connections_of_target(target).next().is_some())
    }

    pub(crate) fn plan_delete_hosts(&self, hosts: &[u64]) -> Result<Plan, Refusal> {
        let refusals = hosts
            .iter()
            .filter_map(|at| self.hosts.get(*at))
            .filter(|host| self.has_connections(host))
            .map(|host| {
                Refusal::new(
                    "Host cannot be deleted due to existing connections.",
                    Some(&host.name),
                )
            })
            .collect();
        if let Some(refusal) = Refusal::all(refusals) {
            return Err(refusal);
        }
        let mut plan = Plan::new(self);
        plan.changes
            .extend(hosts.iter().map(|host| Change::HostGone(*host)));
        Ok(plan)
    }
}

fn apply_chap(host: &mut Host, chap: &Chap) {
    let set = |old: &mut Option<String>, new: &Option<String>| {
        if let Some(new) = new {
            *old = (!new.is_empty()).then(|| new.clone());
        }
    };
    set(&mut host.chap_host_user, &chap.host_user);
    set(&mut host.chap_target_user, &chap.target_user);
    host.chap_secrets = (
        chap.host_secret.unwrap_or(host.chap_secrets.0),
        chap.target_secret.unwrap_or(host.chap_secrets.1),
    );
}

/// One request cannot give one initiator to two hosts.
fn check_disjoint(plan: &Plan) -> Result<(), Refusal> {
    let mut seen = std::collections::HashSet::new();
    for change in &plan.changes {
        let Change::Host(host) = change else { continue };
        for name in host.initiators() {
            if !seen.insert(name.to_ascii_lowercase()) {
                return Err(Refusal::new(
                    "The specified initiator is already in use.",
                    Some(name),
                ));
            }
        }
    }
    Ok(())
}
