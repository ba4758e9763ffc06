//! A host that was shut out, and LUN numbers that come back: nothing written under an old grant
//! reaches a device under a new one.

use std::fs;
use std::io::Write;

use storage_core::{Attacher, AttachmentState, ErrorKind, Filesystem};

use crate::bed::{Bed, Disk, MIB, attach};
use crate::require_root;

const SIZE: u64 = 32 * MIB;

#[tokio::test]
async fn a_fenced_host_cleans_up_after_itself() {
    require_root!();
    for (kind, size) in [(Filesystem::Ext4, SIZE), (Filesystem::Xfs, 320 * MIB)] {
        let mut bed = Bed::fuse();
        let disk = bed.disk(5, size, kind);
        let attachment = attach(&bed.attacher(), &disk).await.unwrap();
        fs::write(attachment.mountpoint.join("dirty"), vec![7; 1 << 20]).unwrap();
        bed.disconnect(&disk);
        let status = bed.attacher().status(&disk.id).await.unwrap().unwrap();
        assert_eq!(status.state, AttachmentState::Incomplete);
        let error = attach(&bed.attacher(), &disk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
        bed.assert_clean();
        bed.connect(&disk);
        attach(&bed.attacher(), &disk).await.unwrap();
        bed.disconnect(&disk);
        assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
        bed.assert_clean();
        bed.attacher().forget(&disk.id).await.unwrap();
    }
}

#[tokio::test]
async fn healing_takes_down_what_is_fenced_and_nothing_else() {
    require_root!();
    let mut bed = Bed::fuse();
    let (fenced, well) = (
        bed.disk(5, SIZE, Filesystem::Ext4),
        bed.disk(6, SIZE, Filesystem::Ext4),
    );
    attach(&bed.attacher(), &fenced).await.unwrap();
    attach(&bed.attacher(), &well).await.unwrap();
    assert_eq!(bed.attacher().heal().await.unwrap(), []);
    bed.disconnect(&fenced);
    let released = bed.attacher().heal().await.unwrap();
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].volume, fenced.id);
    assert_eq!(bed.mounts().len(), 1);
    assert_eq!(bed.loop_devices().len(), 1);
    assert!(bed.attacher().detach(&well.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn preparing_clears_what_a_fence_left() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(5, SIZE, Filesystem::Ext4);
    attach(&bed.attacher(), &disk).await.unwrap();
    bed.disconnect(&disk);
    bed.attacher().prepare(&disk.volume()).await.unwrap();
    bed.assert_clean();
    bed.connect(&disk);
    attach(&bed.attacher(), &disk.regranted()).await.unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
}

/// The number comes back with another volume. The old mount, with data not written yet, is gone
/// before that, as a publish to this host is always preceded by a prepare.
#[tokio::test]
async fn preparing_any_volume_takes_down_what_was_fenced() {
    require_root!();
    for (kind, size) in [(Filesystem::Ext4, SIZE), (Filesystem::Xfs, 320 * MIB)] {
        let mut bed = Bed::fuse();
        let second = used_before(&mut bed, kind, size).await;
        let before = second.bytes();
        let first = bed.disk(5, size, kind);
        let attachment = attach(&bed.attacher(), &first).await.unwrap();
        fs::write(attachment.mountpoint.join("dirty"), vec![7; 1 << 20]).unwrap();
        bed.disconnect(&first);

        bed.attacher().prepare(&second.volume()).await.unwrap();
        bed.assert_clean();
        bed.connect(&second);
        assert!(
            before == second.bytes(),
            "the old mount wrote to the new volume"
        );
        let attachment = attach(&bed.attacher(), &second.regranted()).await.unwrap();
        assert_eq!(
            fs::read_to_string(attachment.mountpoint.join("precious")).unwrap(),
            "data"
        );
        assert!(bed.attacher().detach(&second.id).await.unwrap().is_done());
    }
}

/// A volume with a file on it, detached and disconnected.
async fn used_before(bed: &mut Bed, kind: Filesystem, size: u64) -> Disk {
    let disk = bed.disk(5, size, kind);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(attachment.mountpoint.join("precious"), "data").unwrap();
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.disconnect(&disk);
    disk
}

/// The worst case: nobody prepared, and the number is back with another volume while the old
/// mount lives and has data not written yet. XFS, as ext4 leaves metadata to the device's cache.
#[tokio::test]
async fn another_volume_under_the_same_number_is_not_written_by_the_old_mount() {
    require_root!();
    let (kind, size) = (Filesystem::Xfs, 320 * MIB);
    for attach_old_first in [false, true] {
        let mut bed = Bed::fuse();
        let second = used_before(&mut bed, kind, size).await;
        let before = second.bytes();
        let first = bed.disk(5, size, kind);
        let attachment = attach(&bed.attacher(), &first).await.unwrap();
        fs::write(attachment.mountpoint.join("dirty"), vec![7; 1 << 20]).unwrap();
        bed.disconnect(&first);
        bed.connect(&second);
        let status = bed.attacher().status(&first.id).await.unwrap().unwrap();
        assert_eq!(
            status.state,
            AttachmentState::Incomplete,
            "the old mount is seen through"
        );
        if attach_old_first {
            let error = attach(&bed.attacher(), &first).await.unwrap_err();
            assert!(error.message().contains(&second.serial), "{error}");
            assert!(
                before == second.bytes(),
                "the old mount wrote to the new volume"
            );
        }
        let second = second.regranted();
        let attachment = attach(&bed.attacher(), &second).await.unwrap();
        assert_eq!(
            fs::read_to_string(attachment.mountpoint.join("precious")).unwrap(),
            "data"
        );
        assert!(!attachment.mountpoint.join("dirty").exists());
        let status = bed.attacher().status(&first.id).await.unwrap().unwrap();
        assert_eq!(status.state, AttachmentState::Released);
        assert_eq!(bed.loop_devices().len(), 1);
        assert!(bed.attacher().detach(&second.id).await.unwrap().is_done());
        bed.assert_clean();
    }
}

/// The volume was elsewhere in between and comes back under the same number, and nobody prepared:
/// the old mount works again, and must neither be used nor write.
#[tokio::test]
async fn an_old_mount_of_the_same_volume_never_writes_under_a_new_grant() {
    require_root!();
    let mut bed = Bed::fuse();
    let disk = bed.disk(5, 320 * MIB, Filesystem::Xfs);
    let attachment = attach(&bed.attacher(), &disk).await.unwrap();
    fs::write(attachment.mountpoint.join("old"), "old").unwrap();
    rustix::fs::syncfs(fs::File::open(&attachment.mountpoint).unwrap()).unwrap();
    fs::write(attachment.mountpoint.join("dirty"), vec![7; 1 << 20]).unwrap();
    let open = fs::File::create(attachment.mountpoint.join("held")).unwrap();
    bed.disconnect(&disk);
    let elsewhere = disk.bytes();
    bed.connect(&disk);

    let again = disk.regranted();
    let error = attach(&bed.attacher(), &again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    assert!(
        error.message().contains(&std::process::id().to_string()),
        "{error}"
    );
    let mut held = &open;
    drop(held.write_all(b"more"));
    assert!(
        open.sync_all().is_err(),
        "the old mount does not work any more"
    );
    assert!(
        elsewhere == disk.bytes(),
        "the old mount wrote under the new grant"
    );
    drop(open);
    let attachment = attach(&bed.attacher(), &again).await.unwrap();
    assert_eq!(
        fs::read_to_string(attachment.mountpoint.join("old")).unwrap(),
        "old"
    );
    assert!(!attachment.mountpoint.join("dirty").exists());
    assert_eq!(attachment.nonce, again.nonce);
    assert!(bed.attacher().detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn the_same_serial_elsewhere_is_no_proof() {
    require_root!();
    let mut bed = Bed::plain();
    let disk = bed.disk(1, SIZE, Filesystem::Ext4);
    let other = bed.disk(2, SIZE, Filesystem::Ext4);
    fs::write(Bed::serial_file(&disk), format!("{}\n", other.serial)).unwrap();
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
    fs::write(Bed::serial_file(&disk), "\n").unwrap();
    attach(&bed.attacher(), &disk).await.unwrap_err();
    fs::remove_file(Bed::serial_file(&disk)).unwrap();
    let error = attach(&bed.attacher(), &disk).await.unwrap_err();
    assert!(error.message().contains("not connected"), "{error}");
    bed.assert_clean();
}
