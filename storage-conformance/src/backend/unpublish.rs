//! Taking access away.

use storage_core::{Backend, UnpublishVolume};

use crate::harness::{Harness, Verdict};
use crate::stage::Stage;

/// The host's access is gone when the call returns.
pub async fn access_ends(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let ended = stage.unpublish(&made, 0).await.expect("unpublish");
    stage.assert_done(&ended, "unpublish");
    assert_eq!(stage.published(&made).await, []);
    Verdict::Passed
}

/// Once more, from another node, or for a host that never had it: so already.
pub async fn unpublishing_again_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let never = stage.unpublish(&made, 0).await.expect("a host unheard of");
    assert!(!never.is_done());
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    let again = stage.unpublish(&made, 0).await.expect("unpublish again");
    assert!(!again.is_done());
    let elsewhere = stage.another_node().await;
    let request = UnpublishVolume {
        volume: made.id.clone(),
        object: made.object.clone(),
        host: stage.host(0),
    };
    let there = elsewhere.unpublish(request).await.expect("on another node");
    assert!(!there.is_done());
    Verdict::Passed
}

/// Only the host that is named loses access.
pub async fn another_hosts_access_stays(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("data").await;
    let neighbour = stage.create("neighbour").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    let beside = stage.publish(&neighbour, 0).await.expect("publish");
    let other = stage.unpublish(&made, 1).await.expect("unpublish host 1");
    assert!(!other.is_done(), "host 1 had nothing");
    stage.assert_alone(&made, &access).await;
    let _outcome = stage.unpublish(&made, 0).await.expect("unpublish host 0");
    stage.assert_alone(&neighbour, beside.get()).await;
    Verdict::Passed
}

/// A volume that no longer exists is reached by nobody: so already.
pub async fn a_removed_volume_is_so_already(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let made = stage.create("removed").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    let _outcome = stage.delete(&made).await.expect("delete");
    let outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    assert!(!outcome.is_done());
    Verdict::Passed
}
