//! Whether a device reads as blank: all zeros at every place where data would show, read past the
//! page cache.
//!
//! Any read that fails is an error and never "blank". What is not looked at may still hold data;
//! so this is asked only of volumes that carry a format grant, where it is the second of two
//! locks.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use storage_core::{ErrorKind, Result};

use crate::device::VerifiedDevice;
use crate::failure::{call_error, error};

/// Direct I/O needs aligned memory, offsets and lengths; 4 KiB suits every device.
const ALIGNMENT: usize = 4096;
const CHUNK: u64 = 256 * 1024;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;
const HEAD: u64 = 2 * MIB;
const TAIL: u64 = MIB;
/// Devices up to this size are read whole.
const WHOLE: u64 = 16 * MIB;
/// How many places, evenly spread, are looked at besides the known ones.
const SAMPLES: u64 = 64;
const SAMPLE: u64 = 64 * KIB;

/// Places where superblocks and their copies lie beyond the head: btrfs's mirrors (64 MiB,
/// 256 GiB; btrfs on-disk format, "Superblock"), ext4's backups in groups 1, 3, 5, 7 and 9 of
/// 128 MiB (ext4 layout, `sparse_super`) and in groups of 8 MiB for 1 KiB blocks.
const KNOWN_PLACES: [u64; 8] = [
    8 * MIB,
    24 * MIB,
    64 * MIB,
    128 * MIB,
    384 * MIB,
    640 * MIB,
    896 * MIB,
    256 * 1024 * MIB,
];

/// A buffer that direct I/O takes.
pub(crate) struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// Zeros; `length` is a multiple of 4096.
    pub(crate) fn new(length: usize) -> Self {
        let bytes = vec![0; length + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self {
            bytes,
            start,
            length,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes
            .get(self.start..self.start + self.length)
            .unwrap_or_default()
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(self.start..self.start + self.length)
            .unwrap_or_default()
    }
}

/// Fills the buffer from the device; everything or an error.
pub(crate) fn read_direct(file: &File, buffer: &mut AlignedBuffer, offset: u64) -> Result<()> {
    file.read_exact_at(buffer.as_mut_slice(), offset)
        .map_err(|source| call_error(format_args!("reading the device at byte {offset}"), source))
}

/// The first place found that is not zero, or `None` for a device that reads as blank.
///
/// # Errors
/// When any of the places cannot be read.
pub(crate) fn first_data(device: &VerifiedDevice) -> Result<Option<u64>> {
    let file = device.open_direct(OFlags::RDONLY)?;
    let size = device.size().bytes();
    if size == 0 {
        return Err(error(
            ErrorKind::FailedPrecondition,
            "the device has no bytes",
        ));
    }
    for (offset, length) in places(size) {
        let mut done = 0;
        while done < length {
            let count = CHUNK.min(length - done);
            let mut buffer = AlignedBuffer::new(usize::try_from(count).unwrap_or(0));
            read_direct(&file, &mut buffer, offset + done)?;
            if let Some(index) = buffer.as_slice().iter().position(|byte| *byte != 0) {
                return Ok(Some(offset + done + u64::try_from(index).unwrap_or(0)));
            }
            done += count;
        }
    }
    Ok(None)
}

/// The places to read, as offset and length, aligned to 4 KiB and within the device. A device
/// whose size is no multiple of 4 KiB has its last, partial block left out here; the tools that
/// look for backups at the end see it.
fn places(size: u64) -> Vec<(u64, u64)> {
    let block = ALIGNMENT as u64;
    let end = size / block * block;
    if end <= WHOLE {
        return vec![(0, end)];
    }
    let mut samples: BTreeSet<u64> = KNOWN_PLACES.into_iter().collect();
    let spacing = (end - HEAD - TAIL) / SAMPLES;
    samples.extend((0..SAMPLES).map(|index| HEAD + index * spacing));
    // The very middle, for whoever splits devices in two.
    samples.insert(end / 2);
    let mut places = vec![(0, HEAD), (end - TAIL, TAIL)];
    for sample in samples {
        let offset = sample / block * block;
        if offset < end {
            places.push((offset, SAMPLE.min(end - offset)));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ALIGNMENT, AlignedBuffer, HEAD, MIB, TAIL, places};

    #[test]
    fn buffers_are_aligned() {
        for length in [4096, 65536, 262_144] {
            let buffer = AlignedBuffer::new(length);
            assert_eq!(buffer.as_slice().len(), length);
            assert_eq!(buffer.as_slice().as_ptr().align_offset(ALIGNMENT), 0);
        }
    }

    proptest! {
        #[test]
        fn places_are_aligned_inside_and_cover_both_ends(size in 512_u64..(1 << 50)) {
            let block = ALIGNMENT as u64;
            let places = places(size);
            for (offset, length) in &places {
                prop_assert!(offset % block == 0 && length % block == 0);
                prop_assert!(offset + length <= size);
            }
            if size >= 16 * MIB {
                prop_assert!(places.iter().any(|(offset, length)| *offset == 0 && *length >= HEAD));
                prop_assert!(places.iter().any(|(offset, length)| *length >= TAIL && offset + length == size / block * block));
                prop_assert!(places.iter().any(|(offset, length)| *offset <= size / 2 && size / 2 < offset + length));
            }
        }
    }
}
