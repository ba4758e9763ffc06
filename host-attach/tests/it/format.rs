//! What is formatted and, above all, what is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use array_sim::LunOperation;
use host_attach::{Moment, Step};
use storage_core::{Attacher, ErrorKind, Filesystem};
use uuid::Uuid;

use crate::bed::{Bed, Disk, MIB, attach, tool};
use crate::require_root;
use crate::script::{At, kill_at};

const SIZE: u64 = 64 * MIB;

/// Attaches, expects a refusal that says `why`, and that not one byte was changed.
async fn assert_refused(bed: &mut Bed, disk: &Disk, why: &str) {
    let before = disk.bytes();
    let error = attach(&bed.attacher(), disk).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::FailedPrecondition,
        "{why}: {error:?}"
    );
    assert!(error.chain().to_string().contains(why), "{why}: {error:?}");
    assert!(before == disk.bytes(), "{why}: the volume was written to");
    bed.assert_clean();
}

#[tokio::test]
async fn a_blank_volume_without_a_grant_is_never_formatted() {
    require_root!();
    let mut bed = Bed::plain();
    let mut disk = bed.disk(1, SIZE, Filesystem::Ext4);
    disk.grant = None;
    assert_refused(&mut bed, &disk, "no grant").await;
    let mut other = bed.disk(2, SIZE, Filesystem::Ext4);
    other.spec.kind = Filesystem::Xfs;
    assert_refused(&mut bed, &other, "no grant").await;
}

/// Tags on the array can be written by others than create.
#[tokio::test]
async fn options_that_nobody_could_have_asked_for_reach_neither_mkfs_nor_the_kernel() {
    require_root!();
    let mut bed = Bed::plain();
    let mut forced = bed.disk(1, SIZE, Filesystem::Ext4);
    forced.spec.create_options = vec!["-F".to_owned()];
    assert_refused(&mut bed, &forced, "-F").await;
    let mut two_devices = bed.disk(2, SIZE, Filesystem::Xfs);
    two_devices.spec.create_options = vec!["-l".to_owned(), "logdev=/dev/sda".to_owned()];
    assert_refused(&mut bed, &two_devices, "logdev").await;
    let mut other = bed.disk(3, 2 * SIZE, Filesystem::Ext4);
    other.spec.mount_options = vec!["noatime,norecovery".to_owned()];
    let error = attach(&bed.attacher(), &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(
        error.chain().to_string().contains("norecovery"),
        "{error:?}"
    );
    bed.assert_clean();
}

#[tokio::test]
async fn no_signature_is_ever_overwritten() {
    require_root!();
    let mut mbr = vec![0_u8; 512];
    mbr[446..462].copy_from_slice(&[0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]);
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    let gpt = [mbr.clone(), b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec()].concat();
    let raid = 0xA92B_4EFC_u32.to_le_bytes();
    let cases: Vec<(&str, u64, Vec<u8>)> = vec![
        (
            "LUKS",
            0,
            b"LUKS\xba\xbe\x00\x02\x00\x00\x00\x00\x00\x00\x40\x00".to_vec(),
        ),
        ("LVM label", 512, b"LABELONE\x01\0\0\0\0\0\0\0".to_vec()),
        ("MBR", 0, mbr),
        ("GPT", 0, gpt),
        ("backup GPT", SIZE - 512, b"EFI PART".to_vec()),
        ("mdraid 1.2", 4096, raid.to_vec()),
        ("mdraid 1.0", SIZE - 8192, raid.to_vec()),
        ("mdraid 0.90", SIZE - 65536, raid.to_vec()),
        ("btrfs mirror", 65536 + 64, b"_BHRfS_M".to_vec()),
        ("the first byte", 0, vec![1]),
        ("the last byte", SIZE - 1, vec![1]),
        ("the middle", SIZE / 2, vec![0x80]),
        ("the end of the head", 2 * MIB - 1, vec![1]),
        ("the beginning of the tail", SIZE - MIB, vec![1]),
        (
            "an ext4 backup superblock's place",
            8 * MIB + 1080,
            vec![0x53, 0xEF],
        ),
    ];
    let mut bed = Bed::plain();
    for (index, (what, offset, bytes)) in cases.into_iter().enumerate() {
        let lun = u16::try_from(index + 1).unwrap();
        let disk = bed.disk(lun, SIZE, Filesystem::Ext4);
        disk.write_at(offset, &bytes);
        println!("{what}");
        assert_refused(&mut bed, &disk, "not formatted").await;
    }
}

#[tokio::test]
async fn no_file_system_of_another_kind_is_overwritten() {
    require_root!();
    let mut bed = Bed::plain();
    let path = |disk: &Disk| disk.data.to_str().unwrap().to_owned();
    let xfs = bed.disk(1, 320 * MIB, Filesystem::Ext4);
    tool("mkfs.xfs", &["-q", &path(&xfs)]);
    assert_refused(&mut bed, &xfs, "it holds xfs").await;
    let ext4 = bed.disk(2, 320 * MIB, Filesystem::Xfs);
    tool("mkfs.ext4", &["-q", &path(&ext4)]);
    assert_refused(&mut bed, &ext4, "it holds ext4").await;
    let swap = bed.disk(3, SIZE, Filesystem::Ext4);
    tool("mkswap", &[&path(&swap)]);
    assert_refused(&mut bed, &swap, "it holds swap").await;
    let btrfs = bed.disk(4, 256 * MIB, Filesystem::Ext4);
    tool("mkfs.btrfs", &["-q", &path(&btrfs)]);
    assert_refused(&mut bed, &btrfs, "it holds btrfs").await;
}

/// The grant may outlive the formatting (a crash before it was withdrawn); the data must not
/// suffer from it, whether or not this host remembers.
#[tokio::test]
async fn a_used_file_system_survives_its_own_grant() {
    require_root!();
    for (kind, size) in [(Filesystem::Ext4, SIZE), (Filesystem::Xfs, 320 * MIB)] {
        let mut bed = Bed::plain();
        let mut disk = bed.disk(1, size, kind);
        let attachment = attach(&bed.attacher(), &disk).await.unwrap();
        fs::write(attachment.mountpoint.join("f"), "kept").unwrap();
        assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
        bed.stop();
        fs::remove_dir_all(bed.state()).unwrap();
        disk = disk.regranted();
        let attachment = attach(&bed.attacher(), &disk).await.unwrap();
        assert_eq!(
            fs::read_to_string(attachment.mountpoint.join("f")).unwrap(),
            "kept"
        );
        assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    }
}

/// A volume that this host knew with a file system and that now reads as blank has lost data; a
/// grant that is still there must not cover that up.
#[tokio::test]
async fn a_volume_that_became_blank_is_refused() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    attach(&bed.attacher(), &disk).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    let file = fs::OpenOptions::new().write(true).open(&disk.data).unwrap();
    file.set_len(0).unwrap();
    file.set_len(SIZE).unwrap();
    assert_refused(&mut bed, &disk.regranted(), "had one on it before").await;
}

