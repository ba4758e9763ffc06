//! Delete: free the name, make sure that nobody is connected, destroy.
//!
//! 1. GET its tags: the array's word on whose it is counts, not the caller's. GET its snapshots:
//!    there are some: refused, nothing touched.
//! 2. PATCH the name to `<ns>-fl-trash-<hash>-<nonce>`, by id. From here on nobody can publish it,
//!    and no snapshot of it is acknowledged.
//! 3. GET its snapshots again, as one may have been made before step 2, and its connections. There
//!    is one, or somebody is connected: the name goes back, refused.
//! 4. PATCH destroyed, by the trash name. It stays recoverable as long as the array keeps
//!    destroyed volumes.
//!
//! Step 4 goes by name because a restore may give the volume its name back after step 3, and a
//! host may then connect to it: by id, this delete would destroy a volume in use. Under the trash
//! name there is nothing then, and the volume is looked for by id: it was taken into use again.
//! That rests on no trash name being given twice, so step 2 is sent once under each name; when
//! its answer is lost, the volume is looked for and the next try has a name of its own. Otherwise
//! a repetition that comes late could put a volume in use back under the name that step 4 is
//! about to destroy.
//!
//! What a crash leaves between the steps is trash that is not destroyed: neither absent nor dead,
//! and the next delete goes on with step 3.

use storage_core::{
    Backend as _, Error, ErrorKind, Outcome, Ownership, Result, Volume, VolumeState, is_reserved,
    trash_name,
};
use uuid::Uuid;

use crate::api::{Api, Which, WireConnection, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::{Failure, Refusal};
use crate::name::quoted;
use crate::record::Record;
use crate::restore::Restored;

/// How often it begins again with what it finds, after a lost answer or because another delete of
/// the volume renamed it.
const ROUNDS: usize = 4;

/// A refusal names no more snapshots than this.
const SHOWN_SNAPSHOTS: usize = 5;

/// What a step found.
enum Step<T> {
    Done(T),
    /// The volume is destroyed or gone.
    Gone,
}

fn not_ours() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the object carries no record of this namespace for this name; remove it on the array",
    )
}

fn in_use_again() -> Error {
    Error::new(ErrorKind::Busy, "the volume was taken into use again")
}

impl FlashArray {
    pub(crate) async fn delete_volume(&self, volume: &Volume) -> Result<Outcome<()>> {
        if volume.ownership != Ownership::Recorded {
            return Err(not_ours());
        }
        if volume.state == VolumeState::Destroyed {
            return Ok(Outcome::AlreadySo(()));
        }
        let api = self.api_for(&volume.id).await?;
        if let Step::Gone = self.is_ours(&api, volume).await? {
            return Ok(Outcome::AlreadySo(()));
        }
        if !is_reserved(&self.namespace, &volume.object) {
            match self.snapshots_reason(&api, volume).await? {
                Step::Gone => return Ok(Outcome::AlreadySo(())),
                Step::Done(Some(reason)) => {
                    return Err(Error::new(ErrorKind::FailedPrecondition, reason));
                }
                Step::Done(None) => {}
            }
        }
        let Step::Done(trash) = self.rename_aside(&api, volume).await? else {
            return Ok(Outcome::AlreadySo(()));
        };
        crash_points::point!("delete.snapshots");
        match self.snapshots_reason(&api, volume).await? {
            Step::Gone => return Ok(Outcome::AlreadySo(())),
            Step::Done(Some(reason)) => return self.refuse(&api, volume, reason).await,
            Step::Done(None) => {}
        }
        let Step::Done(trash) = self.destroy(&api, volume, trash).await? else {
            return Ok(Outcome::AlreadySo(()));
        };
        tracing::info!(
            volume = %volume.name, object = trash, array = %self,
            "volume destroyed; to get it back, recover this object on the array and give it a name of the volume's"
        );
        Ok(Outcome::Done(()))
    }

    async fn is_ours(&self, api: &Api, volume: &Volume) -> Result<Step<()>> {
        let tags = match api.tags_of(&[volume.id.object()]).await {
            Ok(tags) => tags,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(Step::Gone),
            Err(failure) => return Err(failure.into()),
        };
        match Record::read(&tags)?.name_in(&self.namespace) {
            Some(name) if *name == volume.name => Ok(Step::Done(())),
            _ => Err(not_ours()),
        }
    }

    /// The reason against removing a volume that has snapshots.
    async fn snapshots_reason(&self, api: &Api, volume: &Volume) -> Result<Step<Option<String>>> {
        let which = Which::Of(volume.id.object());
        let page = match api.page_of_snapshots(which, SHOWN_SNAPSHOTS, None).await {
            Ok(page) => page,
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => return Ok(Step::Gone),
            Err(failure) => return Err(failure.into()),
        };
        let names: Vec<String> = page.items.into_iter().map(|one| one.name).collect();
        Ok(Step::Done((!names.is_empty()).then(|| {
            format!(
                "the volume has snapshots, which would be destroyed with it: {}; remove them first",
                names.join(", ")
            )
        })))
    }

