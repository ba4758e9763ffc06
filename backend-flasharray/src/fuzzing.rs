//! What must hold for any bytes that an array answers with. For tests and for the fuzz targets,
//! which call these; not part of the library.

use serde::de::DeserializeOwned;
use storage_core::{Error, Namespace};

use crate::api::{
    Envelope, NewTag, Reference, Tag, WireConnection, WireHost, WirePort, WireVolume,
};
#[cfg(feature = "fuzzing")]
use crate::error;
use crate::fence_tag;
use crate::fleet_tags;
use crate::record::Record;
use crate::session;

/// A list of any kind.
pub fn answers(data: &[u8]) {
    fn listed<T: DeserializeOwned>(data: &[u8]) -> Vec<T> {
        let page = serde_json::from_slice::<Envelope<T>>(data).map(Envelope::into_page);
        let page = page.map(|page| {
            assert_ne!(page.next.as_deref(), Some(""), "an empty token ends a list");
            page.items
        });
        page.unwrap_or_default()
    }
    for volume in listed::<WireVolume>(data) {
        assert!(volume.serial.len() <= data.len());
        let _used = volume.space.and_then(|space| space.used());
    }
    drop(listed::<WireHost>(data));
    drop(listed::<WirePort>(data));
    drop(listed::<WireConnection>(data));
    drop(listed::<Tag>(data));
    session::fuzz(data);
}

/// The tags of a volume, of a fleet record, of a fence: what is believed is whole.
pub fn records(data: &[u8]) {
    let Ok(Envelope { items: tags, .. }) = serde_json::from_slice::<Envelope<Tag>>(data) else {
        return;
    };
    match Record::read(&tags) {
        Ok(record) => {
            let namespace = Namespace::new("ns").ok();
            let name = namespace.and_then(|namespace| record.name_in(&namespace).cloned());
            assert!(name.is_none_or(|name| !name.as_str().contains('/')));
            assert!(record.attributes.len() <= tags.len());
        }
        Err(error) => told(&error),
    }
    match fleet_tags::read(&tags) {
        Ok(fleet) => {
            if let Ok(written) = fleet_tags::write(&fleet) {
                let again = fleet_tags::read(&on_volume(written)).ok();
                assert_eq!(again, Some(fleet), "written and read again");
            }
        }
        Err(error) => told(&error),
    }
    match fence_tag::read_fence(&tags) {
        Ok(Some(fence)) => {
            let tags = on_volume(vec![fence_tag::fence_tag(&fence)]);
            let again = fence_tag::read_fence(&tags).ok().flatten();
            let at = again.map(|again| (again.new_host, again.at_ms));
            assert_eq!(at, Some((fence.new_host, fence.at_ms)));
        }
        Ok(None) => {}
        Err(error) => told(&error),
    }
}

fn on_volume(tags: Vec<NewTag>) -> Vec<Tag> {
    let tag = |tag: NewTag| Tag {
        key: tag.key,
        value: tag.value,
        namespace: tag.namespace.to_owned(),
        resource: Reference::default(),
    };
    tags.into_iter().map(tag).collect()
}

/// A refusal: a status, and a body in the vendor's form or not. Answers are made with the same
/// feature of the HTTP client, so tests do not have it.
#[cfg(feature = "fuzzing")]
pub fn refusals(data: &[u8]) {
    for status in [400, 401, 403, 404, 409, 429, 500, 503] {
        let (answer, http) = storage_http::fuzzing::refusal(status, data);
        drop(error::messages(&answer));
        told(&Error::from(error::Failure::from(http)));
    }
}

fn told(error: &Error) {
    let text = error.chain().to_string();
    assert!(text.len() < 8192, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    const PARTS: &str = r#"([{}\[\],:"]|"items":\[|"id":"a"|"name":"ns-v"|"serial":"0"|"provisioned":1|"errors":\[\{"message":"|"context":"x"|"key":"owner"|"value":"1 ns"|"namespace":"fairlead"|null|-1|1e99|\n){0,30}"#;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..300)) {
            super::answers(&data);
            super::records(&data);
        }

        #[test]
        fn almost_answers(text in PARTS) {
            super::answers(text.as_bytes());
            super::records(text.as_bytes());
        }

        #[test]
        fn almost_records(
            owner in "([0-9]{0,3} ?[a-z]{0,3})",
            name in "\\PC{0,12}",
            grant in "(ext4|xfs|x)? ?[0-9a-f-]{0,36}",
            filesystem in r#"(\{"kind":"(xfs|ext4)","create_options":\[("-F")?\],"mount_options":\[\]\}|\{|x)"#,
            holder in "[0-9a-f -]{0,40}",
            fleet in r#"(\{"epoch":[0-9]{1,2},"nonce":1,"phase":"(open|x|\x7f)","members":\[\],"claim_arrays":\[[0-9]?\],"next_number":1,"namespaces":\[\]\}|\{|\PC{0,8})"#,
            fence in r#"(\{"format":[0-9]{1,9},"old":\["\PC{0,4}"\],"new":(null|"h"),"reason":"(mount|operator|x|\x7f)","evidence":"","ms":1,"at":[0-9]{1,19}\}|\{|x)"#,
        ) {
            let tag = |key: &str, value: &str| serde_json::json!({"key": key, "value": value, "namespace": "fairlead"});
            let tags = [
                tag("owner", &owner),
                tag("name", &name),
                tag("format-grant", &grant),
                tag("filesystem", &filesystem),
                tag("holder", &holder),
                tag("fleet", "1 1"),
                tag("fleet-00", &fleet),
                tag("fence", &fence),
            ];
            super::records(serde_json::json!({"items": tags}).to_string().as_bytes());
        }
    }
}
