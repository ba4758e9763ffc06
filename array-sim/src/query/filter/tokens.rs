//! The words of a filter.

use super::{Literal, Operator, QueryError, invalid};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    Literal(Literal),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

/// Splits a filter into its words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            _ if c.is_whitespace() => {
                chars.next();
            }
            '(' | ')' | ',' => {
                chars.next();
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
            }
            '=' | '!' | '<' | '>' => {
                chars.next();
                let with_equal = chars.next_if_eq(&'=').is_some();
                tokens.push(Token::Operator(match (c, with_equal) {
                    ('=', _) => Operator::Equal,
                    ('!', true) => Operator::NotEqual,
                    ('<', false) => Operator::Less,
                    ('<', true) => Operator::LessOrEqual,
                    ('>', false) => Operator::Greater,
                    ('>', true) => Operator::GreaterOrEqual,
                    _ => return Err(invalid("! is not an operator")),
                }));
            }
            '\'' | '"' => {
                chars.next();
                tokens.push(Token::Literal(Literal::Text(quoted(&mut chars, c)?)));
            }
            _ if c.is_ascii_digit() || c == '-' || c == '+' => {
                let number = run(&mut chars, |c| {
                    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')
                });
                let number: f64 = number
                    .parse()
                    .map_err(|_cause| invalid(&format!("{number} is not a number")))?;
                tokens.push(Token::Literal(Literal::Number(number)));
            }
            _ if c.is_alphabetic() || c == '_' => {
                let word = run(&mut chars, |c| {
                    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
                });
                tokens.push(Token::Word(word));
            }
            _ => return Err(invalid(&format!("unexpected character {c:?}"))),
        }
    }
    Ok(tokens)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn run(chars: &mut Chars<'_>, belongs: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| belongs(*c)) {
        text.push(c);
    }
    text
}

/// The rest of a text in quotes. A backslash takes the next character as it is.
fn quoted(chars: &mut Chars<'_>, quote: char) -> Result<String, QueryError> {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            _ if c == quote => return Ok(text),
            _ => text.push(c),
        }
    }
    Err(invalid("a text does not end"))
}
