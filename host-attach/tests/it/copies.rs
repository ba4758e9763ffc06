//! Copies of volumes on the host of their originals: an XFS gets a UUID of its own before its first
//! mount, whatever stops that half way; an ext4 keeps its own.

use std::fs;
use std::sync::Arc;

use host_attach::{LinuxAttacher, Moment, Step};
use storage_core::{AttachVolume, Attacher, Filesystem};
use uuid::Uuid;

use crate::bed::{Bed, Disk, MIB, tool};
use crate::require_root;
use crate::script::kill_at;

const SIZE: u64 = 320 * MIB;

/// What an array makes: the same bytes under another identity, without a grant.
fn copy(bed: &Bed, original: &Disk, lun: u16) -> Disk {
    let mut copied = bed.disk(lun, original.size, original.spec.kind);
    copied.grant = None;
    // In place, as the file is connected already.
    let target = format!("of={}", copied.data.display());
    let source = format!("if={}", original.data.display());
    let _shown = tool("dd", &[&source, &target, "bs=1M", "conv=notrunc,sparse"]);
    copied
}

fn request(disk: &Disk, fresh: Uuid) -> AttachVolume {
    AttachVolume {
        fresh_uuid: Some(fresh),
        ..disk.request()
    }
}

fn uuid_of(disk: &Disk) -> Uuid {
    let path = disk.data.display().to_string();
    let told = tool("blkid", &["-p", "-o", "value", "-s", "UUID", &path]);
    told.trim().parse().unwrap()
}

/// A mounted volume with a file on it that only the log has.
async fn original(attacher: &Arc<LinuxAttacher>, disk: &Disk) {
    let outcome = attacher.attach(disk.request()).await.unwrap();
    let file = outcome.get().mountpoint.join("f");
    let written = fs::File::create(&file).unwrap();
    std::io::Write::write_all(&mut &written, b"kept").unwrap();
    written.sync_all().unwrap();
}

