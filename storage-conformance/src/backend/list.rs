//! Listing volumes.

use std::collections::BTreeMap;

use storage_core::{Backend, ErrorKind, ListVolumes, Size};

use crate::harness::{Harness, Hook, Verdict};
use crate::stage::{Stage, create_on, list_on, refused};

/// Nothing made, nothing listed, and the listing ends.
pub async fn an_empty_namespace_lists_nothing(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    create_on(&other, "theirs").await;
    assert_eq!(stage.list(None).await, []);
    assert_eq!(stage.list(Some(1)).await, []);
    Verdict::Passed
}

/// Whatever the size of a page, all pages together hold each volume once.
pub async fn pages_hold_each_volume_once(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let mut made = Vec::new();
    for index in 0..7 {
        made.push(stage.create(&format!("paged{index}")).await.id);
    }
    made.sort();
    for limit in [None, Some(1), Some(2), Some(6), Some(7), Some(100)] {
        let listed = stage.list(limit).await;
        let mut ids: Vec<_> = listed.into_iter().map(|volume| volume.id).collect();
        ids.sort();
        assert_eq!(ids, made, "limit {limit:?}");
    }
    Verdict::Passed
}

/// Volumes made and removed between two pages make no other volume appear twice or not at all.
pub async fn changes_meanwhile_do_not_disturb_the_others(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    for index in 0..9 {
        stage.create(&format!("steady{index}")).await;
    }
    let limit = Some(3);
    let first = ListVolumes { after: None, limit };
    let first = stage.node.list(first).await.expect("first page");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |volumes: &[storage_core::Volume]| {
        for volume in volumes {
            *seen.entry(volume.name.to_string()).or_default() += 1;
        }
    };
    count(&first.volumes);
    let removed = first.volumes.first().expect("a page is not empty").clone();
    let _outcome = stage.delete(&removed).await.expect("delete");
    for text in ["a-newcomer", "m-newcomer", "z-newcomer"] {
        stage.create(text).await;
    }
    let mut after = first.next;
    for _ in 0..100 {
        let Some(token) = after.take() else { break };
        let request = ListVolumes {
            after: Some(token),
            limit,
        };
        let page = stage.node.list(request).await.expect("next page");
        count(&page.volumes);
        after = page.next;
    }
    assert_eq!(after, None, "the listing ends");
    for index in 0..9 {
        let text = format!("steady{index}");
        assert_eq!(seen.get(&text), Some(&1), "{text} is listed once: {seen:?}");
    }
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    Verdict::Passed
}

/// A continuation that this backend did not give is refused, not guessed at.
pub async fn a_foreign_continuation_is_refused(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    stage.create("data").await;
    for token in ["", "no such page", "../\u{0}", "99999999999999999999999"] {
        let request = ListVolumes {
            after: Some(token.to_owned()),
            limit: None,
        };
        let result = stage.node.list(request).await;
        refused(result, ErrorKind::InvalidArgument, "a foreign continuation");
    }
    Verdict::Passed
}

/// Neither another cluster's volumes nor objects without record are listed.
pub async fn only_recorded_volumes_of_the_namespace_are_listed(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let other = stage.other_cluster().await;
    let ours = stage.create("ours").await;
    let theirs = create_on(&other, "theirs").await;
    let listed: Vec<_> = stage.list(None).await.into_iter().map(|v| v.id).collect();
    assert_eq!(listed, std::slice::from_ref(&ours.id));
    let listed: Vec<_> = list_on(&other, None)
        .await
        .into_iter()
        .map(|v| v.id)
        .collect();
    assert_eq!(listed, [theirs.id]);

    let object = format!("{}-legacy", stage.node.namespace());
    if harness.add_foreign(&object, Size::from_gib(1)).await == Hook::Missing {
        return Verdict::skipped("the harness cannot add objects past the backend");
    }
    let listed: Vec<_> = stage.list(None).await.into_iter().map(|v| v.id).collect();
    assert_eq!(listed, [ours.id]);
    Verdict::Passed
}
