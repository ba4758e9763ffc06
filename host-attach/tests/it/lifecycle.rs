//! A volume's ordinary life: attach, use, detach, attach again, grow; and what is observed.

use std::fs;

use storage_core::{Attacher, AttachmentState, ErrorKind, Filesystem, Outcome, Protocol, Size};

use crate::bed::{Bed, MIB, attach};
use crate::require_root;

async fn whole_life(kind: Filesystem, size: u64) {
    let mut bed = Bed::plain();
    let disk = bed.disk(5, size, kind);
    let attacher = bed.attacher();
    attacher.prepare(&disk.volume()).await.unwrap();
    let attachment = attach(&attacher, &disk).await.unwrap();
    assert!(attachment.formatted);
    assert_eq!(attachment.state, AttachmentState::Mounted);
    fs::write(attachment.mountpoint.join("hello"), "world").unwrap();

    let again = attacher.attach(disk.request()).await.unwrap();
    assert!(
        matches!(&again, Outcome::AlreadySo(found) if *found == attachment),
        "{again:?}"
    );
    attacher.prepare(&disk.volume()).await.unwrap();
    assert_eq!(
        attacher.status(&disk.id).await.unwrap().unwrap().state,
        AttachmentState::Mounted
    );
    let refused = attacher.forget(&disk.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FailedPrecondition);

    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    assert!(!attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
    let status = attacher.status(&disk.id).await.unwrap().unwrap();
    assert_eq!(
        (status.state, status.formatted),
        (AttachmentState::Released, true)
    );
    attacher.forget(&disk.id).await.unwrap();
    attacher.forget(&disk.id).await.unwrap();
    assert_eq!(attacher.status(&disk.id).await.unwrap(), None);

    // The grant is still there and the ledger is empty: what counts is what the device shows.
    let disk = disk.regranted();
    let attachment = attach(&attacher, &disk).await.unwrap();
    assert_eq!(
        fs::read_to_string(attachment.mountpoint.join("hello")).unwrap(),
        "world"
    );
    assert!(attacher.detach(&disk.id).await.unwrap().is_done());
    bed.assert_clean();
}

#[tokio::test]
async fn ext4_lives() {
    require_root!();
    whole_life(Filesystem::Ext4, 64 * MIB).await;
}

#[tokio::test]
async fn xfs_lives() {
    require_root!();
    whole_life(Filesystem::Xfs, 320 * MIB).await;
}
