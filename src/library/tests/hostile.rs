//! Files that nobody would write.

use proptest::prelude::*;

use super::super::build::secret;
use super::env;
use super::folder;
use crate::library::check_paths;
use crate::library::load;

const GOOD: &str = include_str!("../../../playbooks/restart.yml");
const RULES: &str = include_str!("../../../rules/service.yml");
const CONFIG: &str = include_str!("../../../quell.example.yml");

/// Settings with credentials written out.
const SECRETS: &str = "\
storage: postgres://quell:nobody@db/quell
link_key: nobody-may-see-this-key
ingest:
  tokens:
    - name: am
      token: nobody
    - { name: eu, token: \"nobody\" }
targets: { redis: { cache: { url: 'redis://:nobody@cache' } } }
prometheus:
  url: https://quell:nobody@prometheus
  headers:
    Authorization: Bearer nobody
channels:
  slack: { slack: { webhook_url: https://hooks.example.com/nobody } }
  hook: { webhook: { url: 'https://example.com/nobody' } }
";

type Edit = (prop::sample::Index, usize);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize), 1..8)
}

/// The text with single characters replaced by what YAML cares about.
fn mutated(text: &str, edits: Vec<Edit>) -> String {
    const PIECES: [&str; 12] =
        ["", ":", "- ", "\n", "\t", "\"", "{{", "[", "&a ", "*a", "ü", "\u{0}: |\n  "];
    let mut text = text.to_owned();
    for (at, piece) in edits {
        let at = at.index(text.len().max(1)).min(text.len());
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + 1..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(at);
        text.replace_range(at..end, PIECES[piece]);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_good_file_panics(which in 0..3_usize, edits in edits()) {
        let text = mutated([GOOD, RULES, CONFIG][which], edits);
        let name = ["playbook.yml", "rules.yml", "quell.yml"][which];
        let folder = folder(&[(name, &text)]);
        let loaded = check_paths(&[folder.path().join(name)], &env);
        let shown = loaded.render(true);
        prop_assert!(loaded.library.is_some() || shown.contains("error"));
    }

    #[test]
    fn no_single_slip_in_settings_shows_a_secret(edit in any::<prop::sample::Index>(), piece in 0..12_usize) {
        let text = mutated(SECRETS, vec![(edit, piece)]);
        let folder = folder(&[("quell.yml", &text)]);
        let loaded = load(Some(&folder.path().join("quell.yml")), &env);
        let shown = loaded.render(false);
        prop_assert!(!shown.contains("nobody"), "{text}\n\n{shown}");
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
