//! The `filter` parameter: a small language over the properties of listed objects.
//!
//! ```text
//! or      = and { "or" and }
//! and     = not { "and" not }
//! not     = "not" not | "(" or ")" | test
//! test    = "contains" "(" property "," text ")"
//!         | "tags" "(" text "," text ")"
//!         | property [ ("=" | "!=" | "<" | ">" | "<=" | ">=") (value | "(" value { "," value } ")") ]
//! value   = text | number | "true" | "false"
//! ```
//!
//! `and` binds tighter than `or`; a property by itself is true when it is set and not false; a `*`
//! in a text stands for any characters; a list in parentheses means "any of these"; `=` on a
//! property that is a list tests membership. All of that is what public clients rely on. Assumed:
//! texts compare without regard to case (names on the array do), a pattern must match the whole
//! text, an unknown property is an error.

mod tokens;

use tokens::{Token, tokens};

use super::value::compare_text;
use super::{Field, QueryError, Row};

/// Longer filters are refused.
const MAX_LENGTH: usize = 128 * 1024;
/// Deeper ones too: the parser is recursive.
const MAX_DEPTH: usize = 64;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Expression);

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Set(String),
    Compare(String, Operator, Vec<Literal>),
    Contains(String, String),
    Tag(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    Bool(bool),
}

impl Filter {
    /// Parses a filter over objects that have these properties.
    pub(crate) fn parse(text: &str, properties: &[&str]) -> Result<Self, QueryError> {
        if text.len() > MAX_LENGTH {
            return Err(invalid("it is too long"));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens: &tokens,
            properties,
            depth: 0,
        };
        let expression = parser.or()?;
        if parser.tokens.is_empty() {
            Ok(Self(expression))
        } else {
            Err(invalid("unexpected text after the expression"))
        }
    }

    pub(crate) fn matches<R: Row>(&self, row: &R) -> bool {
        matches(&self.0, row)
    }

    /// Names such that nothing else can match, if the filter says so. Patterns do not count.
    pub(crate) fn only_names(&self) -> Option<Vec<String>> {
        only_names(&self.0)
    }
}

