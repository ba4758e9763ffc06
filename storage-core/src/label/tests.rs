//! What selectors accept, refuse and match.

use proptest::prelude::proptest;
use proptest::prop_assert_eq;

use super::{LabelSelector, Labels, choices};
use crate::error::ErrorKind;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn matches(selector: &str, pairs: &[(&str, &str)]) -> bool {
    let selector: LabelSelector = selector.parse().unwrap();
    let labels = labels(pairs);
    let matches = selector.matches(&labels);
    assert_eq!(matches, selector.first_unmet(&labels).is_none());
    matches
}

#[test]
fn it_means_what_kubernetes_means() {
    let gold = [("tier", "gold"), ("purestorage.com/backend", "block")];
    for (selector, wanted) in [
        ("", true),
        ("  ", true),
        ("tier", true),
        ("!tier", false),
        ("rack", false),
        ("!rack", true),
        ("tier=gold", true),
        ("tier==gold", true),
        ("tier = gold", true),
        ("tier=Gold", false),
        ("tier=", false),
        ("rack=r1", false),
        ("tier!=gold", false),
        ("tier!=silver", true),
        ("rack!=r1", true),
        ("tier in (gold, silver)", true),
        ("tier in(silver)", false),
        ("rack in (r1)", false),
        ("tier notin (gold)", false),
        ("tier notin (silver,bronze)", true),
        ("rack notin (r1)", true),
        ("purestorage.com/backend=block,tier=gold,!rack", true),
        ("purestorage.com/backend=block,tier=silver", false),
        ("in in (a)", false),
        ("!notin", true),
    ] {
        assert_eq!(matches(selector, &gold), wanted, "{selector}");
    }
}

#[test]
fn values_carry_addresses() {
    assert!(matches("at=10.0.0.1:443", &[("at", "10.0.0.1:443")]));
    assert!(matches("at in ([fe80::1])", &[("at", "[fe80::1]")]));
    assert!(matches("site=Zürich/2", &[("site", "Zürich/2")]));
}

#[test]
fn the_first_unmet_requirement_is_named() {
    let selector: LabelSelector = "a,b notin (y,x),c=1".parse().unwrap();
    let labels = labels(&[("a", ""), ("b", "x")]);
    assert_eq!(
        selector.first_unmet(&labels).as_deref(),
        Some("b notin (x,y)")
    );
}

#[test]
fn mistakes_are_pointed_at() {
    for (text, position) in [
        (",", 1),
        ("a,", 3),
        ("a,,b", 3),
        ("=v", 1),
        ("a=b=c", 4),
        ("a= =c", 4),
        ("a!b", 3),
        ("a ! = b", 4),
        ("a b", 3),
        ("a >1", 3),
        ("a in b", 6),
        ("a in ()", 7),
        ("a in (b", 8),
        ("a in (b,)", 9),
        ("a in (b c)", 9),
        ("a in (b))", 9),
        ("äb", 1),
        ("-a", 1),
        ("a/b/c", 1),
        ("/b", 1),
        ("a/", 1),
        ("!", 2),
        ("!!a", 2),
        ("a\u{0}", 2),
    ] {
        let error = text.parse::<LabelSelector>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let wanted = format!("character {position}:");
        assert!(error.to_string().contains(&wanted), "{text:?}: {error}");
    }
    assert!("x".repeat(64).parse::<LabelSelector>().is_err());
    assert!("a,".repeat(4096).parse::<LabelSelector>().is_err());
}

#[test]
fn what_can_be_selected_by_is_told_and_bounded() {
    let fleet = [
        labels(&[("rack", "8"), ("tier", "gold")]),
        labels(&[("rack", "7"), ("tier", "gold")]),
    ];
    assert_eq!(choices(&fleet.each_ref()), "rack in (7,8), tier=gold");
    assert_eq!(choices(&[]), "");
    let large: Vec<Labels> = (10..99)
        .map(|i| labels(&[(&format!("k{i}"), "v"), ("rack", &i.to_string())]))
        .collect();
    let told = choices(&large.iter().collect::<Vec<_>>());
    assert!(
        told.starts_with("k10=v, k11=v, ") && told.ends_with("k25=v, …"),
        "{told}"
    );
    let racks: Vec<Labels> = (10..99)
        .map(|i| labels(&[("rack", &i.to_string())]))
        .collect();
    assert_eq!(
        choices(&racks.iter().collect::<Vec<_>>()),
        "rack in (10,11,12,13,14,15,16,17,…)"
    );
    let long = choices(&[&labels(&[("k", &"ü".repeat(5000))])]);
    assert_eq!(long.chars().count(), 1001);
}

proptest! {
    #[test]
    fn the_canonical_text_reads_back(
        text in "([a-z]{1,3}(=[a-z0-9.:]{0,3}|!=[a-z]{1,2}| in \\(([a-z]{1,2},){0,3}z\\)| notin \\(b,[a-z]\\))?|![a-z])(,!?[A-Z]{1,4}){0,3}"
    ) {
        let selector: LabelSelector = text.parse().unwrap();
        let again: LabelSelector = selector.to_string().parse().unwrap();
        prop_assert_eq!(&again, &selector);
        prop_assert_eq!(again.to_string(), selector.to_string());
    }

    #[test]
    fn no_text_panics(text in "(\\PC|[a-c,()=! ]|in|notin){0,30}") {
        if let Ok(selector) = text.parse::<LabelSelector>() {
            let again: LabelSelector = selector.to_string().parse().unwrap();
            prop_assert_eq!(again, selector);
        }
    }
}
