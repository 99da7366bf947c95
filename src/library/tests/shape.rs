//! YAML itself, keys and types.

use super::rule;
use super::{check, check_config};

#[test]
fn an_unknown_key_is_suggested_and_listed() {
    insta::assert_snapshot!(check(&[("rules/api.yml", &rule("    limits:\n      cooldwn: 15m\n"))]), @r"
    error[Q0104]: unknown key `cooldwn`
      ┌─ rules/api.yml:6:7
      │
    6 │       cooldwn: 15m
      │       ^^^^^^^ did you mean `cooldown`?
      │
      = `limits` of a rule takes: settle, cooldown, rate, max_unhealthy, blast, min_available, ineffective, demote_after, quiet

    1 file, 1 rule, 0 playbooks: 1 error
    ");
}

#[test]
fn a_wrong_type_says_what_is_expected() {
    insta::assert_snapshot!(check(&[("rules/api.yml", &rule("    limits: { cooldown: [5m], rate: { a: b }, settle: }\n    continue: yes\n    group_by: service\n"))]), @r"
    error[Q0107]: expected a duration such as 5m, got a list
      ┌─ rules/api.yml:5:25
      │
    5 │     limits: { cooldown: [5m], rate: { a: b }, settle: }
      │                         ^^^^

    error[Q0107]: expected a rate such as 3 per 1h, got a mapping
      ┌─ rules/api.yml:5:37
      │
    5 │     limits: { cooldown: [5m], rate: { a: b }, settle: }
      │                                     ^^^^^^^^

    error[Q0107]: expected a duration such as 5m, got nothing
      ┌─ rules/api.yml:5:53
      │
    5 │     limits: { cooldown: [5m], rate: { a: b }, settle: }
      │                                                     ^ nothing is written here

    error[Q0107]: expected true or false, got text
      ┌─ rules/api.yml:6:15
      │
    6 │     continue: yes
      │               ^^^

    error[Q0107]: expected a list, got text
      ┌─ rules/api.yml:7:15
      │
    7 │     group_by: service
      │               ^^^^^^^

    1 file, 1 rule, 0 playbooks: 5 errors
    ");
}

#[test]
fn a_missing_key_is_named_with_its_owner() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "rules:\n  - description: nameless\n    target: x\n  - name: b\n")]), @r"
    error[Q0106]: missing key `name`
      ┌─ rules/api.yml:2:5
      │
    2 │   - description: nameless
      │     ^^^^^^^^^^^^^^^^^^^^^ a rule needs `name`

    error[Q0106]: missing key `match`
      ┌─ rules/api.yml:2:5
      │
    2 │   - description: nameless
      │     ^^^^^^^^^^^^^^^^^^^^^ a rule needs `match`

    error[Q0106]: missing key `match`
      ┌─ rules/api.yml:4:11
      │
    4 │   - name: b
      │           ^ a rule needs `match`

    error[Q0106]: missing key `target`
      ┌─ rules/api.yml:4:11
      │
    4 │   - name: b
      │           ^ a rule needs `target`

    1 file, 2 rules, 0 playbooks: 4 errors
    ");
}

