//! What must hold for any bytes that a client or a configuration sends to the simulator. For tests
//! and for the fuzz targets, which call these; not part of the library.

use serde_json::{Value, json};

use crate::config::SimConfig;
use crate::faults::{FaultPlan, FaultRule};
use crate::query::{Field, Listing, Params, Row, list};

/// How many rows are listed.
const ROWS: usize = 40;

/// A row with a property of each type.
struct Sample(usize);

impl Row for Sample {
    const PROPERTIES: &'static [&'static str] = &["name", "number", "flag", "unset", "list"];

    fn field(&self, path: &str) -> Field<'_> {
        match path {
            "name" => Field::text("Some-name"),
            "number" => Field::number(self.0 as u64),
            "flag" => Field::Bool(self.0.is_multiple_of(2)),
            "list" => Field::List(vec!["a".into(), "b".into()]),
            _ => Field::Null,
        }
    }

    fn place(&self) -> String {
        format!("{:04}", self.0)
    }

    fn render(&self) -> Value {
        json!(self.0)
    }
}

/// A query string: every parameter, the filter over rows, the pages.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(params) = Params::parse(&text) else {
        return;
    };
    for name in params.names() {
        if let Ok(Some(items)) = params.list(name) {
            assert!(items.iter().all(|item| !item.is_empty()));
        }
        drop(params.flag(name));
    }
    let Ok(listing) = Listing::parse(&params, Sample::PROPERTIES) else {
        return;
    };
    drop(listing.only_names());
    let page = list(&listing, (0..ROWS).map(Sample).collect());
    let items = page
        .get("items")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let limit = params.number("limit").ok().flatten().unwrap_or(ROWS);
    assert!(items <= limit.min(ROWS), "{page}");
    let more = page.get("more_items_remaining") == Some(&json!(true));
    assert!(!more || items > 0, "an endless list: {page}");
}

/// A configuration, a fault plan or a fault rule, as JSON: what has no problems is written and
/// read again as the same.
pub fn config(data: &[u8]) {
    if let Ok(config) = serde_json::from_slice::<SimConfig>(data)
        && config.problems().is_empty()
    {
        let again = serde_json::to_vec(&config).and_then(|json| serde_json::from_slice(&json));
        assert_eq!(again.ok(), Some(config));
    }
    if let Ok(plan) = serde_json::from_slice::<FaultPlan>(data)
        && plan.problems().is_empty()
    {
        let again = serde_json::to_vec(&plan).and_then(|json| serde_json::from_slice(&json));
        assert_eq!(again.ok(), Some(plan));
    }
    if let Ok(rule) = serde_json::from_slice::<FaultRule>(data)
        && rule.problems().is_empty()
    {
        let again = serde_json::to_vec(&rule).and_then(|json| serde_json::from_slice(&json));
        assert_eq!(again.ok(), Some(rule));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..300)) {
            super::query(&data);
            super::config(&data);
        }

        #[test]
        fn almost_queries(text in "((filter|sort|limit|offset|names|continuation_token|total_only|total_item_count)=|name|number|flag|list|unset|-|&|%27|'|\\*|=|!=|%3C|\\(|\\)|,|not |and | or |contains|tags|true|[0-9]{1,3}){0,25}") {
            super::query(text.as_bytes());
        }

        #[test]
        fn almost_configurations(text in r#"([{}\[\],:]|"arrays":\[|\{"name":"a"|"seed":1|"port":0|"faults":\{|"reset_before":0\.5|"busy":2|"action":|"late"|\{"fail":|"status":400|"times":1|-1|null){0,25}"#) {
            super::config(text.as_bytes());
        }
    }
}