#[tokio::test]
async fn a_device_that_cannot_be_read_is_not_blank() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    bed.table()
        .faults()
        .fail_serial(LunOperation::Read, &disk.serial, true);
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Timeout, "{error:?}");
    bed.table().faults().clear();
    assert!(
        disk.bytes().iter().all(|byte| *byte == 0),
        "nothing was written"
    );
    bed.assert_clean();
    attach(&bed.attacher(), &disk).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
}

#[tokio::test]
async fn an_identity_that_changes_under_way_stops_mkfs() {
    require_root!();
    for (step, moment) in [
        (Step::Connect, Moment::After),
        (Step::Inspect, Moment::After),
        (Step::Format, Moment::Before),
        (Step::Mount, Moment::Before),
    ] {
        let bed = Bed::plain();
        let disk = bed.disk(1, SIZE, Filesystem::Ext4);
        let serial_file = Bed::serial_file(&disk);
        let action = move || {
            fs::write(&serial_file, "ANOTHERSERIAL\n").unwrap();
            Ok(())
        };
        let attacher = bed.open(Some(Arc::new(At {
            step,
            moment,
            action,
        })));
        let error = attach(&attacher, &disk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        assert!(error.message().contains("ANOTHERSERIAL"), "{error:?}");
        if step != Step::Mount {
            assert!(
                disk.bytes().iter().all(|byte| *byte == 0),
                "{moment:?} {step:?}: written to"
            );
        }
        bed.assert_clean();
    }
}

#[tokio::test]
async fn a_device_of_another_size_is_not_formatted() {
    require_root!();
    let mut bed = Bed::plain();
    let mut disk = bed.disk(1, SIZE, Filesystem::Ext4);
    disk.size = SIZE / 2;
    assert_refused(&mut bed, &disk, "bytes").await;
    disk.size = SIZE * 2;
    assert_refused(&mut bed, &disk, "bytes").await;
}

/// mkfs was cut off: nothing recognisable, but not blank. Only this host's memory of having begun
/// under this grant lets it go on; it also does after the volume was given back in between.
#[tokio::test]
async fn remains_of_our_own_mkfs_are_made_again_only_with_our_own_record() {
    require_root!();
    for forget_in_between in [false, true] {
        let mut bed = Bed::plain();
        let disk = bed.disk(1, SIZE, Filesystem::Ext4);
        let attacher = bed.open(Some(kill_at(Step::Format, Moment::Before)));
        attach(&attacher, &disk).await.unwrap_err();
        drop(attacher);
        disk.write_at(20 * MIB, b"half an inode table");
        disk.write_at(MIB, b"a bitmap");

        // Somebody else's ledger, or ours under another grant to format: refused.
        let mut foreign = disk.clone();
        foreign.grant.as_mut().unwrap().uuid = Uuid::new_v4();
        if forget_in_between {
            assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
            bed.attacher().forget(&disk.id).await.unwrap();
            assert_eq!(bed.attacher().status(&disk.id).await.unwrap(), None);
            assert_eq!(bed.attacher().attachments().await.unwrap(), []);
            assert!(!bed.attacher().detach(&disk.id).await.unwrap().is_done());
        }
        assert_refused(&mut bed, &foreign, "not blank").await;
        let attachment = attach(&bed.attacher(), &disk.regranted()).await.unwrap();
        fs::write(attachment.mountpoint.join("f"), "x").unwrap();
        assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
        bed.attacher().forget(&disk.id).await.unwrap();
        bed.assert_clean();
    }
}

#[tokio::test]
async fn remains_without_a_record_are_refused() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    disk.write_at(20 * MIB, b"half an inode table");
    disk.write_at(MIB, b"a bitmap");
    assert_refused(&mut bed, &disk, "not blank").await;
}

