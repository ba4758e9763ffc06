//! ext4. Offsets are those of `struct ext4_super_block` in `fs/ext4/ext4.h`.

use std::ffi::OsString;

use storage_core::{ErrorKind, Filesystem, Result};
use uuid::Uuid;

use super::{CHECK_PATIENCE, History, Superblock, bytes_at};
use crate::device::VerifiedDevice;
use crate::failure::error;
use crate::runner::{Runner, Tool};

/// The superblock begins 1024 bytes into the device.
const START: usize = 1024;
const MAGIC: u16 = 0xEF53;
const S_BLOCKS_COUNT_LO: usize = 0x04;
const S_LOG_BLOCK_SIZE: usize = 0x18;
const S_MTIME: usize = 0x2C;
const S_MNT_COUNT: usize = 0x34;
const S_MAGIC: usize = 0x38;
const S_FEATURE_INCOMPAT: usize = 0x60;
const S_UUID: usize = 0x68;
const S_LAST_MOUNTED: usize = 0x88;
const S_BLOCKS_COUNT_HI: usize = 0x150;
const S_MTIME_HI: usize = 0x275;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_64BIT: u32 = 0x80;

/// What the superblock says, if there is one.
pub(super) fn parse(area: &[u8]) -> Option<Superblock> {
    let block = area.get(START..)?;
    let word = |offset| bytes_at::<4>(block, offset).map(u32::from_le_bytes);
    if bytes_at::<2>(block, S_MAGIC).map(u16::from_le_bytes)? != MAGIC {
        return None;
    }
    let incompat = word(S_FEATURE_INCOMPAT)?;
    let high = if incompat & INCOMPAT_64BIT == 0 {
        0
    } else {
        word(S_BLOCKS_COUNT_HI)?
    };
    let blocks = (u64::from(high) << 32) | u64::from(word(S_BLOCKS_COUNT_LO)?);
    let bytes = 1024_u64
        .checked_shl(word(S_LOG_BLOCK_SIZE)?)
        .and_then(|size| size.checked_mul(blocks))
        .unwrap_or(u64::MAX);
    // The kernel writes the time and the count to the device before a mount for writing returns
    // (ext4_setup_super); the folder's name with the first opened file. Any trace counts.
    let traces = [
        u64::from(word(S_MTIME)?),
        u64::from(*block.get(S_MTIME_HI)?),
        u64::from(u16::from_le_bytes(bytes_at::<2>(block, S_MNT_COUNT)?)),
        u64::from(*block.get(S_LAST_MOUNTED)?),
        u64::from(incompat & INCOMPAT_RECOVER),
    ];
    let history = if traces == [0; 5] {
        History::NeverMounted
    } else {
        History::MayHoldData
    };
    Some(Superblock {
        kind: Filesystem::Ext4,
        uuid: Uuid::from_bytes(bytes_at(block, S_UUID)?),
        history,
        bytes,
    })
}

/// `mkfs.ext4`'s arguments but for the device. A device that reads as zero needs no discard and
/// no zeroing. mke2fs keeps only its last `-E`, so ours and the user's go into one.
pub(super) fn make_arguments(options: &[String], uuid: Uuid) -> Vec<String> {
    let mut extended = vec!["nodiscard,lazy_itable_init=1,lazy_journal_init=1".to_owned()];
    let mut rest = Vec::new();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match option.strip_prefix("-E") {
            Some("") => extended.extend(options.next().cloned()),
            Some(value) => extended.push(value.to_owned()),
            None => rest.push(option.clone()),
        }
    }
    let mut arguments = vec![
        "-q".to_owned(),
        "-U".to_owned(),
        uuid.to_string(),
        "-E".to_owned(),
        extended.join(","),
    ];
    arguments.extend(rest);
    arguments
}

/// `e2fsck -p`: 0 clean, 1 repaired, 2 repaired (its "reboot" is for a root file system), from 4
/// on damage is left or the check did not work; e2fsck(8), EXIT CODE.
pub(super) fn check(runner: &Runner, device: &VerifiedDevice) -> Result<()> {
    preen(runner, device, &["-p"])
}

/// As [`check`], also when the file system says that it is clean.
pub(super) fn check_fully(runner: &Runner, device: &VerifiedDevice) -> Result<()> {
    preen(runner, device, &["-f", "-p"])
}

fn preen(runner: &Runner, device: &VerifiedDevice, options: &[&str]) -> Result<()> {
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.push(device.node().path().into());
    let output = runner.run(Tool::E2fsck, &arguments, CHECK_PATIENCE)?;
    match output.code {
        Some(0) => Ok(()),
        Some(code @ 1..=3) => {
            tracing::warn!(
                device = device.node().name,
                code,
                "the file system was repaired"
            );
            Ok(())
        }
        code => Err(error(
            ErrorKind::FailedPrecondition,
            format!(
                "the file system is damaged and needs a person: e2fsck ended with {code:?}: {}",
                output.last_words()
            ),
        )),
    }
}

/// A full check that writes nothing.
pub(super) fn is_whole(runner: &Runner, device: &VerifiedDevice) -> Result<bool> {
    let arguments = [
        OsString::from("-f"),
        OsString::from("-n"),
        device.node().path().into(),
    ];
    let output = runner.run(Tool::E2fsck, &arguments, CHECK_PATIENCE)?;
    match output.code {
        Some(0) => Ok(true),
        // 4: errors left uncorrected, as -n corrects nothing; 12 adds "could not open it so".
        Some(4 | 8 | 12) => Ok(false),
        code => Err(error(
            ErrorKind::Unexpected,
            format!("e2fsck ended with {code:?}: {}", output.last_words()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{make_arguments, parse};

    #[test]
    fn extended_options_are_joined_as_only_the_last_would_count() {
        let options = ["-E", "stride=16", "-m", "1", "-Estripe_width=32"].map(str::to_owned);
        let arguments = make_arguments(&options, Uuid::nil());
        assert_eq!(
            arguments.join(" "),
            format!(
                "-q -U {} -E nodiscard,lazy_itable_init=1,lazy_journal_init=1,stride=16,stripe_width=32 -m 1",
                Uuid::nil()
            )
        );
        assert!(!arguments.iter().any(|argument| argument == "-F"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..8192), magic: bool) {
            if magic && bytes.len() > 1082 {
                bytes[1080] = 0x53;
                bytes[1081] = 0xEF;
            }
            prop_assert!(magic || parse(&bytes).is_none());
        }
    }
}
