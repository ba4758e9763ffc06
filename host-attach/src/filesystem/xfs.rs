//! XFS. Offsets are those of `struct xfs_dsb` in `fs/xfs/libxfs/xfs_format.h`; big endian.

use storage_core::Filesystem;
use uuid::Uuid;

use super::{History, Superblock, bytes_at};

const SB_MAGICNUM: &[u8] = b"XFSB";
const SB_BLOCKSIZE: usize = 4;
const SB_DBLOCKS: usize = 8;
const SB_UUID: usize = 32;
const SB_AGBLOCKS: usize = 84;
const SB_AGCOUNT: usize = 88;
const SB_INPROGRESS: usize = 126;

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

    use super::{make_arguments, parse};

    #[test]
    fn mkfs_is_never_forced() {
        let arguments = make_arguments(&[], Uuid::nil());
        assert!(!arguments.iter().any(|argument| argument.starts_with("-f")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), magic: bool) {
            if magic && bytes.len() > 4 {
                bytes[..4].copy_from_slice(b"XFSB");
            }
            prop_assert!(magic || parse(&bytes).is_none());
        }
    }
}
