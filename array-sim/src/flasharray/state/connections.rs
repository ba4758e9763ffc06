//! Connections of volumes to hosts and host groups, and the LUNs under which hosts see them.

use std::collections::BTreeSet;

use super::State;
use super::change::{Change, Plan};
use super::groups::lun_taken;
use super::model::{Connection, ConnectionTarget, Volume};
use super::refusal::Refusal;
use super::rules::{FIRST_SHARED_LUN, MAX_LUN, Rules};

/// POST `/connections`: every volume with every host, or with every host group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connect {
    pub(crate) volumes: Vec<u64>,
    pub(crate) targets: Vec<Target>,
    pub(crate) lun: Option<u16>,
}

/// DELETE `/connections`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disconnect {
    pub(crate) volumes: Vec<u64>,
    pub(crate) targets: Vec<Target>,
}

pub(crate) type Target = ConnectionTarget;

/// One volume as one host sees it: a private connection, or a shared one through its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostLun {
    pub(crate) number: u16,
    pub(crate) volume: u64,
    /// The host group, for a shared connection.
    pub(crate) group: Option<u64>,
}

/// A connection as `/connections` lists it: for a shared one, one line for each member, and one
/// without a host if there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) host: Option<u64>,
    pub(crate) group: Option<u64>,
}

