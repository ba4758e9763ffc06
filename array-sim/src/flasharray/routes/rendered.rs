//! Listings of objects that are rendered from the start: those of which there are few, or that are
//! looked at one by one.

use serde_json::{Map, Value, json};

use crate::flasharray::state::{ErrorItem, Refusal};
use crate::flasharray::{Reply, Request};
use crate::query::{self, Field, Listing, Row, from_json};

/// One object, and what can be summed of it.
struct Rendered {
    place: String,
    value: Value,
    sums: &'static [&'static str],
}

impl Row for Rendered {
    // Given to the parser by each call, since it differs.
    const PROPERTIES: &'static [&'static str] = &[];

    fn field(&self, path: &str) -> Field<'_> {
        from_json(&self.value, path)
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    fn render(&self) -> Value {
        self.value.clone()
    }

    fn total(rows: &[&Self]) -> Option<Value> {
        let mut total = json!({});
        for path in rows.first().map_or(&[][..], |row| row.sums) {
            let sum: u64 = rows
                .iter()
                .filter_map(|row| row.value.pointer(&pointer(path))?.as_u64())
                .sum();
            put(&mut total, path, json!(sum));
        }
        Some(total)
    }
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn put(value: &mut Value, path: &str, number: Value) {
    let Some(map) = value.as_object_mut() else {
        return;
    };
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), number);
        }
        Some((first, rest)) => {
            let inner = map
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            put(inner, rest, number);
        }
    }
}

/// What the lines of a listing have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// What filters and sorting may use.
    pub(super) properties: &'static [&'static str],
    /// What `total` sums up; empty where the vendor's document has no `total`.
    pub(super) sums: &'static [&'static str],
}

/// The answer to a GET over lines, each with its place in the listing.
pub(super) fn list(
    request: &Request,
    shape: Shape,
    lines: impl IntoIterator<Item = (String, Value)>,
) -> Result<Reply, Refusal> {
    let listing = Listing::parse(&request.params, shape.properties)?;
    let rows = lines.into_iter().map(|(place, value)| Rendered {
        place,
        value,
        sums: shape.sums,
    });
    Ok(Reply::Json(query::list(&listing, rows.collect())))
}

/// As [`list`], for objects that never change places and are chosen by `names`.
pub(super) fn answer(
    request: &Request,
    properties: &'static [&'static str],
    mut values: Vec<Value>,
) -> Result<Reply, Refusal> {
    if let Some(names) = request.params.list("names")? {
        let named = |name: &str, value: &Value| {
            let known = value.get("name").and_then(Value::as_str);
            known.is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        let missing: Vec<ErrorItem> = names
            .iter()
            .filter(|name| !values.iter().any(|value| named(name, value)))
            .flat_map(|name| Refusal::new("Object does not exist.", Some(name)).errors)
            .collect();
        if !missing.is_empty() {
            return Err(Refusal {
                status: 400,
                errors: missing,
            });
        }
        values.retain(|value| names.iter().any(|name| named(name, value)));
    }
    let shape = Shape {
        properties,
        sums: &[],
    };
    let places = (0_u32..).map(|at| format!("{at:05}"));
    list(request, shape, places.zip(values))
}
