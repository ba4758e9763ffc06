//! The object that stands for a machine on the array.
//!
//! Ours is called `<host name>-<8 hex of the machine id>` and has exactly this machine's
//! initiators. An initiator that belongs to another machine's object is refused: two clones of
//! one virtual machine would pass every read-back by host name and write to one volume together.
//! An object that an administrator made for exactly this machine is used as it is, never edited.

use std::collections::HashMap;

use storage_core::{Error, ErrorKind, Host, Result};
use tokio::sync::MutexGuard;
use tokio::time::timeout_at;

use crate::api::{Api, WireHost};
use crate::backend::{FlashArray, KnownHosts};
use crate::error::Refusal;
use crate::name::quoted;

/// How often the look-up starts again because another process made the object meanwhile.
const ROUNDS: usize = 3;

/// What the array has for a machine.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Use this object.
    Ready(String),
    /// Ours, with other initiators than the machine has now.
    Outdated(String),
    /// Nothing.
    Missing,
    /// One of the initiators is another machine's; the sentence says whose.
    Conflict(String),
}

/// Which object an operation that makes none goes by.
#[derive(Debug)]
pub(crate) enum Known {
    Object(String),
    Missing,
    /// An initiator is another machine's; the sentence says whose.
    Conflict(String),
}

impl FlashArray {
    /// The machine's object, made where there is none.
    ///
    /// # Errors
    /// `FailedPrecondition` when an initiator is another machine's, or the machine has none.
    pub(crate) async fn ensure_host(&self, api: &Api, host: &Host) -> Result<String> {
        let key = key(api, host);
        // Held over the calls: a hundred publishes at the start make one host.
        let mut known = self.known_hosts(api).await?;
        if let Some(name) = known.get(&key) {
            return Ok(name.clone());
        }
        let iqns = self.iqns(host);
        if self.way.uses_iqns() && iqns.is_empty() {
            return Err(Error::new(
                ErrorKind::FailedPrecondition,
                "this machine has no iSCSI initiator name; install open-iscsi and see /etc/iscsi/initiatorname.iscsi",
            ));
        }
        let ours = host.object_name();
        for _round in 0..ROUNDS {
            let made = match self.find_host(api, host, &iqns).await? {
                Found::Ready(name) => {
                    known.insert(key, name.clone());
                    return Ok(name);
                }
                Found::Conflict(reason) => {
                    return Err(Error::new(ErrorKind::FailedPrecondition, reason));
                }
                Found::Outdated(name) => {
                    tracing::warn!(
                        host = name,
                        ?iqns,
                        "this machine's initiators changed, its host object follows"
                    );
                    api.set_iqns(&name, &iqns).await
                }
                Found::Missing => {
                    tracing::info!(host = ours, ?iqns, "making the host object");
                    api.make_host(&ours, &iqns).await
                }
            };
            match made {
                Ok(()) => {
                    known.insert(key, ours.clone());
                    return Ok(ours);
                }
                // Somebody was faster; the next round sees who, and whether that is this machine.
                Err(failure)
                    if failure.is(&[
                        Refusal::HostExists,
                        Refusal::NameTaken,
                        Refusal::InitiatorInUse,
                        Refusal::HostMissing,
                    ]) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("the host object {ours} changes while it is being set up"),
        ))
    }

    /// The machine's object, if there is one. Never makes or changes anything.
    pub(crate) async fn known_host(&self, api: &Api, host: &Host) -> Result<Known> {
        let key = key(api, host);
        let mut known = self.known_hosts(api).await?;
        if let Some(name) = known.get(&key) {
            return Ok(Known::Object(name.clone()));
        }
        let iqns = self.iqns(host);
        match self.find_host(api, host, &iqns).await? {
            Found::Ready(name) => {
                known.insert(key, name.clone());
                Ok(Known::Object(name))
            }
            // Not remembered: a publish puts its initiators right first.
            Found::Outdated(name) => Ok(Known::Object(name)),
            Found::Missing => Ok(Known::Missing),
            Found::Conflict(reason) => Ok(Known::Conflict(reason)),
        }
    }

    /// Forgets an object that the array says is gone.
    pub(crate) async fn forget_host(&self, api: &Api, host: &Host) {
        if let Ok(mut known) = self.known_hosts(api).await {
            known.remove(&key(api, host));
        }
    }

    /// The machines whose objects this process has looked up, by the objects' names in lower case.
    pub(crate) async fn machines_by_object(&self, api: &Api) -> Result<HashMap<String, String>> {
        let known = self.known_hosts(api).await?;
        let here = known
            .iter()
            .filter(|((array, _), _)| array == api.identity.id.as_str());
        let machines = here.map(|((_, machine), object)| (object.to_lowercase(), machine.clone()));
        Ok(machines.collect())
    }

    /// Whoever holds this may be asking the array, so waiting for it has an end.
    async fn known_hosts(&self, api: &Api) -> Result<MutexGuard<'_, KnownHosts>> {
        timeout_at(api.deadline(), self.hosts.lock())
            .await
            .map_err(|elapsed| {
                Error::new(ErrorKind::Unavailable, "the array does not tell its hosts")
                    .with_source(elapsed)
            })
    }

    /// The names under which the array knows the machine. A simulator's files need none.
    fn iqns(&self, host: &Host) -> Vec<String> {
        if self.way.uses_iqns() {
            host.initiators.iqns.clone()
        } else {
            Vec::new()
        }
    }

    async fn find_host(&self, api: &Api, host: &Host, iqns: &[String]) -> Result<Found> {
        let ours = host.object_name();
        let mut filter = format!("name={}", quoted(&ours));
        if !iqns.is_empty() {
            let list: Vec<String> = iqns.iter().map(|iqn| quoted(iqn)).collect();
            filter = format!("{filter} or iqns=({})", list.join(","));
        }
        let found = api.find_hosts(filter).await?;
        Ok(judge(&found, host, iqns))
    }
}

