//! One property of a listed object, as filters and sorting see it.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

/// A property's value. Objects are asked for by path, so none of these is an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field<'a> {
    /// Not set, or an object or list of objects.
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Cow<'a, str>>),
}

impl<'a> Field<'a> {
    pub(crate) const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// Sizes and times: exact up to 2^53, which is more than the largest volume.
    #[expect(
        clippy::cast_precision_loss,
        reason = "sizes go up to 2^52 and times in milliseconds up to 2^41"
    )]
    pub(crate) const fn number(number: u64) -> Self {
        Self::Number(number as f64)
    }

    /// The order of `sort`: values that are not set come first, texts ignore case.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => compare_text(a, b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::List(_) => 4,
        }
    }
}

pub(crate) fn compare_text(a: &str, b: &str) -> Ordering {
    let fold = |c: char| c.to_ascii_lowercase();
    a.chars().map(fold).cmp(b.chars().map(fold))
}

/// The value at a dotted path of a rendered object.
pub(crate) fn from_json(value: &Value, path: &str) -> Field<'static> {
    let mut at = value;
    for part in path.split('.') {
        match at.get(part) {
            Some(next) => at = next,
            None => return Field::Null,
        }
    }
    match at {
        Value::Null | Value::Object(_) => Field::Null,
        Value::Bool(flag) => Field::Bool(*flag),
        Value::Number(number) => Field::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => Field::Text(Cow::Owned(text.clone())),
        Value::Array(items) => Field::List(
            items
                .iter()
                .filter_map(Value::as_str)
                .map(|text| Cow::Owned(text.to_owned()))
                .collect(),
        ),
    }
}
