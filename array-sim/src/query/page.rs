//! Filter, sort and pages over the rows of a listing, and the envelope around them.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{Field, Filter, Params, QueryError, base64};

/// The array's largest page, and its page when no limit is given.
const MAX_PAGE: usize = 1000;

/// One object of a listing.
pub(crate) trait Row {
    /// The paths that filters and sorting may use.
    const PROPERTIES: &'static [&'static str];

    /// The value at one of [`Row::PROPERTIES`].
    fn field(&self, path: &str) -> Field<'_>;

    /// Whether the object has this tag. Only volumes have tags.
    fn has_tag(&self, _key: &str, _value: &str) -> bool {
        false
    }

    /// The place in the listing, for ever: continuation goes by it. Rows come in its order.
    fn place(&self) -> String;

    /// The object as the answer shows it.
    fn render(&self) -> Value;

    /// The sum of the properties that can be summed, for `total`. `None` where the vendor's
    /// document has no `total`.
    fn total(_rows: &[&Self]) -> Option<Value>
    where
        Self: Sized,
    {
        None
    }
}

/// The parameters that every listing understands.
#[derive(Debug)]
pub(crate) struct Listing {
    filter: Option<Filter>,
    sort: Vec<(String, bool)>,
    limit: Option<usize>,
    offset: usize,
    after: Option<String>,
    count: bool,
    total_only: bool,
    key: u64,
}

impl Listing {
    pub(crate) fn parse(params: &Params, properties: &[&str]) -> Result<Self, QueryError> {
        let filter = params
            .get("filter")
            .map(|text| Filter::parse(text, properties))
            .transpose()?;
        let mut sort = Vec::new();
        for name in params.list("sort")?.unwrap_or_default() {
            let (path, descending) = match name.strip_suffix('-') {
                Some(path) => (path.to_owned(), true),
                None => (name, false),
            };
            if !properties.contains(&path.as_str()) {
                return Err(QueryError::parameter("sort"));
            }
            sort.push((path, descending));
        }
        let key = params.listing_key();
        let after = params
            .get("continuation_token")
            .map(|token| read_token(token, key))
            .transpose()?;
        if after.is_some() && !sort.is_empty() {
            return Err(QueryError::parameter("continuation_token"));
        }
        Ok(Self {
            filter,
            sort,
            limit: params.number("limit")?,
            offset: params.number("offset")?.unwrap_or(0),
            after,
            count: params.flag("total_item_count")?.unwrap_or(false),
            total_only: params.flag("total_only")?.unwrap_or(false),
            key,
        })
    }

    /// The names that the filter leaves possible, if it names any: nothing else can match.
    pub(crate) fn only_names(&self) -> Option<Vec<String>> {
        self.filter.as_ref().and_then(Filter::only_names)
    }
}

/// The answer to a GET: `items` and what goes with them.
pub(crate) fn list<R: Row>(listing: &Listing, rows: Vec<R>) -> Value {
    let mut rows: Vec<R> = match &listing.filter {
        Some(filter) => rows.into_iter().filter(|row| filter.matches(row)).collect(),
        None => rows,
    };
    let count = rows.len();
    if !listing.sort.is_empty() {
        rows.sort_by(|a, b| compare(&listing.sort, a, b));
    }
    if let Some(after) = &listing.after {
        rows.retain(|row| row.place() > *after);
    }
    let asked = listing.limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let rest: Vec<&R> = rows.iter().skip(listing.offset).collect();
    let page = rest.get(..asked.min(rest.len())).unwrap_or_default();
    let more = asked > 0 && rest.len() > page.len();
    // The token is only given without sort; a sorted listing goes on by offset.
    let token = match page.last() {
        Some(last) if more && listing.sort.is_empty() => {
            Value::from(write_token(&last.place(), listing.key))
        }
        _ => Value::Null,
    };
    let counted = listing.count || listing.limit == Some(0);
    let mut answer = Map::new();
    if listing.total_only {
        answer.insert("continuation_token".to_owned(), Value::Null);
        answer.insert("more_items_remaining".to_owned(), Value::Bool(false));
        answer.insert("items".to_owned(), json!([]));
        let total: Vec<Value> = R::total(&rows.iter().collect::<Vec<_>>())
            .into_iter()
            .collect();
        answer.insert("total".to_owned(), Value::Array(total));
    } else {
        answer.insert("continuation_token".to_owned(), token);
        answer.insert("more_items_remaining".to_owned(), Value::Bool(more));
        let items = page.iter().map(|row| row.render()).collect();
        answer.insert("items".to_owned(), Value::Array(items));
    }
    let count = if counted { Some(count) } else { None };
    answer.insert("total_item_count".to_owned(), json!(count));
    Value::Object(answer)
}

fn compare<R: Row>(sort: &[(String, bool)], a: &R, b: &R) -> Ordering {
    for (path, descending) in sort {
        let order = a.field(path).order(&b.field(path));
        let order = if *descending { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.place().cmp(&b.place())
}

fn write_token(place: &str, key: u64) -> String {
    base64::encode(format!("{key:016x}:{place}").as_bytes())
}

fn read_token(token: &str, key: u64) -> Result<String, QueryError> {
    let invalid = || QueryError::parameter("continuation_token");
    let bytes = base64::decode(token.trim_end_matches('=')).ok_or_else(invalid)?;
    let text = String::from_utf8(bytes).map_err(|_cause| invalid())?;
    let (of, place) = text.split_once(':').ok_or_else(invalid)?;
    if of != format!("{key:016x}") {
        return Err(invalid());
    }
    Ok(place.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy)]
    struct Number(u64);

    impl Row for Number {
        const PROPERTIES: &'static [&'static str] = &["number", "name"];

        fn field(&self, _: &str) -> Field<'_> {
            Field::number(self.0 % 7)
        }

        fn place(&self) -> String {
            format!("{:020}", self.0)
        }

        fn render(&self) -> Value {
            json!(self.0)
        }
    }

    fn page(raw: &str, rows: &[Number]) -> Value {
        let params = Params::parse(raw).unwrap();
        let listing = Listing::parse(&params, Number::PROPERTIES).unwrap();
        list(&listing, rows.to_vec())
    }

    fn numbers(page: &Value) -> Vec<u64> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item.as_u64().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn pages_join_to_the_whole(count in 0..60_u64, limit in 1..20_usize) {
            let rows: Vec<Number> = (0..count).map(Number).collect();
            let mut all = Vec::new();
            let mut query = format!("limit={limit}");
            loop {
                let page = page(&query, &rows);
                all.extend(numbers(&page));
                match page["continuation_token"].as_str() {
                    Some(token) => query = format!("limit={limit}&continuation_token={token}"),
                    None => break,
                }
            }
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn sorted_offsets_join_to_the_whole(count in 0..60_u64, limit in 1..20_usize) {
            let rows: Vec<Number> = (0..count).map(Number).collect();
            let mut all = Vec::new();
            loop {
                let page = page(&format!("sort=number-&limit={limit}&offset={}", all.len()), &rows);
                all.extend(numbers(&page));
                if page["more_items_remaining"] == false {
                    break;
                }
            }
            prop_assert!(all.is_sorted_by_key(|number| (std::cmp::Reverse(number % 7), *number)));
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn tokens_of_strangers_are_refused(token in "[A-Za-z0-9_=-]{0,40}") {
            let params = Params::parse(&format!("continuation_token={token}")).unwrap();
            prop_assert!(Listing::parse(&params, Number::PROPERTIES).is_err());
        }
    }
}
