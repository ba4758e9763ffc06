//! Copies on the host of their originals. Skipped for backends that cannot clone.

use storage_core::{
    Attachment, AttachmentState, Backend, CloneSource, CloneVolume, Clones, CreateVolume,
    Filesystem, FilesystemSpec, FormatGrant, Size, Volume,
};
use uuid::Uuid;

use super::Scene;
use crate::harness::{AttachHarness, Verdict};
use crate::stage::request;

/// Room for either file system, and little to copy.
const SIZE: Size = Size::from_bytes(320 << 20);

/// A mounted volume with that file system, and a copy of it that no host has had.
struct Pair {
    original: Volume,
    attachment: Attachment,
    copy: Volume,
}

async fn pair(scene: &Scene, kind: Filesystem) -> Pair {
    let asked = CreateVolume {
        size: SIZE,
        filesystem: FilesystemSpec::new(kind),
        format_grant: Some(FormatGrant {
            filesystem: kind,
            uuid: Uuid::new_v4(),
        }),
        ..request("original")
    };
    let original = scene.node.create(asked).await.expect("create");
    let original = original.into_inner();
    let access = scene.publish(&original).await;
    let attachment = scene.attach(&original, &access).await.expect("attach");
    let asked = CloneVolume {
        volume: CreateVolume {
            size: SIZE,
            filesystem: FilesystemSpec::new(kind),
            format_grant: None,
            ..request("copy")
        },
        source: CloneSource::Volume(Box::new(original.clone())),
        fresh_uuid: Uuid::new_v4(),
    };
    let copy = scene.node.clone_volume(asked).await.expect("clone");
    Pair {
        original,
        attachment: attachment.into_inner(),
        copy: copy.into_inner(),
    }
}

impl Pair {
    /// Mounts the copy beside its original, twice over, and lets go of both.
    async fn mounted_side_by_side(&self, scene: &Scene) {
        for _ in 0..2 {
            let access = scene.publish(&self.copy).await;
            assert_eq!(access.format_grant, None);
            let copied = scene.attach(&self.copy, &access).await;
            let copied = copied.expect("attach the copy").into_inner();
            assert_eq!(copied.state, AttachmentState::Mounted);
            assert!(copied.formatted, "its source had a file system");
            assert_ne!(copied.mountpoint, self.attachment.mountpoint);
            let beside = scene.host.status(&self.original.id).await.expect("status");
            assert_eq!(beside.as_ref(), Some(&self.attachment));
            scene.leave(&self.copy).await;
        }
        scene.leave(&self.original).await;
    }
}

/// A copied XFS is mounted beside its original: it has the UUID that was chosen for it.
pub async fn a_copied_xfs_gets_its_own_uuid(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    if scene.node.clones().is_none() {
        return Verdict::skipped("the backend cannot make volumes from others");
    }
    let pair = pair(&scene, Filesystem::Xfs).await;
    pair.mounted_side_by_side(&scene).await;
    let granted = pair.original.format_grant.as_ref().map(|grant| grant.uuid);
    let told = harness.filesystem_uuid(&pair.original);
    if told.is_none() {
        return Verdict::skipped("the harness cannot tell a file system's UUID");
    }
    assert_eq!(told, granted, "the original's");
    assert_eq!(harness.filesystem_uuid(&pair.copy), pair.copy.fresh_uuid);
    Verdict::Passed
}

/// A copied ext4 is mounted beside its original, and keeps its UUID.
pub async fn a_copied_ext4_keeps_its_uuid(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    if scene.node.clones().is_none() {
        return Verdict::skipped("the backend cannot make volumes from others");
    }
    let pair = pair(&scene, Filesystem::Ext4).await;
    pair.mounted_side_by_side(&scene).await;
    let granted = pair.original.format_grant.as_ref().map(|grant| grant.uuid);
    let told = harness.filesystem_uuid(&pair.copy);
    if told.is_none() {
        return Verdict::skipped("the harness cannot tell a file system's UUID");
    }
    assert_eq!(told, granted);
    Verdict::Passed
}
