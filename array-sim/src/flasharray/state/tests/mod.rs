//! Rules that are easier to see without HTTP: names, numbers, and that any row of changes leaves
//! a consistent state that a replay gives again.

use proptest::prelude::*;

use super::names::{check_suffix, check_volume_name, normal_wwn};
use super::*;

mod containers;

use containers::{check_containers, plan_container};

fn rules() -> Rules {
    Rules {
        limits: Limits::default(),
        on_destroy: OnDestroy::Disconnect,
        refuse_rename_to_own_name: false,
        eradication_delay_ms: 1000,
        eradication_disabled: false,
        space: SpaceLeft::Enough,
        now_ms: 5000,
        serial_prefix: 0xF92A_1DA2_F8C9_4297,
    }
}

fn add_volume(state: &mut State, name: &str) -> Result<u64, Refusal> {
    let new = NewVolumes {
        names: vec![name.to_owned()],
        ..NewVolumes::default()
    };
    let plan = state.plan_create_volumes(&rules(), &new)?;
    state.apply(&plan.changes);
    Ok(plan.touched[0])
}

fn add_host(state: &mut State, name: &str) -> Result<u64, Refusal> {
    let new = NewHost {
        names: vec![name.to_owned()],
        patch: HostPatch::default(),
    };
    let plan = state.plan_create_hosts(&rules(), &new)?;
    state.apply(&plan.changes);
    Ok(plan.touched[0])
}

#[test]
fn serials_are_the_arrays_and_a_counter() {
    let mut state = State::default();
    let first = add_volume(&mut state, "a").unwrap();
    let second = add_volume(&mut state, "b").unwrap();
    let serial = |at| state.volumes.get(at).unwrap().serial.clone();
    assert_eq!(serial(first), "F92A1DA2F8C9429700011010");
    assert_eq!(serial(second), "F92A1DA2F8C9429700011011");
}

#[test]
fn a_refused_request_changes_nothing() {
    let mut state = State::default();
    add_volume(&mut state, "a").unwrap();
    let new = NewVolumes {
        names: ["b", "A", "c_"].map(str::to_owned).into(),
        ..NewVolumes::default()
    };
    let refusal = state.plan_create_volumes(&rules(), &new).unwrap_err();
    assert_eq!(refusal.errors.len(), 2);
    let twice = NewVolumes {
        names: ["x", "X"].map(str::to_owned).into(),
        ..NewVolumes::default()
    };
    assert!(state.plan_create_volumes(&rules(), &twice).is_err());
    assert_eq!(state.volumes.len(), 1);
}

#[test]
fn shared_luns_go_down_from_254_and_then_up() {
    let mut state = State::default();
    let plan = state
        .plan_create_groups(&rules(), &["g".to_owned()])
        .unwrap();
    state.apply(&plan.changes);
    let group = Target::Group(plan.touched[0]);
    let mut numbers = Vec::new();
    for number in 0..256 {
        let volume = add_volume(&mut state, &format!("v{number}")).unwrap();
        let request = Connect {
            volumes: vec![volume],
            targets: vec![group],
            lun: None,
        };
        let plan = state.plan_connect(&rules(), &request).unwrap();
        state.apply(&plan.changes);
        numbers.push(state.connections.get(plan.touched[0]).unwrap().number);
    }
    assert_eq!(numbers[..3], [254, 253, 252]);
    assert_eq!(numbers[253..], [1, 255, 256]);
}

#[test]
fn a_host_does_not_join_a_group_that_has_its_lun_or_its_volume() {
    let mut state = State::default();
    let host = add_host(&mut state, "h").unwrap();
    let (own, shared) = (
        add_volume(&mut state, "own").unwrap(),
        add_volume(&mut state, "shared").unwrap(),
    );
    let plan = state
        .plan_create_groups(&rules(), &["g".to_owned()])
        .unwrap();
    state.apply(&plan.changes);
    let group = state.groups.by_name("G").unwrap().clone();
    let connect = |state: &mut State, volume, target, lun| {
        let request = Connect {
            volumes: vec![volume],
            targets: vec![target],
            lun: Some(lun),
        };
        let plan = state.plan_connect(&rules(), &request).unwrap();
        state.apply(&plan.changes);
    };
    connect(&mut state, own, Target::Host(host), 7);
    connect(&mut state, shared, Target::Group(group.sequence), 7);
    let refusal = state.plan_join(&group, &[host]).unwrap_err();
    assert_eq!(refusal.errors[0].message, "LUN 7 is already in use.");
    let request = Disconnect {
        volumes: vec![own],
        targets: vec![Target::Host(host)],
    };
    let plan = state.plan_disconnect(&rules(), &request).unwrap();
    state.apply(&plan.changes);
    connect(&mut state, shared, Target::Host(host), 8);
    let refusal = state.plan_join(&group, &[host]).unwrap_err();
    assert_eq!(refusal.errors[0].message, "Connection already exists.");
}

