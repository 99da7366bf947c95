//! Texts that a value may begin or end with: finds all that do, in one search.

use std::cmp::Ordering;

/// Which end of a value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
}

/// Texts with something under each.
#[derive(Debug, Clone)]
pub(super) struct Affixes<T> {
    end: End,
    /// Sorted, read from the end that is looked at.
    texts: Vec<Affix<T>>,
}

#[derive(Debug, Clone)]
struct Affix<T> {
    text: Box<[u8]>,
    /// The longest other text that this one begins with.
    parent: Option<usize>,
    under: T,
}

impl<T> Affixes<T> {
    pub(super) fn new(end: End, entries: Vec<(Box<[u8]>, T)>) -> Self {
        let mut texts: Vec<Affix<T>> =
            entries.into_iter().map(|(text, under)| Affix { text, parent: None, under }).collect();
        texts.sort_unstable_by(|a, b| end.compare(&a.text, &b.text));
        // of the texts before, those that this one begins with, each beginning with the one before it
        let mut open: Vec<usize> = Vec::new();
        for at in 0..texts.len() {
            let Some((before, [it, ..])) = texts.split_at_mut_checked(at) else { break };
            while let Some(last) = open.last().and_then(|it| before.get(*it)) {
                if end.has(&it.text, &last.text) {
                    break;
                }
                open.pop();
            }
            it.parent = open.last().copied();
            open.push(at);
        }
        Self { end, texts }
    }

    /// What is under each text that the value begins (or ends) with.
    pub(super) fn find(&self, value: &[u8]) -> impl Iterator<Item = &T> {
        // All that the value begins with also begin the last text that does not sort after it.
        let after =
            self.texts.partition_point(|it| self.end.compare(&it.text, value) != Ordering::Greater);
        let mut at = after.checked_sub(1).and_then(|it| self.texts.get(it));
        while let Some(it) = at
            && !self.end.has(value, &it.text)
        {
            at = it.parent.and_then(|parent| self.texts.get(parent));
        }
        std::iter::successors(at, |it| self.texts.get(it.parent?)).map(|it| &it.under)
    }
}

impl End {
    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Front => a.cmp(b),
            Self::Back => a.iter().rev().cmp(b.iter().rev()),
        }
    }

    fn has(self, value: &[u8], text: &[u8]) -> bool {
        match self {
            Self::Front => value.starts_with(text),
            Self::Back => value.ends_with(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_affix_is_found_and_no_other(
            texts in proptest::collection::btree_set("[ab]{1,5}", 0..40),
            values in proptest::collection::vec("[abc]{0,8}", 1..20),
        ) {
            for end in [End::Front, End::Back] {
                let entries = texts.iter().map(|it| (it.as_bytes().into(), it.as_str()));
                let affixes = Affixes::new(end, entries.collect());
                for value in &values {
                    let mut found: Vec<&str> = affixes.find(value.as_bytes()).copied().collect();
                    found.sort_unstable();
                    let expected: Vec<&str> = texts
                        .iter()
                        .filter(|it| end.has(value.as_bytes(), it.as_bytes()))
                        .map(String::as_str)
                        .collect();
                    prop_assert_eq!(found, expected, "{:?} {}", end, value);
                }
            }
        }
    }
}
