use proptest::prelude::*;

use super::*;

/// The inputs and roots that implementations of certificate transparency are tested with.
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn known() -> Tree {
    Tree::new(Range::default(), INPUTS.iter().map(|input| leaf(&bytes(input))).collect())
}

fn hashes(hex: &[&str]) -> Vec<Hash> {
    hex.iter().map(|it| from_hex(it).unwrap()).collect()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let (tree, mut range) = (known(), Range::default());
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(hex(&range.root()), *root, "{size}");
        assert_eq!(hex(&tree.root(size as u64).unwrap()), *root, "{size}");
        if let Some(leaf) = tree.leaf(size as u64) {
            range.push(leaf);
        }
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let tree = known();
    let to_eight = hashes(&[
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]);
    assert_eq!(tree.inclusion(0, 8).unwrap(), to_eight);
    assert_eq!(tree.consistency(1, 8).unwrap(), to_eight);
    assert_eq!(
        tree.consistency(6, 8).unwrap(),
        hashes(&[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ])
    );
    assert_eq!(
        tree.consistency(2, 5).unwrap(),
        hashes(&[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ])
    );
}

fn tree(size: u64) -> Tree {
    Tree::new(Range::default(), (0..size).map(|it| leaf(&it.to_be_bytes())).collect())
}

/// The same log without its first `gone` leaves.
fn pruned(size: u64, gone: u64) -> Tree {
    let whole = tree(size);
    let mut begin = Range::default();
    for index in 0..gone {
        begin.push(whole.leaf(index).unwrap());
    }
    let begin = Range::of(begin.size(), begin.peaks().to_vec()).unwrap();
    Tree::new(begin, (gone..size).map(|index| whole.leaf(index).unwrap()).collect())
}

#[test]
fn a_log_without_its_beginning_has_the_same_roots_and_proofs() {
    for size in 1..14 {
        let whole = tree(size);
        for gone in 0..=size {
            let rest = pruned(size, gone);
            for at in gone..=size {
                assert_eq!(rest.root(at), whole.root(at), "{gone} of {size}: root of {at}");
                assert!(rest.root(at).is_some());
                assert_eq!(rest.consistency(at, size), whole.consistency(at, size));
                for index in gone..at {
                    assert_eq!(rest.inclusion(index, at), whole.inclusion(index, at));
                    assert!(rest.inclusion(index, at).is_some(), "{gone} of {size}: {index}");
                }
            }
            assert_eq!(rest.inclusion(gone, gone), None);
            if gone > 0 && gone < size {
                assert_eq!(rest.leaf(gone - 1), None, "what is gone cannot be shown");
            }
        }
    }
}

#[test]
fn peaks_belong_to_a_size() {
    assert!(Range::of(3, vec![[0; 32]; 2]).is_some());
    assert_eq!(Range::of(3, vec![[0; 32]; 3]), None);
    assert_eq!(Range::of(0, vec![[0; 32]]), None);
}

#[test]
fn hexadecimal_is_read_strictly() {
    let hash = leaf(b"x");
    let text = hex(&hash);
    assert_eq!(from_hex(&text), Some(hash));
    let letters = text.replace(|c: char| c.is_alphabetic(), "g");
    for wrong in ["", "00", &text[1..], &letters, &"é".repeat(32)] {
        assert_eq!(from_hex(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn every_leaf_is_proved_and_nothing_else(size in 1_u64..300, index in 0_u64..300, other in 0_u64..300, flip in 0_usize..9) {
        let (index, other) = (index % size, other % size);
        let tree = tree(size);
        let root = tree.root(size).unwrap();
        let path = tree.inclusion(index, size).unwrap();
        let it = tree.leaf(index).unwrap();
        prop_assert!(includes(&root, size, index, &it, &path));
        if other != index {
            prop_assert!(!includes(&root, size, other, &it, &path));
            prop_assert!(!includes(&root, size, index, &tree.leaf(other).unwrap(), &path));
        }
        let mut longer = path.clone();
        longer.push(root);
        prop_assert!(!includes(&root, size, index, &it, &longer));
        if !path.is_empty() {
            let mut wrong = path.clone();
            wrong[flip % path.len()][0] ^= 1;
            prop_assert!(!includes(&root, size, index, &it, &wrong));
            prop_assert!(!includes(&root, size, index, &it, &path[1..]));
        }
        prop_assert!(!includes(&root, size, size + index, &it, &path));
    }

    #[test]
    fn a_log_that_grew_is_proved_and_a_rewritten_one_is_not(a in 0_u64..200, b in 0_u64..200, flip in 0_u64..200) {
        let (old, new) = (a.min(b), a.max(b));
        let whole = tree(new);
        let (old_root, new_root) = (whole.root(old).unwrap(), whole.root(new).unwrap());
        let path = whole.consistency(old, new).unwrap();
        prop_assert!(extends((old, &old_root), (new, &new_root), &path));
        if old > 0 {
            let mut leaves: Vec<Hash> = (0..new).map(|at| whole.leaf(at).unwrap()).collect();
            leaves[usize::try_from(flip % old).unwrap()][3] ^= 1;
            let rewritten = Tree::new(Range::default(), leaves);
            let root = rewritten.root(new).unwrap();
            prop_assert!(!extends((old, &old_root), (new, &root), &path));
            let forged = rewritten.consistency(old, new).unwrap();
            prop_assert!(!extends((old, &old_root), (new, &root), &forged));
        }
        prop_assert!(old == new || !extends((new, &new_root), (old, &old_root), &path));
    }
}
