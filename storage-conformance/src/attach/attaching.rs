//! From an access to a mount.

use storage_core::{ArrayId, AttachmentState, Backend, CreateVolume, ErrorKind, Size, VolumeId};
use uuid::Uuid;

use super::Scene;
use crate::harness::{AttachHarness, Verdict};
use crate::stage::{refused, request};

/// A volume that was published is mounted under its grant, formatted, and on record.
pub async fn a_published_volume_is_mounted(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    scene
        .host
        .supports(access.path.protocol())
        .expect("supported");
    let outcome = scene.attach(&made, &access).await.expect("attach");
    assert!(outcome.is_done());
    let attachment = outcome.into_inner();
    assert_eq!(attachment.state, AttachmentState::Mounted);
    assert_eq!(attachment.volume, made.id);
    assert_eq!(attachment.name, made.name);
    assert_eq!(attachment.object, made.object);
    assert_eq!(attachment.nonce, access.grant.nonce);
    assert!(attachment.mountpoint.is_absolute());
    assert!(attachment.formatted, "the grant can be withdrawn now");
    let status = scene.host.status(&made.id).await.expect("status");
    assert_eq!(status.as_ref(), Some(&attachment));
    let all = scene.host.attachments().await.expect("attachments");
    assert!(all.contains(&attachment));
    scene.leave(&made).await;
    Verdict::Passed
}

/// The same access again finds the mount.
pub async fn attaching_again_is_so_already(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let first = scene.attach(&made, &access).await.expect("attach");
    // An intact mount is no hindrance to preparing, and survives it.
    let access_again = scene.publish(&made).await;
    assert_eq!(access_again.grant, access.grant);
    let again = scene
        .attach(&made, &access_again)
        .await
        .expect("attach again");
    assert!(!again.is_done());
    assert_eq!(again.get(), first.get());
    scene.leave(&made).await;
    Verdict::Passed
}

/// A mount that was made under one grant is not passed off as one under another.
pub async fn another_grant_never_reuses_a_mount(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let first = scene.attach(&made, &access).await.expect("attach");
    let mut other = access.clone();
    other.grant.nonce = Uuid::new_v4();
    match scene.attach(&made, &other).await {
        Ok(again) => {
            assert!(again.is_done(), "it was torn down and mounted anew");
            assert_eq!(again.get().nonce, other.grant.nonce);
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{error:?}");
            let status = scene.host.status(&made.id).await.expect("status");
            let nonce = status.map(|attachment| attachment.nonce);
            assert_eq!(nonce, Some(first.get().nonce));
        }
    }
    scene.leave(&made).await;
    Verdict::Passed
}

/// Without permission nothing is formatted, blank as it may be.
pub async fn a_blank_volume_without_grant_is_not_formatted(
    harness: &impl AttachHarness,
) -> Verdict {
    let scene = Scene::new(harness).await;
    let asked = CreateVolume {
        format_grant: None,
        ..request("ungranted")
    };
    let made = scene.node.create(asked).await.expect("create").into_inner();
    let access = scene.publish(&made).await;
    for _ in 0..2 {
        let result = scene.attach(&made, &access).await;
        refused(result, ErrorKind::FailedPrecondition, "blank, no grant");
    }
    let status = scene.host.status(&made.id).await.expect("status");
    let mounted = status.is_some_and(|a| a.state == AttachmentState::Mounted);
    assert!(!mounted);
    scene.leave(&made).await;
    Verdict::Passed
}

/// Once there is a file system, the withdrawn permission is not missed.
pub async fn a_formatted_volume_needs_no_grant(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let _mounted = scene.attach(&made, &access).await.expect("attach");
    let _gone = scene
        .node
        .withdraw_format_grant(&made)
        .await
        .expect("withdraw");
    scene.leave(&made).await;
    let access = scene.publish(&made).await;
    assert_eq!(access.format_grant, None);
    let again = scene.attach(&made, &access).await.expect("attach");
    assert!(again.get().formatted);
    scene.leave(&made).await;
    Verdict::Passed
}

/// A volume that the host never had is absent, and cannot be resized.
pub async fn what_is_unknown_is_absent(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let array = ArrayId::new(Uuid::new_v4().to_string());
    let id = VolumeId::new(array, "unknown").expect("a good id");
    assert_eq!(scene.host.status(&id).await.expect("status"), None);
    let result = scene.host.resize(&id, Size::from_gib(2)).await;
    refused(result, ErrorKind::NotFound, "resize");
    let detached = scene.host.detach(&id).await.expect("detach");
    assert!(!detached.is_done());
    scene.host.forget(&id).await.expect("forget");
    Verdict::Passed
}