#[test]
fn names() {
    for good in ["a", "A-1_b", "1a", &"x".repeat(63)] {
        assert!(check_volume_name(good, good).is_ok(), "{good}");
    }
    for bad in ["", "-a", "a_", "7", "a/b", "p::v", "a.b", &"x".repeat(64)] {
        assert!(check_volume_name(bad, bad).is_err(), "{bad}");
    }
    for good in ["a", "1", "10", "a-b", "1-2"] {
        assert!(check_suffix(good).is_ok(), "{good}");
    }
    for bad in ["", "0", "01", "a_b", "-", "a-"] {
        assert!(check_suffix(bad).is_err(), "{bad}");
    }
    assert_eq!(
        normal_wwn("21000024ff59ab01").unwrap(),
        "21:00:00:24:FF:59:AB:01"
    );
    assert!(normal_wwn("21000024ff59ab0g").is_err());
}

/// One step of a random history over few names, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Host(u8),
    Destroy(u8),
    Recover(u8),
    Eradicate(u8),
    Rename(u8, u8),
    Connect(u8, u8, Option<u16>),
    Disconnect(u8, u8),
    Snapshot(u8),
    DeleteHost(u8),
    Pod(u8),
    Group(u8, Option<u8>),
    /// Destroy, recover or eradicate, each with its contents.
    PodEnd(u8, u8),
    GroupEnd(u8, u8),
    RenamePod(u8, u8),
    /// Into a pod or a group, by place in the list of them, or out.
    MoveTo(u8, Option<u8>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..4_u8;
    prop_oneof![
        id.clone().prop_map(Step::Create),
        id.clone().prop_map(Step::Host),
        id.clone().prop_map(Step::Destroy),
        id.clone().prop_map(Step::Recover),
        id.clone().prop_map(Step::Eradicate),
        (id.clone(), id.clone()).prop_map(|(a, b)| Step::Rename(a, b)),
        (id.clone(), id.clone(), proptest::option::of(1..4_u16))
            .prop_map(|(a, b, lun)| Step::Connect(a, b, lun)),
        (id.clone(), id.clone()).prop_map(|(a, b)| Step::Disconnect(a, b)),
        id.clone().prop_map(Step::Snapshot),
        id.clone().prop_map(Step::DeleteHost),
        id.clone().prop_map(Step::Pod),
        (id.clone(), proptest::option::of(id.clone())).prop_map(|(a, b)| Step::Group(a, b)),
        (id.clone(), 0..3_u8).prop_map(|(a, b)| Step::PodEnd(a, b)),
        (id.clone(), 0..3_u8).prop_map(|(a, b)| Step::GroupEnd(a, b)),
        (id.clone(), id.clone()).prop_map(|(a, b)| Step::RenamePod(a, b)),
        (id.clone(), proptest::option::of(id), any::<bool>())
            .prop_map(|(a, b, pod)| Step::MoveTo(a, b, pod)),
    ]
}

