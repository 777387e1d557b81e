//! A path's text cut into tokens.

use super::PathFault;
use crate::limits::PATH_BYTES_MAX;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name, also one in backquotes.
    Name(String),
    /// A string literal, its escapes resolved.
    Text(String),
    /// A number, as written.
    Number(String),
    /// A date or time literal, without its `@`.
    Date(String),
    /// An external constant, without its `%`.
    Constant(String),
    /// `$this`, without its `$`.
    Special(String),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// A token and the byte that it begins at.
pub(crate) type Placed = (Token, usize);

/// Longer signs stand before shorter ones that they begin with.
const SIGNS: [&str; 24] = [
    "!=", "!~", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "=", "~", "<", ">", "+", "-", "*", "/", "|", "&",
    ";", ":",
];

/// The tokens of a path, the last one being `End`.
///
/// # Errors
/// Where the text is none, and why.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, PathFault> {
    if text.len() > PATH_BYTES_MAX {
        return Err(PathFault::new(PATH_BYTES_MAX, format!("a path has at most {PATH_BYTES_MAX} bytes")));
    }
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]).ok_or_else(|| PathFault::new(at, "a comment does not end: close it with */"))?;
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            found.push((Token::End, at));
            return Ok(found);
        };
        let (token, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = word(rest);
                (Token::Name(rest[..length].to_owned()), length)
            }
            '0'..='9' => {
                let length = number(rest);
                (Token::Number(rest[..length].to_owned()), length)
            }
            '\'' => quoted(rest, '\'', at).map(|(text, length)| (Token::Text(text), length))?,
            '`' => quoted(rest, '`', at).map(|(text, length)| (Token::Name(text), length))?,
            '@' => date(rest, at)?,
            '%' => constant(rest, at)?,
            '$' => {
                let length = word(&rest[1..]);
                (Token::Special(rest[1..=length].to_owned()), length + 1)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| PathFault::new(at, format!("{first:?} means nothing here")))?;
                (Token::Sign(sign), sign.len())
            }
        };
        found.push((token, at));
        at += length;
    }
}

/// The length of white space and comments.
fn blank(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = &comment[comment.find("*/")? + 2..];
        } else if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else {
            return Some(text.len() - rest.len());
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Digits, and a fraction if a digit follows the point: `1.first()` is a call.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    if fraction == 0 { whole } else { whole + 1 + fraction }
}

/// The characters between quotes, and the length with them.
fn quoted(text: &str, quote: char, at: usize) -> Result<(String, usize), PathFault> {
    let mut content = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        if letter == quote {
            return Ok((content, place + 1));
        }
        if letter != '\\' {
            content.push(letter);
            continue;
        }
        let escape = letters.next().map(|(_, letter)| letter);
        content.push(match escape {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('f') => '\u{c}',
            Some(same @ ('\\' | '/' | '\'' | '"' | '`')) => same,
            Some('u') => {
                let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                let character = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                character
                    .filter(|_| digits.len() == 4)
                    .ok_or_else(|| PathFault::new(at + place, "\\u stands before four digits that name a character"))?
            }
            _ => return Err(PathFault::new(at + place, "a backslash stands before something that it cannot escape")),
        });
    }
    Err(PathFault::new(at, format!("a text does not end: close it with {quote}")))
}

/// A date or time literal; what it says is checked by the parser.
fn date(rest: &str, at: usize) -> Result<(Token, usize), PathFault> {
    let body = &rest[1..];
    let length = body.find(|c: char| !(c.is_ascii_digit() || "-:.+TZ".contains(c))).unwrap_or(body.len());
    // A sign or point at the end is an operator that follows.
    let literal = body[..length].trim_end_matches(['.', '-', '+', ':']);
    if !literal.starts_with(|c: char| c.is_ascii_digit() || c == 'T') {
        return Err(PathFault::new(at, "@ stands before a date or time, such as @2020-01-31 or @T12:30"));
    }
    Ok((Token::Date(literal.to_owned()), literal.len() + 1))
}

fn constant(rest: &str, at: usize) -> Result<(Token, usize), PathFault> {
    let body = &rest[1..];
    let (name, length) = match body.chars().next() {
        Some(quote @ ('\'' | '`')) => quoted(body, quote, at + 1)?,
        _ => (body[..word(body)].to_owned(), word(body)),
    };
    if name.is_empty() {
        return Err(PathFault::new(at, "% stands before the name of a constant"));
    }
    Ok((Token::Constant(name), length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn a_path_is_cut_where_tokens_end() {
        let expected = vec![
            Token::Name("name".to_owned()),
            Token::Sign("["),
            Token::Number("0".to_owned()),
            Token::Sign("]"),
            Token::Sign("."),
            Token::Name("a b".to_owned()),
            Token::Sign("!="),
            Token::Text("it's \u{e9}".to_owned()),
            Token::Sign("+"),
            Token::Number("1.5".to_owned()),
            Token::Sign("."),
            Token::Name("x".to_owned()),
            Token::Constant("c".to_owned()),
            Token::Special("this".to_owned()),
            Token::Date("2020-01-01T10:00:00.5+01:00".to_owned()),
            Token::Sign("."),
            Token::Name("y".to_owned()),
            Token::End,
        ];
        let text = "name[0] . `a b` != /* no */ 'it\\'s \\u00e9'+1.5.x %c $this @2020-01-01T10:00:00.5+01:00.y // end";
        assert_eq!(plain(text), expected);
    }

    #[test]
    fn what_is_no_token_is_named_with_its_place() {
        let cases = [
            ("a @@", 3),
            ("'x", 1),
            ("a.`b", 3),
            ("%", 1),
            ("a # b", 3),
            ("'\\q'", 2),
            ("'\\u12'", 2),
            ("/* x", 1),
            ("é", 1),
        ];
        for (text, at) in cases {
            assert_eq!(tokens(text).unwrap_err().at, at, "{text}");
        }
        assert!(tokens(&"a".repeat(PATH_BYTES_MAX)).is_ok());
        assert!(tokens(&"a".repeat(PATH_BYTES_MAX + 1)).is_err());
    }
}