#[test]
fn an_unknown_word_lists_those_possible() {
    insta::assert_snapshot!(check(&[("rules/api.yml", &rule("    mode: atuo\n    on_failure: ignore\n"))]), @r"
    error[Q0108]: expected observe, approve or auto, got `atuo`
      ┌─ rules/api.yml:5:11
      │
    5 │     mode: atuo
      │           ^^^^ did you mean `auto`?

    error[Q0108]: expected escalate, got `ignore`
      ┌─ rules/api.yml:6:17
      │
    6 │     on_failure: ignore
      │                 ^^^^^^

    1 file, 1 rule, 0 playbooks: 2 errors
    ");
}

#[test]
fn a_key_of_a_later_version_is_refused() {
    insta::assert_snapshot!(check_config(&[
        ("quell.yml", "tls: { cert: a }\nchannels: { chat: { slack: { bot_token: x } } }\n"),
    ]), @r"
    error[Q0105]: `tls` is not supported yet
      ┌─ quell.yml:1:1
      │
    1 │ tls: ***********
      │ ^^^ remove it: it would do nothing

    error[Q0106]: missing key `webhook_url`
      ┌─ quell.yml:2:28
      │
    2 │ channels: { chat: { slack: { bot_token: * } } }
      │                            ^^^^^^^^^^^^^^^^ `slack` needs `webhook_url`

    error[Q0105]: `bot_token` is not supported yet
      ┌─ quell.yml:2:30
      │
    2 │ channels: { chat: { slack: { bot_token: * } } }
      │                              ^^^^^^^^^ remove it: it would do nothing

    1 file, 0 rules, 0 playbooks: 3 errors
    ");
}

#[test]
fn duplicate_keys_are_an_error() {
    insta::assert_snapshot!(check(&[("rules/api.yml", &rule("    mode: auto\n    mode: observe\n"))]), @r"
    error[Q0109]: key `mode` is here twice
      ┌─ rules/api.yml:6:5
      │
    6 │     mode: observe
      │     ^^^^ first on line 5

    1 file, 1 rule, 0 playbooks: 1 error
    ");
}

#[test]
fn a_tab_is_explained() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "rules:\n  - name: a\n\tmatch: []\n")]), @r"
    error[Q0103]: not YAML: while scanning a plain scalar, found a tab
      ┌─ rules/api.yml:2:11
      │
    2 │   - name: a
      │           ^
      │
      = YAML indents with spaces, never with tabs

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn an_unterminated_quote_is_found() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "rules:\n  - name: \"a\n    match: []\n")]), @r"
    error[Q0103]: not YAML: invalid indentation in multiline quoted scalar
      ┌─ rules/api.yml:3:5
      │
    3 │     match: []
      │     ^
      │
      = is a quote left open above?

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn a_template_without_quotes_is_explained() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "rules:\n  - name: a\n    match: []\n    target: {{ labels.service }}\n")]), @r"
    error[Q0103]: a key must be text, and this is a list or a mapping
      ┌─ rules/api.yml:4:14
      │
    4 │     target: {{ labels.service }}
      │              ^^^^^^^^^^^^^^^^^^
      │
      = a value with {{ … }} needs quotes around it when it begins with {{ or stands between { and } or [ and ]

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("rules: []\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text = format!("{text}a{level}: &a{level} [{items}]\n");
    }
    insta::assert_snapshot!(check(&[("rules/api.yml", &text)]), @r"
    error[Q0110]: more than 250000 values, once aliases are put in
      ┌─ rules/api.yml:7:9
      │
    7 │ a5: &a5 [*a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4, *a4]
      │         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn aliases_work_where_they_are_harmless() {
    let rules = "rules:\n  - name: a\n    match: &m ['a=\"b\"']\n    target: x\n    mode: observe\n    continue: true\n  - name: b\n    match: *m\n    target: x\n    mode: approve\n";
    insta::assert_snapshot!(check(&[("rules/api.yml", rules)]), @"1 file, 2 rules, 0 playbooks: no problems");
}

#[test]
fn an_empty_file_is_an_error() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "# nothing yet\n"), ("rules/b.yml", "")]), @r"
    error[Q0111]: rules/api.yml is empty
     = rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`

    error[Q0111]: rules/b.yml is empty
     = rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`

    2 files, 0 rules, 0 playbooks: 2 errors
    ");
}