fn plan(state: &State, step: &Step) -> Option<Plan> {
    // Wherever it is: in a pod, in a group or in neither.
    let find = |at: &u8| {
        let short = format!("v{at}");
        let is = |volume: &&Volume| {
            let last = volume.name.rsplit([':', '/']).next();
            last.is_some_and(|last| last.eq_ignore_ascii_case(&short))
        };
        state.volumes.iter().find(is)
    };
    let volume = |at: &u8| find(at).map(|v| v.sequence);
    let host = |at: &u8| state.hosts.by_name(&format!("h{at}")).map(|h| h.sequence);
    let rules = &rules();
    let destroy = |at: &u8, destroyed| {
        let patch = VolumePatch {
            destroyed: Some(destroyed),
            ..VolumePatch::default()
        };
        state.plan_patch_volumes(rules, &[volume(at)?], &patch).ok()
    };
    match step {
        Step::Create(at) => {
            let new = NewVolumes {
                names: vec![format!("V{at}")],
                ..NewVolumes::default()
            };
            state.plan_create_volumes(rules, &new).ok()
        }
        Step::Host(at) => {
            let new = NewHost {
                names: vec![format!("h{at}")],
                patch: HostPatch::default(),
            };
            state.plan_create_hosts(rules, &new).ok()
        }
        Step::Destroy(at) => destroy(at, true),
        Step::Recover(at) => destroy(at, false),
        Step::Eradicate(at) => state.plan_eradicate_volumes(rules, &[volume(at)?]).ok(),
        Step::Rename(from, to) => {
            let patch = VolumePatch {
                name: Some({
                    let name = &find(from)?.name;
                    let prefix = name.strip_suffix(name.rsplit([':', '/']).next()?)?;
                    format!("{prefix}v{to}")
                }),
                ..VolumePatch::default()
            };
            state
                .plan_patch_volumes(rules, &[volume(from)?], &patch)
                .ok()
        }
        Step::Connect(v, h, lun) => {
            let request = Connect {
                volumes: vec![volume(v)?],
                targets: vec![Target::Host(host(h)?)],
                lun: *lun,
            };
            state.plan_connect(rules, &request).ok()
        }
        Step::Disconnect(v, h) => {
            let request = Disconnect {
                volumes: vec![volume(v)?],
                targets: vec![Target::Host(host(h)?)],
            };
            state.plan_disconnect(rules, &request).ok()
        }
        Step::Snapshot(at) => {
            let new = NewSnapshots {
                sources: vec![volume(at)?],
                suffix: None,
            };
            state.plan_snapshots(rules, &new).ok()
        }
        Step::DeleteHost(at) => state.plan_delete_hosts(&[host(at)?]).ok(),
        other => plan_container(state, other, &volume),
    }
}

fn check(state: &State) {
    check_containers(state);
    let mut names = std::collections::HashSet::new();
    let mut serials = std::collections::HashSet::new();
    for volume in state.volumes.iter() {
        assert!(names.insert(volume.name.to_ascii_lowercase()));
        assert!(serials.insert(volume.serial.clone()));
        let found = state.volumes.by_name(&volume.name).unwrap();
        assert_eq!(found.sequence, volume.sequence);
    }
    for snapshot in state.snapshots.iter() {
        assert!(serials.insert(snapshot.serial.clone()));
        assert!(state.volumes.get(snapshot.volume).is_some());
    }
    for host in state.hosts.iter() {
        let luns = state.luns_of(host.sequence);
        let mut numbers: Vec<_> = luns.iter().map(|lun| lun.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), luns.len(), "a LUN number is there twice");
    }
    for connection in state.connections.iter() {
        let volume = state.volumes.get(connection.volume).unwrap();
        assert!(volume.destroyed.is_none());
        assert!(matches!(connection.target, Target::Host(host) if state.hosts.get(host).is_some()));
    }
}

proptest! {
    #[test]
    fn any_history_is_consistent_and_can_be_replayed(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut state = State::default();
        let mut journal = Vec::new();
        let mut used = std::collections::HashSet::new();
        for step in &steps {
            if let Some(plan) = plan(&state, step) {
                state.apply(&plan.changes);
                journal.push(plan.changes);
                check(&state);
                for volume in state.volumes.iter() {
                    used.insert((volume.serial.clone(), volume.id.clone()));
                }
            }
        }
        // No serial was ever given to two volumes, eradicated ones included.
        let serials: std::collections::HashSet<_> = used.iter().map(|(serial, _)| serial).collect();
        prop_assert_eq!(serials.len(), used.len());
        let mut replayed = State::default();
        for changes in &journal {
            let line = serde_json::to_string(changes).unwrap();
            replayed.apply(&serde_json::from_str::<Vec<Change>>(&line).unwrap());
        }
        prop_assert_eq!(replayed.as_changes(), state.as_changes());
        let mut compacted = State::default();
        compacted.apply(&state.as_changes());
        prop_assert_eq!(compacted.as_changes(), state.as_changes());
        prop_assert_eq!(compacted.next_serial(), state.next_serial());
    }
}

#[test]
fn a_journal_from_before_containers_can_be_read() {
    let line = r#"{"at_ms":1,"eradicate_at_ms":2,"with_volume":false}"#;
    let destroyed: Destroyed = serde_json::from_str(line).unwrap();
    assert!(!destroyed.with_container);
}
