//! The Merkle tree of RFC 6962: a leaf is SHA-256(0x00 ‖ data), a node SHA-256(0x01 ‖ left ‖ right).
//!
//! A [`Range`] grows by a leaf and holds one hash a complete subtree, so that a log is appended to without reading it, and
//! its beginning can be dropped. A [`Tree`] has the leaves behind such a range, and makes proofs.

use sha2::Digest as _;
use sha2::Sha256;

/// SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// The hash of a node.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The first `size` leaves, as the roots of their complete subtrees, the largest first: a compact range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    size: u64,
    peaks: Vec<Hash>,
}

impl Range {
    /// What was kept of a log; `None` when there are not as many peaks as this size has.
    pub fn of(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // each complete subtree of the same size as the new one is merged with it
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root: of no leaves, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            None => Sha256::digest([]).into(),
            Some(last) => peaks.fold(last, |right, left| node(&left, &right)),
        }
    }

    /// The root of the complete subtree [from, to), if it is one of the peaks.
    fn peak(&self, from: u64, to: u64) -> Option<Hash> {
        let mut begin = 0;
        for (bit, peak) in
            (0..u64::BITS).rev().filter(|bit| self.size >> bit & 1 == 1).zip(&self.peaks)
        {
            let end = begin + (1 << bit);
            if (begin, end) == (from, to) {
                return Some(*peak);
            }
            begin = end;
        }
        None
    }
}

/// A log whose beginning may be gone.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// What is kept of its beginning.
    begin: Range,
    /// The leaves behind it.
    leaves: Vec<Hash>,
}

impl Tree {
    /// The leaves behind `begin`.
    pub fn new(begin: Range, leaves: Vec<Hash>) -> Self {
        Self { begin, leaves }
    }

    /// How many leaves, those of the beginning included.
    pub fn size(&self) -> u64 {
        self.begin.size + self.leaves.len() as u64
    }

    /// The leaf, unless it is one of the beginning.
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        let at = usize::try_from(index.checked_sub(self.begin.size)?).ok()?;
        self.leaves.get(at).copied()
    }

    /// The root of the first `size` leaves; `None` when there are fewer, or when it is inside the beginning.
    pub fn root(&self, size: u64) -> Option<Hash> {
        if size == 0 { Some(Range::default().root()) } else { self.subtree(0, size) }
    }

    /// The hash of the leaves [from, to), which are not none.
    fn subtree(&self, from: u64, to: u64) -> Option<Hash> {
        if let Some(peak) = self.begin.peak(from, to) {
            return Some(peak);
        }
        if to - from == 1 {
            return self.leaf(from);
        }
        let middle = from + split(to - from);
        Some(node(&self.subtree(from, middle)?, &self.subtree(middle, to)?))
    }

    /// The hashes that lead from a leaf to the root of the first `size` leaves; `None` when the leaf is none of them, or gone.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let (mut from, mut to, mut path) = (0, size, Vec::new());
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(self.subtree(middle, to)?);
                to = middle;
            } else {
                path.push(self.subtree(from, middle)?);
                from = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The hashes that show that the first `new` leaves begin with the first `old`.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if old > new || new > self.size() {
            return None;
        }
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut from, mut to, mut path, mut whole) = (0, new, Vec::new(), true);
        while to != old {
            let middle = from + split(to - from);
            if old <= middle {
                path.push(self.subtree(middle, to)?);
                to = middle;
            } else {
                path.push(self.subtree(from, middle)?);
                (from, whole) = (middle, false);
            }
        }
        // whoever checks knows the root of the old tree, unless it is only a part of it that ends here
        if !whole {
            path.push(self.subtree(from, to)?);
        }
        path.reverse();
        Some(path)
    }
}

/// The largest power of two below `size`, which is more than one.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Whether `path` leads from the leaf at `index` to the root of `size` leaves (RFC 9162, 2.1.3.2).
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for other in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(other, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, other);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` shows that the tree of `new` leaves begins with that of `old` (RFC 9162, 2.1.4.2).
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == Range::default().root();
    }
    let mut path = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for other in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            of_old = node(other, &of_old);
            of_new = node(other, &of_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node(&of_new, other);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

/// A hash, or other bytes, in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The hash that these 64 hexadecimal digits are.
pub fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
