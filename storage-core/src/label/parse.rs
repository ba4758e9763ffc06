//! The reader of label selectors: text in, requirements or the position of the mistake out.
//!
//! It is not a validator of labels: those come from configuration.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::{Requirement, Test};
use crate::error::{Error, ErrorKind, Result};

/// Longest selector in bytes: bounds the work and what a log line can grow to.
const TEXT_MAX: usize = 4096;

/// Kubernetes, "Labels and Selectors": a key's prefix is a DNS subdomain of at most 253
/// characters, its name at most 63.
const KEY_PREFIX_MAX: usize = 253;
const KEY_NAME_MAX: usize = 63;

/// Reads a whole selector.
pub(super) fn selector(text: &str) -> Result<Vec<Requirement>> {
    if text.len() > TEXT_MAX {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("a label selector has at most {TEXT_MAX} bytes"),
        ));
    }
    let mut scanner = Scanner::new(text);
    let mut requirements = Vec::new();
    if scanner.peek().is_none() {
        return Ok(requirements);
    }
    loop {
        requirements.push(requirement(&mut scanner)?);
        match scanner.peek() {
            None => return Ok(requirements),
            Some(',') => scanner.skip(),
            Some(other) => {
                return Err(scanner.mistake(&format!(
                    "a comma or the end is expected, not `{}`",
                    other.escape_debug()
                )));
            }
        }
    }
}

fn requirement(scanner: &mut Scanner<'_>) -> Result<Requirement> {
    if scanner.peek() == Some('!') {
        scanner.skip();
        let key = key(scanner)?;
        let test = Test::Absent;
        return Ok(Requirement { key, test });
    }
    let key = key(scanner)?;
    let test = match scanner.peek() {
        None | Some(',') => Test::Present,
        Some('=') => {
            scanner.skip();
            // `==` is one token: `k= =v` is a mistake, as it is in Kubernetes.
            scanner.skip_if_next('=');
            Test::Equals(scanner.word())
        }
        Some('!') => {
            scanner.skip();
            if !scanner.skip_if_next('=') {
                return Err(scanner.mistake("`=` is expected after `!`"));
            }
            Test::Differs(scanner.word())
        }
        Some(_) => {
            let start = scanner.position;
            match scanner.word().as_str() {
                "in" => Test::In(values(scanner)?),
                "notin" => Test::NotIn(values(scanner)?),
                _ => {
                    return Err(mistake_at(
                        start,
                        "one of `=`, `==`, `!=`, `in (...)`, `notin (...)` is expected after a key",
                    ));
                }
            }
        }
    };
    Ok(Requirement { key, test })
}

fn values(scanner: &mut Scanner<'_>) -> Result<BTreeSet<String>> {
    if scanner.peek() != Some('(') {
        return Err(scanner.mistake("`(` is expected: values are listed as `(a,b)`"));
    }
    let mut values = BTreeSet::new();
    loop {
        // The opening parenthesis first, a comma later.
        scanner.skip();
        scanner.peek();
        let start = scanner.position;
        let value = scanner.word();
        if value.is_empty() {
            return Err(mistake_at(start, "a value is expected"));
        }
        values.insert(value);
        match scanner.peek() {
            Some(',') => {}
            Some(')') => {
                scanner.skip();
                return Ok(values);
            }
            _ => return Err(scanner.mistake("`,` or `)` is expected in a list of values")),
        }
    }
}

fn key(scanner: &mut Scanner<'_>) -> Result<String> {
    scanner.peek();
    let start = scanner.position;
    let key = scanner.word();
    check_key(&key).map_err(|problem| mistake_at(start, problem))?;
    Ok(key)
}

fn check_key(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("a key is expected");
    }
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        let parts_fit = prefix
            .split('.')
            .all(|part| begins_and_ends_well(part) && part.chars().all(|c| is_plain(c, "-")));
        if prefix.len() > KEY_PREFIX_MAX || !parts_fit {
            return Err("a key's prefix is a domain name of at most 253 characters");
        }
    }
    if name.len() > KEY_NAME_MAX
        || !begins_and_ends_well(name)
        || !name.chars().all(|c| is_plain(c, "-_."))
    {
        return Err(
            "a key is `name` or `prefix/name`, the name being 1 to 63 letters, digits, `-`, `_` \
             and `.`, a letter or digit first and last",
        );
    }
    Ok(())
}

fn is_plain(c: char, others: &str) -> bool {
    c.is_ascii_alphanumeric() || others.contains(c)
}

fn begins_and_ends_well(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn mistake_at(position: usize, problem: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("label selector, character {position}: {problem}"),
    )
}

/// Characters with a position counted from 1.
struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    position: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            chars: text.chars().peekable(),
            position: 1,
        }
    }

    /// The next character that is not a blank, not consumed.
    fn peek(&mut self) -> Option<char> {
        while self.chars.peek().is_some_and(char::is_ascii_whitespace) {
            self.skip();
        }
        self.chars.peek().copied()
    }

    fn skip(&mut self) {
        if self.chars.next().is_some() {
            self.position += 1;
        }
    }

    /// Consumes the character if it stands right here, without a blank before it.
    fn skip_if_next(&mut self, wanted: char) -> bool {
        let found = self.chars.next_if_eq(&wanted).is_some();
        self.position += usize::from(found);
        found
    }

    /// A run of characters that are neither blanks nor the grammar's own; empty if there is none.
    fn word(&mut self) -> String {
        self.peek();
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| is_word(*c)) {
            self.position += 1;
            word.push(c);
        }
        word
    }

    fn mistake(&self, problem: &str) -> Error {
        mistake_at(self.position, problem)
    }
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '(' | ')' | '=' | '!')
}
