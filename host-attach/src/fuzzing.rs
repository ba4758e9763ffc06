//! What must hold for any bytes that the kernel, a device, a crash or another version wrote. For
//! tests and for the fuzz targets, which call these; not part of the library.

use crate::{connector, filesystem, intents, ledger, mountinfo};

/// The kernel's table of mounts, what it tells of loop devices, and what blkid printed.
pub fn tables(data: &[u8]) {
    mountinfo::fuzz(data);
    connector::fuzz(data);
    filesystem::fuzz_probe(data);
}

/// The first bytes of a device.
pub fn superblocks(data: &[u8]) {
    filesystem::fuzz(data);
}

/// The ledger and the intentions.
pub fn records(data: &[u8]) {
    ledger::fuzz(data);
    intents::fuzz(data);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..600)) {
            super::tables(&data);
            super::superblocks(&data);
            super::records(&data);
        }

        #[test]
        fn almost_tables(text in "(36 35 |98:0 |/ |/mnt |rw |shared:1 |- |ext4 /dev/x rw|\\\\040|\n|é|fairlead:0a:0b| \\(deleted\\)){0,20}") {
            super::tables(text.as_bytes());
        }

        #[test]
        fn almost_what_blkid_prints(text in "[-0-9]((DEVNAME|TYPE|PTTYPE|UUID|é)?=?(/dev/x|ext4|xfs|gpt| )?\n){0,6}") {
            super::tables(text.as_bytes());
        }

        #[test]
        fn almost_superblocks(mut data in vec(any::<u8>(), 2048..2400), xfs: bool) {
            if xfs {
                data[..4].copy_from_slice(b"XFSB");
            } else {
                data[1080..1082].copy_from_slice(&[0x53, 0xEF]);
            }
            super::superblocks(&data);
        }

        #[test]
        fn almost_records(text in r#"([{}\[\],:"]|"version":1|"held":|"name":"v"|"volume":"a:b"|"access":|null|2|\n){0,30}"#) {
            super::records(text.as_bytes());
        }
    }
}
