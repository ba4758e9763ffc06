//! The grammar, the meaning, and that nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::query::from_json;

struct Sample(Value);

const PROPERTIES: &[&str] = &["name", "destroyed", "size", "iqns", "pod.name", "is_local"];

impl Row for Sample {
    const PROPERTIES: &'static [&'static str] = PROPERTIES;

    fn field(&self, path: &str) -> Field<'_> {
        from_json(&self.0, path)
    }

    fn has_tag(&self, key: &str, value: &str) -> bool {
        key == "k" && value == "it's"
    }

    fn place(&self) -> String {
        String::new()
    }

    fn render(&self) -> Value {
        self.0.clone()
    }
}

fn sample() -> Sample {
    Sample(json!({
        "name": "vm-7-disk-2",
        "destroyed": false,
        "size": 1_048_576,
        "iqns": ["iqn.1994-05.com.redhat:abc"],
        "pod": {},
        "is_local": true,
    }))
}

fn matches(filter: &str) -> bool {
    Filter::parse(filter, PROPERTIES)
        .unwrap_or_else(|error| panic!("{filter}: {error}"))
        .matches(&sample())
}

#[test]
fn comparisons() {
    for yes in [
        "name='vm-7-disk-2'",
        "name=\"VM-7-DISK-2\"",
        "name='vm-*-disk-*'",
        "name='*'",
        "name='*disk*'",
        "name=('a','vm-7-disk-2')",
        "name!='other'",
        "name!=('a','b')",
        "destroyed=false",
        "destroyed='false'",
        "size=1048576",
        "size='1048576'",
        "size>=1048576 and size<1048577",
        "iqns='iqn.1994-05.com.redhat:abc'",
        "iqns='*redhat*'",
        "is_local",
        "not destroyed",
        "not(destroyed) and name",
        "NOT destroyed AND is_local",
        "contains(name,'disk')",
        "contains(iqns,'ABC')",
        "tags('k','it\\'s')",
        "pod.name!='x'",
        "not pod.name",
        "name>'vm'",
    ] {
        assert!(matches(yes), "{yes}");
    }
    for no in [
        "name='vm-7-disk'",
        "name='disk*'",
        "name='vm-7-disk-2*x'",
        "name=('a','b')",
        "destroyed",
        "pod.name='x'",
        "size>1048576",
        "tags('k','other')",
        "iqns!='iqn.1994-05.com.redhat:abc'",
        "name='a*a'",
    ] {
        assert!(!matches(no), "{no}");
    }
}

#[test]
fn and_binds_tighter_than_or() {
    assert!(matches("is_local or destroyed and destroyed"));
    assert!(!matches("(is_local or destroyed) and destroyed"));
    assert!(matches("destroyed or not (destroyed and is_local)"));
}

#[test]
fn what_is_not_a_filter_is_refused() {
    for bad in [
        "",
        "name=",
        "name='x",
        "(name='x'",
        "name='x')",
        "nosuch='x'",
        "name='x' and",
        "name ! 'x'",
        "name=('a'",
        "name=()",
        "name=x",
        "frob(name,'x')",
        "contains('name','x')",
        "tags(k,'v')",
        "name='a' name='b'",
        "size=1x",
        "#",
    ] {
        assert!(Filter::parse(bad, PROPERTIES).is_err(), "{bad}");
    }
    let deep = format!("{}name{}", "(".repeat(1000), ")".repeat(1000));
    assert!(Filter::parse(&deep, PROPERTIES).is_err());
    let many = format!("{}name", "not ".repeat(10_000));
    assert!(Filter::parse(&many, PROPERTIES).is_ok());
    assert!(Filter::parse(&" ".repeat(MAX_LENGTH + 1), PROPERTIES).is_err());
}

#[test]
fn names_that_a_filter_leaves_possible() {
    let names = |text: &str| Filter::parse(text, PROPERTIES).unwrap().only_names();
    assert_eq!(
        names("name=('a','b') and not destroyed"),
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(
        names("name='a' or (name='b' and destroyed)"),
        Some(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(names("name='a' or destroyed"), None);
    assert_eq!(names("name='a*'"), None);
    assert_eq!(names("not name='a'"), None);
    assert_eq!(names("name!='a'"), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _filter = Filter::parse(&text, PROPERTIES);
    }

    #[test]
    fn no_row_of_tokens_panics(parts in proptest::collection::vec(
        prop::sample::select(vec![
            "name", "destroyed", "=", "!=", "<", ">=", "(", ")", ",", "'a*'", "7", "and", "or",
            "not", "contains", "tags", "true", "\"x\"", "-",
        ]), 0..40)) {
        if let Ok(filter) = Filter::parse(&parts.join(" "), PROPERTIES) {
            let matched = filter.matches(&sample());
            // The shortcut by name never loses a match.
            if let Some(names) = filter.only_names() {
                let known = names.iter().any(|name| name.eq_ignore_ascii_case("vm-7-disk-2"));
                prop_assert!(known || !matched);
            }
        }
    }

    #[test]
    fn patterns_agree_with_a_slow_matcher(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        fn slow(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.split_first(), text.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), None) => slow(rest, text),
                (Some((b'*', rest)), Some((_, tail))) => slow(rest, text) || slow(pattern, tail),
                (Some((p, rest)), Some((t, tail))) => p == t && slow(rest, tail),
                (None, Some(_)) | (Some(_), None) => false,
            }
        }
        prop_assert_eq!(glob(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
    }
}
