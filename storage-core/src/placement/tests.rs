//! Every filter with its reason, the order of what passes, and that volumes spread.

use std::collections::BTreeMap;

use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::DefaultSelector;
use crate::access::Protocol;
use crate::capability::{Capabilities, Telemetry};
use crate::limits::Limits;
use crate::name::VolumeName;
use crate::select::{Candidate, PlacementRequest, Rejection, Selector};
use crate::size::Size;
use crate::volume::ArrayId;

fn candidate(endpoint: &str, capacity_gib: u32, used_gib: u32) -> Candidate {
    Candidate {
        endpoint: endpoint.to_owned(),
        labels: BTreeMap::from([("tier".to_owned(), "gold".to_owned())]),
        capabilities: Capabilities {
            protocol: Protocol::Iscsi,
            size_min: Size::from_mib(1),
            size_max: Size::from_gib(1 << 22),
            size_step: Size::from_bytes(512),
            expand: true,
            exclusive_publish: true,
            preemption: false,
            snapshots: false,
            clones: false,
            limits: None,
        },
        telemetry: Ok(Telemetry {
            array: ArrayId::new(endpoint),
            array_name: endpoint.to_owned(),
            capacity: Size::from_gib(capacity_gib),
            used: Size::from_gib(used_gib),
        }),
        draining: false,
        unsupported: None,
        recently_placed: Size::default(),
    }
}

fn request(name: &str, gib: u32, selector: &str) -> PlacementRequest {
    PlacementRequest {
        name: VolumeName::new(name).unwrap(),
        size: Size::from_gib(gib),
        selector: selector.parse().unwrap(),
        limits: Limits::default(),
        copy: false,
    }
}

#[test]
fn every_array_is_explained() {
    let mut silent = candidate("silent", 1000, 0);
    silent.telemetry = Err("no answer within 5 s".to_owned());
    let mut draining = candidate("draining", 1000, 0);
    draining.draining = true;
    let mut silver = candidate("silver", 1000, 0);
    silver.labels.insert("tier".to_owned(), "silver".to_owned());
    let mut small = candidate("small", 1000, 0);
    small.capabilities.size_max = Size::from_gib(1);
    let full = candidate("full", 1000, 975);
    let good = candidate("good", 1000, 100);
    let all = [silent, draining, silver, small, full, good];

    let decision = DefaultSelector.select(&request("v", 10, "tier=gold"), &all);
    assert_eq!(decision.ranked().collect::<Vec<_>>(), ["good"]);
    assert_eq!(decision.verdicts.len(), all.len());
    let text = decision.explain();
    for part in [
        "good: score 0.870",
        "silent: not reachable: no answer within 5 s",
        "draining: being drained",
        "silver: its labels do not satisfy `tier=gold`",
        "small: 10GiB is more than the largest volume, 1GiB",
        "full: 5 GiB available, 10 GiB wanted",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn the_emptier_array_wins_until_the_burst_fills_it() {
    let one = candidate("one", 1000, 100);
    let two = candidate("two", 1000, 105);
    let mut candidates = [one, two];
    let wanted = request("v", 4, "");
    let best = |candidates: &[Candidate]| {
        let decision = DefaultSelector.select(&wanted, candidates);
        decision.ranked().next().map(str::to_owned)
    };
    assert_eq!(best(&candidates).as_deref(), Some("one"));
    candidates[0].recently_placed = Size::from_gib(6);
    assert_eq!(best(&candidates).as_deref(), Some("two"));
    for candidate in &mut candidates {
        candidate.recently_placed = Size::from_gib(100_000);
    }
    assert!(
        best(&candidates).is_some(),
        "thin volumes placed lately refuse nobody"
    );
}

#[test]
fn the_headroom_is_two_percent() {
    for (used, fits) in [(970, true), (971, false)] {
        let decision = DefaultSelector.select(&request("v", 10, ""), &[candidate("a", 1000, used)]);
        assert_eq!(
            decision.ranked().count() == 1,
            fits,
            "{}",
            decision.explain()
        );
    }
}

/// Two sizes that differ by a little are not shown as the same one.
#[test]
fn what_is_missing_is_told_in_round_figures() {
    let mut odd = candidate("a", 1000, 0);
    odd.telemetry.as_mut().unwrap().used = Size::from_bytes(980 * (1 << 30) - 10_737_418_000);
    let text = DefaultSelector
        .select(&request("v", 10, ""), &[odd])
        .explain();
    assert_eq!(text, "a: 9.9 GiB available, 10 GiB wanted");
}

#[test]
fn room_is_judged_by_what_is_provisioned() {
    let mut coarse = candidate("a", 100, 0);
    coarse.capabilities.size_step = Size::from_gib(99);
    let decision = DefaultSelector.select(&request("v", 1, ""), &[coarse]);
    let verdict = &decision.verdicts[0];
    assert!(
        matches!(verdict.score, Err(Rejection::Full { .. })),
        "{}",
        decision.explain()
    );
}

#[test]
fn equal_arrays_share_the_volumes() {
    let arrays: Vec<Candidate> = (0..4)
        .map(|i| candidate(&format!("a{i}"), 1000, 10))
        .collect();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for volume in 0..1000 {
        let decision = DefaultSelector.select(&request(&format!("v{volume}"), 1, ""), &arrays);
        *counts
            .entry(decision.ranked().next().unwrap().to_owned())
            .or_default() += 1;
    }
    // Binomial with p = 1/4: five standard deviations are 69.
    assert!(
        counts.values().all(|count| (181..=319).contains(count)),
        "{counts:?}"
    );
    assert_eq!(counts.len(), 4);
}

#[test]
fn an_array_without_capacity_takes_nothing() {
    let decision = DefaultSelector.select(&request("v", 1, ""), &[candidate("a", 0, 0)]);
    assert_eq!(decision.ranked().count(), 0);
    assert_eq!(
        DefaultSelector
            .select(&request("v", 1, ""), &[])
            .verdicts
            .len(),
        0
    );
}

proptest! {
    #[test]
    fn any_figures_give_a_score_between_zero_and_one(
        figures in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..6),
        size in any::<u64>(),
    ) {
        let candidates: Vec<Candidate> = figures.iter().enumerate().map(|(index, (capacity, used, placed))| {
            let mut candidate = candidate(&format!("a{index}"), 1, 0);
            candidate.capabilities.size_max = Size::MAX;
            candidate.telemetry = Ok(Telemetry {
                array: ArrayId::new("x"),
                array_name: "x".to_owned(),
                capacity: Size::from_bytes(*capacity),
                used: Size::from_bytes(*used),
            });
            candidate.recently_placed = Size::from_bytes(*placed);
            candidate
        }).collect();
        let mut wanted = request("v", 1, "");
        wanted.size = Size::from_bytes(size);
        let decision = DefaultSelector.select(&wanted, &candidates);
        prop_assert_eq!(decision.verdicts.len(), candidates.len());
        let scores: Vec<f64> = decision.verdicts.iter().filter_map(|v| v.score.clone().ok()).collect();
        prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
        prop_assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]));

        let mut reversed = candidates;
        reversed.reverse();
        prop_assert_eq!(DefaultSelector.select(&wanted, &reversed), decision);
    }
}
