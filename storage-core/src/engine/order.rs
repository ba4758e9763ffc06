//! What a create asks for and what answers it: the request that an array gets, the arrays that it
//! may go to, and whether a volume that is there is the one meant. How the name is taken is in
//! [`super::claim`].

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::backend::CreateVolume;
use crate::claim::ClaimNonce;
use crate::engine::Shared;
use crate::engine::copy::{self, Copy};
use crate::engine::fleet::{Located, Lookup, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::label::{self, Labels};
use crate::name::VolumeName;
use crate::options::VolumeOptions;
use crate::select::{Candidate, Decision, PlacementRequest, Rejection};
use crate::size::Size;
use crate::volume::{FormatGrant, Ownership, Volume, VolumeState};

/// The attribute that says which object an adopted volume was.
const IMPORTED: &str = "imported-from";

/// What somebody wants under a name.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) name: VolumeName,
    pub(crate) options: VolumeOptions,
    /// Until when the caller waits: pauses end then.
    pub(crate) deadline: Instant,
    /// This machine, for traces.
    pub(crate) node: String,
}

/// What is special about one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// Why there.
    pub(super) explanation: &'a str,
    pub(super) nonce: ClaimNonce,
}

impl Wish {
    /// Whether a usable volume under the name is what answers, and not what is to be adopted.
    pub(super) fn wants(&self, located: &Located) -> bool {
        let volume = &located.volume;
        let is_source = |object: &String| {
            volume.ownership == Ownership::Unrecorded && volume.object.eq_ignore_ascii_case(object)
        };
        !self.options.import.as_ref().is_some_and(is_source)
    }

    pub(super) fn placement(
        &self,
        shared: &Shared,
        copy: Option<&Copy>,
    ) -> Result<PlacementRequest> {
        Ok(PlacementRequest {
            size: size_of(shared, &self.name, &self.options, copy)?,
            name: self.name.clone(),
            selector: self.options.selector.clone(),
            limits: self.options.limits,
            copy: copy.is_some(),
        })
    }

    /// One attempt on one array, with a file system UUID of its own.
    pub(super) fn attempt(
        &self,
        shared: &Shared,
        request: &PlacementRequest,
        attempt: Attempt<'_>,
    ) -> CreateVolume {
        let by = concat!("fairlead ", env!("CARGO_PKG_VERSION"));
        let mut attributes = Labels::from([
            ("created-by".to_owned(), format!("{by} on {}", self.node)),
            (
                "created-at".to_owned(),
                time_for_people(shared.clock.now_ms()),
            ),
            ("placement".to_owned(), attempt.explanation.to_owned()),
        ]);
        let selector = self.options.selector.to_string();
        if !selector.is_empty() {
            attributes.insert("volume_label_selector".to_owned(), selector);
        }
        CreateVolume {
            name: request.name.clone(),
            size: request.size,
            filesystem: self.options.filesystem.clone(),
            format_grant: Some(FormatGrant {
                filesystem: self.options.filesystem.kind,
                uuid: shared.chance.uuid(),
            }),
            limits: self.options.limits,
            attributes,
            nonce: attempt.nonce,
        }
    }
}

/// Says in a volume's record which object it was.
pub(super) fn note_import(record: &mut CreateVolume, object: &str) {
    record
        .attributes
        .insert(IMPORTED.to_owned(), object.to_owned());
}

impl Lookup {
    /// A destroyed volume that keeps the name on its array.
    pub(crate) fn destroyed(&self) -> Option<Located> {
        let destroyed = |located: &&Located| located.volume.state == VolumeState::Destroyed;
        self.found.iter().find(destroyed).cloned()
    }

    fn in_state(&self, state: VolumeState, name: &VolumeName) -> Result<Option<Located>> {
        let found = self.found.iter();
        let found: Vec<&Located> = found.filter(|one| one.volume.state == state).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => Err(ambiguous(name, several)),
        }
    }

    /// The one usable volume under the name, among those who answered.
    pub(crate) fn usable(&self, name: &VolumeName) -> Result<Option<Located>> {
        self.in_state(VolumeState::Ready, name)
    }

    /// The one whose removal did not end, among those who answered.
    pub(crate) fn deleting(&self, name: &VolumeName) -> Result<Option<Located>> {
        self.in_state(VolumeState::Deleting, name)
    }

    /// The one volume under the name, or none for certain: a usable one, else one whose removal
    /// did not end.
    pub(crate) fn single(self, name: &VolumeName) -> Result<Option<Located>> {
        if let Some(located) = self.usable(name)? {
            return Ok(Some(located));
        }
        if !self.silent.is_empty() {
            return Err(self.unknown(name));
        }
        self.deleting(name)
    }
}

fn ambiguous(name: &VolumeName, found: &[&Located]) -> Error {
    let places: Vec<String> = found
        .iter()
        .map(|l| format!("{} on {}", l.volume.object, l.member.backend.endpoint()))
        .collect();
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "several arrays have a volume of this name: {}; rename or remove all but one there",
            places.join(" and ")
        ),
    )
    .with_context("volume", name.as_str())
}

/// Neither absent nor there.
pub(super) fn being_removed(located: &Located) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "a remove of this volume has begun and not ended; remove it again to finish, or mount it to keep it (on {} it is {})",
            located.member.backend.endpoint(),
            located.volume.object
        ),
    )
    .with_context("volume", located.volume.name.as_str())
}

/// The name is free once the array has done away with it.
pub(super) fn name_destroyed(name: &VolumeName, located: &Located) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "array {} still has a destroyed volume {} under this name; recover it there, rename it, or wait until it is eradicated",
            located.member.backend.endpoint(),
            located.volume.object
        ),
    )
    .with_context("volume", name.as_str())
}