impl State {
    pub(crate) fn plan_connect(&self, rules: &Rules, request: &Connect) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for volume in request
            .volumes
            .iter()
            .filter_map(|at| self.volumes.get(*at))
        {
            for target in &request.targets {
                match self.connect_one(&mut plan, (volume, *target), request.lun) {
                    Ok(connection) => {
                        plan.touched.push(connection.sequence);
                        plan.changes.push(Change::Connection(connection));
                    }
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
        if self.connections.len() + plan.touched.len() > rules.limits.connections {
            refusals.push(Refusal::limit("Connection"));
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    fn connect_one(
        &self,
        plan: &mut Plan,
        (volume, target): (&Volume, Target),
        lun: Option<u16>,
    ) -> Result<Connection, Refusal> {
        if volume.destroyed.is_some() {
            return Err(Refusal::volume_destroyed(&volume.name));
        }
        if self.sees_already(volume.sequence, target) {
            return Err(Refusal::new(
                "Connection already exists.",
                Some(&volume.name),
            ));
        }
        let mut used = self.used_numbers(target);
        used.extend(plan.changes.iter().filter_map(|change| match change {
            Change::Connection(planned) if planned.target == target => Some(planned.number),
            _ => None,
        }));
        let number = match lun {
            Some(_) if self.is_nvme(target) => {
                // Assumed: a host that speaks NVMe only has NSIDs, which the array chooses.
                return Err(Refusal::invalid("LUN", Some(&volume.name)));
            }
            Some(number) if used.contains(&number) => {
                return Err(lun_taken(number, &volume.name));
            }
            Some(number) => number,
            None => free_number(&used, target).ok_or_else(|| Refusal::limit("LUN"))?,
        };
        Ok(Connection {
            sequence: plan.sequence(),
            volume: volume.sequence,
            target,
            number,
        })
    }

    /// Whether the target is connected to the volume: itself, through its group, or (a group)
    /// through one of its members.
    fn sees_already(&self, volume: u64, target: Target) -> bool {
        let related: Vec<Target> = match target {
            Target::Host(host) => self
                .hosts
                .get(host)
                .and_then(|host| host.group)
                .map(Target::Group)
                .into_iter()
                .collect(),
            Target::Group(group) => self
                .members(group)
                .map(|host| Target::Host(host.sequence))
                .collect(),
        };
        std::iter::once(target)
            .chain(related)
            .any(|target| self.connection_between(volume, target).is_some())
    }

    /// LUNs that a new connection of the target must not have: a host's own and its group's; a
    /// group's own and all its members'.
    fn used_numbers(&self, target: Target) -> BTreeSet<u16> {
        let related: Vec<Target> = match target {
            Target::Host(host) => self
                .hosts
                .get(host)
                .and_then(|host| host.group)
                .map(Target::Group)
                .into_iter()
                .collect(),
            Target::Group(group) => self
                .members(group)
                .map(|host| Target::Host(host.sequence))
                .collect(),
        };
        std::iter::once(target)
            .chain(related)
            .flat_map(|target| self.connections_of_target(target))
            .map(|connection| connection.number)
            .collect()
    }

    fn is_nvme(&self, target: Target) -> bool {
        match target {
            Target::Host(host) => self.hosts.get(host).is_some_and(super::Host::is_nvme),
            Target::Group(_) => false,
        }
    }

    /// All of the pairs must be connected; otherwise nothing is changed.
    pub(crate) fn plan_disconnect(
        &self,
        rules: &Rules,
        request: &Disconnect,
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::new(self);
        let mut refusals = Vec::new();
        for volume in request
            .volumes
            .iter()
            .filter_map(|at| self.volumes.get(*at))
        {
            for target in &request.targets {
                match self.connection_between(volume.sequence, *target) {
                    Some(connection) => plan
                        .changes
                        .push(Change::ConnectionGone(connection.sequence)),
                    None if volume.destroyed.is_some()
                        && rules.on_destroy != super::OnDestroy::Keep =>
                    {
                        refusals.push(Refusal::volume_destroyed(&volume.name));
                    }
                    None => refusals.push(Refusal::new(
                        "Connection does not exist.",
                        Some(&volume.name),
                    )),
                }
            }
        }
        Refusal::all(refusals).map_or(Ok(plan), Err)
    }

    /// The lines of `/connections` for one connection.
    pub(crate) fn sides<'a>(&'a self, connection: &'a Connection) -> Vec<Side<'a>> {
        match connection.target {
            Target::Host(host) => vec![Side {
                connection,
                host: Some(host),
                group: None,
            }],
            Target::Group(group) => {
                let side = |host| Side {
                    connection,
                    host,
                    group: Some(group),
                };
                let members: Vec<_> = self
                    .members(group)
                    .map(|host| side(Some(host.sequence)))
                    .collect();
                if members.is_empty() {
                    vec![side(None)]
                } else {
                    members
                }
            }
        }
    }

    /// What a host can reach right now, in the order of LUNs. Volumes that are destroyed are out
    /// of reach whether their connections are kept or not.
    pub(crate) fn luns_of(&self, host: u64) -> Vec<HostLun> {
        let Some(host) = self.hosts.get(host) else {
            return Vec::new();
        };
        let private = self.connections_of_target(Target::Host(host.sequence));
        let shared = host
            .group
            .into_iter()
            .flat_map(|group| self.connections_of_target(Target::Group(group)));
        let mut luns: Vec<HostLun> = private
            .chain(shared)
            .filter(|connection| {
                self.volumes
                    .get(connection.volume)
                    .is_some_and(|volume| volume.destroyed.is_none())
            })
            .map(|connection| HostLun {
                number: connection.number,
                volume: connection.volume,
                group: match connection.target {
                    Target::Host(_) => None,
                    Target::Group(group) => Some(group),
                },
            })
            .collect();
        luns.sort_unstable();
        luns
    }
}

/// Private connections: the lowest free LUN from 1. Shared ones: from 254 down to 1, then from 255
/// up (vendor REST document, `ConnectionPost.lun`).
fn free_number(used: &BTreeSet<u16>, target: Target) -> Option<u16> {
    let free = |number: &u16| !used.contains(number);
    match target {
        Target::Host(_) => (1..=MAX_LUN).find(free),
        Target::Group(_) => (1..=FIRST_SHARED_LUN)
            .rev()
            .chain(FIRST_SHARED_LUN + 1..=MAX_LUN)
            .find(free),
    }
}
