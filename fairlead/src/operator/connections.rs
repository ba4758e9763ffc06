//! `fairlead connections`: who can reach what, and what is odd about it.

use std::path::Path;
use std::sync::Arc;

use host_attach::{LedgerView, Recorded, view_ledger};
use storage_core::{Backend, Connection, Result, VolumeKey, VolumeName, VolumeState, is_reserved};

use super::gather::{all_connections, by_volume};
use super::reach::{Arrays, Site};
use super::report::{ConnectionEntry, ConnectionList, FORMAT};

/// Which connections are wanted.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    /// Those of this host: its object's name on the array, or its host name.
    pub host: Option<String>,
    /// Those of this volume.
    pub volume: Option<VolumeName>,
}

/// What this machine is and remembers.
#[derive(Debug, Default)]
pub struct Here {
    /// The name of its object on arrays, where it has one of its own.
    pub machine: Option<String>,
    /// Its ledger; `None` where it cannot be read.
    pub ledger: Option<LedgerView>,
}

impl Here {
    /// Looks at this machine and at the state folder. The second value says what could not be
    /// read.
    #[must_use]
    pub fn look(state: &Path) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let machine = match host_attach::this_host() {
            Ok(host) => Some(host.object_name()),
            Err(error) => {
                notes.push(format!("this host is not told apart: {}", error.chain()));
                None
            }
        };
        let ledger = match view_ledger(state) {
            Ok(ledger) => Some(ledger),
            Err(error) => {
                notes.push(format!("this host's ledger is not told: {}", error.chain()));
                None
            }
        };
        let unreadable = ledger.iter().flat_map(|ledger| &ledger.unreadable);
        for (path, error) in unreadable {
            notes.push(format!("{}: {}", path.display(), error.chain()));
        }
        (Self { machine, ledger }, notes)
    }

    /// Whether it is this machine's connection.
    pub(super) fn is_mine(&self, connection: &Connection) -> bool {
        let Some(machine) = &self.machine else {
            return false;
        };
        let named = connection.host.as_ref();
        let recorded = connection.recorded.as_ref();
        named.is_some_and(|host| host.eq_ignore_ascii_case(machine))
            || (connection.is_recorded() && recorded.is_some_and(|one| one.machine == *machine))
    }
}

/// Who can reach what. With a volume, its connections alone are asked for.
pub async fn connections(
    arrays: &Arrays,
    filter: &ConnectionFilter,
    here: &Here,
) -> ConnectionList {
    let volume = filter.volume.clone();
    let answers = arrays
        .ask(move |backend| of_array(backend, volume.clone()))
        .await;
    let there = answers.told.iter().any(|(_, found)| found.is_some());
    let missing = filter.volume.iter().filter(|_| !there);
    let not_found = missing.map(ToString::to_string).collect();
    let mut connections = Vec::new();
    for (site, found) in answers.told {
        let found = found.unwrap_or_default();
        for of_volume in by_volume(found).values() {
            let wanted = of_volume.iter().filter(|one| fits(one, filter));
            connections.extend(wanted.map(|one| entry(&site, one, of_volume, here)));
        }
    }
    connections.sort_by(|one, two| {
        let key = |entry: &ConnectionEntry| {
            let (volume, array) = (entry.volume.clone(), entry.array.clone());
            (
                volume,
                array,
                entry.group.clone(),
                entry.host.clone(),
                entry.id.clone(),
            )
        };
        key(one).cmp(&key(two))
    });
    ConnectionList {
        format: FORMAT,
        connections,
        not_found,
        unavailable: answers.silent,
    }
}

/// `None` where the array does not have the volume.
async fn of_array(
    backend: Arc<dyn Backend>,
    volume: Option<VolumeName>,
) -> Result<Option<Vec<Connection>>> {
    let Some(name) = volume else {
        return all_connections(&*backend, None).await.map(Some);
    };
    let found = backend.get(VolumeKey::Name(name)).await?;
    match found.filter(|volume| volume.state != VolumeState::Destroyed) {
        Some(volume) => all_connections(&*backend, Some(&volume)).await.map(Some),
        None => Ok(None),
    }
}

