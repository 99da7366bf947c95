//! The classic grammar (`pkg/labels/parse.go`): tolerant, ASCII names, few escapes.

use super::Matcher;
use super::Op;
use super::ParseError;

/// Splits at commas outside quotes, and reads each part. Braces are optional, one by one.
pub(super) fn parse_many(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let body = text.strip_prefix('{').unwrap_or(text);
    let begin = text.len() - body.len();
    let body = body.strip_suffix('}').unwrap_or(body);

    let mut matchers = Vec::new();
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    for (at, c) in body.char_indices() {
        match c {
            ',' if !quoted => {
                let part = body.get(start..at).unwrap_or_default();
                matchers.push(parse_one(part, begin + start)?);
                start = at + 1;
            }
            // a comma leaves `escaped` as it is, as in Alertmanager
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = body.get(start..).unwrap_or_default();
    let trimmed = last.trim();
    if !trimmed.is_empty() {
        let skipped = last.len() - last.trim_start().len();
        matchers.push(parse_one(trimmed, begin + start + skipped)?);
    }
    Ok(matchers)
}

/// Reads `name op value`, which begins at byte `begin` of the whole text.
pub(super) fn parse_one(text: &str, begin: usize) -> Result<Matcher, ParseError> {
    let wrong = |rest: &str, message: &str| {
        ParseError::new(begin + text.len() - rest.len(), message.to_owned())
    };

    let rest = text.trim_start_matches(is_space);
    let length = rest
        .char_indices()
        .find(|(at, c)| {
            !(c.is_ascii_alphabetic() || matches!(c, '_' | ':') || (*at > 0 && c.is_ascii_digit()))
        })
        .map_or(rest.len(), |(at, _)| at);
    let (name, after_name) = rest.split_at(length);
    if name.is_empty() {
        return Err(wrong(rest, "a label name is expected: write `name=\"value\"`"));
    }
    let rest = after_name.trim_start_matches(is_space);
    let Some((op, rest)) =
        [("=~", Op::Regex), ("=", Op::Equal), ("!=", Op::NotEqual), ("!~", Op::NotRegex)]
            .into_iter()
            .find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)))
    else {
        return Err(wrong(
            rest,
            "an operator is expected after the label name: `=`, `!=`, `=~` or `!~`",
        ));
    };
    let raw = rest.trim_start_matches(is_space);
    let at = begin + text.len() - raw.len();
    let value = unescape(raw.trim_end_matches(is_space)).map_err(|offset| {
        ParseError::new(at + offset, "a double quote is not escaped or not closed: put the value in quotes, and write `\\\"` inside it")
    })?;
    Matcher::at(at, name, op, &value)
}

/// The value without its quotes and escapes, or the offset of a stray quote.
fn unescape(raw: &str) -> Result<String, usize> {
    let (body, quoted) = raw.strip_prefix('"').map_or((raw, false), |body| (body, true));
    let skipped = raw.len() - body.len();
    let mut value = String::with_capacity(body.len());
    let mut closed = !quoted;
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                // a backslash before anything else stands for itself
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if !closed && at + 1 == body.len() => closed = true,
            '"' => return Err(skipped + at),
            other => value.push(other),
        }
    }
    if closed { Ok(value) } else { Err(0) }
}

/// Go's `\s`, which lacks the vertical tab.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0C' | '\r' | ' ')
}
