//! Making volumes larger.

use storage_core::{Backend, ErrorKind, ExpandVolume, Outcome, Result, Size, Volume};
use tokio::join;

use crate::harness::{Harness, Verdict};
use crate::retrying::Retrying;
use crate::stage::{Stage, refused};

async fn expand(node: &Retrying, volume: &Volume, size: Size) -> Result<Outcome<Volume>> {
    let volume = volume.clone();
    node.expand(ExpandVolume { volume, size }).await
}

/// The stage, unless the backend says that its volumes do not grow.
async fn growing(harness: &dyn Harness) -> Result<Stage<'_>, Verdict> {
    let stage = Stage::new(harness).await;
    if stage.node.capabilities().expand {
        Ok(stage)
    } else {
        Err(Verdict::skipped("the backend does not expand volumes"))
    }
}

/// A larger size is provisioned and seen everywhere; the same one again is so already.
pub async fn a_volume_grows(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("growing").await;
    let size = Size::from_gib(2);
    let grown = expand(&stage.node, &made, size).await.expect("expand");
    stage.assert_done(&grown, "expand");
    assert_eq!(grown.get().size, size);
    assert_eq!(grown.get().id, made.id);
    let seen = stage.get("growing").await.expect("found");
    assert_eq!(seen.size, size);
    assert_eq!(seen.format_grant, made.format_grant);
    // With the value read before and with the one read now.
    for volume in [&made, &seen] {
        let again = expand(&stage.node, volume, size)
            .await
            .expect("expand again");
        assert!(!again.is_done(), "it has the size already");
        assert_eq!(again.get().size, size);
    }
    Verdict::Passed
}

/// A smaller size is refused, and the volume keeps the one it has, even if the caller knows an
/// older, smaller one.
pub async fn a_volume_never_shrinks(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("keeping").await;
    let large = Size::from_gib(4);
    let _outcome = expand(&stage.node, &made, large).await.expect("expand");
    for size in [Size::from_gib(2), made.size, Size::from_bytes(1)] {
        let result = expand(&stage.node, &made, size).await;
        refused(result, ErrorKind::OutOfRange, "a smaller size");
        assert_eq!(stage.get("keeping").await.expect("found").size, large);
    }
    Verdict::Passed
}

/// A new size is rounded as at create, and one above the maximum is refused.
pub async fn growth_is_rounded_and_limited(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("rounded").await;
    let capabilities = stage.node.capabilities();
    let odd = Size::from_bytes(20_000_000_001);
    let expected = capabilities.round(odd).expect("within limits");
    let grown = expand(&stage.node, &made, odd).await.expect("expand");
    assert_eq!(grown.get().size, expected);
    if let Some(huge) = capabilities.size_max.checked_add(Size::from_bytes(1)) {
        let result = expand(&stage.node, &made, huge).await;
        refused(result, ErrorKind::OutOfRange, "above the maximum");
    }
    assert_eq!(stage.get("rounded").await.expect("found").size, expected);
    Verdict::Passed
}

/// Two nodes that grow one volume at once end with the larger size.
pub async fn racing_growth_ends_at_the_largest(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let elsewhere = stage.another_node().await;
    for round in 0..4 {
        let text = format!("raced{round}");
        let made = stage.create(&text).await;
        let (small, large) = (Size::from_gib(2), Size::from_gib(3));
        let (one, two) = join!(
            expand(&stage.node, &made, small),
            expand(&elsewhere, &made, large)
        );
        assert_eq!(two.expect("the larger one succeeds").get().size, large);
        if let Err(error) = one {
            assert_eq!(error.kind(), ErrorKind::OutOfRange, "{}", error.chain());
        }
        assert_eq!(stage.get(&text).await.expect("found").size, large);
    }
    Verdict::Passed
}

/// A volume grows while a host uses it, and the host's access stays.
pub async fn a_published_volume_grows(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("busy").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    let size = Size::from_gib(2);
    let _outcome = expand(&stage.node, &made, size).await.expect("expand");
    stage.assert_alone(&made, &access).await;
    let seen = stage.get("busy").await.expect("found");
    let again = stage.publish(&seen, 0).await.expect("publish again");
    assert_eq!(again.get().size, size, "the access tells the new size");
    assert_eq!(again.get().grant, access.grant);
    Verdict::Passed
}

/// A volume that was removed is not found.
pub async fn a_removed_volume_does_not_grow(harness: &dyn Harness) -> Verdict {
    let stage = match growing(harness).await {
        Ok(stage) => stage,
        Err(skipped) => return skipped,
    };
    let made = stage.create("removed").await;
    let _outcome = stage.delete(&made).await.expect("delete");
    let result = expand(&stage.node, &made, Size::from_gib(2)).await;
    refused(result, ErrorKind::NotFound, "expand after delete");
    Verdict::Passed
}
