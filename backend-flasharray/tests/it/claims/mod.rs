//! The steps of a claim, beyond the suite: what each costs, every call of theirs lost once, and what
//! people do to our objects on the array.

mod imports;

use array_sim::{FaultAction, FaultRule, NameEventKind};
use backend_flasharray::FlashArray;
use storage_core::{
    ArrayId, ArrayNumber, Backend, ClaimNonce, Claims, Commit, Epoch, ErrorKind, FleetMember,
    FleetPhase, FleetRecord, ImportVolume, ListTrash, ListVolumes, Outcome, Result, Size,
    StrayKind, Survey, Tentative, TentativeKind, Trash, Volume, import_name, marker_name,
};

use crate::budgets::calls;
use crate::support::{Rig, Verbs, name, request};

const VERSIONS: [&str; 3] = ["2.2", "2.26", "2.50"];

async fn rig_of(version: &str) -> Rig {
    Rig::with(|config| config.rest_versions = vec![version.to_owned()]).await
}

fn nonce() -> ClaimNonce {
    ClaimNonce::by_chance(ArrayNumber(3))
}

fn import(text: &str, object: &str) -> ImportVolume {
    let mut record = request(text);
    record.format_grant = None;
    ImportVolume {
        name: record.name.clone(),
        object: object.to_owned(),
        nonce: record.nonce,
        record,
    }
}

fn fleet(epoch: u64, nonce: u32) -> FleetRecord {
    let member = |number: u16| FleetMember {
        number: ArrayNumber(number),
        array: ArrayId::new(format!("5f0c4dd5-6c7c-4f0b-9d50-1f6f1f8f3a{number:02}")),
        name: format!("array {number}"),
    };
    FleetRecord {
        epoch: Epoch(epoch),
        nonce,
        phase: FleetPhase::Open,
        members: (1..=9).map(member).collect(),
        claim_arrays: (1..=3).map(ArrayNumber).collect(),
        next_number: ArrayNumber(10),
        namespaces: vec![storage_core::Namespace::new("ns").unwrap()],
    }
}

async fn propose(node: &FlashArray, text: &str) -> Tentative {
    node.propose(&request(text)).await.unwrap()
}

