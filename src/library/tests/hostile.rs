//! Files that nobody would write.

use proptest::prelude::*;

use super::super::build::secret;
use super::env;
use super::folder;
use crate::library::check_paths;

const GOOD: &str = include_str!("../../../playbooks/restart.yml");
const RULES: &str = include_str!("../../../rules/service.yml");
const CONFIG: &str = include_str!("../../../quell.example.yml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_good_file_panics(
        which in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize), 1..8),
    ) {
        const PIECES: [&str; 12] =
            ["", ":", "- ", "\n", "\t", "\"", "{{", "[", "&a ", "*a", "ü", "\u{0}: |\n  "];
        let mut text = [GOOD, RULES, CONFIG][which].to_owned();
        for (at, piece) in edits {
            let at = at.index(text.len().max(1)).min(text.len());
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (at + 1..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(at);
            text.replace_range(at..end, PIECES[piece]);
        }
        let name = ["playbook.yml", "rules.yml", "quell.yml"][which];
        let folder = folder(&[(name, &text)]);
        let loaded = check_paths(&[folder.path().join(name)], &env);
        let shown = loaded.render(true);
        prop_assert!(loaded.library.is_some() || shown.contains("error"));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let folder = folder(&[("a.yml", &text)]);
        let loaded = check_paths(&[folder.path().to_owned()], &env);
        prop_assert!(!loaded.render(false).is_empty());
    }
}

#[test]
fn a_byte_order_mark_is_harmless() {
    let text = format!("\u{feff}{GOOD}");
    let folder = folder(&[("a.yml", &text)]);
    let loaded = check_paths(&[folder.path().to_owned()], &env);
    assert!(loaded.library.is_some(), "{}", loaded.render(false));
}

#[test]
fn windows_line_ends_are_harmless() {
    let folder = folder(&[("a.yml", &GOOD.replace('\n', "\r\n"))]);
    let loaded = check_paths(&[folder.path().to_owned()], &env);
    assert!(loaded.library.is_some(), "{}", loaded.render(false));
}

#[test]
fn errors_of_the_system_read_as_fragments() {
    let error = std::fs::read("/nonexistent").expect_err("no such file");
    assert_eq!(secret::reason(&error), "no such file or directory");
}
