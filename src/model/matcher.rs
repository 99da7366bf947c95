//! Alertmanager's matchers: parsing, printing, matching.

mod classic;
#[cfg(test)]
mod tests;
mod utf8;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::model::labels::Labels;
use crate::model::pattern::Pattern;

/// `=`, `!=`, `=~`, `!~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// One matcher. Its regex is shared by all matchers with the same one.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
    /// Of `=~` and `!~`.
    pattern: Option<Arc<Pattern>>,
}

/// The regex follows from the value.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong and what to write.
    pub message: String,
    /// Byte offset in the text.
    pub at: usize,
}

impl ParseError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), at }
    }
}

/// Which of Alertmanager's two grammars reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Quoted names, any UTF-8.
    Utf8,
    /// The old grammar.
    Classic,
    /// Alertmanager's default: both read the text; UTF-8 where only it can, classic where only it can or
    /// where they differ.
    Fallback,
}

impl Matcher {
    /// A matcher whose regex compiles, or the reason why it does not.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Self, ParseError> {
        Self::at(0, name, op, value)
    }

    /// A matcher whose value stands at byte `at`.
    fn at(at: usize, name: &str, op: Op, value: &str) -> Result<Self, ParseError> {
        let pattern = match op {
            Op::Equal | Op::NotEqual => None,
            Op::Regex | Op::NotRegex => {
                Some(Pattern::shared(value).map_err(|error| ParseError::new(at, error))?)
            }
        };
        Ok(Self { name: name.into(), op, value: value.into(), pattern })
    }

    /// Label name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Operator.
    pub fn op(&self) -> Op {
        self.op
    }

    /// Value or regex as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether the labels satisfy it; a missing label is empty.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.takes(labels.get(&self.name))
    }

    /// Whether a value satisfies it.
    pub fn takes(&self, value: &str) -> bool {
        let found = match &self.pattern {
            Some(pattern) => pattern.matches(value),
            None => Some(value == self.value),
        };
        found == Some(matches!(self.op, Op::Equal | Op::Regex))
    }

    /// The regex of `=~` and `!~`.
    pub fn pattern(&self) -> Option<&Arc<Pattern>> {
        self.pattern.as_ref()
    }
}

/// Parses `{a="b", c=~"d"}` with or without braces.
pub fn parse_many(text: &str, grammar: Grammar) -> Result<Vec<Matcher>, ParseError> {
    match grammar {
        Grammar::Utf8 => utf8::parse(text),
        Grammar::Classic => classic::parse_many(text),
        Grammar::Fallback => fall_back(utf8::parse(text), classic::parse_many(text)),
    }
}

/// Parses exactly one matcher. Where Alertmanager's own configuration takes one, it takes no braces
/// ([`Grammar::Fallback`]); its UTF-8 parser by itself does.
pub fn parse_one(text: &str, grammar: Grammar) -> Result<Matcher, ParseError> {
    match grammar {
        Grammar::Utf8 => utf8::parse(text).and_then(only),
        Grammar::Classic => classic::parse_one(text, 0),
        Grammar::Fallback => {
            let brace = if text.starts_with('{') {
                Some(0)
            } else {
                text.ends_with('}').then(|| text.len().saturating_sub(1))
            };
            match brace {
                Some(at) => Err(ParseError::new(
                    at,
                    "one matcher stands without braces: write `name=\"value\"`",
                )),
                None => fall_back(utf8::parse(text).and_then(only), classic::parse_one(text, 0)),
            }
        }
    }
}

/// `compat.FallbackMatchersParser`: the classic reading wins a disagreement, so that a configuration older
/// than the UTF-8 grammar keeps its meaning. The newer grammar explains an error better.
fn fall_back<T: PartialEq>(
    new: Result<T, ParseError>,
    classic: Result<T, ParseError>,
) -> Result<T, ParseError> {
    match (new, classic) {
        (_, Ok(classic)) => Ok(classic),
        (new, Err(_)) => new,
    }
}

fn only(matchers: Vec<Matcher>) -> Result<Matcher, ParseError> {
    let count = matchers.len();
    let mut matchers = matchers.into_iter();
    match (matchers.next(), matchers.next()) {
        (Some(matcher), None) => Ok(matcher),
        (None, _) => Err(ParseError::new(0, "no matcher here: write `name=\"value\"`")),
        _ => Err(ParseError::new(
            0,
            format!("one matcher expected, {count} found: write each by itself"),
        )),
    }
}

/// Whether the classic grammar can name the label: letters, digits and `_`, no digit first.
pub fn is_classic_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// Whether the UTF-8 grammar can name the label: any text but the empty one.
pub fn is_utf8_label_name(name: &str) -> bool {
    !name.is_empty()
}

/// `foo="bar"`, as Alertmanager prints it; a name that needs quotes is quoted. What it prints, the UTF-8
/// grammar reads as the same matcher.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() || self.name.contains(utf8::is_reserved) {
            return write!(f, "{}{}{}", utf8::quote(&self.name), self.op, utf8::quote(&self.value));
        }
        write!(f, "{}{}\"", self.name, self.op)?;
        for c in self.value.chars() {
            match c {
                '\\' => f.write_str(r"\\")?,
                '\n' => f.write_str(r"\n")?,
                '"' => f.write_str("\\\"")?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        f.write_str("\"")
    }
}

impl Serialize for Matcher {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        parse_one(&text, Grammar::Utf8).map_err(|error| serde::de::Error::custom(error.message))
    }
}
