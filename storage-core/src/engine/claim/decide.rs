//! Who has won: from the claim arrays' votes, and from nothing else. Pure; asks and changes nothing.

/// The attempt that more than half of the claim arrays vote for. The votes are in the order of the
/// fleet record; `None` is an array that votes for nobody or did not answer.
///
/// Nothing else decides: with all votes given and no majority, an attempt may still be dead, and
/// its votes go to others (`docs/protocols/claim.md`, no tie rule).
pub(super) fn decide<N: Copy + Eq>(votes: &[Option<N>]) -> Option<N> {
    let given = || votes.iter().flatten();
    let has_majority = |one: &&N| given().filter(|vote| vote == one).count() * 2 > votes.len();
    given().find(has_majority).copied()
}

/// The attempt that whoever comes now votes for: the first array's that votes at all.
pub(super) fn first_seen<N: Copy + Eq>(votes: &[Option<N>]) -> Option<N> {
    votes.iter().flatten().next().copied()
}

/// Whether enough claim arrays answered for any decision.
pub(super) const fn is_quorum(answered: usize, arrays: usize) -> bool {
    answered * 2 > arrays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

    use super::{decide, first_seen, is_quorum};

    #[test]
    fn the_cases_of_the_protocol() {
        for (votes, winner) in [
            (&[Some('a')][..], Some('a')),
            (&[None], None),
            (&[Some('a'), Some('a'), None], Some('a')),
            (&[Some('b'), Some('a'), Some('a')], Some('a')),
            (&[Some('c'), Some('b'), Some('a')], None),
            (&[Some('a'), Some('b'), None], None),
            (&[None, None, Some('a')], None),
            (&[], None),
        ] {
            assert_eq!(decide(votes), winner, "{votes:?}");
        }
        assert_eq!(first_seen(&[None, Some('b'), Some('a')]), Some('b'));
        assert!(is_quorum(1, 1) && is_quorum(2, 3) && !is_quorum(1, 3) && !is_quorum(0, 1));
    }

    proptest! {
        /// As long as no vote is taken back, two nodes that see different parts of them never find
        /// two winners.
        #[test]
        fn two_observers_never_see_two_winners(
            slots in proptest::collection::vec((0..4_u8, any::<[bool; 2]>()), 1..=3)
                .prop_filter("1 or 3", |slots| slots.len() != 2)
        ) {
            let [one, two] = [0, 1].map(|observer| {
                let seen = slots.iter().map(|(vote, seen)| seen[observer].then_some(*vote));
                decide(&seen.collect::<Vec<_>>())
            });
            if let (Some(one), Some(two)) = (one, two) {
                prop_assert_eq!(one, two);
            }
        }
    }
}
