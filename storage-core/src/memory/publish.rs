//! Publish and unpublish of the reference backend, F1 to F6 step by step, each one request.

use std::collections::HashSet;

use uuid::Uuid;

use crate::access::{Access, AccessPath, Grant};
use crate::backend::{Preemption, Publication, PublishVolume, UnpublishVolume};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::array::{Link, Object, gone};
use crate::memory::backend::MemoryBackend;
use crate::memory::claims::nothing_sent;
use crate::memory::view::identity;
use crate::outcome::Outcome;
use crate::volume::{Volume, VolumeId, VolumeState};

/// As SCSI over iSCSI has them; 0 is every target's own.
const LUNS: std::ops::RangeInclusive<u16> = 1..=4095;

/// How often a publish that meets another one starts again.
const ROUNDS_MAX: usize = 4;

/// Whether the connection is one of a host that a Fairlead made, by the form of its name:
/// `<name>-<8 hex>`.
pub(super) fn is_ours(link: &Link) -> bool {
    let hex = link.host.rsplit_once('-').map(|(_, hex)| hex);
    !link.group
        && hex.is_some_and(|hex| hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Who has a volume, of one moment.
struct Holders {
    links: Vec<Link>,
    holder: Option<(String, Uuid)>,
    volume: VolumeId,
    object: Object,
}

/// How one round of a publish ended.
enum Round {
    Published(Outcome<Access>),
    /// Once more from F1: another publisher was met, which has the higher name; or the connection
    /// that was there had a number that must not come back.
    Again(Error),
}

impl Holders {
    /// The grant's nonce, if that host alone has the volume and the record says so.
    fn granted(&self, host: &str) -> Option<Uuid> {
        let alone = matches!(self.links.as_slice(), [only] if only.host == host);
        let (holder, nonce) = self.holder.as_ref()?;
        (alone && holder == host).then_some(*nonce)
    }

    fn others(&self, host: &str) -> Vec<String> {
        let others = self.links.iter().filter(|link| link.host != host);
        others.map(|link| link.host.clone()).collect()
    }

    fn foreign(&self) -> Option<&Link> {
        let recorded = self.holder.as_ref().map(|(host, _)| host);
        self.links
            .iter()
            .find(|link| link.group || !(is_ours(link) || recorded == Some(&link.host)))
    }
}

impl MemoryBackend {
    pub(super) async fn publish_by_steps(
        &self,
        request: &PublishVolume,
    ) -> Result<Outcome<Access>> {
        let mut victims = None;
        let mut met = None;
        for _ in 0..ROUNDS_MAX {
            match self.publish_round(request, &mut victims).await? {
                Round::Published(outcome) => {
                    self.array.publish_answer()?;
                    return Ok(outcome);
                }
                Round::Again(error) => met = Some(error),
            }
        }
        Err(met.unwrap_or_else(gone))
    }

    async fn publish_round(
        &self,
        request: &PublishVolume,
        victims: &mut Option<Vec<String>>,
    ) -> Result<Round> {
        let host = request.host.object_name();
        let volume = &request.volume;
        // F1
        let before = self.holders(volume).await.map_err(nothing_sent)?;
        if let Some(nonce) = before.granted(&host) {
            let access = access(self.array.name(), &host, nonce, &before)?;
            return Ok(Round::Published(Outcome::AlreadySo(access)));
        }
        if let Some(link) = before.foreign() {
            let what = if link.group { "host group" } else { "host" };
            let who = &link.host;
            return Err(held(&format!(
                "{what} {who}, which is not ours to shut out"
            )));
        }
        // Those of the first look, whatever comes later.
        let victims = victims.get_or_insert_with(|| before.others(&host));
        let others = before.others(&host);
        if let Some(holder) = others.first() {
            if let Some(newcomer) = others.iter().find(|other| !victims.contains(other)) {
                return Err(met(newcomer));
            }
            self.shut_out(request, holder, &others).await?;
        }
        // F5
        let connected = before.links.iter().any(|link| link.host == host);
        if !connected {
            self.connect(request, &host).await?;
        }
        self.see_alone(request, &host, connected).await
    }

    /// F6, and the record of it.
    async fn see_alone(
        &self,
        request: &PublishVolume,
        host: &str,
        connected: bool,
    ) -> Result<Round> {
        let volume = &request.volume;
        let after = match self.holders(volume).await {
            Ok(after) => after,
            Err(error) => {
                if error.kind() == ErrorKind::NotFound && !connected {
                    self.undo_by_name(volume, host).await?;
                    self.disconnect(&volume.id, &volume.object, host).await?;
                }
                return Err(error);
            }
        };
        if let Some(other) = after.others(host).first() {
            self.disconnect(&volume.id, &volume.object, host).await?;
            // The one with the higher name gives way, so that not both do.
            return if host > other.as_str() {
                Err(met(other))
            } else {
                Ok(Round::Again(met(other)))
            };
        }
        if after.links.is_empty() {
            return Err(Error::new(
                ErrorKind::Busy,
                "this host was shut out while it was given the volume",
            ));
        }
        let wrong = |link: &Link| {
            request.avoid_luns.contains(&link.lun)
                || self.asked.is_anothers(&volume.id, host, link.lun)
        };
        if after.links.iter().any(wrong) {
            // Left by a publish that did not know, and no grant was told for it.
            self.disconnect(&volume.id, &volume.object, host).await?;
            let why = "the connection's number is one that this host still uses";
            return Ok(Round::Again(Error::new(ErrorKind::Busy, why)));
        }
        let nonce = self.array.nonce();
        self.tag_holder(volume, host, nonce).await?;
        let access = access(self.array.name(), host, nonce, &after)?;
        Ok(Round::Published(Outcome::Done(access)))
    }

    /// F2 to F4.
    async fn shut_out(
        &self,
        request: &PublishVolume,
        holder: &str,
        victims: &[String],
    ) -> Result<()> {
        let volume = &request.volume;
        match &request.preemption {
            Preemption::ShutOut(permit) if permit.stands() => {}
            Preemption::ShutOut(_) => {
                return Err(held(&format!(
                    "host {holder}, and whoever asked for it to be shut out has gone"
                )));
            }
            Preemption::Refuse => return Err(held(&format!("host {holder}"))),
        }
        match self.take_away(volume, victims).await {
            // What was executed is seen by the look that follows.
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            result => result?,
        }
        let now = self.holders(volume).await?;
        let host = request.host.object_name();
        match now.others(&host).first() {
            None => Ok(()),
            Some(other) if victims.contains(other) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("host {other} could not be shut out"),
            )),
            Some(other) => Err(met(other)),
        }
    }

    /// Who has the volume, if the name that connections are made by still is this volume's.
    async fn holders(&self, volume: &Volume) -> Result<Holders> {
        let volume = volume.clone();
        let object = volume.object.clone();
        self.send("holders", &object, move |node| {
            let objects = node.array.lock();
            let object = objects.get(&volume.object.to_ascii_lowercase());
            let object = object
                .filter(|object| object.id == volume.id.object())
                .filter(|object| object.state == VolumeState::Ready && !node.is_foreign(object))
                .ok_or_else(gone)?;
            let record = object.record.as_ref();
            Ok(Holders {
                links: object.links.clone(),
                holder: record.and_then(|record| record.holder.clone()),
                volume: volume.id.clone(),
                object: object.clone(),
            })
        })
        .await
    }

    async fn take_away(&self, volume: &Volume, victims: &[String]) -> Result<()> {
        let (id, victims) = (volume.id.object().to_owned(), victims.to_vec());
        self.send("shut out", &volume.object, move |node| {
            node.array.change(&id, |object| {
                object.links.retain(|link| !victims.contains(&link.host));
                Ok(())
            })
        })
        .await
    }

    /// Under the lowest number that is free: one that was just given back is given again, as
    /// arrays do. A request that has no answer is not repeated.
    async fn connect(&self, request: &PublishVolume, host: &str) -> Result<()> {
        let volume = &request.volume;
        let mut avoided: HashSet<u16> = request.avoid_luns.iter().copied().collect();
        loop {
            let open = LUNS.filter(|lun| !avoided.contains(lun));
            let Some(lun) = self.asked.ask((&volume.id, host), open, |_count| 0) else {
                return Err(Error::new(
                    ErrorKind::ResourceExhausted,
                    "no logical unit number is free on this host",
                ));
            };
            match self.connect_under(volume, host, lun).await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    self.asked.refused(&volume.id, host, lun);
                    avoided.insert(lun);
                }
                Err(error) if error.kind() == ErrorKind::Timeout => {
                    self.asked.lost(&volume.id, host, lun);
                    let undone = self.disconnect(&volume.id, &volume.object, host).await;
                    return Err(match undone {
                        Ok(_) => error,
                        Err(undo) => error.with_context("undo", undo.to_string()),
                    });
                }
                Err(error) => {
                    self.asked.refused(&volume.id, host, lun);
                    return Err(error);
                }
            }
        }
    }

    /// Whether the number was free on the host.
    async fn connect_under(&self, volume: &Volume, host: &str, lun: u16) -> Result<bool> {
        let (object, host) = (volume.object.clone(), host.to_owned());
        self.send("connect", &volume.object, move |node| {
            let (serial, _id) = node.array.next_id();
            let mut objects = node.array.lock();
            let mut links = objects.values().flat_map(|object| &object.links);
            let taken = links.any(|link| link.host == host && link.lun == lun);
            let found = objects.get_mut(&object.to_ascii_lowercase());
            let found = found
                .filter(|found| found.state == VolumeState::Ready)
                .ok_or_else(gone)?;
            if found.link(&host).is_some() {
                return Ok(true);
            }
            if !taken {
                found.links.push(Link {
                    host: host.clone(),
                    group: false,
                    lun,
                    serial,
                });
            }
            Ok(!taken)
        })
        .await
    }

    async fn disconnect(&self, id: &VolumeId, object: &str, host: &str) -> Result<bool> {
        let (id, host) = (id.object().to_owned(), host.to_owned());
        self.send("disconnect", object, move |node| {
            let removed = node.array.change(&id, |object| {
                let before = object.links.len();
                object.links.retain(|link| link.host != host);
                Ok(object.links.len() < before)
            });
            match removed {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                result => result,
            }
        })
        .await
    }

    /// The name belongs to another volume by now, so the connection was made to that one.
    async fn undo_by_name(&self, volume: &Volume, host: &str) -> Result<()> {
        let (object, host) = (volume.object.clone(), host.to_owned());
        let meant = volume.id.object().to_owned();
        self.send("disconnect", &volume.object, move |node| {
            let mut objects = node.array.lock();
            let found = objects.get_mut(&object.to_ascii_lowercase());
            if let Some(other) = found.filter(|other| other.id != meant) {
                let granted = other.record.as_ref().and_then(|one| one.holder.as_ref());
                // One with a grant of its own was made by another publish, of that volume.
                if granted.is_none_or(|(holder, _)| *holder != host) {
                    other.links.retain(|link| link.host != host);
                }
            }
            Ok(())
        })
        .await
    }

    async fn tag_holder(&self, volume: &Volume, host: &str, nonce: Uuid) -> Result<()> {
        let (id, host) = (volume.id.object().to_owned(), host.to_owned());
        self.send("tag holder", &volume.object, move |node| {
            node.array.change(&id, |object| {
                if let Some(record) = object.record.as_mut() {
                    record.holder = Some((host.clone(), nonce));
                }
                Ok(())
            })
        })
        .await
    }

    pub(super) async fn unpublish_now(&self, request: &UnpublishVolume) -> Result<Outcome<()>> {
        let host = request.host.object_name();
        let removed = self
            .disconnect(&request.volume, &request.object, &host)
            .await?;
        self.asked.let_go(&request.volume, &host);
        Ok(if removed {
            Outcome::Done(())
        } else {
            Outcome::AlreadySo(())
        })
    }

    pub(super) async fn published_now(&self, volume: &Volume) -> Result<Vec<Publication>> {
        let id = volume.id.object().to_owned();
        self.send("published", &volume.object, move |node| {
            node.array.change(&id, |object| {
                let record = object.record.as_ref();
                let holder = record.and_then(|record| record.holder.as_ref());
                let publication = |link: &Link| Publication {
                    host: link.host.clone(),
                    group: link.group,
                    nonce: holder
                        .filter(|(holder, _)| *holder == link.host)
                        .map(|(_, nonce)| *nonce),
                };
                Ok(object.links.iter().map(publication).collect())
            })
        })
        .await
    }
}

fn access(array: &str, host: &str, nonce: Uuid, now: &Holders) -> Result<Access> {
    let link = now.object.link(host).ok_or_else(gone)?;
    let record = now.object.record.as_ref();
    Ok(Access {
        volume: now.volume.clone(),
        path: AccessPath::Loop {
            file: format!("/memory/{array}/{host}/{}", link.lun).into(),
        },
        identity: identity(&now.object),
        size: now.object.size,
        grant: Grant {
            nonce,
            host: host.to_owned(),
        },
        format_grant: record.and_then(|record| record.format_grant.clone()),
    })
}

fn held(by: &str) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!("the volume is held by {by}"),
    )
}

fn met(other: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("host {other} is being given the volume at the same time"),
    )
}
