//! Publishing with the right to shut another host out, F1 to F6.

use storage_core::{
    Access, Backend, ErrorKind, Host, Outcome, PermitGuard, Preemption, PublishVolume, Result,
    Volume,
};
use tokio::join;

use super::publish::lun;
use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{Stage, publish_on, refused};

/// The stage, if the backend gives a volume to one host alone.
async fn exclusive(harness: &dyn Harness) -> Option<Stage<'_>> {
    let stage = Stage::new(harness).await;
    let exclusive = stage.node.capabilities().exclusive_publish;
    exclusive.then_some(stage)
}

const SHARED: &str = "the backend does not refuse second hosts";

/// The stage, if the backend takes a volume from its holder where a request may.
async fn preempting(harness: &dyn Harness) -> Option<Stage<'_>> {
    let stage = exclusive(harness).await?;
    stage.node.capabilities().preemption.then_some(stage)
}

const HELD: &str = "the backend shuts no host out";

async fn shut_out(node: &Retrying, volume: &Volume, host: Host) -> Result<Outcome<Access>> {
    let (guard, permit) = PermitGuard::new();
    let request = PublishVolume {
        volume: volume.clone(),
        host,
        preemption: Preemption::ShutOut(permit),
        avoid_luns: Vec::new(),
    };
    let published = node.publish(request).await;
    drop(guard);
    published
}

/// The holder loses its access, and the new host has a grant of its own, alone.
pub async fn a_holder_is_shut_out(harness: &dyn Harness) -> Verdict {
    let Some(stage) = preempting(harness).await else {
        return Verdict::skipped(HELD);
    };
    let made = stage.create("data").await;
    let old = stage.publish(&made, 0).await.expect("publish");
    let elsewhere = stage.another_node().await;
    let new = shut_out(&elsewhere, &made, stage.host(1)).await;
    let new = new.expect("the old host is shut out");
    stage.assert_done(&new, "publish");
    assert_ne!(new.get().grant.nonce, old.get().grant.nonce);
    stage.assert_alone(&made, new.get()).await;
    let again = shut_out(&elsewhere, &made, stage.host(1)).await;
    let again = again.expect("again").into_inner();
    assert_eq!(again, new.into_inner(), "its own grant is left alone");
    let late = stage.publish(&made, 0).await;
    let kind = ErrorKind::FailedPrecondition;
    let error = refused(late, kind, "the old host, without the right");
    let text = error.chain().to_string();
    assert!(text.contains(&stage.host(1).object_name()), "{text}");
    stage.assert_alone(&made, &again).await;
    Verdict::Passed
}

/// A publish that looked at the host before another volume was given to it, and taken from it
/// again, does not know that the host may still use that one's number.
pub async fn a_number_does_not_come_back_after_a_fence(harness: &dyn Harness) -> Verdict {
    let Some(stage) = preempting(harness).await else {
        return Verdict::skipped(HELD);
    };
    let taken = stage.create("taken").await;
    let next = stage.create("next").await;
    let old = stage.publish(&taken, 0).await.expect("publish");
    let Some(number) = lun(&old.get().path) else {
        return Verdict::skipped("this access has no number");
    };
    let elsewhere = stage.another_node().await;
    let fenced = shut_out(&elsewhere, &taken, stage.host(1)).await;
    let _fenced = fenced.expect("the old host is shut out");
    let new = stage.publish(&next, 0).await.expect("publish");
    assert_ne!(lun(&new.get().path), Some(number), "an old mount may write");
    stage.assert_alone(&next, new.get()).await;
    Verdict::Passed
}

/// A permit whose caller has gone is none.
pub async fn who_has_gone_shuts_nobody_out(harness: &dyn Harness) -> Verdict {
    let Some(stage) = exclusive(harness).await else {
        return Verdict::skipped(SHARED);
    };
    let made = stage.create("data").await;
    let held = stage.publish(&made, 0).await.expect("publish");
    let (guard, permit) = PermitGuard::new();
    drop(guard);
    let request = PublishVolume {
        volume: made.clone(),
        host: stage.host(1),
        preemption: Preemption::ShutOut(permit),
        avoid_luns: Vec::new(),
    };
    let late = stage.node.publish(request).await;
    let kind = ErrorKind::FailedPrecondition;
    let error = refused(late, kind, "a permit that has ended");
    let text = error.chain().to_string();
    assert!(text.contains(&stage.host(0).object_name()), "{text}");
    stage.assert_alone(&made, held.get()).await;
    Verdict::Passed
}

/// Whatever an administrator connected stays connected, and is named.
pub async fn a_foreign_host_is_never_shut_out(harness: &dyn Harness) -> Verdict {
    let Some(stage) = exclusive(harness).await else {
        return Verdict::skipped(SHARED);
    };
    let made = stage.create("data").await;
    let foreign = "administrators-host";
    if harness.connect_foreign(&made.object, foreign).await == Hook::Missing {
        return Verdict::skipped("the harness cannot connect hosts past the backend");
    }
    let result = shut_out(&stage.node, &made, stage.host(0)).await;
    let kind = ErrorKind::FailedPrecondition;
    let error = refused(result, kind, "a foreign holder");
    let text = error.chain().to_string();
    assert!(text.contains(foreign), "the holder is named: {text}");
    let published = stage.published(&made).await;
    assert_eq!(published.len(), 1, "{published:?}");
    assert_eq!(published[0].host, foreign);
    Verdict::Passed
}

/// Two hosts that shut each other out end with one that has access, under the grant it was given.
pub async fn racing_fences_end_with_one_grant(harness: &dyn Harness) -> Verdict {
    let Some(stage) = exclusive(harness).await else {
        return Verdict::skipped(SHARED);
    };
    let elsewhere = stage.another_node().await;
    for round in 0..4 {
        let made = stage.create(&format!("raced{round}")).await;
        let _held = stage.publish(&made, 0).await.expect("publish");
        let (one, two) = join!(
            shut_out(&stage.node, &made, stage.host(0)),
            shut_out(&elsewhere, &made, stage.host(1))
        );
        let given: Vec<Access> = [one, two]
            .into_iter()
            .flatten()
            .map(Outcome::into_inner)
            .collect();
        let now = stage.published(&made).await;
        assert!(now.len() <= 1, "round {round}: {now:?}");
        let Some(holder) = now.first() else {
            continue;
        };
        // Whoever has access has it under a grant that was given out, or was none of these two.
        let known = given
            .iter()
            .any(|access| holder.nonce == Some(access.grant.nonce));
        assert!(known, "round {round}: {now:?}, given {given:?}");
    }
    Verdict::Passed
}

/// A host that was shut out and shuts out in its turn never gets its old grant again.
pub async fn a_fenced_host_comes_back_with_a_new_grant(harness: &dyn Harness) -> Verdict {
    let Some(stage) = preempting(harness).await else {
        return Verdict::skipped(HELD);
    };
    let made = stage.create("data").await;
    let mut nonces = Vec::new();
    let first = publish_on(&stage.node, &made, stage.host(0)).await;
    nonces.push(first.expect("publish").get().grant.nonce);
    for host in [1, 0, 1] {
        let access = shut_out(&stage.node, &made, stage.host(host)).await;
        let access = access.expect("the other one is shut out").into_inner();
        assert!(!nonces.contains(&access.grant.nonce), "used again");
        nonces.push(access.grant.nonce);
        stage.assert_alone(&made, &access).await;
    }
    Verdict::Passed
}
