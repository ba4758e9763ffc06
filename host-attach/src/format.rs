//! Whether a file system is made: the one decision that can destroy data.
//!
//! The grant permits, blankness decides. [`decide`] is pure, so that every case stands in a test;
//! [`ensure`] gathers the facts, has the decision made, and carries it out on a device that is
//! verified once more right before mkfs. Nothing here has a force flag.

use std::fmt;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use storage_core::{Filesystem, FormatGrant, Result};

use crate::blank::{self, AlignedBuffer};
use crate::connector::Connector;
use crate::device::VerifiedDevice;
use crate::failure::{call_error, refused};
use crate::filesystem::{self, History, Signature, Superblock};
use crate::ledger::{FormatPhase, Intent, Record};
use crate::machine::Machine;
use crate::steps::Step;

/// What a device shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    superblock: Option<Superblock>,
    signature: Option<Signature>,
    /// The first byte that is not zero; looked for only where a file system may be made.
    data_at: Option<u64>,
}

/// What is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    /// The expected file system is there.
    Keep,
    /// Make it: the device is blank, or only shows our own work that was cut off.
    Make,
    /// Our own file system, never mounted, perhaps cut off: keep it if whole, else make it again.
    KeepIfWhole,
    /// Our own XFS, cut off: its mark has to go first, as mkfs.xfs rightly refuses otherwise.
    MakeOverOwnRemains,
    /// Leave it alone and say why.
    Refuse(String),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("it is there and is used as it is"),
            Self::Make => f.write_str(
                "it is made, as the device is blank or shows only our own work that was cut off",
            ),
            Self::KeepIfWhole => f.write_str(
                "our own is there and was never mounted; it is used if it is whole, else made again",
            ),
            Self::MakeOverOwnRemains => {
                f.write_str("our own is there half-made, as it was cut off; it is made again")
            }
            Self::Refuse(why) => write!(f, "the device is left alone, as {why}"),
        }
    }
}

/// The rule. `wanted` is what is to be mounted; `phase` is this host's own memory.
fn decide(
    found: &Found,
    wanted: Filesystem,
    grant: Option<&FormatGrant>,
    phase: &FormatPhase,
) -> Decision {
    // A grant for something else is no grant, and memory of a file system outlives every grant.
    let grant = grant.filter(|grant| grant.filesystem == wanted && *phase != FormatPhase::Exists);
    if let Some(superblock) = &found.superblock {
        return decide_on_superblock(superblock, found.signature.as_ref(), wanted, grant);
    }
    if let Some(signature) = &found.signature {
        return Decision::Refuse(format!("it holds {}", signature.kind));
    }
    let Some(grant) = grant else {
        let place = found
            .data_at
            .map_or_else(String::new, |at| format!(" and data at byte {at}"));
        let reason = if *phase == FormatPhase::Exists {
            "this host had one on it before"
        } else {
            "there is no grant to make one"
        };
        return Decision::Refuse(format!(
            "it shows no {wanted:?} file system{place}, and {reason}"
        ));
    };
    match (found.data_at, phase) {
        (None, _) => Decision::Make,
        (Some(_), FormatPhase::Began { filesystem, uuid })
            if *uuid == grant.uuid && *filesystem == grant.filesystem =>
        {
            Decision::Make
        }
        (Some(at), _) => Decision::Refuse(format!(
            "it is not blank: data at byte {at}. By its record the volume was never mounted, so this may be a file system that was being made when a host died; nobody but you can tell. If nothing is wanted of it, remove the volume and create it again: the array keeps what was removed, by default for a day"
        )),
    }
}

fn decide_on_superblock(
    superblock: &Superblock,
    signature: Option<&Signature>,
    wanted: Filesystem,
    grant: Option<&FormatGrant>,
) -> Decision {
    // A signature beside ours (a label that left our superblock alone) is somebody's.
    let ours = grant.is_some_and(|grant| grant.uuid == superblock.uuid)
        && superblock.kind == wanted
        && signature.is_none_or(|signature| signature.is(wanted));
    match superblock.history {
        History::HalfMade if ours => return Decision::MakeOverOwnRemains,
        History::HalfMade => {
            return Decision::Refuse(format!(
                "it holds a half-made {:?} file system with the UUID {} and no grant for exactly that",
                superblock.kind, superblock.uuid
            ));
        }
        History::NeverMounted if ours => return Decision::KeepIfWhole,
        History::NeverMounted | History::MayHoldData => {}
    }
    match signature {
        Some(signature) if superblock.kind == wanted && signature.is(wanted) => Decision::Keep,
        Some(signature) => {
            Decision::Refuse(format!("it holds {} and not {wanted:?}", signature.kind))
        }
        None => Decision::Refuse(format!(
            "it has a superblock of {:?} that blkid does not recognise",
            superblock.kind
        )),
    }
}

