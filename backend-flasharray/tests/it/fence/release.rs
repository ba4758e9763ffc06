//! An operator takes the volume from a host that is dead.

use array_sim::{FaultAction, FaultRule};
use storage_core::{ErrorKind, FenceReason};

use super::{connected, held, object};
use crate::support::Verbs;

#[tokio::test]
async fn an_operator_takes_the_volume_from_the_host_that_is_named() {
    let (rig, node, volume) = held().await;
    assert!(node.release(&volume, &object(1)).await.unwrap().is_done());
    let expected = [
        ("DELETE connections", 1),
        ("GET connections", 2),
        ("PUT volumes/tags/batch", 1),
    ];
    let expected = expected.map(|(call, count)| (call.to_owned(), count));
    assert_eq!(rig.taken().into_iter().collect::<Vec<_>>(), expected);
    assert!(connected(&rig.array).is_empty());
    let again = node.release(&volume, &object(1)).await.unwrap();
    assert!(!again.is_done());
    let fence = node.last_fence_of(&volume).await.unwrap();
    assert_eq!(fence, again.into_inner());
    assert_eq!(
        (fence.reason, fence.new_host),
        (FenceReason::Operator, None)
    );
    assert!(node.give(&volume, 2).await.unwrap().is_done());
}

const RELEASE_CALLS: [(&str, &str, u64); 4] = [
    ("GET", "connections", 0),
    ("DELETE", "connections", 0),
    ("GET", "connections", 1),
    ("PUT", "volumes/tags/batch", 0),
];

#[tokio::test]
async fn a_call_of_a_release_that_is_lost_once_costs_nothing() {
    for (method, path, skip) in RELEASE_CALLS {
        for action in [
            FaultAction::ResetBefore,
            FaultAction::ResetAfter,
            FaultAction::Busy,
        ] {
            let what = format!("{method} {path} {skip} {action:?}");
            let (rig, node, volume) = held().await;
            let mut rule = FaultRule::once(method, path, action);
            rule.skip = skip;
            rig.array.add_rule(rule);
            let released = node.release(&volume, &object(1)).await.expect(&what);
            assert!(released.is_done(), "{what}");
            assert!(connected(&rig.array).is_empty(), "{what}");
            let fence = node.last_fence_of(&volume).await.expect(&what);
            assert_eq!(fence.reason, FenceReason::Operator, "{what}");
        }
    }
}

/// The operator's machine dies there, say.
#[tokio::test]
async fn a_release_that_was_cut_off_is_made_again_or_was_done() {
    for (method, path, skip) in RELEASE_CALLS {
        let what = format!("{method} {path} {skip}");
        let (rig, node, volume) = held().await;
        let message = "not now".to_owned();
        let mut rule = FaultRule::once(method, path, FaultAction::Refuse { message });
        rule.skip = skip;
        rig.array.add_rule(rule);
        let cut_off = node.release(&volume, &object(1)).await;
        assert!(cut_off.is_err(), "{what}: {cut_off:?}");
        let again = rig.node().release(&volume, &object(1)).await;
        // Once the access is gone, there is nothing to take away any more.
        let done = again.as_ref().map_err(storage_core::Error::kind);
        assert!(
            matches!(done, Ok(_) | Err(ErrorKind::NotFound)),
            "{what}: {again:?}"
        );
        assert!(connected(&rig.array).is_empty(), "{what}");
        assert!(node.give(&volume, 2).await.unwrap().is_done(), "{what}");
    }
}

#[tokio::test]
async fn an_operator_takes_it_from_nobody_else() {
    let (rig, node, volume) = held().await;
    let admin = rig.admin();
    admin.add_host("esx", &["iqn.esx"]).await;
    admin.connect("ns-data", "esx").await;
    for (name, kind, word) in [
        (object(2), ErrorKind::NotFound, object(1)),
        (
            "esx".to_owned(),
            ErrorKind::FailedPrecondition,
            "did not make".to_owned(),
        ),
        ("nobody".to_owned(), ErrorKind::NotFound, object(1)),
    ] {
        let error = node.release(&volume, &name).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(&word), "{error}");
    }
    assert_eq!(connected(&rig.array).len(), 2);
    assert!(!rig.taken().contains_key("PUT volumes/tags/batch"));
    // And the others keep what they have.
    let fence = node
        .release(&volume, &object(1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(fence.evidence, "read back: others connected");
    assert_eq!(connected(&rig.array), ["esx"]);
}
