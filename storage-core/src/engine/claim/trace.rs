//! The claim's steps as trace events: `docs/protocols/trace.md` has the fields. For tests and
//! models; nothing here decides.

use tracing::Level;

use crate::claim::{ArrayNumber, ClaimNonce};
use crate::fleet_record::Epoch;
use crate::name::VolumeName;
use crate::volume::VolumeId;

const TARGET: &str = "fairlead::protocol";

/// One event, as far as its step has the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event<'a> {
    pub(super) step: &'static str,
    pub(super) node: &'a str,
    pub(super) array: Place<'a>,
    pub(super) name: Option<&'a VolumeName>,
    pub(super) nonce: Option<Mark>,
    pub(super) marker: Option<Option<ClaimNonce>>,
    pub(super) epoch: Option<Epoch>,
    pub(super) volume: Option<&'a VolumeId>,
    pub(super) object: Option<&'a str>,
    pub(super) phase: Option<&'a str>,
}

/// What tells attempts apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// An attempt to take a name, or none.
    Claim(Option<ClaimNonce>),
    /// A fleet record.
    Record(u32),
}

impl From<ClaimNonce> for Mark {
    fn from(nonce: ClaimNonce) -> Self {
        Self::Claim(Some(nonce))
    }
}

/// Where a step is done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Place<'a> {
    /// Everywhere, or nowhere in particular.
    #[default]
    Fleet,
    /// On the array of that number.
    Number(ArrayNumber),
    /// On an array that has no number.
    Endpoint(&'a str),
}

impl Event<'_> {
    pub(super) fn tell(&self, answer: &str) {
        if !tracing::enabled!(target: TARGET, Level::TRACE) {
            return;
        }
        let array = match self.array {
            Place::Fleet => "*".to_owned(),
            Place::Number(number) => number.to_string(),
            Place::Endpoint(endpoint) => endpoint.to_owned(),
        };
        let nonce = self.nonce.map(|mark| match mark {
            Mark::Claim(nonce) => text(nonce),
            Mark::Record(nonce) => nonce.to_string(),
        });
        let marker = self.marker.map(text);
        let epoch = self.epoch.map(|epoch| epoch.to_string());
        let volume = self.volume.map(ToString::to_string);
        tracing::trace!(
            target: TARGET,
            step = self.step,
            node = self.node,
            array,
            name = self.name.map(VolumeName::as_str),
            nonce,
            marker,
            epoch,
            volume,
            object = self.object,
            phase = self.phase,
            answer,
        );
    }
}

fn text(nonce: Option<ClaimNonce>) -> String {
    nonce.map_or_else(|| "none".to_owned(), |nonce| nonce.to_string())
}
