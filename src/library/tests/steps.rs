//! `for_each`, `ask`, secrets, and the steps that may be named.

use super::*;
use crate::model::action::Action;
use crate::model::action::Piece;
use crate::model::playbook::Items;
use crate::model::playbook::Share;
use crate::model::playbook::Undo;
use crate::model::playbook::What;

/// A playbook around its steps, with a parameter of each kind that matters here.
pub(super) fn playbook(steps: &str) -> String {
    format!(
        "playbook: fix\nparameters:\n  unit: {{ type: string, required: true }}\n  token: {{ type: string, secret: true, required: true }}\nsteps:{steps}"
    )
}

#[test]
fn a_for_each_that_cannot_work_is_refused() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", &playbook("
  - { name: nothing, for_each: [], command: { argv: [a, \"{{ item }}\"] } }
  - { name: twice, for_each: [x, x], command: { argv: [a] } }
  - { name: number, for_each: 5, command: { argv: [a] } }
  - { name: text, for_each: '\"a b\"', command: { argv: [a] } }
  - { name: template, for_each: '{{ unit }}', command: { argv: [a] } }
  - { name: unknown, for_each: hosts, command: { argv: [a] } }
  - { name: itself, for_each: '[item]', command: { argv: [a] } }
  - { name: later, for_each: steps.last.output.lines, command: { argv: [a] } }
  - { name: waits, for_each: [x], wait: 1m }
  - { name: asks, for_each: [x], ask: { question: why } }
  - { name: outside, command: { argv: [a, \"{{ item }}\"] } }
  - { name: last, command: { argv: [a] } }
"))]), @r#"
    error[Q0120]: an empty list: there is nothing to do it for
      ┌─ playbooks/a.yml:6:32
      │
    6 │   - { name: nothing, for_each: [], command: { argv: [a, "{{ item }}"] } }
      │                                ^^

    error[Q0120]: item `x` is in the list twice
      ┌─ playbooks/a.yml:7:34
      │
    7 │   - { name: twice, for_each: [x, x], command: { argv: [a] } }
      │                                  ^

    error[Q0107]: expected a list, or an expression that gives one, got a whole number
      ┌─ playbooks/a.yml:8:31
      │
    8 │   - { name: number, for_each: 5, command: { argv: [a] } }
      │                               ^

    error[Q0116]: this is text, not a list
      ┌─ playbooks/a.yml:9:29
      │
    9 │   - { name: text, for_each: '"a b"', command: { argv: [a] } }
      │                             ^^^^^^^

    error[Q0116]: expected an expression, got a template
       ┌─ playbooks/a.yml:10:33
       │
    10 │   - { name: template, for_each: '{{ unit }}', command: { argv: [a] } }
       │                                 ^^^^^^^^^^^^ write it without `{{ }}`, or a list of templates

    error[Q0116]: unknown variable `hosts`; there are: unit, token, labels, annotations, steps, run
       ┌─ playbooks/a.yml:11:32
       │
    11 │   - { name: unknown, for_each: hosts, command: { argv: [a] } }
       │                                ^^^^^

    error[Q0116]: unknown variable `item`; there are: unit, token, labels, annotations, steps, run
       ┌─ playbooks/a.yml:12:33
       │
    12 │   - { name: itself, for_each: '[item]', command: { argv: [a] } }
       │                                 ^^^^

    error[Q0116]: no step `last` comes before this one
       ┌─ playbooks/a.yml:13:30
       │
    13 │   - { name: later, for_each: steps.last.output.lines, command: { argv: [a] } }
       │                              ^^^^^^^^^^^^^^^^^^^^^^^

    error[Q0129]: `for_each` does not go together with `wait`
       ┌─ playbooks/a.yml:14:30
       │
    14 │   - { name: waits, for_each: [x], wait: 1m }
       │                              ^^^ only an action or a `probe` has it

    error[Q0129]: `for_each` does not go together with `ask`
       ┌─ playbooks/a.yml:15:29
       │
    15 │   - { name: asks, for_each: [x], ask: { question: why } }
       │                             ^^^ only an action or a `probe` has it

    error[Q0115]: unknown variable `item`; there are: unit, token, labels, annotations, steps, run
       ┌─ playbooks/a.yml:16:47
       │
    16 │   - { name: outside, command: { argv: [a, "{{ item }}"] } }
       │                                               ^^^^

    1 file, 0 rules, 1 playbook: 11 errors
    "#);
}

#[test]
fn waves_that_cannot_work_are_refused() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", &playbook("
  - { name: a, waves: [1, 100%], command: { argv: [a] } }
  - { name: b, for_each: [x], bake: 5m, command: { argv: [a] } }
  - { name: c, for_each: [x], between: { probe: { alert: {} } }, command: { argv: [a] } }
  - { name: d, for_each: [x], waves: [], command: { argv: [a] } }
  - { name: e, for_each: unit, waves: [1, 25%], command: { argv: [a] } }
  - { name: f, for_each: unit, waves: [1, 3], command: { argv: [a] } }
  - { name: g, for_each: [x, y, z], waves: [1, 2], command: { argv: [a] } }
  - { name: h, for_each: unit, waves: [50%, 25%, 100%], command: { argv: [a] } }
  - { name: i, for_each: unit, waves: [3, 3, 100%], command: { argv: [a] } }
  - { name: j, for_each: unit, waves: [0, 100%], command: { argv: [a] } }
  - { name: k, for_each: unit, waves: [101%], command: { argv: [a] } }
  - { name: l, for_each: unit, waves: [some, 100%], command: { argv: [a] } }
  - { name: m, for_each: unit, waves: [1, 100%], between: { within: 1m }, command: { argv: [a] } }
"))]), @r"
    error[Q0129]: `waves` without `for_each`
      ┌─ playbooks/a.yml:6:23
      │
    6 │   - { name: a, waves: [1, 100%], command: { argv: [a] } }
      │                       ^^^^^^^^^ it says how fast a `for_each` goes

    error[Q0129]: `bake` without `waves`
      ┌─ playbooks/a.yml:7:37
      │
    7 │   - { name: b, for_each: [x], bake: 5m, command: { argv: [a] } }
      │                                     ^^ without `waves` there is one wave, and nothing between waves

    error[Q0129]: `between` without `waves`
      ┌─ playbooks/a.yml:8:40
      │
    8 │   - { name: c, for_each: [x], between: { probe: { alert: {} } }, command: { argv: [a] } }
      │                                        ^^^^^^^^^^^^^^^^^^^^^^^^ without `waves` there is one wave, and nothing between waves

    error[Q0137]: the last wave does not reach all items
      ┌─ playbooks/a.yml:9:38
      │
    9 │   - { name: d, for_each: [x], waves: [], command: { argv: [a] } }
      │                                      ^^ end with 100%

    error[Q0137]: the last wave does not reach all items
       ┌─ playbooks/a.yml:10:43
       │
    10 │   - { name: e, for_each: unit, waves: [1, 25%], command: { argv: [a] } }
       │                                           ^^^ end with 100%

    error[Q0137]: the last wave does not reach all items
       ┌─ playbooks/a.yml:11:43
       │
    11 │   - { name: f, for_each: unit, waves: [1, 3], command: { argv: [a] } }
       │                                           ^ end with 100%

    error[Q0137]: the last wave does not reach all items
       ┌─ playbooks/a.yml:12:48
       │
    12 │   - { name: g, for_each: [x, y, z], waves: [1, 2], command: { argv: [a] } }
       │                                                ^ end with 100%

    error[Q0137]: wave 25% does not go beyond the one before
       ┌─ playbooks/a.yml:13:45
       │
    13 │   - { name: h, for_each: unit, waves: [50%, 25%, 100%], command: { argv: [a] } }
       │                                             ^^^ waves are how many items are done in all at their end

    error[Q0137]: wave 3 does not go beyond the one before
       ┌─ playbooks/a.yml:14:43
       │
    14 │   - { name: i, for_each: unit, waves: [3, 3, 100%], command: { argv: [a] } }
       │                                           ^ waves are how many items are done in all at their end

    error[Q0137]: `0` is neither a count nor a part
       ┌─ playbooks/a.yml:15:40
       │
    15 │   - { name: j, for_each: unit, waves: [0, 100%], command: { argv: [a] } }
       │                                        ^ write a number above zero, or one from 1% to 100%

    error[Q0137]: `101%` is neither a count nor a part
       ┌─ playbooks/a.yml:16:40
       │
    16 │   - { name: k, for_each: unit, waves: [101%], command: { argv: [a] } }
       │                                        ^^^^ write a number above zero, or one from 1% to 100%

    error[Q0137]: `some` is neither a count nor a part
       ┌─ playbooks/a.yml:17:40
       │
    17 │   - { name: l, for_each: unit, waves: [some, 100%], command: { argv: [a] } }
       │                                        ^^^^ write a number above zero, or one from 1% to 100%

    error[Q0106]: missing key `probe`
       ┌─ playbooks/a.yml:18:59
       │
    18 │   - { name: m, for_each: unit, waves: [1, 100%], between: { within: 1m }, command: { argv: [a] } }
       │                                                           ^^^^^^^^^^^^^^ `between` needs `probe`

    1 file, 0 rules, 1 playbook: 13 errors
    ");
}

#[test]
fn a_question_that_cannot_work_is_refused() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", &playbook("
  - { name: a, ask: { answers: { n: { type: integer } } } }
  - { name: b, ask: { question: '' } }
  - { name: c, ask: { question: why, tier: 5, within: 25h } }
  - { name: d, ask: { question: why, answers: {} } }
  - { name: e, ask: { question: 'what of {{ units }}?' } }
  - { name: f, ask: { question: why, answers: { item: { type: string } } } }
  - { name: g, ask: { question: why, answers: { pin: { type: string, secret: true } } } }
  - { name: h, ask: { question: why, answers: { n: { type: integer, min: 5, default: 3 } } } }
  - { name: i, ask: { question: why }, timeout: 5m }
  - { name: j, ask: may I?, wait: 1m }
"))]), @r"
    error[Q0106]: missing key `question`
      ┌─ playbooks/a.yml:6:21
      │
    6 │   - { name: a, ask: { answers: { n: { type: integer } } } }
      │                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `ask` needs `question`

    error[Q0120]: expected a question, got empty text
      ┌─ playbooks/a.yml:7:33
      │
    7 │   - { name: b, ask: { question: '' } }
      │                                 ^^

    error[Q0120]: expected a tier from 1 to 4, got 5
      ┌─ playbooks/a.yml:8:44
      │
    8 │   - { name: c, ask: { question: why, tier: 5, within: 25h } }
      │                                            ^

    error[Q0120]: people have between 1s and 24h to answer
      ┌─ playbooks/a.yml:8:55
      │
    8 │   - { name: c, ask: { question: why, tier: 5, within: 25h } }
      │                                                       ^^^ the run holds its target all the while

    error[Q0120]: no answers are declared
      ┌─ playbooks/a.yml:9:47
      │
    9 │   - { name: d, ask: { question: why, answers: {} } }
      │                                               ^^ leave `answers` out to ask for yes or no

    error[Q0115]: unknown variable `units`, did you mean `unit`?; there are: unit, token, labels, annotations, steps, run
       ┌─ playbooks/a.yml:10:45
       │
    10 │   - { name: e, ask: { question: 'what of {{ units }}?' } }
       │                                             ^^^^^

    error[Q0128]: an answer cannot be called `item`: templates know that word already
       ┌─ playbooks/a.yml:11:49
       │
    11 │   - { name: f, ask: { question: why, answers: { item: { type: string } } } }
       │                                                 ^^^^

    error[Q0128]: an answer is kept in the journal, so it cannot be a secret
       ┌─ playbooks/a.yml:12:78
       │
    12 │   - { name: g, ask: { question: why, answers: { pin: { type: string, secret: true } } } }
       │                                                                              ^^^^

    error[Q0125]: answer `n`: `3` is below the minimum of 5
       ┌─ playbooks/a.yml:13:86
       │
    13 │   - { name: h, ask: { question: why, answers: { n: { type: integer, min: 5, default: 3 } } } }
       │                                                                                      ^

    error[Q0129]: `timeout` does not go together with `ask`
       ┌─ playbooks/a.yml:14:49
       │
    14 │   - { name: i, ask: { question: why }, timeout: 5m }
       │                                                 ^^ only an action or a `probe` has it

    error[Q0129]: a step that is more than one thing: wait, ask
       ┌─ playbooks/a.yml:15:13
       │
    15 │   - { name: j, ask: may I?, wait: 1m }
       │             ^ expected exactly one: an action such as `http`, a `probe`, a `wait` or an `ask`

    error[Q0107]: expected a mapping with the keys of `ask`, got text
       ┌─ playbooks/a.yml:15:21
       │
    15 │   - { name: j, ask: may I?, wait: 1m }
       │                     ^^^^^^

    1 file, 0 rules, 1 playbook: 12 errors
    ");
}

#[test]
fn a_secret_stands_only_where_nobody_sees_it() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", &playbook("
  - { name: a, command: { argv: [curl, \"{{ token }}\"] } }
  - { name: b, command: { argv: [a], directory: \"/{{ token }}\" } }
  - { name: c, command: { argv: [a], env: { T: \"{{ token | upper }}\" } } }
  - { name: d, command: { argv: [a], env: { T: \"{% if token %}x{% endif %}\" } } }
  - { name: e, http: { method: GET, url: \"http://a/{{ token }}\" } }
  - { name: f, http: { method: GET, url: http://a }, if: 'token != \"\"' }
  - { name: g, ask: { question: \"is it {{ token }}?\" } }
  - { name: h, redis.delete: { server: a, keys: [\"{{ token }}\"] } }
  - { name: i, for_each: [\"{{ token }}\"], command: { argv: [a] } }
  - { name: j, for_each: '[token]', command: { argv: [a] } }
  - { name: k, probe: { command: { argv: [a], env: { T: \"{{ token }}\" } } } }
  - { name: l, command: { argv: [a] }, undo: { command: { argv: [\"{{ token }}\"] } } }
")), ("playbooks/b.yml", "\
playbook: b
parameters:
  a: { type: integer, secret: true, required: true }
  b: { type: string, secret: true, required: true, pattern: '[a-z]+' }
  c: { type: secret, required: true }
steps: [{ name: w, wait: 1s }]
")]), @r#"
    error[Q0135]: the secret `token` cannot stand here
      ┌─ playbooks/a.yml:6:40
      │
    6 │   - { name: a, command: { argv: [curl, "{{ token }}"] } }
      │                                        ^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
      ┌─ playbooks/a.yml:7:49
      │
    7 │   - { name: b, command: { argv: [a], directory: "/{{ token }}" } }
      │                                                 ^^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: a secret cannot be changed, compared or joined
      ┌─ playbooks/a.yml:8:48
      │
    8 │   - { name: c, command: { argv: [a], env: { T: "{{ token | upper }}" } } }
      │                                                ^^^^^^^^^^^^^^^^^^^^^ a secret is printed as it is: `{{ token }}`

    error[Q0135]: beside a secret, a template can only print
      ┌─ playbooks/a.yml:9:48
      │
    9 │   - { name: d, command: { argv: [a], env: { T: "{% if token %}x{% endif %}" } } }
      │                                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a secret is printed as it is: `{{ token }}`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:10:42
       │
    10 │   - { name: e, http: { method: GET, url: "http://a/{{ token }}" } }
       │                                          ^^^^^^^^^^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:11:58
       │
    11 │   - { name: f, http: { method: GET, url: http://a }, if: 'token != ""' }
       │                                                          ^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:12:33
       │
    12 │   - { name: g, ask: { question: "is it {{ token }}?" } }
       │                                 ^^^^^^^^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:13:50
       │
    13 │   - { name: h, redis.delete: { server: a, keys: ["{{ token }}"] } }
       │                                                  ^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:14:27
       │
    14 │   - { name: i, for_each: ["{{ token }}"], command: { argv: [a] } }
       │                           ^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:15:26
       │
    15 │   - { name: j, for_each: '[token]', command: { argv: [a] } }
       │                          ^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0135]: a probe takes no secrets
       ┌─ playbooks/a.yml:16:34
       │
    16 │   - { name: k, probe: { command: { argv: [a], env: { T: "{{ token }}" } } } }
       │                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ use an action, and read its output in a later step

    error[Q0135]: the secret `token` cannot stand here
       ┌─ playbooks/a.yml:17:66
       │
    17 │   - { name: l, command: { argv: [a] }, undo: { command: { argv: ["{{ token }}"] } } }
       │                                                                  ^^^^^^^^^^^^^ only in `env` of a command, and in `headers`, `body` and `json` of `http`

    error[Q0128]: a secret is `type: string` without a `pattern`: its value is never looked at
      ┌─ playbooks/b.yml:3:31
      │
    3 │   a: { type: integer, secret: true, required: true }
      │                               ^^^^

    error[Q0128]: a secret is `type: string` without a `pattern`: its value is never looked at
      ┌─ playbooks/b.yml:4:30
      │
    4 │   b: { type: string, secret: true, required: true, pattern: '[a-z]+' }
      │                              ^^^^

    error[Q0108]: expected string, integer, number, boolean, duration or enum, got `secret`
      ┌─ playbooks/b.yml:5:14
      │
    5 │   c: { type: secret, required: true }
      │              ^^^^^^

    2 files, 0 rules, 2 playbooks: 15 errors
    "#);
}

#[test]
fn a_rule_names_a_secret_that_exists() {
    let rules = "\
rules:
  - name: a
    match: [alertname=\"A\"]
    target: a
    response:
      - { playbook: fix, with: { unit: x, token: deploy-tokn } }
      - { playbook: fix, with: { unit: x, token: \"{{ labels.token }}\" } }
      - { playbook: fix, with: { unit: x, token: [deploy-token] } }
      - { playbook: fix, with: { unit: x, token: deploy-token } }
      - { playbook: other }
";
    insta::assert_snapshot!(check_config(&[
        ("quell.yml", "secrets: { deploy-token: '${env:TOKEN}', short: abc, 'a b': hunter-nobody }\n"),
        ("rules/a.yml", rules),
        ("playbooks/a.yml", &playbook("\n  - { name: w, wait: 1s }\n")),
        ("playbooks/b.yml", "playbook: other\nparameters:\n  token: { type: string, secret: true, default: prod-token }\nsteps: [{ name: w, wait: 1s }]\n"),
    ]), @r#"
    warning[Q0326]: no step uses parameter `unit`
      ┌─ playbooks/a.yml:3:3
      │
    3 │   unit: { type: string, required: true }
      │   ^^^^ use it, or remove it

    warning[Q0326]: no step uses parameter `token`
      ┌─ playbooks/a.yml:4:3
      │
    4 │   token: { type: string, secret: true, required: true }
      │   ^^^^^ use it, or remove it

    warning[Q0326]: no step uses parameter `token`
      ┌─ playbooks/b.yml:3:3
      │
    3 │   token: { type: string, secret: true, default: prod-token }
      │   ^^^^^ use it, or remove it

    error[Q0136]: unknown secret `prod-token`
      ┌─ playbooks/b.yml:3:3
      │
    3 │   token: { type: string, secret: true, default: prod-token }
      │   ^^^^^
      │
      = `secrets:` of quell.yml has: a b, deploy-token, short

    error[Q0120]: a secret has at least 6 bytes
      ┌─ quell.yml:1:49
      │
    1 │ secrets: { deploy-token: '${env:TOKEN}', short: ***, 'a b': ************* }
      │                                                 ^^^ a shorter one could not be masked in outputs

    error[Q0120]: the name of a secret has letters, digits, `-`, `_` and `.`
      ┌─ quell.yml:1:54
      │
    1 │ secrets: { deploy-token: '${env:TOKEN}', short: ***, 'a b': ************* }
      │                                                      ^^^^^

    warning[Q0331]: without `verify`, a remedy has helped when the alert is gone, and quell.yml has no `alertmanager` to ask
      ┌─ rules/a.yml:2:11
      │
    2 │   - name: a
      │           ^ add `verify`, or `alertmanager: { url: … }` to quell.yml

    error[Q0136]: unknown secret `deploy-tokn`
      ┌─ rules/a.yml:6:50
      │
    6 │       - { playbook: fix, with: { unit: x, token: deploy-tokn } }
      │                                                  ^^^^^^^^^^^ did you mean `deploy-token`?
      │
      = `secrets:` of quell.yml has: a b, deploy-token, short

    error[Q0136]: expected the name of a secret, written out
      ┌─ rules/a.yml:7:50
      │
    7 │       - { playbook: fix, with: { unit: x, token: "{{ labels.token }}" } }
      │                                                  ^^^^^^^^^^^^^^^^^^^^ no value of an alert may choose a credential

    warning[Q0321]: label `token` may be missing: no matcher of this rule asks for it
      ┌─ rules/a.yml:7:54
      │
    7 │       - { playbook: fix, with: { unit: x, token: "{{ labels.token }}" } }
      │                                                      ^^^^^^ add `token!=""` to `match`

    error[Q0136]: expected the name of a secret, written out
      ┌─ rules/a.yml:8:50
      │
    8 │       - { playbook: fix, with: { unit: x, token: [deploy-token] } }
      │                                                  ^^^^^^^^^^^^^^ no value of an alert may choose a credential

    4 files, 1 rule, 2 playbooks: 6 errors, 5 warnings
    "#);
}

#[test]
fn only_steps_that_come_before_can_be_named() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", &playbook("
  - { name: my-step, command: { argv: [a] }, if: steps.later.is == \"done\" }
  - { name: b, command: { argv: [a, '{{ steps[\"my-stp\"].output.stdout }}'] } }
  - { name: c, command: { argv: [a] }, if: 'steps[\"my-step\"].output != null' }
  - { name: d, command: { argv: [a] }, if: has(steps.d.output) }
  - { name: e, for_each: steps.my-step.output.lines, command: { argv: [a] } }
  - { name: later, wait: 1s }
"))]), @r#"
    error[Q0116]: no step `later` comes before this one
      ┌─ playbooks/a.yml:6:50
      │
    6 │   - { name: my-step, command: { argv: [a] }, if: steps.later.is == "done" }
      │                                                  ^^^^^^^^^^^^^^^^^^^^^^^^

    error[Q0115]: no step `my-stp` comes before this one
      ┌─ playbooks/a.yml:7:37
      │
    7 │   - { name: b, command: { argv: [a, '{{ steps["my-stp"].output.stdout }}'] } }
      │                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `my-step`?

    error[Q0116]: no step `d` comes before this one
      ┌─ playbooks/a.yml:9:44
      │
    9 │   - { name: d, command: { argv: [a] }, if: has(steps.d.output) }
      │                                            ^^^^^^^^^^^^^^^^^^^ did you mean `b`?

    error[Q0116]: unknown variable `step`; there are: unit, token, labels, annotations, steps, run
       ┌─ playbooks/a.yml:10:35
       │
    10 │   - { name: e, for_each: steps.my-step.output.lines, command: { argv: [a] } }
       │                                   ^^^^ write `steps["my-step"]`

    1 file, 0 rules, 1 playbook: 4 errors
    "#);
}

#[test]
fn steps_are_read_as_they_are_written() {
    let library = library(&[
        ("quell.yml", "secrets: { deploy-token: '${env:TOKEN}' }\ntargets: { http: { shop: { url: http://a } } }\n"),
        ("playbooks/a.yml", &playbook("
  - name: my-step
    command: { argv: [list, \"{{ unit }}\"], env: { TOKEN: \"{{ token }}\", A: b } }
  - name: each
    for_each: 'steps[\"my-step\"].output.lines'
    waves: [1, 25%, 100%]
    bake: 5m
    between: { probe: { alert: {} }, within: 1m }
    if: 'index > 0 && item != \"x\"'
    http: { server: shop, method: POST, url: /a, json: { a/b: [\"k\", \"Bearer {{ token }}\"], n: 5 } }
    undo: { http: { server: shop, method: DELETE, url: \"/{{ item }}\", headers: { T: \"{{ token }}\" } } }
  - name: really
    ask:
      question: shall {{ unit }} go?
      answers:
        replicas: { type: integer, min: 1, max: 9, description: how many }
        how: { type: enum, values: [slow, fast], default: slow }
      tier: 3
      within: 30m
  - name: yes or no
    ask: { question: really? }
")),
    ]);
    let steps = &library.playbooks["fix"].steps;
    let What::Action(Action::Command(command)) = &steps[0].what else { panic!() };
    assert_eq!(command.sealed.named["TOKEN"], [Piece::Secret("token".into())]);
    assert_eq!(command.sealed.named.len(), 1);
    let each = steps[1].each.as_ref().unwrap();
    assert_eq!(each.items, Items::Expression("steps[\"my-step\"].output.lines".into()));
    assert_eq!(each.waves, [Share::Count(1), Share::Percent(25), Share::Percent(100)]);
    assert_eq!((each.bake.as_secs(), each.between.as_ref().unwrap().within.as_secs()), (300, 60));
    let What::Action(Action::Http(call)) = &steps[1].what else { panic!() };
    let pieces = [Piece::Text("Bearer ".into()), Piece::Secret("token".into())];
    assert_eq!(call.sealed.json["/a~1b/1"], pieces);
    assert_eq!(call.sealed.json.len(), 1);
    let undo = steps[1].undo.as_ref().and_then(Undo::action);
    let Some(Action::Http(undo)) = undo else { panic!() };
    assert_eq!(undo.sealed.named["T"], [Piece::Secret("token".into())]);
    let What::Ask(ask) = &steps[2].what else { panic!() };
    assert_eq!((ask.tier, ask.within.as_secs(), ask.answers.len()), (3, 1800, 2));
    assert!(ask.answers["replicas"].required && !ask.answers["how"].required);
    let What::Ask(ask) = &steps[3].what else { panic!() };
    assert_eq!((ask.tier, ask.within.as_secs(), ask.answers.len()), (1, 3600, 0));
    assert_eq!(library.config.secrets["deploy-token"].reveal(), "token-that-nobody-may-see");
    assert!(!format!("{:?}", library.config).contains("nobody"));
}
