//! A fleet record in tags: a head with format and number of parts, then the parts of its JSON.
//!
//! | key | value |
//! | --- | --- |
//! | `fleet` | format version, blank, number of parts |
//! | `fleet-00`, `fleet-01`, … | the JSON of [`FleetRecord`], cut into parts |
//!
//! A value has at most 256 characters (vendor REST document, `Tag`) and a volume at most so many tags
//! (`docs/assumptions.md`): enough for some 150 arrays. Blanks are written as escapes, so that no
//! part begins or ends with one, which an array might cut off. A newer format is refused untouched.

use std::fmt::Write as _;

use storage_core::{Error, ErrorKind, FleetRecord, Result};

use crate::api::{NewTag, Tag};
use crate::record::TAG_NAMESPACE;

const HEAD: &str = "fleet";
const PART_BYTES: usize = 256;
/// With the head, as many tags as a volume surely takes.
const PARTS_MAX: usize = 63;

/// # Errors
/// `OutOfRange` for a fleet that does not fit.
pub(crate) fn write(record: &FleetRecord) -> Result<Vec<NewTag>> {
    let json = serde_json::to_string(record).map_err(|error| {
        Error::new(
            ErrorKind::Unexpected,
            "the fleet record cannot be written down",
        )
        .with_source(error)
    })?;
    let parts = cut(&escaped(&json));
    if parts.len() > PARTS_MAX {
        return Err(Error::new(
            ErrorKind::OutOfRange,
            format!(
                "a fleet of {} arrays and {} namespaces is too large: its record does not fit into {PARTS_MAX} tags",
                record.members.len(),
                record.namespaces.len()
            ),
        ));
    }
    let head = format!("{} {}", FleetRecord::FORMAT, parts.len());
    let mut tags = vec![tag(HEAD.to_owned(), head)];
    for (index, part) in parts.into_iter().enumerate() {
        tags.push(tag(key(index), part));
    }
    Ok(tags)
}

/// # Errors
/// `Unsupported` for a newer format, `FailedPrecondition` for what cannot be understood.
pub(crate) fn read(tags: &[Tag]) -> Result<FleetRecord> {
    let value = |key: &str| {
        let ours = |tag: &&Tag| tag.namespace == TAG_NAMESPACE && tag.key == key;
        tags.iter().find(ours).map(|tag| tag.value.as_str())
    };
    let (format, parts) = value(HEAD)
        .and_then(|head| head.split_once(' '))
        .ok_or_else(broken)?;
    let format: u32 = format
        .parse()
        .map_err(|error| broken().with_source(error))?;
    if format > FleetRecord::FORMAT {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the fleet was recorded by a newer version (format {format}, this one knows {}): update this node",
                FleetRecord::FORMAT
            ),
        ));
    }
    let parts: usize = parts.parse().map_err(|error| broken().with_source(error))?;
    if parts > PARTS_MAX {
        return Err(broken());
    }
    let parts: Option<String> = (0..parts).map(|index| value(&key(index))).collect();
    // Its own words would quote what somebody wrote there.
    serde_json::from_str(&parts.ok_or_else(broken)?)
        .map_err(|error| broken().with_context("character", error.column().to_string()))
}

pub(crate) fn broken() -> Error {
    Error::new(
        ErrorKind::FailedPrecondition,
        "the fleet record cannot be understood; somebody changed its tags on the array",
    )
}

fn key(index: usize) -> String {
    format!("{HEAD}-{index:02}")
}

fn tag(key: String, value: String) -> NewTag {
    NewTag {
        key,
        value,
        namespace: TAG_NAMESPACE,
        copyable: false,
    }
}

/// The same JSON without blanks of any kind: outside of texts, this form has none.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_whitespace() {
            // All of them are in the first plane (Unicode Standard, White_Space).
            let _infallible = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn cut(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in text.chars() {
        if parts
            .last()
            .is_none_or(|part| part.len() + c.len_utf8() > PART_BYTES)
        {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use storage_core::{
        ArrayId, ArrayNumber, Epoch, ErrorKind, FleetMember, FleetPhase, FleetRecord, Namespace,
    };

    use super::{read, write};
    use crate::api::{NewTag, Reference, Tag};

    fn record(members: u16, name: &str) -> FleetRecord {
        FleetRecord {
            epoch: Epoch(7),
            nonce: 9,
            phase: FleetPhase::Changing,
            members: (0..members)
                .map(|number| FleetMember {
                    number: ArrayNumber(number),
                    array: ArrayId::new("5f0c4dd5-6c7c-4f0b-9d50-1f6f1f8f3a11"),
                    name: name.to_owned(),
                })
                .collect(),
            claim_arrays: vec![ArrayNumber(0)],
            next_number: ArrayNumber(members),
            namespaces: vec![Namespace::new("ns").unwrap()],
        }
    }

    fn as_read(tags: Vec<NewTag>) -> Vec<Tag> {
        let wire = |tag: NewTag| Tag {
            key: tag.key,
            value: tag.value,
            namespace: tag.namespace.to_owned(),
            resource: Reference::default(),
        };
        tags.into_iter().map(wire).collect()
    }

    proptest::proptest! {
        #[test]
        fn a_record_survives_the_round_trip(members in 0..100_u16, name in "\\PC{0,20}") {
            let record = record(members, &name);
            let tags = write(&record).unwrap();
            for tag in &tags {
                let plain = tag.value.trim() == tag.value || tag.key == "fleet";
                proptest::prop_assert!(tag.value.chars().count() <= 256 && plain, "{tag:?}");
            }
            proptest::prop_assert!(tags.len() <= 64);
            proptest::prop_assert_eq!(read(&as_read(tags)).unwrap(), record);
        }

        #[test]
        fn no_tags_panic(values in proptest::collection::vec(".{0,40}", 0..4)) {
            let keys = ["fleet", "fleet-00", "fleet-01", "x"];
            let tags = keys.iter().zip(values).map(|(key, value)| Tag {
                key: (*key).to_owned(),
                value,
                namespace: "fairlead".to_owned(),
                resource: Reference::default(),
            });
            drop(read(&tags.collect::<Vec<_>>()));
        }
    }

    #[test]
    fn what_is_newer_or_not_whole_is_refused() {
        let whole = as_read(write(&record(20, "array")).unwrap());
        let mut newer = whole.clone();
        newer[0].value = "2 1".to_owned();
        assert_eq!(read(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
        for missing in 0..whole.len() {
            let mut part = whole.clone();
            part.remove(missing);
            let error = read(&part).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FailedPrecondition, "{missing}");
        }
        let error = write(&record(1000, "array")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange);
    }
}
