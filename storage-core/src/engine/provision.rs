//! Create, remove and grow: what changes volumes on arrays.
//!
//! The look-up before a create asks every array, and a silent one makes the create fail: it may
//! hold the volume. What this does not do yet is decide between two nodes that create one name at
//! the same moment on two arrays; that is the claim, and it goes between look-up and commit, in
//! [`place`].

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::attach::AttachmentState;
use crate::backend::{CreateVolume, DeleteVolume, ExpandVolume};
use crate::claim::ArrayNumber;
use crate::engine::Shared;
use crate::engine::copy::{self, Copy};
use crate::engine::fleet::{Located, Lookup};
use crate::error::{Error, ErrorKind, Result};
use crate::label::{self, Labels};
use crate::name::VolumeName;
use crate::options::VolumeOptions;
use crate::outcome::Outcome;
use crate::select::{Candidate, Decision, PlacementRequest, Rejection};
use crate::size::Size;
use crate::volume::{FormatGrant, Ownership, Volume, VolumeState};

/// How often a remove that finds its volume replaced looks again.
const REMOVE_ROUNDS: usize = 3;

impl Lookup {
    /// A destroyed volume that keeps the name on its array.
    fn destroyed(&self) -> Option<Located> {
        let destroyed = |located: &&Located| located.volume.state == VolumeState::Destroyed;
        self.found.iter().find(destroyed).cloned()
    }

    /// The one volume under the name, or none for certain: a usable one, else one whose removal
    /// did not end.
    pub(crate) fn single(self, name: &VolumeName) -> Result<Option<Located>> {
        let unknown = (!self.silent.is_empty()).then(|| self.unknown(name));
        let in_state = |state: VolumeState| {
            self.found
                .iter()
                .filter(move |l| l.volume.state == state)
                .cloned()
                .collect::<Vec<_>>()
        };
        let mut ready = in_state(VolumeState::Ready);
        if ready.len() > 1 {
            return Err(ambiguous(name, &ready));
        }
        if let Some(located) = ready.pop() {
            return Ok(Some(located));
        }
        if let Some(unknown) = unknown {
            return Err(unknown);
        }
        let mut deleting = in_state(VolumeState::Deleting);
        if deleting.len() > 1 {
            return Err(ambiguous(name, &deleting));
        }
        Ok(deleting.pop())
    }
}

