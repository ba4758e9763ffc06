//! A case that no macro lists would never run.

const SUITE: &str = include_str!("../../src/suite.rs");

const TOPICS: [(&str, &str); 19] = [
    ("create", include_str!("../../src/backend/create.rs")),
    ("get", include_str!("../../src/backend/get.rs")),
    ("list", include_str!("../../src/backend/list.rs")),
    ("expand", include_str!("../../src/backend/expand.rs")),
    ("publish", include_str!("../../src/backend/publish.rs")),
    ("unpublish", include_str!("../../src/backend/unpublish.rs")),
    ("delete", include_str!("../../src/backend/delete.rs")),
    ("restore", include_str!("../../src/backend/restore.rs")),
    ("snapshots", include_str!("../../src/backend/snapshots.rs")),
    ("clones", include_str!("../../src/backend/clones.rs")),
    ("limits", include_str!("../../src/backend/limits.rs")),
    ("trash", include_str!("../../src/backend/trash.rs")),
    ("survey", include_str!("../../src/backend/survey.rs")),
    ("names", include_str!("../../src/backend/names.rs")),
    ("errors", include_str!("../../src/backend/errors.rs")),
    (
        "idempotency",
        include_str!("../../src/backend/idempotency.rs"),
    ),
    ("attaching", include_str!("../../src/attach/attaching.rs")),
    ("copying", include_str!("../../src/attach/copying.rs")),
    ("detaching", include_str!("../../src/attach/detaching.rs")),
];

#[test]
fn every_case_is_listed_under_its_topic() {
    for (topic, source) in TOPICS {
        let (_, list) = SUITE
            .split_once(&format!("            {topic} {{\n"))
            .unwrap_or_else(|| panic!("no list for {topic}"));
        let (list, _) = list.split_once('}').expect("the list ends");
        let listed: Vec<&str> = list
            .split(',')
            .map(str::trim)
            .filter(|case| !case.is_empty())
            .collect();
        let written: Vec<&str> = source
            .split("pub async fn ")
            .skip(1)
            .filter_map(|rest| rest.split('(').next())
            .collect();
        assert_eq!(listed, written, "the cases of {topic}, in order");
    }
}
