//! Get, List and Path: what is known, from memory where that suffices.
//!
//! Get is the dangerous one. The daemon takes any answered error for "there is no such volume" and
//! forgets the volume's options for good; only a failed connection tells it nothing. So "no such
//! volume" is said when it is certain, and when nothing is certain and nothing was known before,
//! nothing is said.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use hyper::StatusCode;
use serde_json::Value;
use storage_core::{Error, ErrorKind, Result, Volume, VolumeHandle, VolumeName};
use tokio::time::Instant;

use super::{Plugin, Reply, answer, parse, status};
use crate::message::{self, ListedStatus, ListedVolume, NameRequest, VolumeAnswer};
use crate::state::Remembered;

/// A List's answer, and what it was made from.
#[derive(Debug)]
pub(super) struct Listing {
    changes: u64,
    age: String,
    reply: Reply,
}

/// Names that are noted as told of; more than any host has volumes in doubt.
const DOUBTED_MAX: usize = 10_000;

impl Plugin {
    pub(super) async fn get(&self, body: &[u8], deadline: Instant) -> Result<Reply> {
        if message::is_empty(body) {
            // A retry of a Get that we did not answer: Docker's client lost the body. An error
            // would be taken for "no such volume" here too.
            tracing::debug!("a Get without a body: not answered");
            return Ok(Reply::HangUp);
        }
        // A name that is none is refused: no volume of ours can have it.
        let name = VolumeName::new(parse::<NameRequest>(body)?.name)?;
        if let Some(handle) = self.engine.known_handle(&name) {
            return Ok(self.found(&handle));
        }
        let _pass = match self.gate.enter(Some(&name)) {
            Ok(pass) => pass,
            Err(error) => return Ok(self.neither_found_nor_absent(&name, &error)),
        };
        Ok(match self.engine.handle(&name, deadline).await {
            Ok(Some(handle)) => self.found(&handle),
            Ok(None) => {
                self.names.forget(&name);
                self.in_doubt().remove(&name);
                answer::error(StatusCode::NOT_FOUND, "no such volume")
            }
            Err(error) => self.neither_found_nor_absent(&name, &error),
        })
    }

    fn found(&self, handle: &VolumeHandle) -> Reply {
        let volume = &handle.volume;
        self.in_doubt().remove(&volume.name);
        self.names.remember(&volume.name, volume.created_ms, None);
        let mut status = status::of(handle);
        if let Some(host) = self.host_of(volume) {
            status.insert("Host", Value::from(host));
        }
        self.answer(&volume.name, volume.created_ms, status)
    }

    /// The host that has the volume, as far as is known without asking: this one if it is mounted
    /// here, else the one that the array named when it was last read.
    fn host_of(&self, volume: &Volume) -> Option<String> {
        if self.engine.mountpoint(&volume.name).is_some() {
            return Some(self.engine.host().object_name());
        }
        volume.holder.clone()
    }

    fn neither_found_nor_absent(&self, name: &VolumeName, error: &Error) -> Reply {
        let Some(Remembered {
            options,
            created_ms,
        }) = self.names.get(name)
        else {
            self.tell_doubt(name, error, "neither found nor proven absent, and not known from before: not answered, until the array is back");
            return Reply::HangUp;
        };
        self.tell_doubt(name, error, "neither found nor proven absent: answered from the name cache, until the array is back");
        let status = BTreeMap::from([
            (
                "Source",
                Value::from("name cache: the volume could not be looked up now"),
            ),
            ("Options", Value::from_iter(options)),
        ]);
        self.answer(name, created_ms, status)
    }

    /// Once a volume: while arrays are silent the daemon asks again and again, at its start above
    /// all.
    fn tell_doubt(&self, name: &VolumeName, error: &Error, what: &'static str) {
        let mut doubted = self.in_doubt();
        if doubted.len() >= DOUBTED_MAX {
            doubted.clear();
        }
        if doubted.insert(name.clone()) {
            tracing::warn!(volume = %name, error = %error.chain(), what);
        } else {
            tracing::debug!(volume = %name, error = %error.chain(), what);
        }
    }

