//! From a mount to nothing.

use storage_core::{AttachmentState, ErrorKind};

use super::Scene;
use crate::harness::{AttachHarness, Verdict};
use crate::stage::refused;

/// A detached volume stays on record until the array was told and it is forgotten.
pub async fn a_detached_volume_is_released_until_forgotten(
    harness: &impl AttachHarness,
) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let _mounted = scene.attach(&made, &access).await.expect("attach");
    let outcome = scene.host.detach(&made.id).await.expect("detach");
    assert!(outcome.is_done());
    let status = scene.host.status(&made.id).await.expect("status");
    let status = status.expect("on record");
    assert_eq!(status.state, AttachmentState::Released);
    assert_eq!(status.nonce, access.grant.nonce);
    assert_eq!(status.object, made.object, "what a late unpublish needs");
    scene.unpublish(&made).await;
    scene.host.forget(&made.id).await.expect("forget");
    assert_eq!(scene.host.status(&made.id).await.expect("status"), None);
    Verdict::Passed
}

/// Once more: so already, before and after it is forgotten.
pub async fn detaching_again_is_so_already(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let _mounted = scene.attach(&made, &access).await.expect("attach");
    let _released = scene.host.detach(&made.id).await.expect("detach");
    let again = scene.host.detach(&made.id).await.expect("detach again");
    assert!(!again.is_done());
    scene.leave(&made).await;
    let again = scene.host.detach(&made.id).await.expect("after forget");
    assert!(!again.is_done());
    scene.host.forget(&made.id).await.expect("forget again");
    Verdict::Passed
}

/// What is still mounted cannot be forgotten.
pub async fn a_mounted_volume_is_not_forgotten(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let access = scene.publish(&made).await;
    let _mounted = scene.attach(&made, &access).await.expect("attach");
    let result = scene.host.forget(&made.id).await;
    refused(
        result,
        ErrorKind::FailedPrecondition,
        "forget while mounted",
    );
    let status = scene.host.status(&made.id).await.expect("status");
    let state = status.map(|attachment| attachment.state);
    assert_eq!(state, Some(AttachmentState::Mounted));
    scene.leave(&made).await;
    Verdict::Passed
}

/// A volume that went away comes back under a new grant.
pub async fn a_volume_moves_and_comes_back(harness: &impl AttachHarness) -> Verdict {
    let scene = Scene::new(harness).await;
    let made = scene.create("data").await;
    let mut nonces = Vec::new();
    for _ in 0..3 {
        let access = scene.publish(&made).await;
        assert!(!nonces.contains(&access.grant.nonce));
        nonces.push(access.grant.nonce);
        let mounted = scene.attach(&made, &access).await.expect("attach");
        assert!(mounted.is_done());
        assert_eq!(mounted.get().nonce, access.grant.nonce);
        scene.leave(&made).await;
    }
    Verdict::Passed
}