fn fits(connection: &Connection, filter: &ConnectionFilter) -> bool {
    let Some(wanted) = &filter.host else {
        return true;
    };
    let machine = connection.recorded.as_ref().map(|one| &one.machine);
    let machine = machine.filter(|_| connection.is_recorded());
    let is = |name: &String| {
        // Our objects are called `<host name>-<8 hex>`.
        let stem = name.rsplit_once('-').filter(|(_, hash)| hash.len() == 8);
        name.eq_ignore_ascii_case(wanted)
            || stem.is_some_and(|(stem, _)| stem.eq_ignore_ascii_case(wanted))
    };
    [connection.host.as_ref(), connection.group.as_ref(), machine]
        .into_iter()
        .flatten()
        .any(is)
}

fn entry(site: &Site, one: &Connection, of_volume: &[Connection], here: &Here) -> ConnectionEntry {
    let survey = site
        .backend
        .as_ref()
        .ok()
        .and_then(|backend| backend.survey());
    let identity = survey.and_then(|survey| survey.identity());
    let recorded = one.recorded.as_ref();
    ConnectionEntry {
        volume: one.name.to_string(),
        id: one.volume.to_string(),
        array: identity.map_or_else(|| site.endpoint.clone(), |identity| identity.name),
        endpoint: site.endpoint.clone(),
        object: one.object.clone(),
        host: one.host.clone(),
        group: one.group.clone(),
        lun: one.lun,
        recorded: one.is_recorded(),
        holder: recorded.map(|holder| holder.machine.clone()),
        grant: recorded.map(|holder| holder.nonce.to_string()),
        this_host: here.is_mine(one),
        hints: hints(site, one, of_volume, here),
    }
}

/// What is odd about a connection.
fn hints(site: &Site, one: &Connection, of_volume: &[Connection], here: &Here) -> Vec<String> {
    let mut hints = Vec::new();
    if of_volume.len() > 1 {
        hints.push(format!("{} hosts can reach it", of_volume.len()));
    }
    if let Some(group) = &one.group {
        hints.push(format!("through host group {group}, an administrator's"));
    } else if !one.is_recorded() {
        hints.push(match &one.recorded {
            Some(holder) => format!("stale? the record names {}", holder.machine),
            None => "no grant on record: by hand, or a publish that was cut off".to_owned(),
        });
    }
    let namespace = site
        .backend
        .as_ref()
        .ok()
        .map(|backend| backend.namespace());
    if namespace.is_some_and(|namespace| is_reserved(namespace, &one.object)) {
        hints.push("half removed".to_owned());
    }
    if here.is_mine(one) {
        hints.extend(here.hint(one));
    }
    hints
}

impl Here {
    /// What this host's ledger has to say about a connection of its own.
    pub(super) fn hint(&self, connection: &Connection) -> Option<String> {
        let ledger = self.ledger.as_ref().filter(|ledger| ledger.exists)?;
        let volume = &connection.volume;
        if ledger.intended.iter().any(|held| held.volume == *volume) {
            return Some("here: a publish whose fate is open; the plugin looks again".to_owned());
        }
        let Some(entry) = ledger.entries.iter().find(|entry| entry.volume == *volume) else {
            return Some("here: this host's ledger does not know it".to_owned());
        };
        if matches!(entry.recorded, Recorded::Released | Recorded::Forgotten) {
            let text = "here: let go of; the plugin tells the array in the background";
            return Some(text.to_owned());
        }
        let grant = connection.recorded.as_ref().map(|holder| holder.nonce);
        if grant.is_some_and(|nonce| nonce != entry.nonce) {
            return Some("here: attached under an older grant".to_owned());
        }
        (entry.mounted == Some(false)).then(|| "here: recorded and not mounted".to_owned())
    }
}