/// Whether an existing volume answers a create with these options. What they do not say may be
/// anything.
pub(super) fn compatible(
    volume: &Volume,
    options: &VolumeOptions,
    located: &Located,
) -> Result<()> {
    let differs = |what: String| {
        Err(Error::new(ErrorKind::AlreadyExists, what).with_context("volume", volume.name.as_str()))
    };
    if let Some(wanted) = options.size {
        let rounded = located.member.backend.capabilities().round(wanted)?;
        if rounded != volume.size {
            let has = volume.size;
            return differs(format!(
                "the volume exists with {has}, and {wanted} was asked for"
            ));
        }
    }
    if let Some(source) = &options.source
        && !copy::is_copy_of(volume, source)
    {
        let made = copy::origin(volume).unwrap_or("nothing");
        return differs(format!(
            "the volume exists as a copy of {made}, and one of {source} was asked for"
        ));
    }
    if let Some(object) = &options.import
        && volume
            .attributes
            .get(IMPORTED)
            .is_none_or(|recorded| recorded != object)
    {
        return differs(format!(
            "the volume exists, and is not the array's object {object} that was to be adopted"
        ));
    }
    if !options.limits.is_empty() && options.limits != volume.limits {
        return differs(format!(
            "the volume exists with the limits {}, and {} was asked for",
            volume.limits, options.limits
        ));
    }
    Ok(())
}

/// The labels of the arrays that the selector left out, if it left any out: told first, as a large
/// fleet's reasons are cut on their way to the user.
fn choices(decision: &Decision, candidates: &[Candidate]) -> Option<String> {
    let verdicts = decision.verdicts.iter();
    let unmatched: Vec<&str> = verdicts
        .filter(|verdict| matches!(verdict.score, Err(Rejection::Labels(_))))
        .map(|verdict| verdict.endpoint.as_str())
        .collect();
    let left_out = |candidate: &&Candidate| unmatched.contains(&candidate.endpoint.as_str());
    let left_out = candidates.iter().filter(left_out);
    let labels: Vec<&Labels> = left_out.map(|one| &one.labels).collect();
    Some(label::choices(&labels)).filter(|choices| !choices.is_empty())
}

/// The size to ask for.
fn size_of(
    shared: &Shared,
    name: &VolumeName,
    options: &VolumeOptions,
    copy: Option<&Copy>,
) -> Result<Size> {
    if let Some(copy) = copy {
        let source = copy.source.size();
        let wanted = options.size.unwrap_or(source);
        if wanted >= source {
            return Ok(wanted);
        }
        return Err(Error::new(
            ErrorKind::OutOfRange,
            format!("{wanted} is less than its source has: {source}"),
        )
        .with_context("volume", name.as_str()));
    }
    let size = options.size.unwrap_or(shared.settings.default_size);
    let kind = options.filesystem.kind;
    let minimum = kind.size_min();
    if size >= minimum {
        return Ok(size);
    }
    Err(Error::new(
        ErrorKind::OutOfRange,
        format!("{size} is too small for {kind}: it needs at least {minimum}"),
    )
    .with_context("volume", name.as_str()))
}

/// RFC 3339, to the second. The format ends with the year 9999.
fn time_for_people(ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// What the selector says, and of which arrays. A copy can be on its source's array alone; of the
/// others, those that may not take new volumes say so.
pub(super) async fn decide(
    shared: &Shared,
    request: &PlacementRequest,
    copy: Option<&Copy>,
    may_take: impl Fn(&Arc<Member>) -> bool,
) -> (Decision, Vec<Candidate>) {
    let mut candidates = candidates(shared).await;
    for candidate in &mut candidates {
        let member = shared.fleet.by_endpoint(&candidate.endpoint);
        if candidate.telemetry.is_ok() && !member.is_some_and(|member| may_take(&member)) {
            candidate.unsupported.get_or_insert_with(|| {
                "it is no array of the fleet yet (`fairlead array add`)".to_owned()
            });
        }
    }
    if let Some(copy) = copy {
        let home = copy.member.backend.endpoint();
        candidates.retain(|candidate| candidate.endpoint == home);
    }
    let decision = shared.selector.select(request, &candidates);
    (decision, candidates)
}

/// Every array, with those marked whose volumes this host cannot attach: what was placed there
/// could never be mounted here.
async fn candidates(shared: &Shared) -> Vec<Candidate> {
    let mut candidates = shared.fleet.candidates().await;
    for candidate in &mut candidates {
        let supported = shared.attacher.supports(candidate.capabilities.protocol);
        candidate.unsupported = supported.err().map(|error| error.message().to_owned());
    }
    candidates
}

/// The error when no array made the volume: the last refusal's kind, and all of them in words.
pub(super) fn nobody(
    name: &VolumeName,
    decision: &Decision,
    candidates: &[Candidate],
    refusals: Vec<(String, Error)>,
) -> Error {
    let words: Vec<String> = refusals
        .iter()
        .map(|(array, error)| format!("{array}: {}", error.chain()))
        .collect();
    let last = refusals.into_iter().next_back().map(|(_, error)| error);
    let kind = last
        .as_ref()
        .map_or(ErrorKind::ResourceExhausted, Error::kind);
    let message = if words.is_empty() {
        let explanation = decision.explain();
        let why = match choices(decision, candidates) {
            Some(choices) => format!("labels to select by are {choices}; {explanation}"),
            None => explanation,
        };
        format!("no array can take this volume: {why}")
    } else {
        format!("no array made this volume: {}", words.join("; "))
    };
    Error::new(kind, message).with_context("volume", name.as_str())
}