fn committed(commit: Result<Commit>) -> Volume {
    match commit {
        Ok(Commit::Committed(volume)) => *volume,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_step_keeps_to_its_budget() {
    for version in VERSIONS {
        let rig = rig_of(version).await;
        let (node, helper) = (rig.node(), rig.node());
        node.telemetry().await.unwrap();
        rig.taken();
        let taken = |what: &str, expected: &[(&str, usize)]| {
            assert_eq!(rig.taken(), calls(expected), "{version} {what}");
        };
        let data = name("data");

        node.view(&data).await.unwrap();
        taken("view", &[("GET volumes", 1)]);
        let waiting = propose(&node, "data").await;
        let tags = ("PUT volumes/tags/batch", 1);
        taken("propose", &[("POST volumes", 1), tags]);
        node.mark(&data, waiting.nonce).await.unwrap();
        taken("mark", &[("POST volumes", 1)]);
        node.mark(&data, nonce()).await.unwrap();
        taken(
            "mark of a taken name",
            &[("POST volumes", 1), ("GET volumes", 1)],
        );
        let view = node.view(&data).await.unwrap();
        assert!(view.marker.is_some() && view.tentatives == [waiting.clone()]);
        taken("view of what waits", &[("GET volumes", 1)]);
        committed(node.commit(&data, waiting.nonce).await);
        taken("commit", &[("PATCH volumes", 1)]);
        node.view(&data).await.unwrap();
        taken(
            "view of a volume",
            &[("GET volumes", 1), ("GET volumes/tags", 1)],
        );

        let waiting = propose(&node, "other").await;
        rig.taken();
        committed(helper.commit(&name("other"), waiting.nonce).await);
        let look = [
            ("GET volumes", 1),
            ("GET volumes/tags", 1),
            ("PATCH volumes", 1),
        ];
        taken("help", &look);
        let waiting = propose(&node, "lost").await;
        rig.taken();
        assert!(
            node.withdraw(&name("lost"), waiting.nonce)
                .await
                .unwrap()
                .is_done()
        );
        taken("withdraw", &[("PATCH volumes", 1)]);
        let marker = node.view(&data).await.unwrap().marker.unwrap();
        rig.taken();
        assert!(node.retire(&marker).await.unwrap().is_done());
        taken("retire", &[("PATCH volumes", 2)]);
        assert_eq!(node.strays().await.unwrap(), []);
        taken("strays", &[("GET volumes", 1)]);
    }
}

#[tokio::test]
async fn imports_and_fleet_records_keep_to_their_budget() {
    for version in VERSIONS {
        let rig = rig_of(version).await;
        let node = rig.node();
        node.telemetry().await.unwrap();
        rig.admin().add_volume("theirs", Size::from_gib(1)).await;
        rig.taken();
        let taken = |what: &str, expected: &[(&str, usize)]| {
            assert_eq!(rig.taken(), calls(expected), "{version} {what}");
        };
        let tags = ("PUT volumes/tags/batch", 1);
        assert!(node.find_object("theirs").await.unwrap().is_some());
        taken("find an object", &[("GET volumes", 1)]);
        node.propose_import(&import("x", "theirs")).await.unwrap();
        let expected = [
            ("GET volumes", 1),
            ("GET volumes/tags", 1),
            ("GET connections", 1),
            tags,
            ("PATCH volumes", 1),
        ];
        taken("import", &expected);

        let record = fleet(1, 7);
        assert_eq!(node.put_fleet_record(&record).await.unwrap(), record);
        let expected = [
            ("GET volumes", 1),
            ("POST volumes", 1),
            tags,
            ("PATCH volumes", 1),
        ];
        taken("put a fleet record", &expected);
        let view = node.view(&name("data")).await.unwrap();
        assert_eq!(view.epoch, Some(Epoch(1)));
        taken("view in a fleet", &[("GET volumes", 1)]);
        assert_eq!(node.fleet_record().await.unwrap(), Some(record));
        taken(
            "read a fleet record",
            &[("GET volumes", 1), ("GET volumes/tags", 1)],
        );
    }
}

/// Every step once or more, by nodes that know each other's attempts only from the array.
async fn every_step(node: &FlashArray, helper: &FlashArray) -> Result<()> {
    let data = name("data");
    assert!(node.view(&data).await?.volume.is_none());
    let request_of_data = request("data");
    let waiting = node.propose(&request_of_data).await?;
    let marker = node.mark(&data, waiting.nonce).await?;
    assert_eq!(marker.nonce, waiting.nonce);
    let volume = committed(node.commit(&data, waiting.nonce).await);
    assert_eq!(volume.format_grant, request_of_data.format_grant);
    let found = helper.view(&data).await?.volume.unwrap();
    assert_eq!(found.id, volume.id);
    let marker = helper.view(&data).await?.marker.unwrap();
    let _retired = helper.retire(&marker).await?;
    // One that is made late by a repeated request is another one.
    let there = node.view(&data).await?.marker;
    assert!(there.is_none_or(|late| late.object != marker.object));

    let helped = name("helped");
    let waiting = node.propose(&request("helped")).await?;
    let volume = committed(helper.commit(&helped, waiting.nonce).await);
    let again = committed(node.commit(&helped, waiting.nonce).await);
    assert_eq!(again.id, volume.id);

    let lost = name("lost");
    let waiting = node.propose(&request("lost")).await?;
    let _withdrawn = helper.withdraw(&lost, waiting.nonce).await?;
    let gone = node.commit(&lost, waiting.nonce).await;
    assert!(matches!(gone, Ok(Commit::Gone)), "{gone:?}");

    let waiting = node.propose_import(&import("adopted", "theirs")).await?;
    assert_eq!(waiting.kind, TentativeKind::Imported);
    let volume = committed(helper.commit(&name("adopted"), waiting.nonce).await);
    assert_eq!(
        (volume.object.as_str(), volume.format_grant),
        ("ns-adopted", None)
    );
    let waiting = node.propose_import(&import("given-up", "kept")).await?;
    let _withdrawn = helper.withdraw(&name("given-up"), waiting.nonce).await?;
    assert!(node.find_object("kept").await?.is_some());
    assert!(node.view(&name("given-up")).await?.tentatives.is_empty());

    let record = fleet(4, 9);
    assert_eq!(node.put_fleet_record(&record).await?, record);
    assert_eq!(helper.put_fleet_record(&fleet(4, 10)).await?, record);
    assert_eq!(helper.fleet_record().await?.as_ref(), Some(&record));
    let _dropped = helper.drop_fleet_record(&record).await?;
    assert_eq!(node.fleet_record().await?, None);
    Ok(())
}

async fn stage() -> (Rig, FlashArray, FlashArray) {
    let rig = Rig::new().await;
    let (node, helper) = (rig.node(), rig.node());
    for node in [&node, &helper] {
        node.telemetry().await.unwrap();
    }
    for object in ["theirs", "kept"] {
        rig.admin().add_volume(object, Size::from_gib(1)).await;
    }
    rig.taken();
    (rig, node, helper)
}

/// Waits until what comes late has come.
async fn arrived(rig: &Rig) {
    rig.until(|array| array.calls().iter().any(|call| call.late))
        .await;
}

#[tokio::test]
async fn every_call_of_every_step_may_be_lost_once() {
    let (rig, node, helper) = stage().await;
    every_step(&node, &helper).await.unwrap();
    let total: usize = rig.taken().values().sum();
    assert!(total > 50, "{total}");
    for skip in 0..total {
        for action in [FaultAction::ResetAfter, FaultAction::Late { ms: 5 }] {
            let what = format!("call {skip}, {action:?}");
            let late = matches!(action, FaultAction::Late { .. });
            let (rig, node, helper) = stage().await;
            let mut rule = FaultRule::new(action);
            rule.skip = u64::try_from(skip).unwrap();
            rule.times = Some(1);
            rig.array.add_rule(rule);
            every_step(&node, &helper).await.expect(&what);
            assert_ne!(rig.array.fault_counts().values().sum::<u64>(), 0, "{what}");
            if late {
                arrived(&rig).await;
            }
            let mut objects = rig.objects();
            // What comes late may make a stray of its own, which says what it is.
            objects.retain(|object| !(late && object.contains("fl-")));
            objects.sort_unstable();
            assert_eq!(
                objects,
                ["kept", "ns-adopted", "ns-data", "ns-helped"],
                "{what}"
            );
            let node = rig.node();
            assert!(node.find("theirs").await.is_none(), "{what}");
            for text in ["data", "helped", "adopted"] {
                assert!(node.find(text).await.is_some(), "{what}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn of_two_attempts_that_are_committed_at_once_one_has_the_name() {
    let rig = Rig::new().await;
    let (one, two) = (rig.node(), rig.node());
    for round in 0..20 {
        let text = format!("raced{round}");
        let (first, second) = (propose(&one, &text).await, propose(&two, &text).await);
        let wanted = name(&text);
        let (first, second) = tokio::join!(
            one.commit(&wanted, first.nonce),
            two.commit(&wanted, second.nonce)
        );
        let ids: Vec<_> = match (first.unwrap(), second.unwrap()) {
            (Commit::Committed(a), Commit::Taken(b)) | (Commit::Taken(a), Commit::Committed(b)) => {
                [a, b].map(|volume| volume.id).to_vec()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ids[0], ids[1]);
        let object = format!("ns-{text}");
        let events = rig.array.name_events().into_iter();
        let named: Vec<_> = events
            .filter(|event| event.kind == NameEventKind::Named && event.name == object)
            .collect();
        assert_eq!(named.len(), 1, "{named:?}");
    }
}

#[tokio::test]
async fn our_objects_are_never_shown_as_volumes() {
    let rig = Rig::new().await;
    let node = rig.node();
    rig.admin().add_volume("theirs", Size::from_gib(1)).await;
    let volume = node.make("data").await;
    let marker = node.mark(&name("data"), nonce()).await.unwrap();
    let _retired = node.retire(&marker).await.unwrap();
    node.mark(&name("data"), nonce()).await.unwrap();
    propose(&node, "waits").await;
    let lost = propose(&node, "lost").await;
    let _withdrawn = node.withdraw(&name("lost"), lost.nonce).await.unwrap();
    let imported = node.propose_import(&import("x", "theirs")).await.unwrap();
    node.put_fleet_record(&fleet(1, 1)).await.unwrap();
    let page = node.list(ListVolumes::default()).await.unwrap();
    let ids: Vec<_> = page.volumes.iter().map(|volume| &volume.id).collect();
    assert_eq!(ids, [&volume.id]);
    // Yet a page tells what may have, get or keep a name.
    let mut objects = page.objects.unwrap();
    objects.sort_unstable();
    let mut expected = vec!["ns-data".to_owned(), imported.object_name, lost.object_name];
    let waiting = node.view(&name("waits")).await.unwrap().tentatives;
    expected.extend(waiting.into_iter().map(|one| one.object_name));
    expected.sort_unstable();
    assert_eq!(objects, expected);
    let trash = node.list_trash(ListTrash::default()).await.unwrap();
    assert!(trash.volumes.is_empty(), "{trash:?}");
    let connections = node.connections(storage_core::ListConnections::default());
    assert!(connections.await.unwrap().connections.is_empty());
}

#[tokio::test]
async fn a_marker_that_somebody_destroyed_frees_its_name() {
    let rig = Rig::new().await;
    let node = rig.node();
    let data = name("data");
    let object = marker_name(node.namespace(), &data);
    let first = node.mark(&data, nonce()).await.unwrap();
    rig.admin().destroy(&object).await;
    assert!(node.view(&data).await.unwrap().marker.is_none());
    let attempt = nonce();
    let second = node.mark(&data, attempt).await.unwrap();
    assert_eq!(second.nonce, attempt);
    assert_ne!(second.object, first.object);
    // To retire it by its id gives the name back too.
    rig.admin().destroy(&object).await;
    assert!(node.retire(&second).await.unwrap().is_done());
    assert!(!node.retire(&second).await.unwrap().is_done());
    let third = node.mark(&data, attempt).await.unwrap();
    assert_ne!(third.object, second.object);
}

#[tokio::test]
async fn a_marker_that_somebody_resized_is_refused_by_name() {
    let rig = Rig::new().await;
    let node = rig.node();
    let data = name("data");
    let object = marker_name(node.namespace(), &data);
    rig.admin()
        .add_volume(&object, Size::from_bytes(1 << 52))
        .await;
    for error in [
        node.view(&data).await.unwrap_err(),
        node.mark(&data, nonce()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
        assert!(error.to_string().contains(&object), "{error}");
    }
    assert_eq!(node.strays().await.unwrap(), [], "it is left for people");
}

#[tokio::test]
async fn ages_are_the_arrays_own() {
    let rig = Rig::with(|config| config.clock_offset_ms = 90_000_000).await;
    let node = rig.node();
    let data = name("data");
    let waiting = propose(&node, "data").await;
    let marker = node.mark(&data, waiting.nonce).await.unwrap();
    assert_eq!(marker.age, std::time::Duration::ZERO);
    rig.array
        .advance_clock(std::time::Duration::from_secs(7200));
    let about = |age: std::time::Duration| (7190..7260).contains(&age.as_secs());
    let seen = node.view(&data).await.unwrap().marker.unwrap();
    assert!(about(seen.age), "{seen:?}");
    let told = node.mark(&data, nonce()).await.unwrap();
    assert!(about(told.age) && told.nonce == waiting.nonce, "{told:?}");
    let strays = node.strays().await.unwrap();
    assert_eq!(strays.len(), 2);
    assert!(strays.iter().all(|stray| about(stray.age)), "{strays:?}");
}

#[tokio::test]
async fn fleet_records_that_are_newer_or_damaged_or_destroyed_are_refused() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.put_fleet_record(&fleet(1, 1)).await.unwrap();
    let refused = async |kind: ErrorKind| {
        let error = node.fleet_record().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let error = node.put_fleet_record(&fleet(1, 2)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        // What is there is told all the same.
        let view = node.view(&name("data")).await.unwrap();
        assert_eq!(view.epoch, Some(Epoch(1)));
    };
    rig.admin().tag("fl-fleet-1", "fleet", "2 1").await;
    refused(ErrorKind::Unsupported).await;
    rig.admin().tag("fl-fleet-1", "fleet", "1 99").await;
    refused(ErrorKind::FailedPrecondition).await;
    rig.admin().destroy("fl-fleet-1").await;
    refused(ErrorKind::FailedPrecondition).await;
}

#[tokio::test]
async fn a_record_of_many_arrays_survives_the_array() {
    let rig = Rig::new().await;
    let node = rig.node();
    let mut record = fleet(1, 1);
    let member = record.members[0].clone();
    for number in 10..=120 {
        record.members.push(FleetMember {
            number: ArrayNumber(number),
            ..member.clone()
        });
    }
    node.put_fleet_record(&record).await.unwrap();
    assert_eq!(rig.node().fleet_record().await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_late_record_does_not_give_the_grant_to_format_again() {
    let rig = Rig::new().await;
    let node = rig.node();
    node.telemetry().await.unwrap();
    // The first try is executed when the volume is in use and its file system is there.
    rig.array.add_rule(FaultRule::once(
        "PUT",
        "volumes/tags/batch",
        FaultAction::Late { ms: 200 },
    ));
    let volume = node.make("data").await;
    assert!(node.withdraw_format_grant(&volume).await.unwrap().is_done());
    arrived(&rig).await;
    assert_eq!(node.find("data").await.unwrap().format_grant, None);
}
