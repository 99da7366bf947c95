//! Alertmanager's matchers: parsing, printing, matching.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::labels::Labels;

/// `=`, `!=`, `=~`, `!~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// One matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong and what to write.
    pub message: String,
    /// Byte offset in the text.
    pub at: usize,
}

/// Which of Alertmanager's two grammars reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// Quoted names, any UTF-8.
    Utf8,
    /// The old grammar.
    Classic,
    /// UTF-8, and classic where that fails: Alertmanager's default.
    Fallback,
}

impl Matcher {
    /// A matcher whose regex compiles, or the reason why it does not.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Self, ParseError> {
        Ok(Self { name: name.into(), op, value: value.into() })
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
        labels.get(&self.name) == self.value
    }
}

/// Parses `{a="b", c=~"d"}` with or without braces.
pub fn parse_many(text: &str, grammar: Grammar) -> Result<Vec<Matcher>, ParseError> {
    Err(ParseError { message: format!("{grammar:?} is not written yet: {text}"), at: 0 })
}

/// Parses exactly one matcher.
pub fn parse_one(text: &str, grammar: Grammar) -> Result<Matcher, ParseError> {
    Err(ParseError { message: format!("{grammar:?} is not written yet: {text}"), at: 0 })
}

/// `foo="bar"`, as Alertmanager prints it.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}", self.name, self.value)
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
