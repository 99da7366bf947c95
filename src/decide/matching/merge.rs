//! Sorted lists of positions as one.

/// From here on, looking at all lists for each position costs more than sorting.
const MANY: usize = 16;

/// The positions of all lists, sorted, each once. Stopping early leaves the rest untouched, however long.
pub(super) fn merge(mut lists: Vec<&[u32]>) -> impl Iterator<Item = u32> {
    let mut sorted = Vec::new();
    if lists.len() > MANY {
        sorted = lists.concat();
        sorted.sort_unstable();
        sorted.dedup();
        lists.clear();
    }
    let lazily = std::iter::from_fn(move || {
        let next = lists.iter().filter_map(|it| it.first()).min().copied()?;
        for list in &mut lists {
            if let Some((first, rest)) = list.split_first()
                && *first == next
            {
                *list = rest;
            }
        }
        Some(next)
    });
    sorted.into_iter().chain(lazily)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_become_one_sorted_set(lists in proptest::collection::vec(
            proptest::collection::btree_set(0..50_u32, 0..9), 0..24,
        )) {
            let expected: BTreeSet<u32> = lists.iter().flatten().copied().collect();
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|it| it.into_iter().collect()).collect();
            let merged: Vec<u32> = merge(lists.iter().map(Vec::as_slice).collect()).collect();
            prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
