//! Publish and unpublish of the reference backend, F1 to F6 step by step, each one request.

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
    object: Object,
}

/// How one round of a publish ended.
enum Round {
    Published(Outcome<Access>),
    /// Another publisher was met, which has the higher name: once more from F1.
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
        let mut met = None;
        for _ in 0..ROUNDS_MAX {
            match self.publish_round(request).await? {
                Round::Published(outcome) => {
                    self.array.publish_answer()?;
                    return Ok(outcome);
                }
                Round::Again(error) => met = Some(error),
            }
        }
        Err(met.unwrap_or_else(gone))
    }

    async fn publish_round(&self, request: &PublishVolume) -> Result<Round> {
        let host = request.host.object_name();
        let volume = &request.volume;
        // F1
        let before = self.holders(volume).await.map_err(nothing_sent)?;
        if let Some(nonce) = before.granted(&host) {
            let access = self.access(volume, &host, nonce, &before)?;
            return Ok(Round::Published(Outcome::AlreadySo(access)));
        }
        if let Some(link) = before.foreign() {
            let what = if link.group { "host group" } else { "host" };
            let who = &link.host;
            return Err(held(&format!(
                "{what} {who}, which is not ours to shut out"
            )));
        }
        // F2
        let victims = before.others(&host);
        if let Some(victim) = victims.first() {
            match &request.preemption {
                Preemption::ShutOut(permit) if permit.stands() => {}
                Preemption::ShutOut(_) => {
                    return Err(held(&format!(
                        "host {victim}, and whoever asked for it to be shut out has gone"
                    )));
                }
                Preemption::Refuse => return Err(held(&format!("host {victim}"))),
            }
            // F3
            self.shut_out(volume, &victims).await?;
            // F4
            let now = self.holders(volume).await?;
            if let Some(other) = now.others(&host).first() {
                return Err(met(other));
            }
        }
        // F5
        let connected = before.links.iter().any(|link| link.host == host);
        if !connected {
            self.connect(request, &host).await?;
        }
        // F6
        let after = match self.holders(volume).await {
            Ok(after) => after,
            Err(error) => {
                if error.kind() == ErrorKind::NotFound && !connected {
                    self.undo_by_name(volume, &host).await?;
                    self.disconnect(&volume.id, &volume.object, &host).await?;
                }
                return Err(error);
            }
        };
        if let Some(other) = after.others(&host).first() {
            self.disconnect(&volume.id, &volume.object, &host).await?;
            // The one with the higher name gives way, so that not both do.
            return if host > *other {
                Err(met(other))
            } else {
                Ok(Round::Again(met(other)))
            };
        }
        if after.links.is_empty() {
            return Err(Error::new(
                ErrorKind::Busy,
                "another host was given the volume meanwhile",
            ));
        }
        let nonce = self.array.nonce();
        self.tag_holder(volume, &host, nonce).await?;
        let access = self.access(volume, &host, nonce, &after)?;
        Ok(Round::Published(Outcome::Done(access)))
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
                object: object.clone(),
            })
        })
        .await
    }

    async fn shut_out(&self, volume: &Volume, victims: &[String]) -> Result<()> {
        let (object, victims) = (volume.object.clone(), victims.to_vec());
        self.send("shut out", &volume.object, move |node| {
            let mut objects = node.array.lock();
            let found = objects.get_mut(&object.to_ascii_lowercase());
            let links = &mut found.ok_or_else(gone)?.links;
            links.retain(|link| !victims.contains(&link.host));
            Ok(())
        })
        .await
    }

    async fn connect(&self, request: &PublishVolume, host: &str) -> Result<()> {
        let (object, host) = (request.volume.object.clone(), host.to_owned());
        let avoid = request.avoid_luns.clone();
        self.send("connect", &request.volume.object, move |node| {
            let (serial, _id) = node.array.next_id();
            let mut objects = node.array.lock();
            let links = objects.values().flat_map(|object| &object.links);
            let taken: Vec<u16> = links
                .filter(|link| link.host == host)
                .map(|link| link.lun)
                .collect();
            let found = objects.get_mut(&object.to_ascii_lowercase());
            let found = found
                .filter(|found| found.state == VolumeState::Ready)
                .ok_or_else(gone)?;
            if found.link(&host).is_some() {
                return Ok(());
            }
            // The lowest: a number that was just given back is given again, as arrays do.
            let lun = LUNS
                .into_iter()
                .find(|lun| !taken.contains(lun) && !avoid.contains(lun))
                .ok_or_else(|| {
                    let what = "no logical unit number is free on this host";
                    Error::new(ErrorKind::ResourceExhausted, what)
                })?;
            found.links.push(Link {
                host: host.clone(),
                group: false,
                lun,
                serial,
            });
            Ok(())
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

    fn access(&self, volume: &Volume, host: &str, nonce: Uuid, now: &Holders) -> Result<Access> {
        let link = now.object.link(host).ok_or_else(gone)?;
        let record = now.object.record.as_ref();
        Ok(Access {
            volume: volume.id.clone(),
            path: AccessPath::Loop {
                file: format!("/memory/{}/{host}/{}", self.array.name(), link.lun).into(),
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

    pub(super) async fn unpublish_now(&self, request: &UnpublishVolume) -> Result<Outcome<()>> {
        let host = request.host.object_name();
        let removed = self
            .disconnect(&request.volume, &request.object, &host)
            .await?;
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