fn only_names(expression: &Expression) -> Option<Vec<String>> {
    match expression {
        Expression::Compare(property, Operator::Equal, values) if property == "name" => values
            .iter()
            .map(|value| match value {
                Literal::Text(text) if !text.contains('*') => Some(text.clone()),
                _ => None,
            })
            .collect(),
        Expression::And(parts) => parts.iter().find_map(only_names),
        Expression::Or(parts) => {
            let names: Option<Vec<_>> = parts.iter().map(only_names).collect();
            Some(names?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

fn matches<R: Row>(expression: &Expression, row: &R) -> bool {
    match expression {
        Expression::Or(parts) => parts.iter().any(|part| matches(part, row)),
        Expression::And(parts) => parts.iter().all(|part| matches(part, row)),
        Expression::Not(part) => !matches(part, row),
        Expression::Set(path) => match row.field(path) {
            Field::Null => false,
            Field::Bool(flag) => flag,
            Field::List(list) => !list.is_empty(),
            Field::Number(_) | Field::Text(_) => true,
        },
        Expression::Compare(path, Operator::NotEqual, values) => {
            let field = row.field(path);
            !values.iter().any(|value| equal(&field, value))
        }
        Expression::Compare(path, operator, values) => {
            let field = row.field(path);
            values.iter().any(|value| holds(&field, *operator, value))
        }
        Expression::Contains(path, part) => {
            let part = part.to_ascii_lowercase();
            match row.field(path) {
                Field::Text(text) => text.to_ascii_lowercase().contains(&part),
                Field::List(list) => list
                    .iter()
                    .any(|text| text.to_ascii_lowercase().contains(&part)),
                Field::Null | Field::Bool(_) | Field::Number(_) => false,
            }
        }
        Expression::Tag(key, value) => row.has_tag(key, value),
    }
}

fn holds(field: &Field<'_>, operator: Operator, value: &Literal) -> bool {
    use std::cmp::Ordering;
    let order = match (operator, field) {
        (Operator::Equal, _) => return equal(field, value),
        (_, Field::Number(number)) => as_number(value).map(|other| number.total_cmp(&other)),
        (_, Field::Text(text)) => match value {
            Literal::Text(other) => Some(compare_text(text, other)),
            Literal::Number(_) | Literal::Bool(_) => None,
        },
        (_, Field::Null | Field::Bool(_) | Field::List(_)) => None,
    };
    order.is_some_and(|order| match operator {
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
        Operator::Equal | Operator::NotEqual => false,
    })
}

/// Numbers and booleans may be quoted: clients do both.
fn equal(field: &Field<'_>, value: &Literal) -> bool {
    match field {
        Field::Null => false,
        Field::Bool(flag) => match value {
            Literal::Bool(other) => flag == other,
            Literal::Text(text) => text.eq_ignore_ascii_case(if *flag { "true" } else { "false" }),
            Literal::Number(_) => false,
        },
        Field::Number(number) => {
            as_number(value).is_some_and(|other| number.total_cmp(&other).is_eq())
        }
        Field::Text(text) => text_equal(text, value),
        Field::List(list) => list.iter().any(|text| text_equal(text, value)),
    }
}

fn text_equal(text: &str, value: &Literal) -> bool {
    match value {
        Literal::Text(pattern) => glob(pattern, text),
        Literal::Number(number) => text.parse::<f64>().is_ok_and(|text| text == *number),
        Literal::Bool(_) => false,
    }
}

fn as_number(value: &Literal) -> Option<f64> {
    match value {
        Literal::Number(number) => Some(*number),
        Literal::Text(text) => text.parse().ok(),
        Literal::Bool(_) => None,
    }
}

/// Whether the whole text matches a pattern in which `*` stands for any characters. Linear: each
/// piece between stars is taken at its first place.
fn glob(pattern: &str, text: &str) -> bool {
    if !pattern.contains('*') {
        return pattern.eq_ignore_ascii_case(text);
    }
    let pattern = pattern.to_ascii_lowercase();
    let text = text.to_ascii_lowercase();
    let (first, rest) = pattern.split_once('*').unwrap_or((&pattern, ""));
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

struct Parser<'a> {
    tokens: &'a [Token],
    properties: &'a [&'a str],
    depth: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Consumes a keyword, which any case may write.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.tokens.first(),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.next();
        }
        found
    }

    fn consume(&mut self, token: &Token) -> Result<(), QueryError> {
        if self.next() == Some(token) {
            Ok(())
        } else {
            Err(invalid("a parenthesis or comma is missing"))
        }
    }

    fn or(&mut self) -> Result<Expression, QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(invalid("it is nested too deeply"));
        }
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        self.depth -= 1;
        Ok(join(parts, Expression::Or))
    }

    fn and(&mut self) -> Result<Expression, QueryError> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(join(parts, Expression::And))
    }

    fn not(&mut self) -> Result<Expression, QueryError> {
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let expression = if self.tokens.first() == Some(&Token::Open) {
            self.next();
            let inner = self.or()?;
            self.consume(&Token::Close)?;
            inner
        } else {
            self.test()?
        };
        Ok(if negated {
            Expression::Not(Box::new(expression))
        } else {
            expression
        })
    }

    fn test(&mut self) -> Result<Expression, QueryError> {
        let Some(Token::Word(word)) = self.next() else {
            return Err(invalid("a property is missing"));
        };
        if self.tokens.first() == Some(&Token::Open) {
            return self.function(word);
        }
        let property = self.property(word)?;
        let Some(Token::Operator(operator)) = self.tokens.first() else {
            return Ok(Expression::Set(property));
        };
        self.next();
        let mut values = Vec::new();
        if self.tokens.first() == Some(&Token::Open) {
            self.next();
            loop {
                values.push(self.literal()?);
                match self.next() {
                    Some(Token::Comma) => {}
                    Some(Token::Close) => break,
                    _ => return Err(invalid("a list of values does not end")),
                }
            }
        } else {
            values.push(self.literal()?);
        }
        Ok(Expression::Compare(property, *operator, values))
    }

    fn function(&mut self, name: &str) -> Result<Expression, QueryError> {
        self.consume(&Token::Open)?;
        let expression = if name.eq_ignore_ascii_case("contains") {
            let Some(Token::Word(word)) = self.next() else {
                return Err(invalid("contains() begins with a property"));
            };
            let property = self.property(word)?;
            self.consume(&Token::Comma)?;
            Expression::Contains(property, self.text()?)
        } else if name.eq_ignore_ascii_case("tags") {
            let key = self.text()?;
            self.consume(&Token::Comma)?;
            Expression::Tag(key, self.text()?)
        } else {
            return Err(invalid(&format!("{name}() is not a function")));
        };
        self.consume(&Token::Close)?;
        Ok(expression)
    }

    fn property(&self, word: &str) -> Result<String, QueryError> {
        if self.properties.contains(&word) {
            Ok(word.to_owned())
        } else {
            Err(invalid(&format!("{word} is not a property")))
        }
    }

    fn literal(&mut self) -> Result<Literal, QueryError> {
        match self.next() {
            Some(Token::Literal(literal)) => Ok(literal.clone()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Ok(Literal::Bool(true)),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => {
                Ok(Literal::Bool(false))
            }
            _ => Err(invalid("a value is missing")),
        }
    }

    fn text(&mut self) -> Result<String, QueryError> {
        match self.next() {
            Some(Token::Literal(Literal::Text(text))) => Ok(text.clone()),
            _ => Err(invalid("a text in quotes is missing")),
        }
    }
}

fn join(mut parts: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            several(parts)
        }
        None => several(parts),
    }
}

/// The text is assumed: how the array words it is not public.
fn invalid(why: &str) -> QueryError {
    QueryError(format!("Invalid filter: {why}."))
}

#[cfg(test)]
mod tests;