    /// The volume's trash name; the one it has where an earlier delete got this far.
    async fn rename_aside(&self, api: &Api, volume: &Volume) -> Result<Step<String>> {
        if is_reserved(&self.namespace, &volume.object) {
            return match self.name_now(api, volume).await? {
                None => Ok(Step::Gone),
                Some(name) if is_reserved(&self.namespace, &name) => Ok(Step::Done(name)),
                Some(_) => Err(in_use_again()),
            };
        }
        let mut last = None;
        for _round in 0..ROUNDS {
            let trash = trash_name(&self.namespace, &volume.name, Uuid::new_v4());
            crash_points::point!("delete.rename");
            self.tell_delete(volume, "D1", "", "asked");
            let renamed = api.rename_volume_once(volume.id.object(), &trash).await;
            let Err(failure) = renamed else {
                self.tell_delete(volume, "D1", "", "done");
                return Ok(Step::Done(trash));
            };
            if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) {
                self.tell_delete(volume, "D1", "", "gone");
                return Ok(Step::Gone);
            }
            self.tell_delete(volume, "D1", "", "timeout");
            let error = Error::from(failure);
            if error.kind() != ErrorKind::Timeout {
                return Err(error);
            }
            match self.name_now(api, volume).await {
                Ok(Some(name)) if is_reserved(&self.namespace, &name) => {
                    return Ok(Step::Done(name));
                }
                Ok(Some(_)) => last = Some(error),
                Ok(None) => return Ok(Step::Gone),
                Err(_) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(in_use_again))
    }

    /// Destroys the volume under its trash name once nobody is connected; gives that name.
    async fn destroy(&self, api: &Api, volume: &Volume, mut trash: String) -> Result<Step<String>> {
        for _round in 0..ROUNDS {
            crash_points::point!("delete.connections");
            match self.users(api, volume, &trash).await? {
                Some(users) if !users.is_empty() => {
                    let reason = format!("the volume is connected to {}", users.join(", "));
                    let _gone = self.refuse(api, volume, reason).await?;
                    return Ok(Step::Gone);
                }
                Some(_) => match self.destroy_trash(api, volume, &trash).await {
                    Ok(()) => return Ok(Step::Done(trash)),
                    Err(failure) if failure.is(&[Refusal::Destroyed]) => {
                        // An earlier try of this very call, or another delete.
                        return Ok(match failure.may_have_executed() {
                            true => Step::Done(trash),
                            false => Step::Gone,
                        });
                    }
                    Err(failure) if failure.is(&[Refusal::VolumeMissing]) => {}
                    Err(failure) => return Err(failure.into()),
                },
                None => {}
            }
            match self.name_now(api, volume).await? {
                None => return Ok(Step::Gone),
                // Another delete is at work on it: whoever comes first destroys it.
                Some(name) if is_reserved(&self.namespace, &name) => trash = name,
                Some(_) => return Err(in_use_again()),
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "the volume is being removed by others at the same time",
        ))
    }

    async fn destroy_trash(&self, api: &Api, volume: &Volume, trash: &str) -> Result<(), Failure> {
        crash_points::point!("delete.destroy");
        self.tell_delete(volume, "D3", "", "asked");
        let destroyed = api.destroy_volume(trash).await;
        let answer = match &destroyed {
            Ok(()) => "done",
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => "gone",
            Err(_) => "timeout",
        };
        self.tell_delete(volume, "D3", "", answer);
        destroyed
    }

    /// A step as a trace has it (docs/protocols/trace.md).
    fn tell_delete(&self, volume: &Volume, step: &str, hosts: &str, answer: &str) {
        tracing::trace!(
            target: "fairlead::protocol",
            step,
            array = self.endpoint(),
            volume = %volume.id,
            name = %volume.name,
            hosts,
            answer,
        );
    }

    /// Who is connected; `None` when nothing can be told under the trash name any more.
    async fn users(&self, api: &Api, volume: &Volume, trash: &str) -> Result<Option<Vec<String>>> {
        let key = if api.identity.rest.connections_by_id() {
            WireVolumeKey::Id(volume.id.object().to_owned())
        } else {
            WireVolumeKey::Name(trash.to_owned())
        };
        let connections = match api.connections(&key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::Destroyed, Refusal::VolumeMissing]) => {
                return Ok(None);
            }
            Err(failure) => {
                self.tell_delete(volume, "D2", "", "silent");
                return Err(failure.into());
            }
        };
        let host = |one: &WireConnection| one.host.name.clone().or(one.host_group.name.clone());
        let mut hosts: Vec<String> = connections.iter().filter_map(host).collect();
        hosts.sort_unstable();
        self.tell_delete(volume, "D2", &hosts.join(","), "read");
        let mut users: Vec<String> = connections
            .into_iter()
            .filter_map(|one| match one.host_group.name {
                Some(group) => Some(format!("host group {group}")),
                None => one.host.name.map(|host| format!("host {host}")),
            })
            .collect();
        users.dedup();
        Ok(Some(users))
    }

    /// The volume's present name; `None` when it is destroyed or gone.
    async fn name_now(&self, api: &Api, volume: &Volume) -> Result<Option<String>> {
        let id = volume.id.object();
        let found = api.find_volumes(format!("id={}", quoted(id))).await?;
        let present = found.into_iter().find(|one| one.id == id && !one.destroyed);
        Ok(present.map(|one| one.name))
    }

    /// Refuses with everything as it was: the volume gets its name back first. Unless it is
    /// destroyed or gone by then: so already.
    async fn refuse(&self, api: &Api, volume: &Volume, reason: String) -> Result<Outcome<()>> {
        crash_points::point!("delete.give-back");
        self.tell_delete(volume, "give-back", "", "asked");
        let given = self.give_back(api, volume).await;
        let answer = match &given {
            Ok(Restored::Now(_) | Restored::Before(_)) => "done",
            Ok(_) => "gone",
            Err(_) => "timeout",
        };
        self.tell_delete(volume, "give-back", "", answer);
        let message = match given? {
            Restored::Now(_) | Restored::Before(_) => reason,
            Restored::Gone => return Ok(Outcome::AlreadySo(())),
            Restored::Taken => format!("{reason}, and its name was taken meanwhile"),
        };
        Err(Error::new(ErrorKind::FailedPrecondition, message))
    }
}
