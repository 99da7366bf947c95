//! A regex of a matcher, taken apart once: what it asks of a value, and how to find out cheaply.
//!
//! Most regexes of matchers are words (`a|b`) or words with gaps (`api-.*`): these are compared as text, and no
//! automaton is ever built for them. The others are compiled when a value first passes what can be seen without
//! one, such as a prefix. Equal patterns are one [`Pattern`], however many matchers name them: with 100,000 rules,
//! compiling each regex would take a minute and gigabytes.

mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::OnceLock;

use regex::Regex;

use crate::model::memo::Memo;
use crate::model::re2;

use self::shape::Glob;
use self::shape::Shape;

/// Bytes that a compiled regex may take by our own guess before it is compiled at once, to learn whether it is too
/// large. The guess is far above the truth, and the limit is 10 MiB.
const LAZY_BYTES: usize = 1 << 20;

/// One text out of a set.
pub type Texts = Box<[Box<[u8]>]>;

/// A regex that must match the whole of a value, as Go reads it.
#[derive(Debug)]
pub struct Pattern {
    form: Form,
    empty: bool,
}

#[derive(Debug)]
enum Form {
    /// Exactly these values, sorted.
    Words(Box<[Box<str>]>),
    /// Words with gaps, and what each of their values has.
    Globs { globs: Box<[Glob]>, needs: Box<[Need]> },
    /// Anything else, what each of its values has, and the regex once it was needed.
    Regex { text: Box<str>, needs: Box<[Need]>, compiled: OnceLock<Option<Regex>> },
}

/// What every value has that a pattern matches: one of these texts, in this place. None of them is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// At its beginning.
    Prefix(Texts),
    /// At its end.
    Suffix(Texts),
    /// Anywhere.
    Inner(Texts),
}

impl Need {
    fn is_met(&self, value: &[u8]) -> bool {
        match self {
            Self::Prefix(texts) => texts.iter().any(|it| value.starts_with(it)),
            Self::Suffix(texts) => texts.iter().any(|it| value.ends_with(it)),
            // as slow as the regex itself, which looks for it anyway
            Self::Inner(_) => true,
        }
    }
}

impl Pattern {
    /// The pattern of this text: the one that is in use already, or a new one.
    /// The error says what is wrong, for people.
    pub fn shared(text: &str) -> Result<Arc<Self>, String> {
        static KNOWN: LazyLock<Memo<Pattern>> = LazyLock::new(Memo::default);
        KNOWN.get_or(text, || Self::new(text))
    }

    /// Reads a pattern. The error says what is wrong, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        let hir = re2::parse_anchored(text)?;
        let form = match shape::words_and_globs(&hir) {
            Some(Shape { words, globs }) if globs.is_empty() => Form::Words(words),
            Some(Shape { words, globs }) => {
                let needs = shape::needs_of_globs(&words, &globs);
                let globs = words.iter().map(|it| Glob::word(it)).chain(globs).collect();
                Form::Globs { globs, needs }
            }
            None => {
                let compiled = OnceLock::new();
                if shape::weight(&hir) > LAZY_BYTES {
                    let regex = re2::compile_anchored(text)?;
                    compiled.get_or_init(|| Some(regex));
                }
                Form::Regex { text: text.into(), needs: shape::needs(&hir), compiled }
            }
        };
        let mut pattern = Self { form, empty: false };
        pattern.empty = pattern.matches("") == Some(true);
        Ok(pattern)
    }

    /// Whether it matches the whole of a value; `None` when that cannot be found out, since its regex turned out
    /// too large after all. No pattern is known that does.
    pub fn matches(&self, value: &str) -> Option<bool> {
        Some(match &self.form {
            Form::Words(words) => words.binary_search_by(|it| (**it).cmp(value)).is_ok(),
            Form::Globs { globs, .. } => globs.iter().any(|it| it.is_match(value)),
            Form::Regex { text, needs, compiled } => {
                if !needs.iter().all(|it| it.is_met(value.as_bytes())) {
                    return Some(false);
                }
                let regex = compiled.get_or_init(|| re2::compile_anchored(text).ok());
                return regex.as_ref().map(|it| it.is_match(value));
            }
        })
    }

    /// Whether it matches the empty value, which is what a missing label has.
    pub fn matches_empty(&self) -> bool {
        self.empty
    }

    /// The values that it matches, sorted, when they are few enough to be listed.
    pub fn words(&self) -> Option<&[Box<str>]> {
        match &self.form {
            Form::Words(words) => Some(words),
            Form::Globs { .. } | Form::Regex { .. } => None,
        }
    }

    /// What each value has that it matches, each by itself; empty where nothing is known, or where
    /// [`Pattern::words`] says it all.
    pub fn needs(&self) -> &[Need] {
        match &self.form {
            Form::Words(_) => &[],
            Form::Globs { needs, .. } | Form::Regex { needs, .. } => needs,
        }
    }

    /// Whether only an automaton knows what it matches.
    pub fn is_regex(&self) -> bool {
        matches!(self.form, Form::Regex { .. })
    }
}
