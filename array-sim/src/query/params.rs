//! Query parameters as they come: percent-decoded, each at most once.

use super::QueryError;

/// Longer queries are refused; clients send hundreds of names at most.
const MAX_QUERY: usize = 256 * 1024;

/// Decoded parameters in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(raw: &str) -> Result<Self, QueryError> {
        if raw.len() > MAX_QUERY {
            return Err(QueryError("Query is too long.".to_owned()));
        }
        let mut params: Vec<(String, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let Some((name, value)) = decoded else {
                return Err(QueryError("Query is not valid UTF-8.".to_owned()));
            };
            if params.iter().any(|(known, _)| *known == name) {
                return Err(QueryError(format!(
                    "Query parameter {name} is given more than once."
                )));
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Takes elements out of all lists of names and ids, ignoring case. `None`: none was there;
    /// otherwise whether each of these lists has something left.
    pub(crate) fn without(&mut self, elements: &[&str]) -> Option<bool> {
        let mut found = false;
        let mut left = true;
        for (name, value) in &mut self.0 {
            if !name.ends_with("names") && !name.ends_with("ids") {
                continue;
            }
            let gone = |part: &&str| {
                let is = |element: &&str| element.eq_ignore_ascii_case(part.trim());
                elements.iter().any(is)
            };
            if value.split(',').any(|part| gone(&part)) {
                found = true;
                let kept: Vec<&str> = value.split(',').filter(|part| !gone(part)).collect();
                left &= !kept.is_empty();
                *value = kept.join(",");
            }
        }
        found.then_some(left)
    }

    /// A comma-separated list without empty elements.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<String>>, QueryError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let list: Vec<String> = value
            .split(',')
            .map(|part| part.trim().to_owned())
            .collect();
        if list.iter().any(String::is_empty) {
            return Err(QueryError::parameter(name));
        }
        Ok(Some(list))
    }

    /// `true` or `false` in any case: some vendor clients send `True`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, QueryError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(QueryError::parameter(name)),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, QueryError> {
        self.get(name)
            .map(|value| value.parse().map_err(|_cause| QueryError::parameter(name)))
            .transpose()
    }

    /// A number that is the same for the same listing, whatever the page: continuation tokens are
    /// good for the query that they came from.
    pub(crate) fn listing_key(&self) -> u64 {
        let paging = [
            "continuation_token",
            "limit",
            "offset",
            "total_item_count",
            "total_only",
        ];
        let mut pairs: Vec<_> = self
            .0
            .iter()
            .filter(|(name, _)| !paging.contains(&name.as_str()))
            .collect();
        pairs.sort();
        // FNV-1a: stable between runs, which the standard library's hasher does not promise.
        pairs
            .into_iter()
            .flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"&"])
            .flatten()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            })
    }
}

/// Percent-decoding with `+` as a space. `None` if the result is not UTF-8. A `%` without two
/// hexadecimal digits stands for itself.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = ahead.next().and_then(hex).zip(ahead.next().and_then(hex));
                if let Some((high, low)) = digits {
                    decoded.push(high << 4 | low);
                    bytes = ahead;
                } else {
                    decoded.push(b'%');
                }
            }
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_flags_and_numbers() {
        let params = Params::parse("names=a,pod%3A%3Ab%2Cc&destroyed=True&limit=7&x=1+2").unwrap();
        assert_eq!(params.list("names").unwrap().unwrap(), ["a", "pod::b", "c"]);
        assert_eq!(params.flag("destroyed"), Ok(Some(true)));
        assert_eq!(params.number("limit"), Ok(Some(7)));
        assert_eq!(params.get("x"), Some("1 2"));
        assert!(Params::parse("a=1&a=2").is_err());
        assert!(Params::parse("names=a,,b").unwrap().list("names").is_err());
        assert!(Params::parse("limit=-1").unwrap().number("limit").is_err());
    }

    #[test]
    fn elements_are_taken_out_of_names_and_ids() {
        let mut params = Params::parse("names=a,B&source_ids=b&filter=b").unwrap();
        assert_eq!(params.without(&["x"]), None);
        assert_eq!(params.without(&["b"]), Some(false));
        assert_eq!(params.get("names"), Some("a"));
        assert_eq!(params.get("filter"), Some("b"));
        let mut params = Params::parse("names=a,b").unwrap();
        assert_eq!(params.without(&["A"]), Some(true));
    }

    #[test]
    fn the_key_of_a_listing_does_not_depend_on_the_page() {
        let key = |raw: &str| Params::parse(raw).unwrap().listing_key();
        assert_eq!(
            key("filter=x&limit=3"),
            key("limit=9&filter=x&continuation_token=t")
        );
        assert_ne!(key("filter=x"), key("filter=y"));
    }

    proptest! {
        #[test]
        fn nothing_panics(raw in ".{0,200}") {
            if let Ok(params) = Params::parse(&raw) {
                for name in params.names() {
                    let _list = params.list(name);
                    let _flag = params.flag(name);
                }
            }
        }
    }
}