#[tokio::test]
async fn a_never_mounted_file_system_of_the_grant_is_used_or_made_again() {
    require_root!();
    for broken in [false, true] {
        let mut bed = Bed::plain();
        let disk = bed.disk(1, SIZE, Filesystem::Ext4);
        let uuid = disk.grant.as_ref().unwrap().uuid.to_string();
        let content = bed.folder.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::write(content.join("marker"), "m").unwrap();
        let (data, content) = (disk.data.to_str().unwrap(), content.to_str().unwrap());
        tool("mkfs.ext4", &["-q", "-U", &uuid, "-d", content, data]);
        if broken {
            // The group descriptors, which only a whole mkfs leaves in order.
            disk.write_at(2048, &[0xFF; 1024]);
        }
        let attachment = attach(&bed.attacher(), &disk).await.unwrap();
        assert_eq!(
            attachment.mountpoint.join("marker").exists(),
            !broken,
            "made again: {broken}"
        );
        fs::write(attachment.mountpoint.join("f"), "x").unwrap();
        assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
        tool("e2fsck", &["-fn", disk.data.to_str().unwrap()]);
    }
}

#[tokio::test]
async fn a_half_made_xfs_needs_exactly_its_grant() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, 320 * MIB, Filesystem::Xfs);
    let uuid = disk.grant.as_ref().unwrap().uuid;
    tool(
        "mkfs.xfs",
        &[
            "-q",
            "-m",
            &format!("crc=0,finobt=0,uuid={uuid}"),
            disk.data.to_str().unwrap(),
        ],
    );
    // sb_inprogress
    disk.write_at(126, &[1]);
    let mut without = disk.clone();
    without.grant = None;
    assert_refused(&mut bed, &without, "half-made").await;
    let mut other = disk.clone();
    other.grant.as_mut().unwrap().uuid = Uuid::new_v4();
    assert_refused(&mut bed, &other, "half-made").await;
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(attachment.mountpoint.join("f"), "x").unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
}

#[tokio::test]
async fn a_missing_tool_is_named_and_nothing_is_left() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, 320 * MIB, Filesystem::Xfs);
    let tools = bed.folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    bed.tool_dirs = vec![tools.clone()];
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("util-linux"), "{error}");
    std::os::unix::fs::symlink("/usr/sbin/blkid", tools.join("blkid")).unwrap();
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("xfsprogs"), "{error}");
    assert!(disk.bytes().iter().all(|byte| *byte == 0));
    bed.assert_clean();
}

#[tokio::test]
async fn a_damaged_file_system_waits_for_a_person() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    for index in 0..50 {
        fs::create_dir(attachment.mountpoint.join(format!("d{index}"))).unwrap();
    }
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    let data = disk.data.to_str().unwrap();
    // Two folders claim one block, and the file system is marked as not clean.
    tool(
        "debugfs",
        &["-w", "-R", "set_inode_field /d1 block[0] 0", data],
    );
    tool("debugfs", &["-w", "-R", "clri /d2", data]);
    tool("debugfs", &["-w", "-R", "set_super_value state 2", data]);
    let error = attach(&bed.attacher(), &disk.regranted())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(error.message().contains("damaged"), "{error}");
    bed.assert_clean();
}

/// mkfs fails half way: the next attach makes it again, as nothing but our own work is there.
#[tokio::test]
async fn a_failed_mkfs_is_repeated() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let tools = bed.folder.path().join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["blkid", "e2fsck"] {
        std::os::unix::fs::symlink(format!("/usr/sbin/{tool}"), tools.join(tool)).unwrap();
    }
    let fake = tools.join("mkfs.ext4");
    let script = "#!/bin/sh\nfor device; do :; done\n\
                  echo junk | /bin/dd of=$device bs=1024 seek=77 conv=notrunc\n\
                  echo the disk is haunted >&2\nexit 1\n";
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    bed.tool_dirs = vec![tools];
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert!(error.message().contains("haunted"), "{error}");
    assert!(disk.bytes().iter().any(|byte| *byte != 0));
    bed.assert_clean();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.attacher().forget(&disk.id).await.unwrap();
    bed.stop();
    bed.tool_dirs.clear();
    attach(&bed.attacher(), &disk.regranted()).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    tool("e2fsck", &["-fn", disk.data.to_str().unwrap()]);
}
