//! What single values mean.

use super::check;
use super::rule;
use super::step;

#[test]
fn durations_and_rates_are_checked() {
    insta::assert_snapshot!(check(&[("rules/a.yml", &rule("    limits: { cooldown: 5 minutes, rate: 3/h, settle: 1m1h }\n"))]), @r"
    error[Q0112]: `5 minutes` is not a duration; write one like 90s, 5m or 1h30m
      ┌─ rules/a.yml:5:25
      │
    5 │     limits: { cooldown: 5 minutes, rate: 3/h, settle: 1m1h }
      │                         ^^^^^^^^^

    error[Q0113]: `3/h` is not a rate; write one like 3 per 1h
      ┌─ rules/a.yml:5:42
      │
    5 │     limits: { cooldown: 5 minutes, rate: 3/h, settle: 1m1h }
      │                                          ^^^

    error[Q0112]: `1m1h` is not a duration; write one like 90s, 5m or 1h30m
      ┌─ rules/a.yml:5:55
      │
    5 │     limits: { cooldown: 5 minutes, rate: 3/h, settle: 1m1h }
      │                                                       ^^^^

    1 file, 1 rule, 0 playbooks: 3 errors
    ");
}

#[test]
fn a_bad_matcher_is_located() {
    insta::assert_snapshot!(check(&[("rules/a.yml", "rules:\n  - name: a\n    match: [severity=~\"(\", \"x y\", a=\"b,c\"]\n    target: x\n")]), @r#"
    error[Q0114]: `(` at byte 0 of the regex is not closed: add `)`
      ┌─ rules/a.yml:3:23
      │
    3 │     match: [severity=~"(", "x y", a="b,c"]
      │                       ^

    error[Q0114]: unexpected `y`: expected an operator: `=`, `!=`, `=~` or `!~`
      ┌─ rules/a.yml:3:31
      │
    3 │     match: [severity=~"(", "x y", a="b,c"]
      │                               ^

    error[Q0114]: the quote is not closed: add `"`
      ┌─ rules/a.yml:3:37
      │
    3 │     match: [severity=~"(", "x y", a="b,c"]
      │                                     ^
      │
      = a comma ends the item of a list, even between double quotes: put the matcher in single quotes

    error[Q0114]: the quote is not closed: add `"`
      ┌─ rules/a.yml:3:41
      │
    3 │     match: [severity=~"(", "x y", a="b,c"]
      │                                         ^
      │
      = a comma ends the item of a list, even between double quotes: put the matcher in single quotes

    1 file, 1 rule, 0 playbooks: 4 errors
    "#);
}

#[test]
fn a_template_that_names_an_unknown_variable_is_located() {
    insta::assert_snapshot!(check(&[
        ("rules/a.yml", "rules:\n  - name: a\n    match: [a=\"b\"]\n    target: x/{{ lables.service }}\n"),
        ("playbooks/p.yml", &step("    command: { argv: [systemctl, restart, \"{{ untt }}\"] }\n")),
        ("playbooks/q.yml", &step("    command:\n      argv: [\"{{ unit\"]\n").replace("fix", "fix2")),
    ]), @r#"
    error[Q0115]: unknown variable `untt`, did you mean `unit`?; there are: unit, labels, annotations, steps, run
      ┌─ playbooks/p.yml:6:47
      │
    6 │     command: { argv: [systemctl, restart, "{{ untt }}"] }
      │                                               ^^^^

    error[Q0115]: the template does not parse: unexpected end of input, expected end of variable block
      ┌─ playbooks/q.yml:7:18
      │
    7 │       argv: ["{{ unit"]
      │                  ^^^^

    error[Q0115]: unknown variable `lables`, did you mean `labels`?; there are: labels, annotations
      ┌─ rules/a.yml:4:18
      │
    4 │     target: x/{{ lables.service }}
      │                  ^^^^^^

    3 files, 1 rule, 2 playbooks: 3 errors
    "#);
}

#[test]
fn a_step_reads_only_steps_before_it() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", "\
playbook: a
steps:
  - { name: look around, command: { argv: [uptime] } }
  - { name: say, command: { argv: [echo, '{{ steps[\"look around\"].output }}', '{{ steps.later.output }}'] } }
  - { name: later, command: { argv: [echo, '{{ steps.sya.output }}', '{{ steps.say.output }}'] } }
  - { name: own, command: { argv: [ls] }, undo: { command: { argv: [echo, '{{ steps.own.output }}'] } } }
on_resolve:
  - { name: end, command: { argv: [echo, '{{ steps.later.output }}'] } }
")]), @r#"
    error[Q0115]: no step `later` comes before this one
      ┌─ playbooks/a.yml:4:79
      │
    4 │   - { name: say, command: { argv: [echo, '{{ steps["look around"].output }}', '{{ steps.later.output }}'] } }
      │                                                                               ^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[Q0115]: no step `sya` comes before this one
      ┌─ playbooks/a.yml:5:44
      │
    5 │   - { name: later, command: { argv: [echo, '{{ steps.sya.output }}', '{{ steps.say.output }}'] } }
      │                                            ^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `say`?

    1 file, 0 rules, 1 playbook: 2 errors
    "#);
}

#[test]
fn a_condition_that_does_not_parse_is_located() {
    insta::assert_snapshot!(check(&[("rules/a.yml", &rule("    when: labels.env ==\n    verify: { promql: up, healthy: valeu < 5 }\n"))]), @r"
    error[Q0116]: the condition ends too early
      ┌─ rules/a.yml:5:24
      │
    5 │     when: labels.env ==
      │                        ^

    error[Q0116]: unknown variable `valeu`; there are: value, labels
      ┌─ rules/a.yml:6:36
      │
    6 │     verify: { promql: up, healthy: valeu < 5 }
      │                                    ^^^^^

    1 file, 1 rule, 0 playbooks: 2 errors
    ");
}

#[test]
fn schedules_and_zones_are_checked() {
    insta::assert_snapshot!(check(&[("rules/a.yml", "\
checks:
  - { name: a, cron: '* * *', probe: { alert: {} } }
  - { name: b, cron: '99 * * * *', probe: { alert: {} } }
  - { name: c, cron: '0 0 30 2 *', probe: { alert: {} } }
  - { name: d, cron: '0 0 L * *', timezone: Europe/Berlni, probe: { alert: {} } }
  - { name: e, cron: '*/30 * * * * *', timezone: Europe/Berlin, probe: { alert: {} } }
  - { name: f, cron: '0 0 0 1 1 * 2020', probe: { alert: {} } }
")]), @r"
    error[Q0118]: expected five fields, or six with seconds first, got 3
      ┌─ rules/a.yml:2:22
      │
    2 │   - { name: a, cron: '* * *', probe: { alert: {} } }
      │                      ^^^^^^^ minute, hour, day of month, month, day of week: `0 2 * * *`

    error[Q0118]: `99 * * * *` is not a schedule: number out of bounds
      ┌─ rules/a.yml:3:23
      │
    3 │   - { name: b, cron: '99 * * * *', probe: { alert: {} } }
      │                       ^^ minutes go from 0 to 59

    error[Q0118]: `0 0 30 2 *` never comes: no date is like that
      ┌─ rules/a.yml:4:22
      │
    4 │   - { name: c, cron: '0 0 30 2 *', probe: { alert: {} } }
      │                      ^^^^^^^^^^^^ write a day that the month has, or `L` for its last one

    error[Q0119]: unknown time zone `Europe/Berlni`
      ┌─ rules/a.yml:5:45
      │
    5 │   - { name: d, cron: '0 0 L * *', timezone: Europe/Berlni, probe: { alert: {} } }
      │                                             ^^^^^^^^^^^^^ expected an IANA name such as Europe/Berlin

    error[Q0118]: expected five fields, or six with seconds first, got 7
      ┌─ rules/a.yml:7:22
      │
    7 │   - { name: f, cron: '0 0 0 1 1 * 2020', probe: { alert: {} } }
      │                      ^^^^^^^^^^^^^^^^^^ minute, hour, day of month, month, day of week: `0 2 * * *`

    1 file, 0 rules, 6 checks, 0 playbooks: 5 errors
    ");
}

#[test]
fn a_probe_observes_one_thing_and_knows_when_it_is_healthy() {
    insta::assert_snapshot!(check(&[("rules/a.yml", "\
checks:
  - { name: a, cron: '@hourly', probe: {} }
  - { name: b, cron: '@hourly', probe: { promql: up, alert: {} } }
  - { name: c, cron: '@hourly', probe: { promql: up } }
  - { name: d, cron: '@hourly', probe: { tcp: { address: localhost }, healthy: value > 1 } }
  - { name: e, cron: '@hourly', probe: { http: { url: localhost, status: 99 } } }
  - { name: f, cron: '@hourly', probe: { tls: { address: 'a:443' } } }
  - { name: g, cron: '@hourly', unknown: maybe, consecutive: 0, probe: { alert: {} } }
")]), @r"
    error[Q0129]: the probe observes nothing
      ┌─ rules/a.yml:2:40
      │
    2 │   - { name: a, cron: '@hourly', probe: {} }
      │                                        ^^ expected exactly one of promql, scrape, http, tcp, command, alert, tls, postgres, redis, kubernetes.ready, systemd.active, ssh

    error[Q0129]: the probe observes more than one thing: promql, alert
      ┌─ rules/a.yml:3:40
      │
    3 │   - { name: b, cron: '@hourly', probe: { promql: up, alert: {} } }
      │                                        ^^^^^^^^^^^^^^^^^^^^^^^^^ expected exactly one of promql, scrape, http, tcp, command, alert, tls, postgres, redis, kubernetes.ready, systemd.active, ssh

    error[Q0106]: missing key `healthy`
      ┌─ rules/a.yml:4:40
      │
    4 │   - { name: c, cron: '@hourly', probe: { promql: up } }
      │                                        ^^^^^^^^^^^^^^ `promql` needs a condition over `value` and `labels`

    error[Q0120]: expected host:port, got text without a colon
      ┌─ rules/a.yml:5:58
      │
    5 │   - { name: d, cron: '@hourly', probe: { tcp: { address: localhost }, healthy: value > 1 } }
      │                                                          ^^^^^^^^^

    error[Q0129]: `healthy` does not go together with `tcp`
      ┌─ rules/a.yml:5:80
      │
    5 │   - { name: d, cron: '@hourly', probe: { tcp: { address: localhost }, healthy: value > 1 } }
      │                                                                                ^^^^^^^^^ only promql, scrape, tls, postgres, redis give values to judge

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ rules/a.yml:6:55
      │
    6 │   - { name: e, cron: '@hourly', probe: { http: { url: localhost, status: 99 } } }
      │                                                       ^^^^^^^^^

    error[Q0120]: expected a status from 100 to 599, got 99
      ┌─ rules/a.yml:6:74
      │
    6 │   - { name: e, cron: '@hourly', probe: { http: { url: localhost, status: 99 } } }
      │                                                                          ^^

    error[Q0108]: expected alert or ignore, got `maybe`
      ┌─ rules/a.yml:8:42
      │
    8 │   - { name: g, cron: '@hourly', unknown: maybe, consecutive: 0, probe: { alert: {} } }
      │                                          ^^^^^

    error[Q0120]: expected a number above zero, got 0
      ┌─ rules/a.yml:8:62
      │
    8 │   - { name: g, cron: '@hourly', unknown: maybe, consecutive: 0, probe: { alert: {} } }
      │                                                              ^

    1 file, 0 rules, 7 checks, 0 playbooks: 9 errors
    ");
}

#[test]
fn parameters_are_declared_so_that_they_always_have_a_value() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", "\
playbook: a
parameters:
  none: { type: string }
  both: { type: string, required: true, default: x }
  labels: { type: string, required: true }
  a-b: { type: string, required: true }
  broken: { type: string, required: true, pattern: '[a-' }
  words: { type: enum, required: true }
  low: { type: integer, default: 3, min: 5 }
  span: { type: duration, default: 5m, min: 10m, max: 1m }
  sealed: { type: secret, required: true }
steps: [{ name: w, wait: 1s }]
")]), @r"
    error[Q0128]: a parameter cannot be called `none`: templates know that word already
      ┌─ playbooks/a.yml:3:3
      │
    3 │   none: { type: string }
      │   ^^^^

    error[Q0128]: parameter `none` may have no value
      ┌─ playbooks/a.yml:3:3
      │
    3 │   none: { type: string }
      │   ^^^^ write `required: true` or a `default`

    error[Q0128]: a `default` has no use beside `required: true`
      ┌─ playbooks/a.yml:4:50
      │
    4 │   both: { type: string, required: true, default: x }
      │                                                  ^

    error[Q0128]: a parameter cannot be called `labels`: templates know that word already
      ┌─ playbooks/a.yml:5:3
      │
    5 │   labels: { type: string, required: true }
      │   ^^^^^^

    error[Q0128]: the name of a parameter has letters, digits and _, and does not begin with a digit
      ┌─ playbooks/a.yml:6:3
      │
    6 │   a-b: { type: string, required: true }
      │   ^^^

    error[Q0117]: the pattern does not compile: `[` at byte 0 of the regex is not closed: add `]`, or write `\[` for the character
      ┌─ playbooks/a.yml:7:52
      │
    7 │   broken: { type: string, required: true, pattern: '[a-' }
      │                                                    ^^^^^

    error[Q0128]: an enum needs `values: [ … ]`
      ┌─ playbooks/a.yml:8:3
      │
    8 │   words: { type: enum, required: true }
      │   ^^^^^

    error[Q0125]: parameter `low`: `3` is below the minimum of 5
      ┌─ playbooks/a.yml:9:34
      │
    9 │   low: { type: integer, default: 3, min: 5 }
      │                                  ^

    error[Q0125]: parameter `span`: `5m` is below the minimum of 10m
       ┌─ playbooks/a.yml:10:36
       │
    10 │   span: { type: duration, default: 5m, min: 10m, max: 1m }
       │                                    ^^

    error[Q0128]: `max` 1m is below `min` 10m
       ┌─ playbooks/a.yml:10:55
       │
    10 │   span: { type: duration, default: 5m, min: 10m, max: 1m }
       │                                                       ^^

    error[Q0108]: expected string, integer, number, boolean, duration or enum, got `secret`
       ┌─ playbooks/a.yml:11:19
       │
    11 │   sealed: { type: secret, required: true }
       │                   ^^^^^^

    1 file, 0 rules, 1 playbook: 11 errors
    ");
}

#[test]
fn actions_are_checked() {
    insta::assert_snapshot!(check(&[("playbooks/a.yml", "\
playbook: a
parameters: { unit: { type: string, required: true } }
steps:
  - name: shell
    command: { shell: 'systemctl restart {{ unit }}' }
  - name: two
    command: { shell: ls, argv: [ls], env: { A-B: x } }
  - name: web
    http: { method: FETCH, url: 'example.com/{{ unit }}', body: a, json: { a: '{{ nothing }}' } }
  - name: back
    http: { method: POST, url: 'http://example.com' }
    undo: previous
  - name: keys
    redis.delete: { server: cache }
  - name: flush
    redis.flush: { database: -1 }
")]), @r#"
    error[Q0133]: a template inside shell text: a value from an alert could become a command
      ┌─ playbooks/a.yml:5:42
      │
    5 │     command: { shell: 'systemctl restart {{ unit }}' }
      │                                          ^
      │
      = pass it through `env:` and write "$NAME" in the script

    error[Q0129]: `argv` and `shell` do not go together
      ┌─ playbooks/a.yml:7:14
      │
    7 │     command: { shell: ls, argv: [ls], env: { A-B: x } }
      │              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ keep one

    error[Q0120]: `A-B` cannot be the name of an environment variable
      ┌─ playbooks/a.yml:7:46
      │
    7 │     command: { shell: ls, argv: [ls], env: { A-B: x } }
      │                                              ^^^

    error[Q0108]: expected GET, POST, PUT, PATCH or DELETE, got `FETCH`
      ┌─ playbooks/a.yml:9:21
      │
    9 │     http: { method: FETCH, url: 'example.com/{{ unit }}', body: a, json: { a: '{{ nothing }}' } }
      │                     ^^^^^

    error[Q0120]: expected a URL that begins with http:// or https://
      ┌─ playbooks/a.yml:9:33
      │
    9 │     http: { method: FETCH, url: 'example.com/{{ unit }}', body: a, json: { a: '{{ nothing }}' } }
      │                                 ^^^^^^^^^^^^^^^^^^^^^^^^

    error[Q0129]: `body` and `json` do not go together
      ┌─ playbooks/a.yml:9:65
      │
    9 │     http: { method: FETCH, url: 'example.com/{{ unit }}', body: a, json: { a: '{{ nothing }}' } }
      │                                                                 ^ keep one

    error[Q0115]: unknown variable `nothing`; there are: unit, labels, annotations, steps, run
      ┌─ playbooks/a.yml:9:74
      │
    9 │     http: { method: FETCH, url: 'example.com/{{ unit }}', body: a, json: { a: '{{ nothing }}' } }
      │                                                                          ^^^^^^^^^^^^^^^^^^^^^^

    error[Q0134]: `http` does not know its own reverse
       ┌─ playbooks/a.yml:12:11
       │
    12 │     undo: previous
       │           ^^^^^^^^ name an action, as in `undo: { command: { argv: […] } }`, or remove it

    error[Q0129]: `redis.delete` without `keys` or `pattern`
       ┌─ playbooks/a.yml:14:19
       │
    14 │     redis.delete: { server: cache }
       │                   ^^^^^^^^^^^^^^^^^ expected exactly one

    error[Q0106]: missing key `server`
       ┌─ playbooks/a.yml:16:18
       │
    16 │     redis.flush: { database: -1 }
       │                  ^^^^^^^^^^^^^^^^ `redis.flush` needs `server`

    error[Q0120]: expected the number of a database, got -1
       ┌─ playbooks/a.yml:16:30
       │
    16 │     redis.flush: { database: -1 }
       │                              ^^

    1 file, 0 rules, 1 playbook: 11 errors
    "#);
}
