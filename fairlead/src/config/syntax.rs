//! JSON text to a syntax tree with positions, going on after the slips that people make.
//!
//! A missing or a trailing comma is reported and parsing goes on, so that one run shows them all
//! and what else is wrong; any other syntax error ends it. The file is plain JSON: no comments.

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::reader::Findings;

const COMMA_MISSING: &str = "a comma is missing here";
const COMMA_TRAILING: &str = "a comma too many: nothing follows it";

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The tree, or `None` after an error that leaves none. Every error is in `findings`.
pub(super) fn parse<'t>(text: &'t str, findings: &mut Findings<'_>) -> Option<Value<'t>> {
    let lenient = ParseOptions {
        allow_missing_commas: true,
        allow_trailing_commas: true,
        ..strict()
    };
    match parse_to_ast(text, &CollectOptions::default(), &lenient) {
        Ok(result) => {
            if result.value.is_none() {
                let message = "the file is empty";
                findings.error(Range::new(0, 0), "", message, "write a JSON object: { … }");
            }
            if let Some(value) = &result.value {
                commas(value, text, findings);
            }
            result.value
        }
        Err(error) => {
            let advice = advice(error.kind());
            findings.error(error.range(), "", words(error.kind()), advice);
            None
        }
    }
}

/// Finds every missing and every trailing comma below a value.
fn commas(value: &Value<'_>, text: &str, findings: &mut Findings<'_>) {
    let (outer, children): (Range, Vec<Range>) = match value {
        Value::Object(object) => {
            for property in &object.properties {
                commas(&property.value, text, findings);
            }
            let ranges = object.properties.iter().map(Ranged::range).collect();
            (object.range, ranges)
        }
        Value::Array(array) => {
            for element in &array.elements {
                commas(element, text, findings);
            }
            (
                array.range,
                array.elements.iter().map(Ranged::range).collect(),
            )
        }
        Value::StringLit(_)
        | Value::NumberLit(_)
        | Value::BooleanLit(_)
        | Value::NullKeyword(_) => {
            return;
        }
    };
    for pair in children.windows(2) {
        let [before, after] = pair else { continue };
        // Comments are refused by the parser, so only white space and commas stand in between.
        if !between(text, before.end, after.start).contains(',') {
            let at = Range::new(before.end, before.end);
            findings.error(at, "", COMMA_MISSING, "put a `,` after this value");
        }
    }
    if let Some(last) = children.last() {
        let rest = between(text, last.end, outer.end);
        if let Some(offset) = rest.find(',') {
            let at = Range::new(last.end + offset, last.end + offset + 1);
            findings.error(at, "", COMMA_TRAILING, "delete this comma");
        }
    }
}

fn between(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

fn words(kind: &ParseErrorKind) -> String {
    let text = kind.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    format!(
        "not JSON: {}{}",
        first.unwrap_or_default(),
        letters.as_str()
    )
}

const fn advice(kind: &ParseErrorKind) -> &'static str {
    match kind {
        ParseErrorKind::CommentsNotAllowed => "delete the comment: JSON has none",
        ParseErrorKind::SingleQuotedStringsNotAllowed
        | ParseErrorKind::ExpectedStringObjectProperty
        | ParseErrorKind::UnexpectedWord => "write names and text in double quotes",
        ParseErrorKind::UnterminatedArray => "close the list that begins here with `]`",
        ParseErrorKind::UnterminatedObject => "close the object that begins here with `}`",
        ParseErrorKind::ExpectedColonAfterObjectKey => "write `\"key\": value`",
        ParseErrorKind::ExpectedObjectValue => "give the key a value",
        ParseErrorKind::MultipleRootJsonValues => {
            "delete what follows the first object, or check its closing brackets"
        }
        ParseErrorKind::UnexpectedComma => "delete the comma, or write the value before it",
        _ => "correct the text at this place",
    }
}