/// Sees to it that the expected file system is on the device.
///
/// # Errors
/// `FailedPrecondition` with what was found, when it is not there and must not be made.
pub(crate) fn ensure(
    machine: &Machine,
    connector: &dyn Connector,
    record: &mut Record,
    device: &VerifiedDevice,
) -> Result<()> {
    let found = inspect(machine, record, device)?;
    machine.steps.run(Step::Inspect, || Ok(()))?;
    let wanted = record.filesystem.kind;
    let mut decision = decide(
        &found,
        wanted,
        record.access.format_grant.as_ref(),
        &record.format,
    );
    let name = device.node().name.as_str();
    tracing::info!(volume = %record.volume(), device = name, "a {wanted:?} file system is wanted on {name}: {decision}");
    tracing::debug!(volume = %record.volume(), device = name, ?found, ?decision, "format decision");
    if decision == Decision::KeepIfWhole {
        let whole = filesystem::is_whole(&machine.runner, device, wanted)?;
        decision = if whole {
            Decision::Keep
        } else {
            Decision::Make
        };
    }
    match decision {
        Decision::Keep => {}
        Decision::Make => make(machine, connector, record, device, false)?,
        Decision::MakeOverOwnRemains => make(machine, connector, record, device, true)?,
        Decision::KeepIfWhole | Decision::Refuse(_) => {
            let why = if let Decision::Refuse(why) = decision {
                why
            } else {
                "undecided".to_owned()
            };
            return Err(
                refused(format!("the device is not used and not formatted: {why}"))
                    .with_context("device", device.node().name.clone()),
            );
        }
    }
    if record.format != FormatPhase::Exists {
        // Before the first mount: from here on this host never formats the volume again.
        record.format = FormatPhase::Exists;
        machine.store(record)?;
    }
    Ok(())
}

/// Gathers what [`decide`] needs. Every failure to look is an error.
fn inspect(machine: &Machine, record: &Record, device: &VerifiedDevice) -> Result<Found> {
    // blkid reads through the page cache; nothing of an earlier use may be in it.
    device.flush_cache()?;
    let superblock = filesystem::superblock(device)?;
    let signature = filesystem::probe(&machine.runner, device)?;
    let undecided = superblock.is_none() && signature.is_none();
    let data_at = if undecided && record.access.format_grant.is_some() {
        blank::first_data(device)?
    } else {
        None
    };
    Ok(Found {
        superblock,
        signature,
        data_at,
    })
}

/// Makes the file system of the grant, with the ledger told first and the identity proven last.
fn make(
    machine: &Machine,
    connector: &dyn Connector,
    record: &mut Record,
    device: &VerifiedDevice,
    over_own_remains: bool,
) -> Result<()> {
    let grant = record
        .access
        .format_grant
        .clone()
        .ok_or_else(|| refused("no grant to make a file system"))?;
    if record.intent != Intent::Attach || record.format == FormatPhase::Exists {
        return Err(refused(
            "the ledger does not allow a file system to be made",
        ));
    }
    if !device.has_size(record.access.size) {
        return Err(refused(format!(
            "the device has {} bytes and the volume {}: it is not formatted",
            device.size().bytes(),
            record.access.size.bytes()
        )));
    }
    // They come from a tag on the array, which more people can write than may use force here.
    record.filesystem.check().map_err(|source| {
        refused("the volume's record has options that are not allowed: it is not formatted")
            .with_source(source)
    })?;
    let began = FormatPhase::Began {
        filesystem: grant.filesystem,
        uuid: grant.uuid,
    };
    if record.format != began {
        record.format = began;
        machine.store(record)?;
    }
    machine.steps.run(Step::Format, || {
        device.verify_again(connector, record)?;
        if over_own_remains {
            remove_own_mark(device)?;
        }
        filesystem::make(&machine.runner, device, &record.filesystem, grant.uuid)
    })?;
    device.flush_cache()?;
    match filesystem::superblock(device)? {
        Some(made)
            if made.kind == grant.filesystem
                && made.uuid == grant.uuid
                && made.history != History::HalfMade =>
        {
            Ok(())
        }
        other => Err(refused(format!(
            "after mkfs the device does not show the file system that was made, but {other:?}"
        ))),
    }
}