#[tokio::test]
async fn a_copied_xfs_is_mounted_beside_its_original() {
    require_root!();
    let mut bed = Bed::plain();
    let attacher = bed.attacher();
    let disk = bed.disk(1, SIZE, Filesystem::Xfs);
    original(&attacher, &disk).await;
    let copied = copy(&bed, &disk, 2);
    assert_eq!(uuid_of(&copied), uuid_of(&disk));
    let fresh = Uuid::new_v4();
    let mounted = attacher.attach(request(&copied, fresh)).await.unwrap();
    let mountpoint = mounted.get().mountpoint.clone();
    assert_eq!(fs::read(mountpoint.join("f")).unwrap(), b"kept");
    fs::write(mountpoint.join("g"), "the copy's alone").unwrap();
    for disk in [&disk, &copied] {
        assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    }
    assert_eq!(uuid_of(&copied), fresh);
    // The copies of the superblock too: the checker compares all with the first.
    let path = copied.data.display().to_string();
    let _clean = tool("xfs_repair", &["-n", "-f", &path]);
    // Once is enough.
    let again = attacher.attach(request(&copied, fresh)).await.unwrap();
    assert!(again.get().mountpoint.join("g").exists());
    assert!(attacher.detach(&copied.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn a_copied_ext4_keeps_its_uuid() {
    require_root!();
    let mut bed = Bed::plain();
    let attacher = bed.attacher();
    let disk = bed.disk(1, 64 * MIB, Filesystem::Ext4);
    original(&attacher, &disk).await;
    let copied = copy(&bed, &disk, 2);
    let wanted = request(&copied, Uuid::new_v4());
    let mounted = attacher.attach(wanted).await.unwrap();
    assert_eq!(
        fs::read(mounted.get().mountpoint.join("f")).unwrap(),
        b"kept"
    );
    for disk in [&disk, &copied] {
        assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    }
    assert_eq!(uuid_of(&copied), uuid_of(&disk));
    bed.assert_clean();
}

#[tokio::test]
async fn a_crash_before_or_after_either_step_is_made_good() {
    require_root!();
    for step in [Step::Replay, Step::Renew] {
        for moment in [Moment::Before, Moment::After] {
            let mut bed = Bed::in_memory();
            let disk = bed.disk(1, SIZE, Filesystem::Xfs);
            original(&bed.attacher(), &disk).await;
            let copied = copy(&bed, &disk, 2);
            let fresh = Uuid::new_v4();
            bed.stop();
            let killed = bed.open(Some(kill_at(step, moment)));
            killed.attach(request(&copied, fresh)).await.unwrap_err();
            drop(killed);
            let attacher = bed.attacher();
            let mounted = attacher.attach(request(&copied, fresh)).await.unwrap();
            let file = mounted.get().mountpoint.join("f");
            assert_eq!(fs::read(file).unwrap(), b"kept", "{moment:?} {step:?}");
            for disk in [&disk, &copied] {
                assert!(attacher.detach(&disk.id).await.unwrap().is_done());
            }
            assert_eq!(uuid_of(&copied), fresh, "{moment:?} {step:?}");
            bed.assert_clean();
        }
    }
}

/// Its tool writes one superblock after the other.
#[tokio::test]
async fn a_renewal_that_reached_only_the_first_superblock_is_finished() {
    require_root!();
    let mut bed = Bed::in_memory();
    let attacher = bed.attacher();
    let disk = bed.disk(1, SIZE, Filesystem::Xfs);
    original(&attacher, &disk).await;
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    let copied = copy(&bed, &disk, 2);
    let fresh = Uuid::new_v4();
    let mounted = attacher.attach(request(&copied, fresh)).await.unwrap();
    drop(mounted);
    assert!(attacher.detach(&copied.id).await.unwrap().is_done());
    // The second group's superblock as the original has it.
    let path = disk.data.display().to_string();
    let told = tool(
        "xfs_db",
        &[
            "-f",
            "-r",
            "-c",
            "sb 0",
            "-c",
            "p blocksize agblocks",
            &path,
        ],
    );
    let numbers: Vec<u64> = told
        .lines()
        .filter_map(|line| line.split(" = ").nth(1)?.parse().ok())
        .collect();
    let place = usize::try_from(numbers[0] * numbers[1]).unwrap();
    copied.write_at(place as u64, &disk.bytes()[place..place + 512]);
    let again = attacher.attach(request(&copied, fresh)).await.unwrap();
    drop(again);
    assert!(attacher.detach(&copied.id).await.unwrap().is_done());
    let path = copied.data.display().to_string();
    let _clean = tool("xfs_repair", &["-n", "-f", &path]);
    bed.assert_clean();
}

/// Before the superblocks the tool writes the log: zeros, then records with the new UUID. Where it
/// is cut off there, neither the kernel nor the tool itself can go on.
#[tokio::test]
async fn a_renewal_that_was_cut_off_in_the_log_is_finished() {
    require_root!();
    for (what, records) in [
        ("zeros", 0),
        ("the first record", 512),
        ("half", 128 * 1024),
    ] {
        let mut bed = Bed::in_memory();
        let attacher = bed.attacher();
        let disk = bed.disk(1, SIZE, Filesystem::Xfs);
        original(&attacher, &disk).await;
        assert!(attacher.detach(&disk.id).await.unwrap().is_done());
        let copied = copy(&bed, &disk, 2);
        let fresh = Uuid::new_v4();
        cut_off_in_the_log(&copied, fresh, records);
        let mounted = attacher.attach(request(&copied, fresh)).await.unwrap();
        let mountpoint = mounted.get().mountpoint.clone();
        assert_eq!(fs::read(mountpoint.join("f")).unwrap(), b"kept", "{what}");
        fs::write(mountpoint.join("g"), "written").unwrap();
        assert!(attacher.detach(&copied.id).await.unwrap().is_done());
        assert_eq!(uuid_of(&copied), fresh, "{what}");
        let path = copied.data.display().to_string();
        let _clean = tool("xfs_repair", &["-n", "-f", &path]);
        bed.assert_clean();
    }
}

/// The state in which `xfs_db` leaves a copy when it is killed with so many bytes of the new log
/// written.
fn cut_off_in_the_log(copied: &Disk, fresh: Uuid, written: usize) {
    let before = copied.bytes();
    let path = copied.data.display().to_string();
    let told = tool(
        "xfs_db",
        &[
            "-f",
            "-r",
            "-c",
            "sb 0",
            "-c",
            "p logstart logblocks agblocks agblklog blocksize",
            &path,
        ],
    );
    let numbers: Vec<usize> = told
        .lines()
        .filter_map(|line| line.split(" = ").nth(1)?.parse().ok())
        .collect();
    let [start, blocks, group, bits, size] = numbers[..] else {
        panic!("{told}");
    };
    let begin = ((start >> bits) * group + (start & ((1 << bits) - 1))) * size;
    let renew = format!("uuid {fresh}");
    let _done = tool(
        "xfs_db",
        &["-f", "-x", "-p", "xfs_admin", "-c", &renew, &path],
    );
    let renewed = copied.bytes();
    let log = renewed.get(begin..begin + written).unwrap();
    copied.write_at(0, &before);
    copied.write_at(begin as u64, &vec![0; blocks * size]);
    copied.write_at(begin as u64, log);
}
