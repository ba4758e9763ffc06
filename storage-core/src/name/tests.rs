//! Which names are taken, and that no two of them meet on an array.

use std::collections::BTreeSet;

use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq, prop_assume};
use uuid::Uuid;

use super::{
    NameRules, Namespace, VolumeName, import_name, is_reserved, marker_name, name_hash,
    object_names, plain_name, retired_name, tentative_name, trash_name, trash_prefix,
};
use crate::claim::{ArrayNumber, ClaimNonce};

/// As a `FlashArray` has it.
const RULES: NameRules = NameRules {
    max_length: 63,
    allowed: |c| c.is_ascii_alphanumeric() || c == '-' || c == '_',
    case_insensitive: true,
};

fn namespace(text: &str) -> Namespace {
    Namespace::new(text).unwrap()
}

fn name(text: &str) -> VolumeName {
    VolumeName::new(text).unwrap()
}

fn preferred(ns: &str, volume: &str) -> String {
    object_names(&namespace(ns), &name(volume), &RULES).preferred
}

#[test]
fn volume_names_that_could_harm_are_refused() {
    let longest = "é".repeat(127) + "x";
    for good in [
        "a",
        "Data",
        "with space",
        "日本",
        "...",
        "-",
        "a.b",
        &longest,
    ] {
        assert_eq!(VolumeName::new(good).unwrap().as_str(), good);
    }
    let too_long = "x".repeat(256);
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "/",
        "a\\b",
        "a\0",
        "a\nb",
        "\u{7f}",
        "\u{85}x",
        " a",
        "a\u{a0}",
        "a\u{202e}b",
        "a\u{2028}b",
        "\u{feff}a",
        &too_long,
    ] {
        assert!(VolumeName::new(bad).is_err(), "{bad:?}");
        let json = serde_json::to_string(bad).unwrap();
        assert!(
            serde_json::from_str::<VolumeName>(&json).is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn namespaces_leave_the_reserved_names_alone() {
    let longest = "n".repeat(32);
    for good in [
        "a",
        "PURE-DEMO",
        "k8s_1",
        "flx",
        "flx-a",
        "a-flx",
        "0",
        &longest,
    ] {
        assert!(Namespace::new(good).is_ok(), "{good}");
    }
    let too_long = "n".repeat(33);
    for bad in [
        "", "-a", "a-", "_a", "a b", "a.b", "ä", "a-fl", "a-FL-b", "fl", "Fl-fleet", "a/b",
        &too_long,
    ] {
        assert!(Namespace::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn ordinary_names_are_plain_as_the_predecessor_made_them() {
    let names = object_names(
        &namespace("PURE-DEMO"),
        &name("cockroachdb-cluster-1"),
        &RULES,
    );
    assert_eq!(names.preferred, "PURE-DEMO-cockroachdb-cluster-1");
    assert_eq!(names.iter().count(), 2);
}

#[test]
fn names_that_differ_in_case_alone_do_not_meet() {
    let objects: BTreeSet<String> = ["data", "Data", "DATA", "dAta"]
        .iter()
        .map(|volume| preferred("ns", volume).to_ascii_lowercase())
        .collect();
    assert_eq!(objects.len(), 4);
    let sensitive = NameRules {
        case_insensitive: false,
        ..RULES
    };
    let names = object_names(&namespace("ns"), &name("Data"), &sensitive);
    assert_eq!(names.preferred, "ns-Data");
    let folded = object_names(&namespace("ns"), &name("Data"), &RULES);
    assert_eq!(folded.alternative.as_deref(), Some("ns-Data"));
}

#[test]
fn a_name_in_the_form_of_a_hash_takes_nobodys_place() {
    let hashed = preferred("ns", "Data");
    let imitation = hashed.strip_prefix("ns-").unwrap();
    assert_ne!(preferred("ns", imitation), hashed);
    assert_ne!(preferred("ns", &imitation.to_ascii_uppercase()), hashed);
}

#[test]
fn no_volume_name_leads_to_a_reserved_object() {
    let ns = namespace("ns");
    for volume in [
        "fl",
        "FL",
        "fl-",
        "fl-new-x",
        "FL-trash-1",
        "fl new",
        "fl.x",
        "Fl Ü",
    ] {
        for object in object_names(&ns, &name(volume), &RULES).iter() {
            assert!(!is_reserved(&ns, object), "{volume}: {object}");
        }
    }
    assert!(is_reserved(&ns, "NS-FL-new-0"));
    assert_eq!(plain_name(&ns, "ns-fl-new-0"), None);
    assert_eq!(plain_name(&ns, "ns-data"), Some(name("data")));
    assert_eq!(plain_name(&ns, "ns2-data"), None);
    assert_eq!(plain_name(&ns, "ns-"), None);
    assert_eq!(plain_name(&ns, "ns"), None);
}

#[test]
fn known_hashes_stay_as_they_are() {
    // Fixed for ever: objects on arrays carry it. Computed with sha256sum.
    assert_eq!(
        name_hash(&namespace("PURE"), &name("DEMO-x")),
        "5981a9f336f47c20"
    );
    assert_eq!(
        name_hash(&namespace("PURE-DEMO"), &name("x")),
        "eff5caf61539021b"
    );
}

#[test]
fn reserved_names_fit_with_any_namespace() {
    let nonce = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let short = namespace("k8s");
    let attempt = ClaimNonce::new(ArrayNumber(1), 0x89ab_cdef);
    let hash = name_hash(&short, &name("x"));
    assert_eq!(
        tentative_name(&short, &name("x"), attempt),
        format!("k8s-fl-new-{hash}-00189abcdef")
    );
    let trash = trash_name(&short, &name("x"), nonce);
    assert_eq!(trash, trash_prefix(&short, &name("x")) + "01234567");
    let long = namespace(&"n".repeat(32));
    let tentative = tentative_name(&long, &name("x"), attempt);
    assert_eq!(tentative.len(), 63);
    assert!(tentative.ends_with("-00189abcdef"));
    assert!(import_name(&long, &name("x"), attempt).len() <= 63);
    assert!(marker_name(&long, &name("x")).len() <= 63);
    assert_eq!(
        retired_name(&long, nonce),
        format!("{long}-fl-gone-0123456789abcdef")
    );
    assert_eq!(trash_name(&long, &name("x"), nonce).len(), 63);
    assert!(trash_name(&long, &name("x"), nonce).ends_with("-0123"));
}

proptest! {
    #[test]
    fn object_names_fit_the_array(
        ns in "[a-zA-Z0-9]([a-zA-Z0-9_]{0,30}[a-zA-Z0-9])?",
        volume in "\\PC{1,80}",
    ) {
        prop_assume!(VolumeName::new(&*volume).is_ok());
        let (ns, volume) = (namespace(&ns), name(&volume));
        for object in object_names(&ns, &volume, &RULES).iter() {
            prop_assert!(object.len() <= 63, "{}", object);
            prop_assert!(object.chars().all(RULES.allowed), "{}", object);
            prop_assert!(object.ends_with(|c: char| c.is_ascii_alphanumeric()), "{}", object);
            prop_assert!(!is_reserved(&ns, object), "{}", object);
            prop_assert!(object.starts_with(ns.as_str()));
        }
    }

    #[test]
    fn two_volumes_never_share_their_preferred_object(
        one in "[a-cA-C]{1,3}(-[0-9a-f]{16}|[-. ]x)?",
        two in "[a-cA-C]{1,3}(-[0-9a-f]{16}|[-. ]x)?",
    ) {
        prop_assume!(one != two);
        let (one, two) = (preferred("ns", &one), preferred("ns", &two));
        prop_assert!(!one.eq_ignore_ascii_case(&two), "{} {}", one, two);
    }

    #[test]
    fn a_plain_object_leads_back(volume in "[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?") {
        prop_assume!(!volume.starts_with("fl-"));
        let ns = namespace("PURE");
        let plain = format!("PURE-{volume}");
        prop_assert!(object_names(&ns, &name(&volume), &RULES).iter().any(|o| o == plain));
        prop_assert_eq!(plain_name(&ns, &plain), Some(name(&volume)));
    }

    #[test]
    fn hostile_text_never_panics(text in any::<String>(), nonce in any::<u128>()) {
        let ns = namespace("ns");
        let _reserved = is_reserved(&ns, &text);
        let _plain = plain_name(&ns, &text);
        let _namespace = Namespace::new(&*text);
        if let Ok(volume) = VolumeName::new(&*text) {
            let json = serde_json::to_string(&volume).unwrap();
            prop_assert_eq!(&serde_json::from_str::<VolumeName>(&json).unwrap(), &volume);
            prop_assert!(is_reserved(&ns, &trash_name(&ns, &volume, Uuid::from_u128(nonce))));
        }
    }
}
