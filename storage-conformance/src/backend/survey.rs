//! Who can reach what, in bulk. Skipped for backends that do not tell it.

use std::collections::BTreeSet;

use storage_core::{Backend, Connection, ListConnections, Survey, Volume};

use crate::harness::{Harness, Hook, Verdict};
use crate::retrying::Retrying;
use crate::stage::{NO_RENAME, Stage, create_on, publish_on};

const NO_SURVEY: &str = "the backend tells nothing in bulk";

/// A listing that is longer than this many pages does not end.
const PAGES_MAX: usize = 1000;

async fn connections(
    node: &Retrying,
    volume: Option<&Volume>,
    limit: Option<usize>,
) -> Vec<Connection> {
    let survey: &dyn Survey = node;
    let (mut connections, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let request = ListConnections {
            volume: volume.cloned(),
            after,
            limit,
        };
        let page = survey.connections(request).await.expect("connections");
        if let Some(limit) = limit {
            assert!(
                page.connections.len() <= limit,
                "a page is within its limit"
            );
        }
        assert!(page.calls > 0, "a page takes calls");
        connections.extend(page.connections);
        after = page.next;
        if after.is_none() {
            return connections;
        }
    }
    panic!("the connections do not end after {PAGES_MAX} pages")
}

/// Once it was reached.
pub async fn the_array_says_who_it_is(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    let Some(survey) = stage.node.survey() else {
        return Verdict::skipped(NO_SURVEY);
    };
    let telemetry = stage.node.telemetry().await.expect("telemetry");
    let identity = survey.identity().expect("it was reached");
    assert_eq!(
        (&identity.id, &identity.name),
        (&telemetry.array, &telemetry.array_name)
    );
    Verdict::Passed
}

/// Every connection, with the grant's nonce and the machine that has it.
pub async fn the_recorded_holder_is_told(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.survey().is_none() {
        return Verdict::skipped(NO_SURVEY);
    }
    stage.create("nobodys").await;
    assert_eq!(connections(&stage.node, None, None).await, []);
    let made = stage.create("A name that does not fit").await;
    let access = stage.publish(&made, 0).await.expect("publish").into_inner();
    for asked in [None, Some(&made)] {
        let told = connections(&stage.node, asked, None).await;
        assert_eq!(told.len(), 1, "{told:?}");
        let one = &told[0];
        assert_eq!((&one.volume, &one.name), (&made.id, &made.name));
        assert_eq!(one.object, made.object);
        assert!(one.is_recorded() && one.group.is_none(), "{one:?}");
        let recorded = one.recorded.as_ref().expect("recorded");
        assert_eq!(recorded.nonce, access.grant.nonce);
        assert_eq!(recorded.machine, stage.host(0).object_name());
    }
    let _outcome = stage.unpublish(&made, 0).await.expect("unpublish");
    for asked in [None, Some(&made)] {
        assert_eq!(connections(&stage.node, asked, None).await, []);
    }
    Verdict::Passed
}

/// A host that was not granted the volume is told, and is not taken for the holder.
pub async fn a_foreign_connection_is_no_holders(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.survey().is_none() {
        return Verdict::skipped(NO_SURVEY);
    }
    let made = stage.create("data").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    if harness
        .connect_foreign(&made.object, "administrators-host")
        .await
        == Hook::Missing
    {
        return Verdict::skipped("the harness cannot connect hosts past the backend");
    }
    let told = connections(&stage.node, None, None).await;
    let recorded: Vec<&Connection> = told.iter().filter(|one| one.is_recorded()).collect();
    assert_eq!((told.len(), recorded.len()), (2, 1), "{told:?}");
    let foreign = told.iter().find(|one| !one.is_recorded()).expect("there");
    assert_eq!(foreign.host.as_deref(), Some("administrators-host"));
    Verdict::Passed
}

/// Whatever the size of a page, all pages together hold each connection once; of recorded volumes
/// of the namespace, and of no others.
pub async fn pages_hold_each_connection_once(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.survey().is_none() {
        return Verdict::skipped(NO_SURVEY);
    }
    let other = stage.other_cluster().await;
    let theirs = create_on(&other, "theirs").await;
    let published = publish_on(&other, &theirs, stage.host(0)).await;
    let _outcome = published.expect("publish");
    let mut made = BTreeSet::new();
    for index in 0..5 {
        let volume = stage.create(&format!("data{index}")).await;
        let _outcome = stage.publish(&volume, index % 2).await.expect("publish");
        made.insert(volume.id);
    }
    for limit in [None, Some(1), Some(2), Some(5), Some(100)] {
        let told = connections(&stage.node, None, limit).await;
        let ids: BTreeSet<_> = told.iter().map(|one| one.volume.clone()).collect();
        assert_eq!((told.len(), &ids), (made.len(), &made), "limit {limit:?}");
    }
    Verdict::Passed
}

/// A connection counts whatever the object is called.
pub async fn a_half_removed_volumes_connection_is_told(harness: &dyn Harness) -> Verdict {
    let stage = Stage::new(harness).await;
    if stage.node.survey().is_none() {
        return Verdict::skipped(NO_SURVEY);
    }
    let made = stage.create("used").await;
    let _outcome = stage.publish(&made, 0).await.expect("publish");
    let Some(found) = stage.cut_off_delete(&made).await else {
        return Verdict::skipped(NO_RENAME);
    };
    for asked in [None, Some(&found)] {
        let told = connections(&stage.node, asked, None).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (&told[0].name, &told[0].object),
            (&made.name, &found.object)
        );
    }
    Verdict::Passed
}
