//! What spans files.

use super::check;
use super::check_config;
use super::env;
use super::folder;
use super::rule;
use super::step;
use crate::library::codes;
use crate::library::load;

const RESTART: &str = "\
playbook: restart
parameters:
  unit: { type: string, required: true, pattern: '[a-z-]+' }
  grace: { type: duration, default: 30s, max: 5m }
  count: { type: integer, default: 1, min: 1, max: 3 }
  how: { type: enum, values: [soft, hard], default: soft }
steps:
  - name: restart
    command: { argv: [restart, \"{{ unit }}\", \"{{ grace }}\", \"{{ count }}\", \"{{ how }}\"] }
";

#[test]
fn a_playbook_that_does_not_exist_is_suggested() {
    insta::assert_snapshot!(check(&[
        ("playbooks/restart.yml", RESTART),
        ("rules/a.yml", &rule("    response:\n      - playbook: restrat\n      - playbook: scale\n")),
    ]), @r"
    error[Q0122]: unknown playbook `restrat`
      ┌─ rules/a.yml:6:19
      │
    6 │       - playbook: restrat
      │                   ^^^^^^^ did you mean `restart`?
      │
      = playbooks: restart

    error[Q0122]: unknown playbook `scale`
      ┌─ rules/a.yml:7:19
      │
    7 │       - playbook: scale
      │                   ^^^^^
      │
      = playbooks: restart

    2 files, 1 rule, 1 playbook: 2 errors
    ");
}

#[test]
fn values_of_parameters_are_checked() {
    insta::assert_snapshot!(check(&[
        ("playbooks/restart.yml", RESTART),
        ("rules/a.yml", &rule("    response:
      - playbook: restart
        with: { untt: nginx }
      - playbook: restart
        with: { unit: 'nginx; rm -rf /', grace: 10m, count: many, how: gently }
      - playbook: restart
        with: { unit: [nginx], count: 7, grace: 5 }
      - playbook: restart
        with: { unit: '{{ labels.unit }}', count: '2' }
        tier: 5
")),
    ]), @r#"
    error[Q0124]: playbook `restart` needs parameter `unit`
      ┌─ rules/a.yml:6:19
      │
    6 │       - playbook: restart
      │                   ^^^^^^^ write `with: { unit: … }`

    error[Q0123]: playbook `restart` has no parameter `untt`
      ┌─ rules/a.yml:7:17
      │
    7 │         with: { untt: nginx }
      │                 ^^^^ did you mean `unit`?
      │
      = restart takes: count, grace, how, unit

    error[Q0125]: parameter `unit`: `nginx; rm -rf /` does not match the pattern [a-z-]+
      ┌─ rules/a.yml:9:23
      │
    9 │         with: { unit: 'nginx; rm -rf /', grace: 10m, count: many, how: gently }
      │                       ^^^^^^^^^^^^^^^^^

    error[Q0125]: parameter `grace`: `10m` is above the maximum of 5m
      ┌─ rules/a.yml:9:49
      │
    9 │         with: { unit: 'nginx; rm -rf /', grace: 10m, count: many, how: gently }
      │                                                 ^^^

    error[Q0125]: parameter `count`: `many` is not a whole number
      ┌─ rules/a.yml:9:61
      │
    9 │         with: { unit: 'nginx; rm -rf /', grace: 10m, count: many, how: gently }
      │                                                             ^^^^

    error[Q0125]: parameter `how`: `gently` is not one of soft, hard
      ┌─ rules/a.yml:9:72
      │
    9 │         with: { unit: 'nginx; rm -rf /', grace: 10m, count: many, how: gently }
      │                                                                        ^^^^^^

    error[Q0125]: parameter `unit`: `["nginx"]` is not text
       ┌─ rules/a.yml:11:23
       │
    11 │         with: { unit: [nginx], count: 7, grace: 5 }
       │                       ^^^^^^^

    error[Q0125]: parameter `count`: `7` is above the maximum of 3
       ┌─ rules/a.yml:11:39
       │
    11 │         with: { unit: [nginx], count: 7, grace: 5 }
       │                                       ^

    error[Q0125]: parameter `grace`: `5` is not a duration such as 5m
       ┌─ rules/a.yml:11:49
       │
    11 │         with: { unit: [nginx], count: 7, grace: 5 }
       │                                                 ^

    error[Q0120]: expected a tier from 1 to 4, got 5
       ┌─ rules/a.yml:14:15
       │
    14 │         tier: 5
       │               ^

    2 files, 1 rule, 1 playbook: 10 errors
    "#);
}

#[test]
fn names_are_unique() {
    insta::assert_snapshot!(check(&[
        ("playbooks/a.yml", "playbook: a\nsteps:\n  - { name: w, wait: 1s }\n  - { name: w, wait: 2s }\n"),
        ("playbooks/b.yml", "playbook: a\nsteps: [{ name: w, wait: 1s }]\n"),
        ("rules/a.yml", &rule("")),
        ("rules/b.yml", &rule("").replace("\"X\"", "\"Y\"")),
        ("rules/c.yml", "checks:\n  - &c { name: c, cron: '@daily', probe: { alert: {} } }\n  - *c\n"),
    ]), @r"
    error[Q0121]: step `w` is here twice
      ┌─ playbooks/a.yml:4:13
      │
    4 │   - { name: w, wait: 2s }
      │             ^ first on line 3

    error[Q0121]: playbook `a` is here twice
      ┌─ playbooks/b.yml:1:11
      │
    1 │ playbook: a
      │           ^ first at playbooks/a.yml:1

    error[Q0121]: rule `api` is here twice
      ┌─ rules/b.yml:2:11
      │
    2 │   - name: api
      │           ^^^ first at rules/a.yml:2

    error[Q0121]: check `c` is here twice
      ┌─ rules/c.yml:2:16
      │
    2 │   - &c { name: c, cron: '@daily', probe: { alert: {} } }
      │                ^ first at rules/c.yml:2

    5 files, 2 rules, 2 checks, 2 playbooks: 4 errors
    ");
}

#[test]
fn a_rule_behind_a_wider_one_is_a_warning() {
    insta::assert_snapshot!(check(&[
        ("rules/a.yml", "rules:\n  - { name: wide, match: ['severity=\"critical\"'], target: x }\n  - { name: narrow, match: ['a=\"b\"', 'severity=\"critical\"'], target: x }\n  - { name: other, match: ['a=\"b\"'], target: x }\n"),
    ]), @r#"
    warning[Q0311]: this rule can never match: rule `wide` (rules/a.yml:2) takes every alert before it
      ┌─ rules/a.yml:3:13
      │
    3 │   - { name: narrow, match: ['a="b"', 'severity="critical"'], target: x }
      │             ^^^^^^ put it first, or let the other say `continue: true`

    1 file, 3 rules, 0 playbooks: 1 warning
    "#);
}

#[test]
fn playbooks_are_not_missed_when_none_was_to_be_read() {
    insta::assert_snapshot!(check(&[("a.yml", &rule("    response: [{ playbook: restart, with: { unit: x } }]\n"))]), @r"
    note: no playbook was read, so the playbooks that rules name were not looked up

    1 file, 1 rule, 0 playbooks: no problems
    ");
}

#[test]
fn servers_and_channels_must_exist() {
    insta::assert_snapshot!(check_config(&[
        ("quell.yml", "\
targets: { redis: { cache: { url: 'redis://cache:6379' } } }
channels: { slack: { slack: { webhook_url: \"${env:SET}\" } }, pager: { slack: { webhook_url: 'https://hooks.example.com/x' } } }
severities: { critical: { notify: [slcak, pager], escalate_to: [mail] } }
unmatched: [pager]
"),
        ("playbooks/a.yml", "playbook: a\nsteps:\n  - { name: f, redis.delete: { server: cahce, keys: [k] } }\n  - { name: h, http: { server: shop, method: DELETE, url: /cache } }\n"),
    ]), @r#"
    error[Q0127]: unknown redis server `cahce`
      ┌─ playbooks/a.yml:3:40
      │
    3 │   - { name: f, redis.delete: { server: cahce, keys: [k] } }
      │                                        ^^^^^ did you mean `cache`?
      │
      = `targets.redis` of quell.yml has: cache

    error[Q0127]: unknown http server `shop`
      ┌─ playbooks/a.yml:4:32
      │
    4 │   - { name: h, http: { server: shop, method: DELETE, url: /cache } }
      │                                ^^^^
      │
      = `targets.http` of quell.yml has no servers

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ quell.yml:2:44
      │
    2 │ channels: { slack: { slack: { webhook_url: "${env:SET}" } }, pager: { slack: { webhook_url: ***************************** } } }
      │                                            ^^^^^^^^^^^^

    error[Q0126]: unknown channel `slcak`
      ┌─ quell.yml:3:36
      │
    3 │ severities: { critical: { notify: [slcak, pager], escalate_to: [mail] } }
      │                                    ^^^^^ did you mean `slack`?
      │
      = `channels` has: pager, slack

    error[Q0126]: unknown channel `mail`
      ┌─ quell.yml:3:65
      │
    3 │ severities: { critical: { notify: [slcak, pager], escalate_to: [mail] } }
      │                                                                 ^^^^
      │
      = `channels` has: pager, slack

    2 files, 0 rules, 1 playbook: 5 errors
    "#);
}

#[test]
fn a_limit_looser_than_the_global_one_is_a_warning() {
    insta::assert_snapshot!(check_config(&[
        ("quell.yml", "limits: { rate: 10 per 1h }\n"),
        ("rules/a.yml", &rule("    limits: { cooldown: 1m, rate: 20 per 1h }\n")),
    ]), @r"
    warning[Q0312]: this cooldown is shorter than the global one
      ┌─ rules/a.yml:5:25
      │
    5 │     limits: { cooldown: 1m, rate: 20 per 1h }
      │                         ^^ the global limit wins: 5m, by default

    warning[Q0312]: this rate allows more than the global one
      ┌─ rules/a.yml:5:35
      │
    5 │     limits: { cooldown: 1m, rate: 20 per 1h }
      │                                   ^^^^^^^^^ the global limit wins: 10 per 1h, set at quell.yml:1

    2 files, 1 rule, 0 playbooks: 2 warnings
    ");
}

#[test]
fn a_step_that_asks_a_missing_verification_is_a_warning() {
    insta::assert_snapshot!(check(&[
        ("playbooks/a.yml", &step("    command: { argv: [ls, \"{{ unit }}\"] }\n    on_unknown: probe\n")),
        ("rules/a.yml", &rule("    response: [{ playbook: fix, with: { unit: x } }]\n")),
    ]), @r"
    warning[Q0314]: step `do it` of playbook `fix` asks the verification when its outcome is unknown, and this rule has none
      ┌─ rules/a.yml:5:28
      │
    5 │     response: [{ playbook: fix, with: { unit: x } }]
      │                            ^^^ add `verify:`, else a person is asked

    2 files, 1 rule, 1 playbook: 1 warning
    ");
}

#[test]
fn many_large_files_of_rules_are_read_as_if_one_by_one() {
    // enough text for threads; every seventh rule is wrong, and some files hold something else
    let mut files: Vec<(String, String)> = vec![("quell.yml".into(), "mode: observe\n".into())];
    let (mut expected, mut wrong) = (Vec::new(), 0);
    for file in 0..70 {
        let mut text = String::from("rules:\n");
        for number in 0..20 {
            let target = if file % 10 == 3 && number % 7 == 0 { "{{ labels. }}" } else { "api" };
            wrong += usize::from(target != "api");
            let name = format!("r{file:02}-{number:02}");
            let filler = "x".repeat(300);
            text = format!(
                "{text}  - {{ name: {name}, match: [a={name}], target: \"{target}\", description: {filler} }}\n"
            );
            expected.push(name);
        }
        files.push((format!("rules/{file:02}.yml"), text));
    }
    files.push(("rules/05-text.yml".into(), "just text\n".into()));
    files.push(("rules/06-broken.yml".into(), "rules: [\n".into()));
    files.push((
        "rules/07-playbook.yml".into(),
        "playbook: p\nsteps: [{ name: s, wait: 1s }]\n".into(),
    ));
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let all = folder(&files);
    let loaded = load(Some(&all.path().join("quell.yml")), &env);
    let shown = loaded.render(false);
    assert_eq!((loaded.counts.rules, loaded.counts.playbooks), (1400, 1), "{shown}");
    let of = |code| loaded.diagnostics.iter().filter(|it| it.code == code).count();
    assert_eq!(of(codes::TEMPLATE), wrong, "{shown}");
    assert_eq!(of(codes::EMPTY), 1, "{shown}");
    assert_eq!(of(codes::NOT_YAML), 1, "{shown}");

    let mut right = files.clone();
    right.retain(|(name, text)| !text.contains("labels.") && !name.contains('-'));
    let library = super::library(&right);
    let names: Vec<&str> = library.rules.rules().iter().map(|it| it.name.as_str()).collect();
    expected.retain(|name| right.iter().any(|(_, text)| text.contains(&format!("name: {name},"))));
    assert_eq!(names, expected);
}
