//! Every problem is reported, at its place, with something to do about it, and without secrets.

use fairlead::config::{CheckedFile, Problem, Severity, check_text};
use proptest::prelude::*;

/// The configuration of the predecessor's documentation for Docker Swarm, as it was printed: with
/// the two commas missing.
const AS_PRINTED: &str = r#"{
  "FlashArrays": [
    {
      "MgmtEndPoint": "10.21.200.210",
      "APIToken": "c6033033-fe69-2515-a9e8-966bb7fe4b40",
      "Labels": {
        "env": "prod"
      }
    },
    {
      "MgmtEndPoint": "10.21.200.8",
      "APIToken": "9c0b56bc-f941-f7a6-9f85-dcc3e9a8f7d6",
      "Labels": {
        "env": "dev"
        "rack": "7a"
      }
    }
  ],
  "FlashBlades": [
    {
      "MgmtEndPoint": "10.21.200.5",
      "NFSEndPoint": "10.21.200.4",
      "APIToken": "T-9f276a18-50ab-446e-8a0c-666a3529a1b6",
      "Labels": {
        "env": "uat"
        "rack": "6c"
      }
    }
  ]
}
"#;

fn errors(checked: &CheckedFile) -> Vec<&Problem> {
    let errors = checked.problems.iter();
    errors.filter(|p| p.severity == Severity::Error).collect()
}

fn place(problem: &Problem) -> (usize, usize) {
    (problem.line.unwrap(), problem.column.unwrap())
}

/// The one error of a text, as (line, column, path, message).
fn one(text: &str) -> (usize, usize, String, String) {
    let checked = check_text(text);
    let errors = errors(&checked);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let (line, column) = place(errors[0]);
    (
        line,
        column,
        errors[0].path.clone(),
        errors[0].message.clone(),
    )
}

