//! XFS. Offsets are those of `struct xfs_dsb` in `fs/xfs/libxfs/xfs_format.h`; big endian.

use storage_core::Filesystem;
use uuid::Uuid;

use super::{History, Superblock, bytes_at};

const SB_MAGICNUM: &[u8] = b"XFSB";
const SB_BLOCKSIZE: usize = 4;
const SB_DBLOCKS: usize = 8;
const SB_UUID: usize = 32;
const SB_LOGSTART: usize = 48;
const SB_AGBLOCKS: usize = 84;
const SB_AGCOUNT: usize = 88;
const SB_AGBLKLOG: usize = 124;
const SB_INPROGRESS: usize = 126;
const SB_FEATURES_INCOMPAT: usize = 216;
/// `XFS_SB_FEAT_INCOMPAT_NEEDSREPAIR`.
const NEEDS_REPAIR: u32 = 1 << 4;

/// `struct xlog_rec_header` of `fs/xfs/libxfs/xfs_log_format.h`, at the head of each log record.
const XLOG_HEADER_MAGIC: &[u8] = &[0xfe, 0xed, 0xba, 0xbe];
const H_FS_UUID: usize = 304;
/// The log's unit, `BBSIZE`.
const LOG_BLOCK: usize = 512;

/// As many allocation groups as a file system of 2⁵² bytes has, a tebibyte each
/// (`XFS_MAX_AG_BYTES`), with room for small ones that were grown.
const GROUPS_MAX: u32 = 65_536;

/// What the superblock says, if there is one. XFS does not count mounts, so a finished one may
/// always hold data; an unfinished one cannot, as the kernel refuses to mount it
/// (`xfs_validate_sb_common`).
pub(super) fn parse(area: &[u8]) -> Option<Superblock> {
    if area.get(..4)? != SB_MAGICNUM {
        return None;
    }
    let block_size = u64::from(u32::from_be_bytes(bytes_at(area, SB_BLOCKSIZE)?));
    let blocks = u64::from_be_bytes(bytes_at(area, SB_DBLOCKS)?);
    let history = if *area.get(SB_INPROGRESS)? == 0 {
        History::MayHoldData
    } else {
        History::HalfMade
    };
    Some(Superblock {
        kind: Filesystem::Xfs,
        uuid: Uuid::from_bytes(bytes_at(area, SB_UUID)?),
        history,
        bytes: block_size.saturating_mul(blocks),
    })
}

/// Where the superblock's copies lie, as byte offsets: one at the head of each allocation group.
/// `None` when the superblock is not to be believed.
pub(super) fn copies(area: &[u8]) -> Option<Vec<u64>> {
    let number = |offset| Some(u32::from_be_bytes(bytes_at(area, offset)?));
    let group = u64::from(number(SB_BLOCKSIZE)?).checked_mul(number(SB_AGBLOCKS)?.into())?;
    let groups = number(SB_AGCOUNT)?;
    if group < 4096 || groups == 0 || groups > GROUPS_MAX {
        return None;
    }
    (1..groups)
        .map(|index| group.checked_mul(index.into()))
        .collect()
}

/// Where the log begins, as a byte offset. `None` when it is on another device, or the superblock
/// is not to be believed.
pub(super) fn log_start(area: &[u8]) -> Option<u64> {
    let number = |offset| Some(u64::from(u32::from_be_bytes(bytes_at(area, offset)?)));
    let start = u64::from_be_bytes(bytes_at(area, SB_LOGSTART)?);
    let bits = u32::from(*area.get(SB_AGBLKLOG)?);
    if start == 0 || bits >= u64::BITS {
        return None;
    }
    // XFS_FSB_TO_AGNO and XFS_FSB_TO_AGBNO.
    let (group, block) = (start >> bits, start & ((1 << bits) - 1));
    let blocks = group
        .checked_mul(number(SB_AGBLOCKS)?)?
        .checked_add(block)?;
    blocks.checked_mul(number(SB_BLOCKSIZE)?)
}

/// Whether the log's first block shows that the work of [`renew_arguments`] was cut off: the tool
/// makes the whole log zero, then fills it under the new UUID, then writes the superblocks. mkfs
/// leaves no zeros there, and the kernel stamps what it writes with the superblock's UUID. Or that
/// the repair which follows was cut off: it marks the file system before it writes anything else.
pub(super) fn is_cut_off(superblock: &[u8], log: &[u8]) -> bool {
    let features = bytes_at(superblock, SB_FEATURES_INCOMPAT).map(u32::from_be_bytes);
    if features.is_some_and(|features| features & NEEDS_REPAIR != 0) {
        return true;
    }
    let Some(first) = log.get(..LOG_BLOCK) else {
        return false;
    };
    if first.iter().all(|byte| *byte == 0) {
        return true;
    }
    let stamp = bytes_at::<16>(first, H_FS_UUID);
    first.starts_with(XLOG_HEADER_MAGIC) && stamp != bytes_at(superblock, SB_UUID)
}

/// `xfs_db`'s arguments but for the device, as `xfs_admin -U` has them: expert mode for writing,
/// and its name for messages.
pub(super) fn renew_arguments(uuid: Uuid) -> Vec<String> {
    ["-x", "-p", "xfs_admin", "-c"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("uuid {uuid}")])
        .collect()
}

/// `mkfs.xfs`'s arguments but for the device; without `-f`, so that its own guard stays.
pub(super) fn make_arguments(options: &[String], uuid: Uuid) -> Vec<String> {
    let ours = [
        "-q".to_owned(),
        "-K".to_owned(),
        "-m".to_owned(),
        format!("uuid={uuid}"),
    ];
    ours.into_iter().chain(options.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{LOG_BLOCK, copies, is_cut_off, log_start, make_arguments, parse};

    #[test]
    fn mkfs_is_never_forced() {
        let arguments = make_arguments(&[], Uuid::nil());
        assert!(!arguments.iter().any(|argument| argument.starts_with("-f")));
    }

    #[test]
    fn a_log_is_cut_off_when_it_is_empty_or_of_another_uuid() {
        let mut superblock = vec![0; 512];
        superblock[4..8].copy_from_slice(&4096_u32.to_be_bytes());
        superblock[32..48].fill(1);
        // The sixth block of the third group.
        superblock[48..56].copy_from_slice(&(2_u64 << 15 | 6).to_be_bytes());
        superblock[84..88].copy_from_slice(&25_600_u32.to_be_bytes());
        superblock[124] = 15;
        assert_eq!(log_start(&superblock), Some((2 * 25_600 + 6) * 4096));
        let mut log = vec![0; LOG_BLOCK];
        assert!(is_cut_off(&superblock, &log));
        log[..4].copy_from_slice(&0xfeed_babe_u32.to_be_bytes());
        assert!(is_cut_off(&superblock, &log));
        log[304..320].fill(1);
        assert!(!is_cut_off(&superblock, &log));
        // The middle of a record that began at the log's end.
        log.fill(7);
        assert!(!is_cut_off(&superblock, &log));
        superblock[219] = 0x1b;
        assert!(is_cut_off(&superblock, &log));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), magic: bool) {
            if magic && bytes.len() > 4 {
                bytes[..4].copy_from_slice(b"XFSB");
            }
            prop_assert!(magic || parse(&bytes).is_none());
            drop((copies(&bytes), log_start(&bytes), is_cut_off(&bytes, &bytes)));
        }
    }
}
