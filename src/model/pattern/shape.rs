//! What a regex asks of a value, read from its syntax tree.

use regex_syntax::hir::Class;
use regex_syntax::hir::Dot;
use regex_syntax::hir::Hir;
use regex_syntax::hir::HirKind;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::ExtractKind;
use regex_syntax::hir::literal::Extractor;

use super::Need;
use super::Texts;

/// Alternatives that are listed one by one, such as the words of `a|b`.
const MAX_WORDS: usize = 4096;
/// Alternatives with gaps, each of which is tried.
const MAX_GLOBS: usize = 16;
/// Bytes of all alternatives.
const MAX_TEXT: usize = 256 << 10;
/// Characters of a class that are listed, as in `[ab]` and `(?i)a`.
const MAX_CLASS: usize = 4;
/// Texts of one need.
const MAX_NEEDED: usize = 64;

/// Literals with gaps between them: `a.*b`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Glob {
    /// What the value begins with.
    first: Box<str>,
    /// After each gap, what follows it; the last one ends the value.
    rest: Box<[(Gap, Box<str>)]>,
    /// Whether no gap takes a newline: no value has one then.
    one_line: bool,
}

/// `.*`, `.+`: so many characters or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Gap {
    least: usize,
}

/// What a pattern is when it needs no automaton: some values, and some with gaps.
pub(super) struct Shape {
    pub(super) words: Box<[Box<str>]>,
    pub(super) globs: Box<[Glob]>,
}

impl Glob {
    /// A value without gaps.
    pub(super) fn word(text: &str) -> Self {
        Self { first: text.into(), rest: Box::default(), one_line: false }
    }

    /// In time linear in the value: the leftmost place of each literal leaves most room for the next.
    pub(super) fn is_match(&self, value: &str) -> bool {
        let Some(mut left) = value.strip_prefix(&*self.first) else { return false };
        let Some(((gap, last), middle)) = self.rest.split_last() else { return left.is_empty() };
        let Some(shorter) = left.strip_suffix(&**last) else { return false };
        left = shorter;
        if self.one_line && value.contains('\n') {
            return false;
        }
        for (gap, literal) in middle {
            let found = gap.skip(left).and_then(|it| it.split_once(&**literal));
            let Some((_, after)) = found else { return false };
            left = after;
        }
        gap.skip(left).is_some()
    }

    /// The longest of its literals.
    fn longest(&self) -> &str {
        let rest = self.rest.iter().map(|(_, literal)| &**literal);
        rest.fold(&*self.first, |longest, it| if it.len() > longest.len() { it } else { longest })
    }

    fn last(&self) -> &str {
        self.rest.last().map_or(&*self.first, |(_, literal)| literal)
    }
}

impl Gap {
    /// What is left after the fewest characters that it takes.
    fn skip(self, text: &str) -> Option<&str> {
        match self.least.checked_sub(1) {
            None => Some(text),
            Some(before) => {
                let (at, c) = text.char_indices().nth(before)?;
                text.get(at + c.len_utf8()..)
            }
        }
    }
}

/// A pattern as words and globs; `None` when it is more than that.
pub(super) fn words_and_globs(hir: &Hir) -> Option<Shape> {
    let alternatives = append(vec![Partial::default()], hir)?;
    let (mut words, mut globs) = (Vec::new(), Vec::new());
    for partial in alternatives {
        let Partial { literal, gaps, one_line, any_line, .. } = partial;
        if gaps.is_empty() {
            words.push(literal.into_boxed_str());
            continue;
        }
        // a literal with a newline beside a gap without one: the gap would have to be watched
        if one_line
            && (any_line || literal.contains('\n') || gaps.iter().any(|(it, _)| it.contains('\n')))
        {
            return None;
        }
        let mut gaps = gaps.into_iter();
        let (first, mut gap) = gaps.next()?;
        let mut rest = Vec::new();
        for (before, next) in gaps {
            rest.push((gap, before.into_boxed_str()));
            gap = next;
        }
        rest.push((gap, literal.into_boxed_str()));
        globs.push(Glob { first: first.into_boxed_str(), rest: rest.into_boxed_slice(), one_line });
    }
    words.sort_unstable();
    words.dedup();
    (globs.is_empty() || globs.len() + words.len() <= MAX_GLOBS)
        .then(|| Shape { words: words.into_boxed_slice(), globs: globs.into_boxed_slice() })
}

/// An alternative, as far as it was read.
#[derive(Debug, Clone, Default)]
struct Partial {
    /// Literals, each with the gap after it.
    gaps: Vec<(String, Gap)>,
    /// What follows the last gap.
    literal: String,
    one_line: bool,
    any_line: bool,
    /// Whether `$` was read.
    ended: bool,
}

