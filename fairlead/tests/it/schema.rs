//! The shipped schema is the one that the types make, and files that the check accepts are what
//! the types read.

use std::path::Path;

use fairlead::config::{ConfigFile, check_text, schema_text};
use serde_json::Value;

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json")
}

/// `cargo run -p fairlead -- config schema > docs/config.schema.json` brings it up to date.
#[test]
fn the_shipped_schema_is_up_to_date() {
    let text = std::fs::read_to_string(shipped()).unwrap();
    assert!(
        text == schema_text(),
        "docs/config.schema.json does not match the types"
    );
}

#[test]
fn no_object_of_the_schema_takes_unknown_keys() {
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["type"] == "object" {
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
    }
}

#[test]
fn check_and_types_read_the_same_file_alike() {
    let text = r#"{"Namespace": "n", "FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "t",
        "Labels": {"k": "v"}, "SanType": "NVME-TCP", "CAFile": "/c", "ISCSIAllowedCIDR": "::/0",
        "CHAP": {"User": "u", "Secret": "0123456789ab"}, "Drain": true}],
        "FlashBlades": [{"MgmtEndPoint": "b", "NfsEndPoint": "c", "APITokenFile": "/t"}]}"#;
    let checked = check_text(text);
    let typed: ConfigFile = serde_json::from_str(text).unwrap();
    assert_eq!(format!("{:?}", checked.file), format!("{typed:?}"));
}

/// Whether an object has what its definition demands, by `required` and `oneOf` alone: the part of
/// a schema that can make every valid file invalid.
fn demands_are_met(definition: &Value, object: &Value) -> bool {
    let has_all = |keys: &Value| {
        let keys = keys.as_array().into_iter().flatten();
        keys.filter_map(Value::as_str)
            .all(|key| object.get(key).is_some())
    };
    let alternatives = definition["oneOf"].as_array();
    let met = alternatives.map_or(1, |all| {
        all.iter().filter(|one| has_all(&one["required"])).count()
    });
    has_all(&definition["required"]) && met == 1
}

#[test]
fn files_that_the_check_accepts_have_what_the_schema_demands() {
    let readme = std::fs::read_to_string(shipped().with_file_name("../README.md")).unwrap();
    let example = readme
        .split("```json")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let predecessor = r#"{"FlashArrays": [{"MgmtEndPoint": "a", "APIToken": "t"}],
        "FlashBlades": [{"MgmtEndPoint": "b", "APIToken": "T-1", "NFSEndPoint": "c"}]}"#;
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    for text in [example, predecessor] {
        let file: Value = serde_json::from_str(text).unwrap();
        assert!(demands_are_met(&schema, &file), "{text}");
        for (list, definition) in [
            ("FlashArrays", "FlashArrayEntry"),
            ("FlashBlades", "FlashBladeEntry"),
        ] {
            for entry in file[list].as_array().into_iter().flatten() {
                assert!(
                    demands_are_met(&schema["$defs"][definition], entry),
                    "{entry}"
                );
            }
        }
    }
    let both = serde_json::json!({"MgmtEndPoint": "a", "APIToken": "t", "APITokenFile": "/t"});
    assert!(!demands_are_met(&schema["$defs"]["FlashArrayEntry"], &both));
}
