//! Taking a volume from a host that an operator says is dead: F3 and F4 without anybody who gets
//! it, and the record of it.
//!
//! Exactly the host named, and only one of ours, as in a publish (`publish::fence`). Nobody is
//! connected here, so nothing is granted: the next publish begins with its own read.

use storage_core::{
    Backend as _, Clock as _, Error, ErrorKind, Fence, FenceReason, Outcome, ReleaseHost, Result,
    SystemClock, Volume,
};
use tokio::time::Instant;

use crate::api::{Api, WireConnection, WireVolumeKey};
use crate::backend::FlashArray;
use crate::error::Refusal;
use crate::fence_tag::{fence_tag, read_fence};
use crate::hosts::machine_of;
use crate::present::Present;
use crate::publish::tell_people;
use crate::record::Record;
use crate::unpublish::{GONE, group_of};

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "the volume is gone")
}

impl FlashArray {
    pub(crate) async fn recorded_fence(&self, volume: &Volume) -> Result<Option<Fence>> {
        let api = self.api_for(&volume.id).await?;
        match api.tags_of(&[volume.id.object()]).await {
            Ok(tags) => read_fence(&tags),
            Err(failure) if failure.is(&[Refusal::VolumeMissing]) => Err(gone()),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(crate) async fn release_host(&self, request: &ReleaseHost) -> Result<Outcome<Fence>> {
        let (volume, host) = (&request.volume, request.host.as_str());
        let api = self.api_for(&volume.id).await?;
        let key = self.present_key(&api, &volume.id).await?;
        let key = key.ok_or_else(gone)?;
        let before = self.connected(&api, &key, volume).await?;
        if let Some(group) = group_of(&before, host) {
            let message = format!(
                "host {host} has the volume by host group {group}, which is an administrator's"
            );
            return Err(Error::new(ErrorKind::FailedPrecondition, message));
        }
        let present = Present::of(&before, host);
        if present.own.is_none() {
            return self.released_before(request, &present).await;
        }
        if machine_of(host).is_none() {
            let holder = Record::read(&api.tags_of(&[volume.id.object()]).await?)?.holder;
            if holder.is_none_or(|holder| !holder.object.eq_ignore_ascii_case(host)) {
                let message = format!(
                    "Fairlead did not make the host {host} and never gave it the volume: disconnect it on the array"
                );
                return Err(Error::new(ErrorKind::FailedPrecondition, message));
            }
        }
        let began = Instant::now();
        crash_points::point!("release.F3");
        self.tell_release(volume, "F3", host, "asked");
        match api.disconnect(&key, host).await {
            Ok(()) => {}
            Err(failure) if failure.is(GONE) => {}
            Err(failure) => {
                self.tell_release(volume, "F3", host, "timeout");
                return Err(failure.into());
            }
        }
        self.tell_release(volume, "F3", host, "done");
        crash_points::point!("release.F4");
        let left = Present::of(&self.connected(&api, &key, volume).await?, host);
        self.tell_release(volume, "F4", &left.hosts.join(","), "read");
        if left.own.is_some() {
            let message = format!("the array still lists the connection of host {host}");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let evidence = if left.alone() {
            "read back: nobody connected"
        } else {
            "read back: others connected"
        };
        let fence = Fence {
            old_hosts: vec![host.to_owned()],
            new_host: None,
            reason: FenceReason::Operator,
            evidence: evidence.to_owned(),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            at_ms: SystemClock.now_ms(),
        };
        tell_people(volume.name.as_str(), &fence);
        crash_points::point!("release.tag");
        api.put_tags(volume.id.object(), &[fence_tag(&fence)])
            .await?;
        Ok(Outcome::Done(fence))
    }

    /// The host has no access: an earlier call may have taken it away.
    async fn released_before(
        &self,
        request: &ReleaseHost,
        present: &Present,
    ) -> Result<Outcome<Fence>> {
        let host = &request.host;
        let recorded = self.recorded_fence(&request.volume).await?;
        let same = |fence: &Fence| {
            let mut old = fence.old_hosts.iter();
            fence.reason == FenceReason::Operator && old.any(|old| old.eq_ignore_ascii_case(host))
        };
        if let Some(fence) = recorded.filter(same) {
            return Ok(Outcome::AlreadySo(fence));
        }
        let others: Vec<&str> = present
            .hosts
            .iter()
            .chain(&present.groups)
            .map(String::as_str)
            .collect();
        let has = if others.is_empty() {
            "no host has it".to_owned()
        } else {
            format!("{} has it", others.join(", "))
        };
        let message = format!("host {host} does not have the volume: {has}");
        Err(Error::new(ErrorKind::NotFound, message))
    }

    async fn connected(
        &self,
        api: &Api,
        key: &WireVolumeKey,
        volume: &Volume,
    ) -> Result<Vec<WireConnection>> {
        let connections = match api.connections(key).await {
            Ok(connections) => connections,
            Err(failure) if failure.is(&[Refusal::VolumeMissing, Refusal::Destroyed]) => {
                return Err(gone());
            }
            Err(failure) => return Err(failure.into()),
        };
        // Under its name, where the array cannot be asked by id, another volume may be by now.
        let other = connections
            .iter()
            .filter_map(|connection| connection.volume.id.as_deref())
            .any(|id| id != volume.id.object());
        if other { Err(gone()) } else { Ok(connections) }
    }

    /// As in a publish, by nobody's machine.
    fn tell_release(&self, volume: &Volume, step: &str, hosts: &str, answer: &str) {
        tracing::trace!(
            target: "fairlead::protocol",
            step,
            node = "operator",
            array = self.endpoint(),
            volume = %volume.id,
            hosts,
            answer,
        );
    }
}
