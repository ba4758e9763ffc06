//! The steps of a publish as a trace has them (docs/protocols/trace.md).

use storage_core::{Backend as _, PublishVolume};
use uuid::Uuid;

use super::Case;
use crate::api::WireConnection;
use crate::backend::FlashArray;

impl FlashArray {
    pub(super) fn tell(&self, request: &PublishVolume, step: &str, hosts: &str, answer: &str) {
        tracing::trace!(
            target: "fairlead::protocol",
            step,
            node = request.host.object_name(),
            array = self.endpoint(),
            volume = %request.volume.id,
            hosts,
            answer,
        );
    }
}

impl Case<'_> {
    /// A step, and the hosts that it is about, joined by `,`.
    pub(super) fn tell(&self, step: &str, hosts: &str, answer: &str) {
        self.array.tell(self.request, step, hosts, answer);
    }

    /// A step about this host.
    pub(super) fn tell_host(&self, step: &str, answer: &str) {
        self.tell(step, self.host, answer);
    }

    /// Who was seen connected, by groups too, as nobody has a grant beside them.
    pub(super) fn tell_read(&self, step: &str, connections: &[WireConnection]) {
        if !tracing::enabled!(target: "fairlead::protocol", tracing::Level::TRACE) {
            return;
        }
        let name = |one: &WireConnection| one.host.name.clone().or(one.host_group.name.clone());
        let mut hosts: Vec<String> = connections.iter().filter_map(name).collect();
        hosts.sort_unstable();
        self.tell(step, &hosts.join(","), "read");
    }

    /// A step about a grant.
    pub(super) fn tell_grant(&self, step: &str, nonce: Uuid, answer: &str) {
        tracing::trace!(
            target: "fairlead::protocol",
            step,
            node = self.request.host.object_name(),
            array = self.array.endpoint(),
            volume = %self.request.volume.id,
            nonce = %nonce,
            answer,
        );
    }
}
