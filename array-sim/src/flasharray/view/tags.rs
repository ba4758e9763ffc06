//! A line of `/volumes/tags`.

use serde_json::{Value, json};

use super::place;
use crate::flasharray::state::{Tag, Volume};
use crate::query::{Field, Row};

#[derive(Debug)]
pub(crate) struct TagRow<'a> {
    pub(crate) volume: &'a Volume,
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
            "resource.id" => Field::text(&self.volume.id),
            "resource.name" => Field::text(&self.volume.name),
            _ => Field::Null,
        }
    }

    fn place(&self) -> String {
        place(
            self.volume.sequence,
            &format!("{}\0{}", self.tag.namespace, self.tag.key),
        )
    }

    fn render(&self) -> Value {
        json!({
            "copyable": self.tag.copyable,
            "key": self.tag.key,
            "namespace": self.tag.namespace,
            "resource": { "id": self.volume.id, "name": self.volume.name },
            "value": self.tag.value,
        })
    }
}