fn ambiguous(name: &VolumeName, found: &[Located]) -> Error {
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
fn being_removed(located: &Located) -> Error {
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

/// Creates the volume, or finds it.
pub(crate) async fn create(
    shared: Arc<Shared>,
    name: VolumeName,
    options: VolumeOptions,
) -> Result<Outcome<Volume>> {
    crash_points::point!("claim.C0.before");
    let lookup = shared.fleet.look_up_everywhere(&name).await;
    crash_points::point!("claim.C0.after");
    let destroyed = lookup.destroyed();
    if let Some(located) = lookup.single(&name)? {
        if located.volume.state != VolumeState::Ready {
            return Err(being_removed(&located));
        }
        compatible(&located.volume, &options, &located)?;
        shared.known.remember(&located);
        return Ok(Outcome::AlreadySo(located.volume));
    }
    // Only now: a live volume is the answer, whatever else has carried its name.
    if let Some(located) = destroyed {
        return Err(name_destroyed(&name, &located));
    }
    let copy = match &options.source {
        Some(source) => Some(Copy::of(&shared, source, &options).await?),
        None => None,
    };
    place(&shared, name, options, copy).await
}

fn name_destroyed(name: &VolumeName, located: &Located) -> Error {
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
fn compatible(volume: &Volume, options: &VolumeOptions, located: &Located) -> Result<()> {
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
    if !options.limits.is_empty() && options.limits != volume.limits {
        return differs(format!(
            "the volume exists with the limits {}, and {} was asked for",
            volume.limits, options.limits
        ));
    }
    Ok(())
}

/// Tries the arrays in the selector's order until one makes the volume. A copy can be on its
/// source's array alone.
async fn place(
    shared: &Shared,
    name: VolumeName,
    options: VolumeOptions,
    copy: Option<Copy>,
) -> Result<Outcome<Volume>> {
    let request = PlacementRequest {
        size: size_of(shared, &name, &options, copy.as_ref())?,
        name: name.clone(),
        selector: options.selector.clone(),
        limits: options.limits,
        copy: copy.is_some(),
    };
    let mut candidates = candidates(shared).await;
    if let Some(copy) = &copy {
        let home = copy.member.backend.endpoint();
        candidates.retain(|candidate| candidate.endpoint == home);
    }
    let decision = shared.selector.select(&request, &candidates);
    let explanation = decision.explain();
    tracing::info!(volume = %name, decision = %explanation, "placement decided");
    let mut refusals = Vec::new();
    for endpoint in decision.ranked() {
        let Some(member) = shared.fleet.by_endpoint(endpoint) else {
            continue;
        };
        let mut attempt = attempt(shared, &request, &options, &explanation);
        member.place(request.size);
        crash_points::point!("claim.placed");
        let made = match &copy {
            None => member.backend.create(attempt).await,
            Some(copy) => {
                copy.note(&mut attempt);
                copy.make(&member, attempt, shared.chance.uuid()).await
            }
        };
        match made {
            Ok(outcome) => {
                let located = Located {
                    volume: outcome.get().clone(),
                    member,
                };
                shared
                    .fleet
                    .learn(located.volume.id.array(), &located.member);
                shared.known.remember(&located);
                crash_points::point!("claim.acknowledged");
                return Ok(outcome);
            }
            // Unknown whether the name is taken there now, or known that it is (a namesake that
            // is destroyed or being removed): nobody may make it elsewhere.
            Err(error) if keeps_the_name(error.kind()) => return Err(error),
            Err(error) => {
                tracing::warn!(volume = %name, array = endpoint, error = %error.chain(), "the array did not make the volume, trying the next");
                refusals.push((endpoint.to_owned(), error));
            }
        }
    }
    let why = match choices(&decision, &candidates) {
        Some(choices) => format!("labels to select by are {choices}; {explanation}"),
        None => explanation,
    };
    Err(nobody(&name, &why, refusals))
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

const fn keeps_the_name(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Timeout | ErrorKind::FailedPrecondition | ErrorKind::Busy
    )
}

/// One attempt on one array, under a nonce and with a file system UUID of its own.
fn attempt(
    shared: &Shared,
    request: &PlacementRequest,
    options: &VolumeOptions,
    explanation: &str,
) -> CreateVolume {
    let by = concat!("fairlead ", env!("CARGO_PKG_VERSION"));
    let mut attributes = Labels::from([
        (
            "created-by".to_owned(),
            format!("{by} on {}", shared.attacher.host().object_name()),
        ),
        (
            "created-at".to_owned(),
            time_for_people(shared.clock.now_ms()),
        ),
        ("placement".to_owned(), explanation.to_owned()),
    ]);
    let selector = options.selector.to_string();
    if !selector.is_empty() {
        attributes.insert("volume_label_selector".to_owned(), selector);
    }
    CreateVolume {
        name: request.name.clone(),
        size: request.size,
        filesystem: options.filesystem.clone(),
        format_grant: Some(FormatGrant {
            filesystem: options.filesystem.kind,
            uuid: shared.chance.uuid(),
        }),
        limits: options.limits,
        attributes,
        nonce: shared.chance.claim_nonce(ArrayNumber::default()),
    }
}

/// RFC 3339, to the second. The format ends with the year 9999.
fn time_for_people(ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(time).to_string()
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
fn nobody(name: &VolumeName, explanation: &str, refusals: Vec<(String, Error)>) -> Error {
    let words: Vec<String> = refusals
        .iter()
        .map(|(array, error)| format!("{array}: {}", error.chain()))
        .collect();
    let last = refusals.into_iter().next_back().map(|(_, error)| error);
    let kind = last
        .as_ref()
        .map_or(ErrorKind::ResourceExhausted, Error::kind);
    let message = if words.is_empty() {
        format!("no array can take this volume: {explanation}")
    } else {
        format!("no array made this volume: {}", words.join("; "))
    };
    Error::new(kind, message).with_context("volume", name.as_str())
}

/// Removes the volume of that name, whichever it is now.
pub(crate) async fn remove(shared: Arc<Shared>, name: VolumeName) -> Result<Outcome<()>> {
    refuse_if_attached(&shared, &name).await?;
    let mut outcome = Outcome::AlreadySo(());
    for _ in 0..REMOVE_ROUNDS {
        let Some(located) = shared.locate(&name).await? else {
            return Ok(outcome);
        };
        if located.volume.ownership == Ownership::Unrecorded {
            return Err(not_ours(&located.volume));
        }
        let request = DeleteVolume {
            volume: located.volume.clone(),
        };
        crash_points::point!("delete.located");
        let deleted = located.member.backend.delete(request).await?;
        crash_points::point!("delete.deleted");
        // Nobody can be connected to it any more.
        shared.settled_for_good(&located.volume.id).await;
        shared.known.forget(&name, &located.volume.id);
        if deleted.is_done() {
            return Ok(deleted);
        }
        // It was gone already: the name may belong to another volume by now.
        outcome = deleted;
    }
    Ok(outcome)
}

fn not_ours(volume: &Volume) -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        format!(
            "the array object {} carries no record of this namespace, so it is not removed; remove it on the array",
            volume.object
        ),
    )
    .with_context("volume", volume.name.as_str())
}

async fn refuse_if_attached(shared: &Shared, name: &VolumeName) -> Result<()> {
    for attachment in shared.attacher.attachments().await? {
        if attachment.name != *name {
            continue;
        }
        if attachment.state == AttachmentState::Released {
            shared.finish_release(&attachment).await?;
            continue;
        }
        return Err(Error::new(
            ErrorKind::FailedPrecondition,
            format!(
                "the volume is in use on this host, at {}",
                attachment.mountpoint.display()
            ),
        )
        .with_context("volume", name.as_str()));
    }
    Ok(())
}

/// Makes the volume larger, and its file system where it is mounted here.
pub(crate) async fn expand(
    shared: Arc<Shared>,
    name: VolumeName,
    size: Size,
) -> Result<Outcome<Volume>> {
    let located = shared
        .locate(&name)
        .await?
        .ok_or_else(|| crate::engine::no_such(&name))?;
    if located.volume.state != VolumeState::Ready {
        return Err(being_removed(&located));
    }
    let request = ExpandVolume {
        volume: located.volume,
        size,
    };
    let outcome = located.member.backend.expand(request).await?;
    let grown = Located {
        volume: outcome.get().clone(),
        member: located.member,
    };
    shared.known.remember(&grown);
    let attached = shared.attacher.status(&grown.volume.id).await?;
    if attached.is_some_and(|attachment| attachment.state == AttachmentState::Mounted) {
        let _resized = shared
            .attacher
            .resize(&grown.volume.id, grown.volume.size)
            .await?;
    }
    Ok(outcome)
}