/// Overwrites the first block of an XFS of ours that mkfs did not finish.
fn remove_own_mark(device: &VerifiedDevice) -> Result<()> {
    let file = device.open_direct(OFlags::WRONLY)?;
    let zeros = AlignedBuffer::new(4096);
    file.write_all_at(zeros.as_slice(), 0)
        .and_then(|()| file.sync_all())
        .map_err(|source| call_error("removing the mark of a half-made file system", source))?;
    device.flush_cache()
}

#[cfg(test)]
mod tests {
    use storage_core::{Filesystem, FormatGrant};
    use uuid::Uuid;

    use super::{Decision, Found, decide};
    use crate::filesystem::{History, Signature, Superblock};
    use crate::ledger::FormatPhase;

    const OURS: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn every_case() -> Vec<(Found, Option<FormatGrant>, FormatPhase)> {
        let mut superblocks = vec![None];
        for kind in [Filesystem::Ext4, Filesystem::Xfs] {
            for uuid in [OURS, OTHER] {
                for history in [
                    History::HalfMade,
                    History::NeverMounted,
                    History::MayHoldData,
                ] {
                    superblocks.push(Some(Superblock {
                        kind,
                        uuid,
                        history,
                        bytes: 1,
                    }));
                }
            }
        }
        let signatures = [
            None,
            Some("ext4"),
            Some("xfs"),
            Some("crypto_LUKS"),
            Some("several signatures at once"),
        ];
        let grants = [
            None,
            Some((Filesystem::Ext4, OURS)),
            Some((Filesystem::Xfs, OURS)),
        ];
        let mut phases = vec![FormatPhase::Unknown, FormatPhase::Exists];
        for uuid in [OURS, OTHER] {
            phases.push(FormatPhase::Began {
                filesystem: Filesystem::Ext4,
                uuid,
            });
        }
        let mut cases = Vec::new();
        for superblock in &superblocks {
            for signature in signatures {
                for grant in grants {
                    for phase in &phases {
                        for data_at in [None, Some(9)] {
                            let signature = signature.map(|kind| Signature {
                                kind: kind.to_owned(),
                            });
                            let found = Found {
                                superblock: superblock.clone(),
                                signature,
                                data_at,
                            };
                            let grant =
                                grant.map(|(filesystem, uuid)| FormatGrant { filesystem, uuid });
                            cases.push((found, grant, phase.clone()));
                        }
                    }
                }
            }
        }
        cases
    }

    /// The rule in other words, over every combination of facts.
    #[test]
    fn nothing_is_ever_made_that_the_rule_does_not_allow() {
        let mut made = 0;
        for wanted in [Filesystem::Ext4, Filesystem::Xfs] {
            for (found, grant, phase) in every_case() {
                let decision = decide(&found, wanted, grant.as_ref(), &phase);
                let makes = matches!(
                    decision,
                    Decision::Make | Decision::MakeOverOwnRemains | Decision::KeepIfWhole
                );
                if !makes {
                    continue;
                }
                made += 1;
                let grant = grant.expect("never without a grant");
                assert_eq!(grant.filesystem, wanted);
                assert_ne!(
                    phase,
                    FormatPhase::Exists,
                    "never after a file system was known"
                );
                match &found.superblock {
                    Some(superblock) => {
                        assert_eq!(superblock.uuid, grant.uuid);
                        assert_eq!(superblock.kind, wanted);
                        assert_ne!(superblock.history, History::MayHoldData);
                        assert!(
                            found
                                .signature
                                .as_ref()
                                .is_none_or(|found| found.is(wanted))
                        );
                    }
                    None => {
                        assert_eq!(found.signature, None);
                        let began = FormatPhase::Began {
                            filesystem: grant.filesystem,
                            uuid: grant.uuid,
                        };
                        assert!(found.data_at.is_none() || phase == began);
                    }
                }
            }
        }
        assert!(made > 0, "the rule allows something");
    }

    #[test]
    fn a_foreign_signature_over_the_expected_superblock_is_refused() {
        let superblock = Superblock {
            kind: Filesystem::Ext4,
            uuid: OTHER,
            history: History::MayHoldData,
            bytes: 1,
        };
        let found = |kind: &str| Found {
            superblock: Some(superblock.clone()),
            signature: Some(Signature {
                kind: kind.to_owned(),
            }),
            data_at: None,
        };
        let ask = |kind| decide(&found(kind), Filesystem::Ext4, None, &FormatPhase::Unknown);
        assert_eq!(ask("ext4"), Decision::Keep);
        assert!(matches!(ask("linux_raid_member"), Decision::Refuse(_)));
        assert!(matches!(
            ask("several signatures at once"),
            Decision::Refuse(_)
        ));
    }
}
