//! What a machine can reach now: its private connections to volumes that this namespace recorded.
//!
//! 1. GET the host object: one that has not exactly this machine's initiators is not this
//!    machine's to judge, whatever its name.
//! 2. GET `/connections?host_names=`.
//! 3. GET the tags of those volumes, in chunks. Only the record says whose a volume is and what
//!    it is called: the object may be on its way out, under a trash name.
//!
//! An administrator may have made the host object, and connections to it of his own. There, only
//! a volume counts whose record names this machine as its holder.

use storage_core::{Error, ErrorKind, HeldVolume, Host, Result, VolumeId};

use crate::api::{Api, Reference, WireConnection};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::lookup::{TAGS_CHUNK, tags_by_volume, tags_of_chunk};
use crate::record::Record;

/// A volume as a connection names it.
struct Reached {
    id: String,
    object: String,
}

impl FlashArray {
    pub(crate) async fn volumes_of(&self, host: &Host) -> Result<Vec<HeldVolume>> {
        let api = self.api().await?;
        let Some((object, connections)) = self.reach_of(&api, host).await? else {
            return Ok(Vec::new());
        };
        let ours = object.eq_ignore_ascii_case(&host.object_name());
        let reached = private(connections, &object)?;
        let mut held = Vec::new();
        for chunk in reached.chunks(TAGS_CHUNK) {
            let ids: Vec<&str> = chunk.iter().map(|one| one.id.as_str()).collect();
            let mut tags = tags_by_volume(tags_of_chunk(&api, &ids).await?);
            for one in chunk {
                let tags = tags.remove(&one.id).unwrap_or_default();
                let record = match Record::read(&tags) {
                    Ok(record) => record,
                    Err(error) => {
                        tracing::warn!(object = one.object, error = %error.chain(), "left out of what the host holds");
                        continue;
                    }
                };
                let holder = record.holder.as_ref();
                let counts = ours || holder.is_some_and(|it| it.machine == host.object_name());
                if let Some(name) = record.name_in(&self.namespace).filter(|_| counts) {
                    held.push(HeldVolume {
                        volume: VolumeId::new(api.identity.id.clone(), one.id.clone())?,
                        name: name.clone(),
                        object: one.object.clone(),
                    });
                }
            }
        }
        Ok(held)
    }

    /// The machine's host object with all its connections; `None` when none is its own beyond
    /// doubt.
    async fn reach_of(
        &self,
        api: &Api,
        host: &Host,
    ) -> Result<Option<(String, Vec<WireConnection>)>> {
        let Some(object) = self.proven_host(api, host).await? else {
            return Ok(None);
        };
        match api.connections_to(&object).await {
            Ok(connections) => Ok(Some((object, connections))),
            Err(failure) if failure.is(&[Refusal::HostMissing]) => {
                self.forget_host(api, host).await;
                Ok(None)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

/// The volumes of a host's own connections.
///
/// # Errors
/// `Unexpected` for a volume without id: who is connected to what would not be known.
fn private(connections: Vec<WireConnection>, host: &str) -> Result<Vec<Reached>> {
    let own = connections.into_iter().filter(|one| {
        let named = one.host.name.as_deref();
        one.host_group.name.is_none() && named.is_some_and(|name| name.eq_ignore_ascii_case(host))
    });
    own.filter_map(|one| match one.volume {
        // A protocol endpoint's.
        Reference {
            id: None,
            name: None,
        } => None,
        Reference {
            id: Some(id),
            name: Some(object),
        } => Some(Ok(Reached { id, object })),
        Reference { .. } => Some(Err(Error::new(
            ErrorKind::Unexpected,
            "the array lists a connection without telling its volume",
        ))),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::private;
    use crate::api::{Reference, WireConnection};

    fn wire(
        host: &str,
        group: Option<&str>,
        volume: (Option<&str>, Option<&str>),
    ) -> WireConnection {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        WireConnection {
            host: Reference {
                id: None,
                name: Some(host.to_owned()),
            },
            host_group: Reference {
                id: None,
                name: owned(group),
            },
            volume: Reference {
                id: owned(volume.0),
                name: owned(volume.1),
            },
            lun: Some(1),
        }
    }

    #[test]
    fn only_the_hosts_own_connections_to_volumes_count() {
        let volume = (Some("id"), Some("ns-data"));
        let own = private(vec![wire("A", None, volume)], "a").unwrap();
        assert_eq!(own[0].object, "ns-data");
        assert!(
            private(vec![wire("a", Some("g"), volume)], "a")
                .unwrap()
                .is_empty()
        );
        assert!(
            private(vec![wire("b", None, volume)], "a")
                .unwrap()
                .is_empty()
        );
        assert!(
            private(vec![wire("a", None, (None, None))], "a")
                .unwrap()
                .is_empty()
        );
        assert!(private(vec![wire("a", None, (None, Some("ns-data")))], "a").is_err());
    }
}
