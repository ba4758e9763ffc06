//! Pods and volume groups in a random history.

use super::*;

/// The steps of pods and volume groups.
pub(super) fn plan_container(
    state: &State,
    step: &Step,
    volume: &dyn Fn(&u8) -> Option<u64>,
) -> Option<Plan> {
    let rules = &rules();
    let nth_pod = |at: &u8| state.pods.iter().nth(usize::from(*at));
    let nth_group = |at: &u8| state.volume_groups.iter().nth(usize::from(*at));
    match step {
        Step::Pod(at) => {
            let new = NewPod {
                names: vec![format!("p{at}")],
                ..NewPod::default()
            };
            state.plan_create_pods(rules, &new).ok()
        }
        Step::Group(at, pod) => {
            let name = match pod {
                Some(pod) => format!("P{pod}::g{at}"),
                None => format!("g{at}"),
            };
            let new = NewVolumeGroup {
                names: vec![name],
                ..NewVolumeGroup::default()
            };
            state.plan_create_volume_groups(rules, &new).ok()
        }
        Step::PodEnd(at, 2) => {
            let pod = nth_pod(at)?.sequence;
            state.plan_eradicate_pods(rules, &[pod], true).ok()
        }
        Step::PodEnd(at, what) => {
            let patch = PodPatch {
                destroyed: Some(*what == 0),
                destroy_contents: true,
                ..PodPatch::default()
            };
            let pod = nth_pod(at)?.sequence;
            state.plan_patch_pods(rules, &[pod], &patch).ok()
        }
        Step::GroupEnd(at, 2) => {
            let group = nth_group(at)?.sequence;
            state
                .plan_eradicate_volume_groups(rules, &[group], true)
                .ok()
        }
        Step::GroupEnd(at, what) => {
            let patch = VolumeGroupPatch {
                destroyed: Some(*what == 0),
                destroy_contents: true,
                ..VolumeGroupPatch::default()
            };
            let group = nth_group(at)?.sequence;
            state.plan_patch_volume_groups(rules, &[group], &patch).ok()
        }
        Step::RenamePod(from, to) => {
            let patch = PodPatch {
                name: Some(format!("p{to}")),
                ..PodPatch::default()
            };
            let pod = nth_pod(from)?.sequence;
            state.plan_patch_pods(rules, &[pod], &patch).ok()
        }
        Step::MoveTo(at, to, pod) => {
            let target = match (to, pod) {
                (None, true) => Move::Pod(String::new()),
                (None, false) => Move::VolumeGroup(String::new()),
                (Some(to), true) => Move::Pod(nth_pod(to)?.name.clone()),
                (Some(to), false) => Move::VolumeGroup(nth_group(to)?.name.clone()),
            };
            let patch = VolumePatch {
                container: Some(target),
                ..VolumePatch::default()
            };
            state.plan_patch_volumes(rules, &[volume(at)?], &patch).ok()
        }
        _ => None,
    }
}

/// What is in a container is in one that is there, and destroyed if that is.
pub(super) fn check_containers(state: &State) {
    for volume in state.volumes.iter() {
        let pod = state.pod_of(&volume.name);
        let group = state.volume_group_of(&volume.name);
        assert_eq!(volume.name.contains("::"), pod.is_some(), "{}", volume.name);
        assert_eq!(
            volume.name.contains('/'),
            group.is_some(),
            "{}",
            volume.name
        );
        let ended = pod.is_some_and(|pod| pod.destroyed.is_some())
            || group.is_some_and(|group| group.destroyed.is_some());
        assert!(!ended || volume.destroyed.is_some(), "{}", volume.name);
    }
    for group in state.volume_groups.iter() {
        let pod = state.pod_of(&group.name);
        assert_eq!(group.name.contains("::"), pod.is_some(), "{}", group.name);
        let ended = pod.is_some_and(|pod| pod.destroyed.is_some());
        assert!(!ended || group.destroyed.is_some(), "{}", group.name);
    }
}