#[test]
fn a_file_that_is_neither_rules_nor_playbook_is_named() {
    insta::assert_snapshot!(check(&[("rules/api.yml", "rulse:\n  - name: a\n")]), @r"
    error[Q0111]: rules/api.yml is neither rules nor a playbook
      ┌─ rules/api.yml:1:1
      │
    1 │ rulse:
      │ ^^^^^ did you mean `rules`?
      │
      = rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn bytes_that_are_not_utf8_are_located() {
    let folder = super::folder(&[]);
    std::fs::write(folder.path().join("a.yml"), b"rules:\n  - name: \xff\xfe\n").expect("a file");
    let loaded = super::check_paths(&[folder.path().join("a.yml")], &super::env);
    insta::assert_snapshot!(super::shown(&loaded, folder.path()), @r"
    error[Q0102]: a.yml is not UTF-8: byte 18 on line 2

    1 file, 0 rules, 0 playbooks: 1 error
    ");
}

#[test]
fn errors_of_all_files_are_shown_at_once() {
    insta::assert_snapshot!(check(&[
        ("playbooks/p.yml", "playbook: p\ntier: 9\nsteps: []\n"),
        ("rules/a.yml", &rule("    mode: 5\n")),
        ("rules/b.yml", "rules: {}\n"),
    ]), @r"
    error[Q0120]: expected a tier from 1 to 4, got 9
      ┌─ playbooks/p.yml:2:7
      │
    2 │ tier: 9
      │       ^

    error[Q0129]: a playbook without steps
      ┌─ playbooks/p.yml:3:8
      │
    3 │ steps: []
      │        ^^ expected at least one

    error[Q0108]: expected observe, approve or auto, got `5`
      ┌─ rules/a.yml:5:11
      │
    5 │     mode: 5
      │           ^

    error[Q0107]: expected a list, got a mapping
      ┌─ rules/b.yml:1:8
      │
    1 │ rules: {}
      │        ^^

    3 files, 1 rule, 1 playbook: 4 errors
    ");
}

#[test]
fn a_step_is_exactly_one_thing() {
    insta::assert_snapshot!(check(&[
        ("playbooks/a.yml", "playbook: a\nsteps:\n  - name: nothing\n    timeout: 5s\n  - name: both\n    wait: 1m\n    command: { argv: [ls] }\n"),
        ("playbooks/b.yml", "playbook: b\nsteps:\n  - name: w\n    wait: 1m\n    within: 1m\n    retry: { times: 2 }\n    undo: { command: { argv: [ls] } }\n"),
    ]), @r"
    error[Q0129]: a step without an action, a `probe`, a `wait` or an `ask`
      ┌─ playbooks/a.yml:3:11
      │
    3 │   - name: nothing
      │           ^^^^^^^ expected exactly one: an action such as `http`, a `probe`, a `wait` or an `ask`

    error[Q0129]: a step that is more than one thing: command, wait
      ┌─ playbooks/a.yml:5:11
      │
    5 │   - name: both
      │           ^^^^ expected exactly one: an action such as `http`, a `probe`, a `wait` or an `ask`

    error[Q0129]: `within` does not go together with `wait`
      ┌─ playbooks/b.yml:5:13
      │
    5 │     within: 1m
      │             ^^ only a `probe` has it

    error[Q0129]: `retry` does not go together with `wait`
      ┌─ playbooks/b.yml:6:12
      │
    6 │     retry: { times: 2 }
      │            ^^^^^^^^^^^^ only an action or a `probe` has it

    error[Q0129]: `undo` does not go together with `wait`
      ┌─ playbooks/b.yml:7:11
      │
    7 │     undo: { command: { argv: [ls] } }
      │           ^^^^^^^^^^^^^^^^^^^^^^^^^^^ only an action has it

    2 files, 0 rules, 2 playbooks: 5 errors
    ");
}

#[test]
fn a_second_document_is_for_playbooks_only() {
    insta::assert_snapshot!(check(&[
        ("a.yml", "rules: []\n---\nrules: []\n"),
        ("b.yml", "playbook: a\nsteps: [{ name: w, wait: 1s }]\n---\nplaybook: b\nsteps: [{ name: w, wait: 1s }]\n"),
    ]), @r"
    error[Q0103]: a second document: only playbooks may share a file
      ┌─ a.yml:3:1
      │
    3 │ rules: []
      │ ^^^^^^^^^

    2 files, 0 rules, 2 playbooks: 1 error
    ");
}

#[test]
fn settings_among_the_rules_are_refused_and_slipped_indentation_is_seen() {
    insta::assert_snapshot!(check_config(&[
        ("quell.yml", "mode: auto\n"),
        ("rules/other.yml", "mode: auto\nlisten: 0.0.0.0:1\n"),
        ("rules/slipped.yml", "rules:\n  - name: a\n    match: ['a=\"b\"']\n    target: x\nlimits: { cooldown: 1h }\n"),
    ]), @r"
    error[Q0111]: rules/other.yml has settings, and there is one file of settings
     = rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`

    error[Q0104]: unknown key `limits`
      ┌─ rules/slipped.yml:5:1
      │
    5 │ limits: { cooldown: 1h }
      │ ^^^^^^
      │
      = a rule file takes: rules, checks, schedules

    3 files, 1 rule, 0 playbooks: 2 errors
    ");
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let folder = super::folder(&[("empty/readme.txt", "")]);
    let paths = [folder.path().join("nope.yml"), folder.path().join("empty")];
    insta::assert_snapshot!(super::shown(&super::check_paths(&paths, &super::env), folder.path()), @r"
    error[Q0101]: cannot read nope.yml: no such file or directory

    error[Q0101]: empty holds no .yml file

    0 files, 0 rules, 0 playbooks: 2 errors
    ");
}