/// An array entry with more keys.
fn with(keys: &str) -> String {
    format!(r#"{{"FlashArrays": [{{"MgmtEndPoint": "a", "APIToken": "t", {keys}}}]}}"#)
}

#[test]
fn the_printed_example_has_two_missing_commas_and_nothing_else() {
    let checked = check_text(AS_PRINTED);
    let found = errors(&checked);
    let places: Vec<_> = found.iter().map(|p| place(p)).collect();
    assert_eq!(places, [(14, 21), (25, 21)]);
    assert!(found.iter().all(|p| p.message.contains("comma is missing")));
}

#[test]
fn with_its_commas_the_example_is_fine() {
    let text = AS_PRINTED
        .replace("\"dev\"", "\"dev\",")
        .replace("\"uat\"", "\"uat\",");
    let checked = check_text(&text);
    assert!(errors(&checked).is_empty(), "{:#?}", checked.problems);
    assert_eq!(checked.file.flash_arrays.len(), 2);
    assert_eq!(checked.file.flash_arrays[1].labels["rack"], "7a");
    assert_eq!(checked.file.flash_blades.len(), 1);
    let warnings: Vec<_> = checked.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(warnings, ["FlashBlades[0]"]);
}

#[test]
fn what_is_not_served_is_said_with_what_it_means() {
    let warning = |text: &str| {
        let checked = check_text(text);
        assert!(errors(&checked).is_empty(), "{:#?}", checked.problems);
        checked.problems[0].to_string()
    };
    for san_type in ["ISCSI", "FC", "NVME-TCP"] {
        let text = warning(&with(&format!("\"SanType\": \"{san_type}\"")));
        assert!(
            text.contains(san_type) && text.contains("names are looked up"),
            "{text}"
        );
    }
    let entry = r#"{"MgmtEndPoint": "b", "APIToken": "t", "NFSEndPoint": "c"}"#;
    let text = warning(&format!(r#"{{"FlashBlades": [{entry}]}}"#));
    assert!(
        text.contains("a volume of the same name on one is not seen"),
        "{text}"
    );
}

#[test]
fn other_syntax_errors_have_their_place() {
    for (text, line, column) in [
        ("", 1, 1),
        ("{\n  \"FlashArrays\": [}\n", 2, 19),
        ("{\n  // why\n}", 2, 3),
        ("{'a': 1}", 1, 2),
        ("{\"a\" 1}", 1, 6),
        ("[1, 2", 1, 1),
    ] {
        let (l, c, _, message) = one(text);
        assert_eq!((l, c), (line, column), "{text:?}: {message}");
    }
}

#[test]
fn a_trailing_comma_is_one_error() {
    let (line, column, _, message) = one(&with("\"Drain\": true,\n"));
    assert_eq!((line, column), (1, 70), "{message}");
}

#[test]
fn single_mistakes_are_named_with_path_and_message() {
    for (keys, path, word) in [
        ("\"SanType\": \"NFS\"", "FlashArrays[0].SanType", "no way"),
        ("\"SanType\": \"LOOP\"", "FlashArrays[0]", "no `LoopFolder`"),
        (
            "\"SanType\": \"LOOP\", \"LoopFolder\": \"x\"",
            "FlashArrays[0].LoopFolder",
            "absolute",
        ),
        (
            "\"LoopFolder\": \"/x\"",
            "FlashArrays[0].LoopFolder",
            "LOOP only",
        ),
        (
            "\"Fingerprint\": \"12\"",
            "FlashArrays[0].Fingerprint",
            "digits",
        ),
        (
            "\"ISCSIAllowedCIDR\": \"10.0.0.0\"",
            "FlashArrays[0].ISCSIAllowedCIDR",
            "CIDR",
        ),
        (
            "\"Labels\": {\"a b\": \"c\"}",
            "FlashArrays[0].Labels.a b",
            "key",
        ),
        (
            "\"Labels\": {\"a\": \"c,d\"}",
            "FlashArrays[0].Labels.a",
            "value",
        ),
        (
            "\"Labels\": {\"a\": 7}",
            "FlashArrays[0].Labels.a",
            "a number",
        ),
        (
            "\"Labels\": {\"a\": \"1\", \"a\": \"2\"}",
            "FlashArrays[0].Labels.a",
            "second",
        ),
        ("\"Drain\": \"true\"", "FlashArrays[0].Drain", "text"),
        ("\"CAFile\": null", "FlashArrays[0].CAFile", "null"),
        ("\"Realm\": \"x\"", "FlashArrays[0]", "unknown key `Realm`"),
        (
            "\"Drain\": true, \"Drain\": true",
            "FlashArrays[0].Drain",
            "second time",
        ),
        (
            "\"APITokenFile\": \"/t\"",
            "FlashArrays[0].APITokenFile",
            "both",
        ),
    ] {
        let (_, _, at, message) = one(&with(keys));
        assert_eq!(at, path, "{keys}: {message}");
        assert!(message.contains(word), "{keys}: {message}");
    }
}

#[test]
fn whole_file_mistakes() {
    for (text, word) in [
        ("[]", "a list"),
        ("{}", "at least one array"),
        ("{\"FlashArrays\": []}", "at least one array"),
        ("{\"FlashArrays\": [{\"MgmtEndPoint\": \"a\"}]}", "neither"),
        (
            "{\"FlashArrays\": [{\"APIToken\": \"a\"}]}",
            "`MgmtEndPoint` is missing",
        ),
    ] {
        let (.., message) = one(text);
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn the_same_address_in_another_spelling_is_found() {
    let text = r#"{"FlashArrays": [{"MgmtEndPoint": "Array", "APIToken": "t"},
        {"MgmtEndPoint": "array:443", "APIToken": "t"}]}"#;
    let (line, _, path, message) = one(text);
    assert_eq!((line, path.as_str()), (2, "FlashArrays[1].MgmtEndPoint"));
    assert!(message.contains("FlashArrays[0]"), "{message}");
}

#[test]
fn a_misspelt_key_gets_a_suggestion() {
    let checked = check_text(&with("\"SANType\": \"LOOP\""));
    assert!(
        checked.problems[0].advice.contains("`SanType`"),
        "{checked:?}"
    );
    // And what it was meant for is not missing as well.
    for (text, key) in [
        (
            r#"{"FlashArrays": [{"MgmtEndPoint": "a", "ApiTokn": "t"}]}"#,
            "`APIToken`",
        ),
        (
            r#"{"FlashArrays": [{"MgmtEndpont": "a", "APIToken": "t"}]}"#,
            "`MgmtEndPoint`",
        ),
        (r#"{"FlashAray": []}"#, "`FlashArrays`"),
    ] {
        let checked = check_text(text);
        assert_eq!(errors(&checked).len(), 1, "{:#?}", checked.problems);
        assert!(errors(&checked)[0].advice.contains(key), "{checked:?}");
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = r#"{
  "Namespace": "-bad-",
  "FlashArrays": [
    {"MgmtEndPoint": "https://a/", "APIToken": "with blank", "Labels": {"x y": "1"}},
    {"MgmtEndPoint": "b", "Fingerprint": "zz", "Extra": 1}
    {"MgmtEndPoint": "b", "APIToken": "t",}
  ],
  "Extra": {}
}"#;
    let checked = check_text(text);
    let lines: Vec<_> = errors(&checked).iter().map(|p| p.line.unwrap()).collect();
    for line in [2, 4, 4, 4, 5, 5, 5, 5, 6, 6, 8] {
        assert!(lines.contains(&line), "line {line} of {lines:?}");
    }
    assert_eq!(lines.len(), 11, "{:#?}", checked.problems);
}

#[test]
fn no_message_shows_a_secret() {
    for text in [
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "s3cr3t blank"}]}"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": {"x": "s3cr3t"}}]}"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APITokens": "s3cr3t"}]}"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "s3cr3t" "b": 1}]}"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "u:s3cr3t@a", "APIToken": "s3cr3t"}]}"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "s3cr3t"#,
        r#"{"FlashArrays": [{"MgmtEndPoint": "a", "CHAP": {"Secret": "s3cr3t", "x": 1}}]}"#,
    ] {
        let checked = check_text(text);
        assert!(!checked.problems.is_empty());
        let everything = format!("{:?}", checked.problems);
        assert!(!everything.contains("s3cr3t"), "{everything}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"a-zA-Z0-9 \\n\\\\/é]{0,200}") {
        drop(check_text(&text));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(at in 0_usize..900, with in ".{0,3}") {
        let mut text: Vec<char> = AS_PRINTED.chars().collect();
        let at = at.min(text.len());
        text.splice(at..(at + 1).min(text.len()), with.chars());
        drop(check_text(&text.into_iter().collect::<String>()));
    }
}