/// Puts what a part matches behind each alternative.
fn append(mut alternatives: Vec<Partial>, part: &Hir) -> Option<Vec<Partial>> {
    match part.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            push(&mut alternatives, text)?;
        }
        HirKind::Class(class) => {
            let chars = chars_of(class)?;
            let mut longer = Vec::new();
            for c in chars {
                let mut copy = alternatives.clone();
                push(&mut copy, c.encode_utf8(&mut [0; 4]))?;
                longer.append(&mut copy);
                bounded(&longer)?;
            }
            alternatives = longer;
        }
        HirKind::Look(Look::Start) => {
            let begins = |it: &Partial| it.gaps.is_empty() && it.literal.is_empty();
            alternatives.iter().all(begins).then_some(())?;
        }
        HirKind::Look(Look::End) => alternatives.iter_mut().for_each(|it| it.ended = true),
        HirKind::Look(_) => return None,
        HirKind::Repetition(repetition) => {
            let any_line = *repetition.sub == Hir::dot(Dot::AnyChar);
            let one_line = *repetition.sub == Hir::dot(Dot::AnyCharExceptLF);
            if repetition.max.is_none() && (any_line || one_line) {
                let least = usize::try_from(repetition.min).ok()?;
                for it in &mut alternatives {
                    (!it.ended).then_some(())?;
                    it.one_line |= one_line;
                    it.any_line |= any_line;
                    match it.gaps.last_mut().filter(|_| it.literal.is_empty()) {
                        Some((_, gap)) => gap.least += least,
                        None => it.gaps.push((std::mem::take(&mut it.literal), Gap { least })),
                    }
                }
            } else if (repetition.min, repetition.max) == (0, Some(1)) {
                let mut with = append(alternatives.clone(), &repetition.sub)?;
                alternatives.append(&mut with);
            } else {
                return None;
            }
        }
        HirKind::Capture(capture) => return append(alternatives, &capture.sub),
        HirKind::Concat(parts) => {
            for part in parts {
                alternatives = append(alternatives, part)?;
            }
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.append(&mut append(alternatives.clone(), branch)?);
                bounded(&all)?;
            }
            alternatives = all;
        }
    }
    bounded(&alternatives)?;
    Some(alternatives)
}

fn push(alternatives: &mut [Partial], text: &str) -> Option<()> {
    for it in alternatives {
        (!it.ended).then_some(())?;
        it.literal.push_str(text);
    }
    Some(())
}

fn bounded(alternatives: &[Partial]) -> Option<()> {
    let gaps = alternatives.iter().map(|it| it.gaps.len()).sum::<usize>();
    let text = alternatives.iter().map(|it| it.literal.len()).sum::<usize>();
    (alternatives.len() <= MAX_WORDS && text <= MAX_TEXT && gaps <= 4 * MAX_GLOBS).then_some(())
}

/// The characters of a small class.
fn chars_of(class: &Class) -> Option<Vec<char>> {
    let Class::Unicode(class) = class else { return None };
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    let chars: Vec<char> = chars.take(MAX_CLASS + 1).collect();
    (chars.len() <= MAX_CLASS).then_some(chars)
}

/// What each value of words and globs has.
pub(super) fn needs_of_globs(words: &[Box<str>], globs: &[Glob]) -> Box<[Need]> {
    let all = |of: fn(&Glob) -> &str| {
        let texts = words.iter().map(|it| &**it).chain(globs.iter().map(of));
        texts.map(|it| it.as_bytes().into()).collect::<Vec<Box<[u8]>>>()
    };
    several(all(|it| &*it.first), all(Glob::last), Some(all(Glob::longest)))
}

/// What each value of any pattern has.
pub(super) fn needs(hir: &Hir) -> Box<[Need]> {
    several(ends(hir, ExtractKind::Prefix), ends(hir, ExtractKind::Suffix), inner(hir))
}

fn several(
    prefixes: Vec<Box<[u8]>>,
    suffixes: Vec<Box<[u8]>>,
    inner: Option<Vec<Box<[u8]>>>,
) -> Box<[Need]> {
    let prefix = useful(prefixes, <[u8]>::starts_with).map(Need::Prefix);
    let suffix = useful(suffixes, <[u8]>::ends_with).map(Need::Suffix);
    let contains = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|it| it == part);
    let inner = inner.and_then(|it| useful(it, contains)).map(Need::Inner);
    prefix.into_iter().chain(suffix).chain(inner).collect()
}

/// The texts without those that another implies; `None` when they say nothing, or are too many.
fn useful(mut texts: Vec<Box<[u8]>>, implies: impl Fn(&[u8], &[u8]) -> bool) -> Option<Texts> {
    if texts.is_empty() || texts.len() > MAX_NEEDED || texts.iter().any(|it| it.is_empty()) {
        return None;
    }
    texts.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut kept: Vec<Box<[u8]>> = Vec::new();
    for text in texts {
        if !kept.iter().any(|it| implies(&text, it)) {
            kept.push(text);
        }
    }
    Some(kept.into_boxed_slice())
}

/// What values begin or end with; empty when that is not known.
fn ends(hir: &Hir, kind: ExtractKind) -> Vec<Box<[u8]>> {
    let mut extractor = Extractor::new();
    extractor
        .kind(kind)
        .limit_class(MAX_CLASS)
        .limit_repeat(2)
        .limit_literal_len(64)
        .limit_total(MAX_NEEDED);
    let found = extractor.extract(hir);
    let literals = found.literals().unwrap_or_default();
    literals.iter().map(|it| it.as_bytes().into()).collect()
}

/// Texts of which each value has one somewhere.
fn inner(hir: &Hir) -> Option<Vec<Box<[u8]>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.clone()]),
        HirKind::Capture(capture) => inner(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => inner(&repetition.sub),
        // the part whose shortest text is longest
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(inner)
            .max_by_key(|texts| texts.iter().map(|it| it.len()).min().unwrap_or_default()),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.append(&mut inner(branch)?);
                (all.len() <= MAX_NEEDED).then_some(())?;
            }
            Some(all)
        }
        HirKind::Repetition(_) | HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => None,
    }
}

/// A guess, far too high, at the bytes that the compiled pattern takes.
pub(super) fn weight(hir: &Hir) -> usize {
    const STATE: usize = 128;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len().saturating_mul(STATE),
        // a range of characters becomes up to a dozen sequences of four bytes
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().saturating_mul(24 * STATE),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().saturating_mul(STATE),
        HirKind::Capture(capture) => weight(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(repetition.min).max(1);
            let times = usize::try_from(times).unwrap_or(usize::MAX).saturating_add(1);
            weight(&repetition.sub).saturating_add(STATE).saturating_mul(times)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(STATE, |sum, it| sum.saturating_add(weight(it)))
        }
    }
}
