//! What an alert must have for a rule to take it, as far as an index can look it up.

use std::sync::Arc;

use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::pattern::Need;
use crate::model::pattern::Pattern;
use crate::model::rule::Rule;

/// Words of one pattern that are looked up one by one, when many rules share the pattern.
const MANY_WORDS: usize = 64;
/// Bytes of a short and of a long piece of an inner text.
pub(super) const GRAMS: [usize; 2] = [3, 8];

/// How the texts of a key relate to the value of its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The value is one of them.
    Is,
    /// It begins with one of them.
    Begins,
    /// It ends with one of them.
    Ends,
    /// It has one of them somewhere.
    Has,
    /// It matches the pattern.
    Matches,
    /// It is not empty.
    Present,
}

/// One requirement of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    one: Option<&'a [u8]>,
    words: &'a [Box<str>],
    parts: &'a [Box<[u8]>],
    /// Of [`Kind::Matches`].
    pub(super) pattern: Option<&'a Arc<Pattern>>,
    /// Whether its pattern has a key that is cheaper to look up.
    pub(super) second: bool,
}

impl<'a> Key<'a> {
    fn new(matcher: &'a Matcher, kind: Kind) -> Self {
        let name = matcher.name();
        Self { name, kind, one: None, words: &[], parts: &[], pattern: None, second: false }
    }

    /// Texts of which an alert needs one. Of a pattern: its own text.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let words = self.words.iter().map(|it| it.as_bytes());
        self.one.into_iter().chain(words).chain(self.parts.iter().map(|it| &**it))
    }

    /// How many rules too many it finds, by a rough guess, when each of its texts leads to at most `shared` rules.
    pub(super) fn cost(&self, shared: usize) -> usize {
        let short = self.texts().any(|it| it.len() < 3);
        match self.kind {
            // each of these rules would stand under each of the words
            Kind::Is if self.words.len() > MANY_WORDS && shared > 8 => shared + (1 << 20),
            Kind::Is => shared,
            Kind::Begins | Kind::Ends => shared * 2 + if short { 64 } else { 0 },
            Kind::Has => shared * 4 + 64,
            Kind::Matches => shared * 64 + (1 << 12),
            Kind::Present => shared + (1 << 24),
        }
    }
}

/// The requirements of a rule, those of its first matchers first, `alertname` before them all.
pub(super) fn keys(rule: &Rule) -> Vec<Key<'_>> {
    let mut keys = Vec::with_capacity(rule.matchers.len());
    let (first, others): (Vec<&Matcher>, Vec<&Matcher>) =
        rule.matchers.iter().partition(|it| it.name() == "alertname");
    for matcher in first.into_iter().chain(others) {
        add(matcher, &mut keys);
    }
    keys
}

fn add<'a>(matcher: &'a Matcher, keys: &mut Vec<Key<'a>>) {
    let of = |kind| Key::new(matcher, kind);
    let present = Key { one: Some(b""), ..of(Kind::Present) };
    // what takes the empty value takes alerts without the label, which no look-up of their labels finds
    if matcher.takes("") {
        return;
    }
    match (matcher.op(), matcher.pattern()) {
        (Op::Equal, _) => keys.push(Key { one: Some(matcher.value().as_bytes()), ..of(Kind::Is) }),
        (Op::Regex, Some(pattern)) => {
            let itself = Key {
                one: Some(matcher.value().as_bytes()),
                pattern: Some(pattern),
                ..of(Kind::Matches)
            };
            if let Some(words) = pattern.words() {
                keys.push(Key { words, ..of(Kind::Is) });
                if words.len() > MANY_WORDS {
                    keys.push(itself);
                }
                return;
            }
            let before = keys.len();
            for need in pattern.needs() {
                match need {
                    Need::Prefix(parts) => keys.push(Key { parts, ..of(Kind::Begins) }),
                    Need::Suffix(parts) => keys.push(Key { parts, ..of(Kind::Ends) }),
                    Need::Inner(parts) => {
                        if parts.iter().all(|it| it.len() >= GRAMS[0]) {
                            let second = keys.len() > before;
                            keys.push(Key { parts, second, ..of(Kind::Has) });
                        }
                    }
                }
            }
            if keys.len() == before {
                keys.push(itself);
            }
        }
        (Op::NotEqual | Op::NotRegex | Op::Regex, _) => keys.push(present),
    }
}

/// The pieces of a text that stand for it: of eight bytes, or of three when it is shorter.
pub(super) fn grams(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let [short, long] = GRAMS;
    text.windows(if text.len() >= long { long } else { short })
}