fn key(api: &Api, host: &Host) -> (String, String) {
    (api.identity.id.as_str().to_owned(), host.object_name())
}

fn judge(found: &[WireHost], host: &Host, iqns: &[String]) -> Found {
    let ours = host.object_name();
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let has = |one: &WireHost, iqn: &str| one.iqns.iter().any(|own| same(own, iqn));
    let exact =
        |one: &WireHost| one.iqns.len() == iqns.len() && iqns.iter().all(|iqn| has(one, iqn));
    let others: Vec<&WireHost> = found
        .iter()
        .filter(|one| !same(&one.name, &ours) && iqns.iter().any(|iqn| has(one, iqn)))
        .collect();
    match (
        found.iter().find(|one| same(&one.name, &ours)),
        others.as_slice(),
    ) {
        (Some(own), []) if exact(own) || iqns.is_empty() => Found::Ready(own.name.clone()),
        (Some(own), []) => Found::Outdated(own.name.clone()),
        (None, []) => Found::Missing,
        (None, [other]) if exact(other) => match machine_of(&other.name) {
            // An administrator's object, or this machine's from before it was renamed.
            None => Found::Ready(other.name.clone()),
            Some(machine) if same(machine, host.machine()) => Found::Ready(other.name.clone()),
            Some(_) => Found::Conflict(conflict(&others)),
        },
        _ => Found::Conflict(conflict(&others)),
    }
}

fn conflict(others: &[&WireHost]) -> String {
    let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
    format!(
        "an iSCSI initiator name of this machine belongs to host {} on the array; machines that were cloned need initiator names of their own (/etc/iscsi/initiatorname.iscsi)",
        names.join(", ")
    )
}

/// The machine's hash in a host name of our form, `<name>-<8 hex>`.
pub(crate) fn machine_of(name: &str) -> Option<&str> {
    let (stem, machine) = name.rsplit_once('-')?;
    let hex = machine.len() == 8 && machine.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && !stem.is_empty()).then_some(machine)
}

#[cfg(test)]
mod tests {
    use storage_core::{Host, Initiators};

    use super::{Found, judge, machine_of};
    use crate::api::WireHost;

    fn host() -> Host {
        Host::new("node", "machine", Initiators::default())
    }

    fn wire(name: &str, iqns: &[&str]) -> WireHost {
        WireHost {
            name: name.to_owned(),
            iqns: iqns.iter().map(|iqn| (*iqn).to_owned()).collect(),
        }
    }

    fn judged(found: &[WireHost], iqns: &[&str]) -> Found {
        let iqns: Vec<String> = iqns.iter().map(|iqn| (*iqn).to_owned()).collect();
        judge(found, &host(), &iqns)
    }

    #[test]
    fn the_right_object_is_used_and_no_other() {
        let ours = host().object_name();
        let ready = |name: &str| Found::Ready(name.to_owned());
        assert_eq!(judged(&[], &["iqn.a"]), Found::Missing);
        assert_eq!(judged(&[wire(&ours, &["IQN.a"])], &["iqn.a"]), ready(&ours));
        assert_eq!(judged(&[wire(&ours, &[])], &[]), ready(&ours));
        assert_eq!(
            judged(&[wire(&ours, &["iqn.old"])], &["iqn.a"]),
            Found::Outdated(ours.clone())
        );
        assert_eq!(judged(&[wire("esx", &["iqn.a"])], &["iqn.a"]), ready("esx"));
        let renamed = format!("earlier-{}", host().machine());
        assert_eq!(
            judged(&[wire(&renamed, &["iqn.a"])], &["iqn.a"]),
            ready(&renamed)
        );
    }

    #[test]
    fn foreign_initiators_are_refused_by_name() {
        let ours = host().object_name();
        for found in [
            vec![wire("node-00000000", &["iqn.a"])],
            vec![wire("esx", &["iqn.a", "iqn.b"])],
            vec![wire(&ours, &[]), wire("esx", &["iqn.a"])],
            vec![wire("one", &["iqn.a"]), wire("two", &["iqn.b"])],
        ] {
            let Found::Conflict(reason) = judged(&found, &["iqn.a"]) else {
                // With two initiators the last case conflicts; with one it is an exact match.
                assert_eq!(found.len(), 2);
                let Found::Conflict(_) = judged(&found, &["iqn.a", "iqn.b"]) else {
                    panic!("{found:?} was accepted");
                };
                continue;
            };
            let named = found
                .iter()
                .any(|one| one.name != ours && reason.contains(&one.name));
            assert!(named, "{reason}");
        }
    }

    #[test]
    fn only_our_form_names_a_machine() {
        assert_eq!(machine_of("a-b-0123abcd"), Some("0123abcd"));
        for other in ["esx", "a-0123abc", "-0123abcd", "a-0123abcx", "0123abcd"] {
            assert_eq!(machine_of(other), None, "{other}");
        }
    }
}
