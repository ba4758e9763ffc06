//! The fleet record on one array: whole or not there, and once for each epoch. An array that has
//! one already is somebody's, and these cases leave it alone.

use storage_core::{
    ArrayId, ArrayNumber, Backend, Epoch, FleetMember, FleetPhase, FleetRecord, Namespace,
};
use tokio::join;

use crate::backend::claims::{claiming, claims, stage};
use crate::harness::{Harness, Verdict};
use crate::stage::{Stage, name};

fn record(namespace: &Namespace, epoch: u64, nonce: u32) -> FleetRecord {
    let member = |number: u16| FleetMember {
        number: ArrayNumber(number),
        array: ArrayId::new(format!("00000000-0000-4000-8000-00000000000{number}")),
        name: format!("conformance-array-{number}"),
    };
    FleetRecord {
        epoch: Epoch(epoch),
        nonce,
        phase: FleetPhase::Open,
        members: (1..=5).map(member).collect(),
        claim_arrays: (1..=3).map(ArrayNumber).collect(),
        next_number: ArrayNumber(6),
        namespaces: vec![namespace.clone()],
    }
}

/// Whether the array is nobody's.
async fn is_free(stage: &Stage<'_>) -> bool {
    let found = claims(&stage.node).fleet_record().await;
    found.expect("fleet record").is_none()
}

const TAKEN: &str = "the array is one of a fleet";

/// The first record of an epoch stands; it is read back as it was written, and goes by its nonce.
pub async fn a_fleet_record_is_written_once(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    if !is_free(&stage).await {
        return Verdict::skipped(TAKEN);
    }
    let namespace = stage.node.namespace().clone();
    let (first, second) = (record(&namespace, 1, 11), record(&namespace, 1, 22));
    let node = claims(&stage.node);
    assert_eq!(node.put_fleet_record(&first).await.expect("put"), first);
    let again = node.put_fleet_record(&first).await.expect("put again");
    assert_eq!(again, first);
    let late = node.put_fleet_record(&second).await.expect("put another");
    assert_eq!(late, first);
    let elsewhere = stage.another_node().await;
    let read = claims(&elsewhere).fleet_record().await.expect("read");
    assert_eq!(read.as_ref(), Some(&first));
    let view = claims(&elsewhere).view(&name("data")).await.expect("view");
    assert_eq!(view.epoch, Some(Epoch(1)));
    let spared = node.drop_fleet_record(&second).await.expect("drop");
    assert!(!spared.is_done(), "another one's nonce");
    assert!(!is_free(&stage).await);
    let dropped = node.drop_fleet_record(&first).await.expect("drop");
    stage.assert_done(&dropped, "drop");
    assert!(is_free(&stage).await);
    let after = node.put_fleet_record(&second).await.expect("put");
    assert_eq!(after, second, "the epoch is free again");
    let _dropped = node.drop_fleet_record(&second).await.expect("drop");
    assert_eq!(stage.list(None).await, [], "a record is no volume");
    Verdict::Passed
}

/// However many write one epoch at once, they are told of one record.
pub async fn racing_fleet_records_agree(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    if !is_free(&stage).await {
        return Verdict::skipped(TAKEN);
    }
    let elsewhere = stage.another_node().await;
    let namespace = stage.node.namespace().clone();
    for epoch in 1..=3 {
        let mine = record(&namespace, epoch, 100);
        let theirs = record(&namespace, epoch, 200);
        let (one, two) = join!(
            claims(&stage.node).put_fleet_record(&mine),
            claims(&elsewhere).put_fleet_record(&theirs)
        );
        let (one, two) = (one.expect("put"), two.expect("put"));
        assert_eq!(one, two);
        let read = claims(&stage.node).fleet_record().await.expect("read");
        assert_eq!(read, Some(one.clone()));
        let _dropped = claims(&stage.node).drop_fleet_record(&one).await;
    }
    Verdict::Passed
}

/// Of several epochs the highest is told.
pub async fn the_highest_fleet_record_counts(harness: &dyn Harness) -> Verdict {
    let stage = stage!(harness);
    if !is_free(&stage).await {
        return Verdict::skipped(TAKEN);
    }
    let namespace = stage.node.namespace().clone();
    let node = claims(&stage.node);
    // By number, not by text.
    let records = [9, 10, 2].map(|epoch| record(&namespace, epoch, 5));
    for record in &records {
        let _put = node.put_fleet_record(record).await.expect("put");
    }
    let read = node.fleet_record().await.expect("read");
    assert_eq!(read.as_ref(), Some(&records[1]));
    let view = node.view(&name("data")).await.expect("view");
    assert_eq!(view.epoch, Some(Epoch(10)));
    for record in &records {
        let _dropped = node.drop_fleet_record(record).await.expect("drop");
    }
    assert!(is_free(&stage).await);
    Verdict::Passed
}
