//! A line of `/volumes/tags` and `/volume-snapshots/tags`.

use serde_json::{Value, json};

use super::place;
use crate::flasharray::state::Tag;
use crate::query::{Field, Row};

#[derive(Debug)]
pub(crate) struct TagRow<'a> {
    /// Of the tagged object.
    pub(crate) sequence: u64,
    pub(crate) id: &'a str,
    pub(crate) name: String,
    pub(crate) tag: &'a Tag,
}

impl Row for TagRow<'_> {
    const PROPERTIES: &'static [&'static str] = &[
        "key",
        "value",
        "namespace",
        "copyable",
        "resource.id",
        "resource.name",
    ];

    fn field(&self, path: &str) -> Field<'_> {
        match path {
            "key" => Field::text(&self.tag.key),
            "value" => Field::text(&self.tag.value),
            "namespace" => Field::text(&self.tag.namespace),
            "copyable" => Field::Bool(self.tag.copyable),
            "resource.id" => Field::text(self.id),
            "resource.name" => Field::text(&self.name),
            _ => Field::Null,
        }
    }

    fn place(&self) -> String {
        place(
            self.sequence,
            &format!("{}\0{}", self.tag.namespace, self.tag.key),
        )
    }

    fn render(&self) -> Value {
        json!({
            "copyable": self.tag.copyable,
            "key": self.tag.key,
            "namespace": self.tag.namespace,
            "resource": { "id": self.id, "name": self.name },
            "value": self.tag.value,
        })
    }
}
