//! The UTF-8 grammar (`matcher/parse`): any name and value; those with reserved characters in double quotes.

use std::fmt::Write;

use super::Matcher;
use super::Op;
use super::ParseError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Comma,
    Operator(Op),
    Quoted,
    Unquoted,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    at: usize,
}

/// Reads matchers between commas; braces come as a pair, or not at all; a comma may end the list.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut tokens = Tokens { text, at: 0 };
    let mut matchers = Vec::new();
    let mut token = tokens.next()?;
    let braced = matches!(token, Some(Token { kind: Kind::Open, .. }));
    if braced {
        token = tokens.next()?;
    } else if token.is_none() {
        return Ok(matchers);
    }
    let close = loop {
        match token {
            None => break None,
            // only an open brace or a matcher may stand before a closing one
            Some(found) if found.kind == Kind::Close && (braced || !matchers.is_empty()) => {
                break Some(found);
            }
            Some(name) => matchers.push(matcher(name, &mut tokens)?),
        }
        match tokens.next()? {
            Some(Token { kind: Kind::Comma, .. }) => token = tokens.next()?,
            None => break None,
            Some(found) if found.kind == Kind::Close => break Some(found),
            Some(found) => return Err(unexpected(found, "a comma or a closing brace")),
        }
    };
    match (braced, close) {
        (true, None) => {
            return Err(ParseError::new(text.len(), "the brace is not closed: add `}`"));
        }
        (false, Some(found)) => {
            return Err(ParseError::new(
                found.at,
                "`}` closes nothing: begin with `{`, or quote the value",
            ));
        }
        (true, Some(_)) | (false, None) => {}
    }
    match tokens.next()? {
        Some(found) => Err(unexpected(found, "the end of the text")),
        None => Ok(matchers),
    }
}

/// Reads a matcher whose name, or what stands there instead, is `name`.
fn matcher(name: Token<'_>, tokens: &mut Tokens<'_>) -> Result<Matcher, ParseError> {
    let ended = |expected: &str| {
        ParseError::new(
            tokens.text.len(),
            format!("{expected} is missing at the end: write `name=\"value\"`"),
        )
    };
    let label = text_of(name, "a label name")?;
    let operator = tokens.next()?.ok_or_else(|| ended("an operator"))?;
    let Kind::Operator(op) = operator.kind else {
        return Err(unexpected(operator, "an operator: `=`, `!=`, `=~` or `!~`"));
    };
    let value = tokens.next()?.ok_or_else(|| ended("a value"))?;
    Matcher::at(value.at, &label, op, &text_of(value, "a value; values like this are quoted")?)
}

fn text_of(token: Token<'_>, expected: &str) -> Result<String, ParseError> {
    match token.kind {
        Kind::Unquoted => Ok(token.text.to_owned()),
        Kind::Quoted => unquote(token.text).map_err(|at| {
            ParseError::new(
                token.at + at,
                "this text in quotes is not valid: write a backslash as `\\\\`, a newline as `\\n`",
            )
        }),
        Kind::Open | Kind::Close | Kind::Comma | Kind::Operator(_) => {
            Err(unexpected(token, expected))
        }
    }
}

fn unexpected(found: Token<'_>, expected: &str) -> ParseError {
    ParseError::new(found.at, format!("unexpected `{}`: expected {expected}", found.text))
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// The next token; `None` at the end.
    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let rest =
            self.text.get(self.at..).unwrap_or_default().trim_start_matches(char::is_whitespace);
        let at = self.text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let (kind, length) = match first {
            '{' => (Kind::Open, 1),
            '}' => (Kind::Close, 1),
            ',' => (Kind::Comma, 1),
            '=' if rest.starts_with("=~") => (Kind::Operator(Op::Regex), 2),
            '=' => (Kind::Operator(Op::Equal), 1),
            '!' if rest.starts_with("!=") => (Kind::Operator(Op::NotEqual), 2),
            '!' if rest.starts_with("!~") => (Kind::Operator(Op::NotRegex), 2),
            '!' => {
                return Err(ParseError::new(at, "after `!` comes `=` or `~`: write `!=` or `!~`"));
            }
            '"' => (
                Kind::Quoted,
                quoted_length(rest)
                    .ok_or_else(|| ParseError::new(at, "the quote is not closed: add `\"`"))?,
            ),
            reserved if is_reserved(reserved) => {
                return Err(ParseError::new(
                    at,
                    format!("`{reserved}` only stands inside double quotes: quote the text"),
                ));
            }
            _ => (Kind::Unquoted, rest.find(is_reserved).unwrap_or(rest.len())),
        };
        self.at = at + length;
        Ok(Some(Token { kind, text: rest.get(..length).unwrap_or_default(), at }))
    }
}

/// Length of the quoted text that `text` begins with, quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Characters that stand for themselves only inside double quotes.
pub(super) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// `strconv.Unquote` of a text in double quotes, or the offset of what is wrong.
fn unquote(quoted: &str) -> Result<String, usize> {
    let body = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"')).ok_or(0_usize)?;
    // escapes may spell the bytes of one character one by one
    let mut bytes = Vec::with_capacity(body.len());
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        let wrong = at + 1;
        match c {
            '\n' => return Err(wrong),
            '\\' => {
                let (_, escape) = chars.next().ok_or(wrong)?;
                let (digits, radix) = match escape {
                    'x' => (2, 16),
                    'u' => (4, 16),
                    'U' => (8, 16),
                    '0'..='7' => (3, 8),
                    simple => {
                        bytes.push(simple_escape(simple).ok_or(wrong)?);
                        continue;
                    }
                };
                let mut code = if radix == 8 { escape.to_digit(8).ok_or(wrong)? } else { 0 };
                for _ in usize::from(radix == 8)..digits {
                    let digit = chars.next().and_then(|(_, c)| c.to_digit(radix)).ok_or(wrong)?;
                    code = code
                        .checked_mul(radix)
                        .and_then(|it| it.checked_add(digit))
                        .ok_or(wrong)?;
                }
                if matches!(escape, 'u' | 'U') {
                    let c = char::from_u32(code).ok_or(wrong)?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    bytes.push(u8::try_from(code).map_err(|_| wrong)?);
                }
            }
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).map_err(|_| 0)
}

fn simple_escape(c: char) -> Option<u8> {
    Some(match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        _ => return None,
    })
}

/// `strconv.Quote`: printable characters as they are, others escaped.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str(r"\\"),
            '\x07' => out.push_str(r"\a"),
            '\x08' => out.push_str(r"\b"),
            '\x0C' => out.push_str(r"\f"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\x0B' => out.push_str(r"\v"),
            _ if is_printable(c) => out.push(c),
            // writing to a String does not fail
            _ if code < 0x80 => write!(out, "\\x{code:02x}").unwrap_or_default(),
            _ if code < 0x1_0000 => write!(out, "\\u{code:04x}").unwrap_or_default(),
            _ => write!(out, "\\U{code:08x}").unwrap_or_default(),
        }
    }
    out.push('"');
    out
}

/// Whether the standard library prints the character as itself: its own table, asked behind a letter so that
/// combining marks count as printable, as in Go.
fn is_printable(c: char) -> bool {
    let mut text = String::from("a");
    text.push(c);
    matches!(c, '\'') || text.escape_debug().count() == 2
}
