//! LUN numbers under which the host shows devices: no volume may be published under one of them.

use std::fs::{self, File};

use storage_core::{Attacher, AttachmentState, Filesystem};

use crate::bed::{Bed, MIB, attach, tool};
use crate::require_root;

const SIZE: u64 = 32 * MIB;
const NONE: [u16; 0] = [];

#[tokio::test]
async fn numbers_are_in_use_from_the_attach_to_the_detach() {
    require_root!();
    let mut bed = Bed::fuse();
    let attacher = bed.attacher();
    assert_eq!(attacher.luns_in_use().await.unwrap(), NONE);
    let (high, low) = (
        bed.disk(300, SIZE, Filesystem::Ext4),
        bed.disk(7, SIZE, Filesystem::Ext4),
    );
    assert_eq!(attacher.luns_in_use().await.unwrap(), NONE, "only shown");
    attach(&attacher, &high).await.unwrap();
    attach(&attacher, &low).await.unwrap();
    assert_eq!(attacher.luns_in_use().await.unwrap(), [7, 300]);
    assert!(attacher.detach(&low.id).await.unwrap().is_done());
    assert_eq!(attacher.luns_in_use().await.unwrap(), [300]);
    // A record that is not released counts although nothing of it is to be seen.
    let [target] = bed.mounts().try_into().unwrap();
    tool("umount", &[&target]);
    let [name] = bed.loop_devices().try_into().unwrap();
    tool("losetup", &["-d", &format!("/dev/{name}")]);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [300]);
    assert!(attacher.detach(&high.id).await.unwrap().is_done());
    assert_eq!(attacher.luns_in_use().await.unwrap(), NONE);
    bed.assert_clean();
}

/// Devices that no ledger knows: of an earlier installation, or made by hand. Another host's on
/// the same kernel are none of ours.
#[tokio::test]
async fn devices_that_nobody_recorded_count() {
    require_root!();
    let mut bed = Bed::plain();
    let another = bed.folder.path().join("luns/another-host-01234567");
    fs::create_dir(&another).unwrap();
    let bind = |path: &std::path::Path| {
        File::create(path).unwrap().set_len(SIZE).unwrap();
        tool("losetup", &["-f", "--show", path.to_str().unwrap()]);
    };
    for name in ["41", "40", "notes", "70000"] {
        bind(&bed.lun_folder().join(name));
    }
    bind(&another.join("42"));
    fs::remove_file(bed.lun_folder().join("40")).unwrap();
    assert_eq!(bed.attacher().luns_in_use().await.unwrap(), [40, 41]);
    assert_eq!(bed.loop_devices().len(), 5, "nothing was touched");
}

/// A volume was fenced and its mount is in use, so it cannot be taken down. Another one is then
/// published under another number, and nothing of the old device gets near it.
#[tokio::test]
async fn the_number_of_a_fenced_volume_is_kept_from_others_until_it_is_gone() {
    require_root!();
    let mut bed = Bed::fuse();
    let held = bed.disk(5, SIZE, Filesystem::Ext4);
    let attacher = bed.attacher();
    let attachment = attach(&attacher, &held).await.unwrap();
    let open = File::create(attachment.mountpoint.join("open")).unwrap();
    bed.disconnect(&held);

    // What a mount of another volume does, in its order.
    let wanted = bed.disk(6, SIZE, Filesystem::Ext4);
    bed.disconnect(&wanted);
    attacher.prepare(&wanted.volume()).await.unwrap();
    let avoided = attacher.luns_in_use().await.unwrap();
    assert_eq!(avoided, [5], "the device is still there");
    assert!(!avoided.contains(&wanted.lun));
    bed.connect(&wanted);
    let attachment = attach(&attacher, &wanted).await.unwrap();
    assert_eq!(attachment.state, AttachmentState::Mounted);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [5, 6]);
    assert_eq!(attacher.heal().await.unwrap(), [], "still held");

    drop(open);
    let released = attacher.heal().await.unwrap();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].volume, held.id);
    assert_eq!(attacher.luns_in_use().await.unwrap(), [6]);
    assert!(attacher.detach(&wanted.id).await.unwrap().is_done());
    assert_eq!(attacher.luns_in_use().await.unwrap(), NONE);
    bed.assert_clean();
}

/// Prepared, perhaps published, and then the process died: nothing of that is on record, and the
/// next attempt under a fresh grant is like a first one.
#[tokio::test]
async fn a_crash_between_prepare_and_attach_leaves_nothing() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(5, SIZE, Filesystem::Ext4);
    bed.disconnect(&disk);
    bed.attacher().prepare(&disk.volume()).await.unwrap();
    bed.connect(&disk);
    bed.stop();
    assert_eq!(bed.record_files(), Vec::<std::path::PathBuf>::new());

    let attacher = bed.attacher();
    assert_eq!(attacher.attachments().await.unwrap(), []);
    assert_eq!(attacher.status(&disk.id).await.unwrap(), None);
    assert_eq!(attacher.luns_in_use().await.unwrap(), NONE);
    attacher.prepare(&disk.volume()).await.unwrap();
    let fresh = disk.regranted();
    let attachment = attach(&attacher, &fresh).await.unwrap();
    assert_eq!(attachment.nonce, fresh.nonce);
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}