    fn in_doubt(&self) -> MutexGuard<'_, HashSet<VolumeName>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(
        &self,
        name: &VolumeName,
        created_ms: Option<u64>,
        status: BTreeMap<&'static str, Value>,
    ) -> Reply {
        answer::volume(VolumeAnswer {
            name: name.as_str(),
            mountpoint: self.mountpoint_text(name),
            created_at: created_ms.and_then(rfc_3339),
            status,
        })
    }

    /// Never waits: the daemon lists before it does almost anything else.
    ///
    /// The answer for ten thousand volumes is a megabyte. It is kept as it was sent, with what it
    /// was made from: the count of changes and the age as it is shown. While neither is another, a
    /// new one would be the same, and a thousand callers share one.
    pub(super) fn list(&self) -> Reply {
        let mut changes = self.engine.changes();
        let listed = self.engine.inventory_age();
        if listed.is_none() {
            // Before the first listing is complete, what was known before the start is listed too.
            changes = changes.wrapping_add(self.names.changes());
        }
        let age = listed.map_or_else(|| "not listed yet".to_owned(), age);
        let mut kept = self.listing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = kept.as_ref()
            && listing.changes == changes
            && listing.age == age
        {
            return listing.reply.clone();
        }
        let remembered = match listed {
            Some(_) => Vec::new(),
            None => self.names.names(),
        };
        let reply = self.new_list(&age, &remembered);
        *kept = Some(Listing {
            changes,
            age,
            reply: reply.clone(),
        });
        reply
    }

    fn new_list(&self, age: &str, remembered: &[VolumeName]) -> Reply {
        let inventory = self.engine.inventory();
        let listed = inventory.volumes.iter().map(|volume| &volume.name);
        let mut volumes: Vec<ListedVolume<'_>> =
            listed.map(|name| self.listed(name, age)).collect();
        let known = inventory.volumes.len();
        for name in remembered {
            let there = inventory
                .volumes
                .binary_search_by(|volume| volume.name.cmp(name));
            if there.is_err() {
                volumes.push(self.listed(name, age));
            }
        }
        tracing::debug!(known, remembered = volumes.len() - known, age, "list");
        answer::volumes(volumes)
    }

    fn listed<'a>(&self, name: &'a VolumeName, age: &'a str) -> ListedVolume<'a> {
        let mountpoint = self.engine.mountpoint(name);
        ListedVolume {
            name: name.as_str(),
            mountpoint: mountpoint.map(|path| path.to_string_lossy().into_owned()),
            status: ListedStatus { inventory_age: age },
        }
    }

    /// The mount point as far as memory knows; the empty path while it is not mounted here.
    pub(super) fn path(&self, body: &[u8]) -> Result<PathBuf> {
        let request: NameRequest = parse(body)?;
        let name = VolumeName::new(request.name)?;
        match self.engine.mountpoint(&name) {
            Some(path) => Ok(path),
            None if self.engine.known(&name).is_some() || self.names.get(&name).is_some() => {
                Ok(PathBuf::new())
            }
            None => Err(
                Error::new(ErrorKind::NotFound, "no such volume is known here")
                    .with_context("volume", name.as_str()),
            ),
        }
    }

    fn mountpoint_text(&self, name: &VolumeName) -> String {
        let path = self.engine.mountpoint(name).unwrap_or_default();
        path.to_string_lossy().into_owned()
    }
}

/// How old the inventory is, in whole minutes: finer is of no use to anybody.
fn age(age: Duration) -> String {
    match age.as_secs() / 60 {
        0 => "less than a minute ago".to_owned(),
        1 => "1 minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}

/// A time as Docker wants it; `None` for one that the format cannot hold (after the year 9999).
fn rfc_3339(milliseconds: u64) -> Option<String> {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))?;
    // The year 9999 ends at 253402300799 s; the formatter panics beyond it.
    (milliseconds / 1000 < 253_402_300_800)
        .then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{age, rfc_3339};

    #[test]
    fn ages_are_in_minutes() {
        let text = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(text(59), "less than a minute ago");
        assert_eq!(text(60), "1 minute ago");
        assert_eq!(text(179), "2 minutes ago");
    }

    #[test]
    fn creation_times() {
        assert_eq!(rfc_3339(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            rfc_3339(1_700_000_000_123).as_deref(),
            Some("2023-11-14T22:13:20Z")
        );
        assert!(rfc_3339(253_402_300_799_999).is_some());
        assert_eq!(rfc_3339(253_402_300_800_000), None);
        assert_eq!(rfc_3339(u64::MAX), None);
    }
}
