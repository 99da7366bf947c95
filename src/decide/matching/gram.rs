//! Short pieces of text that a value may have somewhere: finds all of them in one pass, whatever the value.

use super::key::GRAMS;

/// Pieces of a few bytes with something under each.
#[derive(Debug, Clone)]
pub(super) struct Grams<T> {
    short: Table<T>,
    long: Table<T>,
}

/// Pieces of one length.
#[derive(Debug, Clone)]
struct Table<T> {
    /// Sorted.
    pieces: Vec<(u64, T)>,
    /// One bit for each piece, by its hash: most places of a value end here.
    filter: Vec<u64>,
}

impl<T> Grams<T> {
    /// Each text has three or eight bytes.
    pub(super) fn new(entries: Vec<(Box<[u8]>, T)>) -> Self {
        let [short, _] = GRAMS;
        let (short, long) = entries.into_iter().partition(|(text, _)| text.len() == short);
        Self { short: Table::new(short), long: Table::new(long) }
    }

    /// What is under each piece that the value has, once.
    pub(super) fn find(&self, value: &[u8]) -> impl Iterator<Item = &T> {
        let [short, long] = GRAMS;
        self.short.find(value, short).chain(self.long.find(value, long))
    }
}

impl<T> Table<T> {
    fn new(entries: Vec<(Box<[u8]>, T)>) -> Self {
        let mut pieces: Vec<(u64, T)> =
            entries.into_iter().map(|(text, under)| (pack(&text), under)).collect();
        pieces.sort_unstable_by_key(|(piece, _)| *piece);
        let words = (pieces.len() / 4).next_power_of_two();
        let mut table = Self { pieces, filter: vec![0; words] };
        for (piece, _) in &table.pieces {
            let (word, bit) = slot(*piece, words);
            if let Some(word) = table.filter.get_mut(word) {
                *word |= bit;
            }
        }
        table
    }

    fn find(&self, value: &[u8], length: usize) -> impl Iterator<Item = &T> {
        let mut found: Vec<usize> = Vec::new();
        if !self.pieces.is_empty() {
            for window in value.windows(length) {
                let piece = pack(window);
                let (word, bit) = slot(piece, self.filter.len());
                if self.filter.get(word).is_some_and(|it| it & bit != 0)
                    && let Ok(at) = self.pieces.binary_search_by_key(&piece, |(it, _)| *it)
                {
                    found.push(at);
                }
            }
            found.sort_unstable();
            found.dedup();
        }
        found.into_iter().filter_map(|at| self.pieces.get(at)).map(|(_, under)| under)
    }
}

/// Up to eight bytes as a number.
fn pack(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Which bit stands for a piece, in so many words, a power of two.
fn slot(piece: u64, words: usize) -> (usize, u64) {
    let hash = piece.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = usize::try_from(hash >> 32).unwrap_or_default() & (words - 1);
    (word, 1 << (hash >> 26 & 63))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_piece_is_found_once_and_no_other(
            short in proptest::collection::btree_set("[ab]{3}", 0..6),
            long in proptest::collection::btree_set("[ab]{8}", 0..200),
            value in "[abc]{0,40}",
        ) {
            let texts: BTreeSet<&str> = short.iter().chain(&long).map(String::as_str).collect();
            let grams = Grams::new(texts.iter().map(|it| (it.as_bytes().into(), *it)).collect());
            let mut found: Vec<&str> = grams.find(value.as_bytes()).copied().collect();
            found.sort_unstable();
            let expected: Vec<&str> = texts.iter().copied().filter(|it| value.contains(it)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
