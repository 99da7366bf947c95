//! Pages that are held, windows and schedules.

use std::time::Duration;

use super::check;
use super::check_config;
use super::library;
use super::rule;
use crate::model::playbook::Mode;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::window::Effect;
use crate::model::window::Span;

const BACKUP: &str = "\
playbook: backup
parameters:
  database: { type: string, required: true, pattern: '[a-z]+' }
steps:
  - name: dump
    command: { argv: [pg_dump, \"{{ database }}\"] }
";

#[test]
fn windows_are_read() {
    let library = library(&[(
        "quell.yml",
        r#"
windows:
  - { name: sunday-maintenance, cron: "0 2 * * SUN", for: 2h, timezone: America/Toronto, effect: observe }
  - { name: release, from: 2026-01-05T10:00:00Z, until: "2026-01-05T13:00:00+02:00", effect: refuse,
      match: [service="shop", env!="dev"], reason: release week }
  - { name: office-hours, cron: "0 9 * * MON-FRI", for: 8h, effect: allow_only }
"#,
    )]);
    let [maintenance, release, office] = library.config.windows.as_slice() else {
        panic!("{:?}", library.config.windows)
    };
    let lasts = Duration::from_hours(2);
    let (cron, timezone) = ("0 2 * * SUN".into(), "America/Toronto".into());
    assert_eq!(maintenance.span, Span::Recurring { cron, timezone, lasts });
    assert_eq!((maintenance.effect, maintenance.place.line), (Effect::Observe, 3));
    let time = |text: &str| text.parse().unwrap();
    let (from, until) = (time("2026-01-05T10:00:00Z"), time("2026-01-05T11:00:00Z"));
    assert_eq!(release.span, Span::Once { from, until });
    assert_eq!((release.matchers.len(), release.reason.as_str()), (2, "release week"));
    assert_eq!(office.effect, Effect::AllowOnly);
    assert!(matches!(&office.span, Span::Recurring { timezone, .. } if timezone == "UTC"));
}

#[test]
fn windows_are_checked() {
    insta::assert_snapshot!(check_config(&[("quell.yml", r#"
windows:
  - { name: a, cron: "0 2 30 2 *", for: 2h, timezone: Berlin, effect: refuse }
  - { name: a, cron: "0 2 * * *", effect: obsrve }
  - { name: b, cron: "0 2 * * *", for: 2h, from: 2026-01-05T10:00:00Z, effect: observe }
  - { name: c, from: tomorrow, until: 2026-01-05T10:00:00, effect: refuse }
  - { name: d, from: 2026-01-05T10:00:00Z, until: 2026-01-05T09:00:00Z, effect: refuse, match: [x] }
  - { name: e, cron: "0 2 * * *", for: 0s }
  - { name: f, cron: "* *", for: 1h, effect: refuse, reasn: x }
"#)]), @r#"
    error[Q0118]: `0 2 30 2 *` never comes: no date is like that
      ┌─ quell.yml:3:22
      │
    3 │   - { name: a, cron: "0 2 30 2 *", for: 2h, timezone: Berlin, effect: refuse }
      │                      ^^^^^^^^^^^^ write a day that the month has, or `L` for its last one

    error[Q0119]: unknown time zone `Berlin`
      ┌─ quell.yml:3:55
      │
    3 │   - { name: a, cron: "0 2 30 2 *", for: 2h, timezone: Berlin, effect: refuse }
      │                                                       ^^^^^^ expected an IANA name such as Europe/Berlin

    error[Q0121]: window `a` is here twice
      ┌─ quell.yml:4:13
      │
    4 │   - { name: a, cron: "0 2 * * *", effect: obsrve }
      │             ^ first on line 3

    error[Q0106]: missing key `for`
      ┌─ quell.yml:4:22
      │
    4 │   - { name: a, cron: "0 2 * * *", effect: obsrve }
      │                      ^^^^^^^^^^^ a recurring window needs `for`: how long it lasts

    error[Q0108]: expected observe, refuse or allow_only, got `obsrve`
      ┌─ quell.yml:4:43
      │
    4 │   - { name: a, cron: "0 2 * * *", effect: obsrve }
      │                                           ^^^^^^ did you mean `observe`?

    error[Q0129]: a window is recurring or once
      ┌─ quell.yml:5:13
      │
    5 │   - { name: b, cron: "0 2 * * *", for: 2h, from: 2026-01-05T10:00:00Z, effect: observe }
      │             ^ write `cron` and `for` (and `timezone`), or `from` and `until`

    error[Q0120]: `tomorrow` is not an instant
      ┌─ quell.yml:6:22
      │
    6 │   - { name: c, from: tomorrow, until: 2026-01-05T10:00:00, effect: refuse }
      │                      ^^^^^^^^ write date, time and offset, such as 2026-01-05T10:00:00Z or 2026-01-05T11:00:00+01:00

    error[Q0120]: `2026-01-05T10:00:00` is not an instant
      ┌─ quell.yml:6:39
      │
    6 │   - { name: c, from: tomorrow, until: 2026-01-05T10:00:00, effect: refuse }
      │                                       ^^^^^^^^^^^^^^^^^^^ write date, time and offset, such as 2026-01-05T10:00:00Z or 2026-01-05T11:00:00+01:00

    error[Q0120]: the window ends before it begins
      ┌─ quell.yml:7:51
      │
    7 │   - { name: d, from: 2026-01-05T10:00:00Z, until: 2026-01-05T09:00:00Z, effect: refuse, match: [x] }
      │                                                   ^^^^^^^^^^^^^^^^^^^^

    error[Q0114]: an operator is missing at the end: write `name="value"`
      ┌─ quell.yml:7:98
      │
    7 │   - { name: d, from: 2026-01-05T10:00:00Z, until: 2026-01-05T09:00:00Z, effect: refuse, match: [x] }
      │                                                                                                  ^

    error[Q0106]: missing key `effect`
      ┌─ quell.yml:8:13
      │
    8 │   - { name: e, cron: "0 2 * * *", for: 0s }
      │             ^ a window needs `effect`

    error[Q0120]: a window lasts more than 0s and at most a year
      ┌─ quell.yml:8:40
      │
    8 │   - { name: e, cron: "0 2 * * *", for: 0s }
      │                                        ^^

    error[Q0118]: expected five fields, or six with seconds first, got 2
      ┌─ quell.yml:9:22
      │
    9 │   - { name: f, cron: "* *", for: 1h, effect: refuse, reasn: * }
      │                      ^^^^^ minute, hour, day of month, month, day of week: `0 2 * * *`

    error[Q0104]: unknown key `reasn`
      ┌─ quell.yml:9:54
      │
    9 │   - { name: f, cron: "* *", for: 1h, effect: refuse, reasn: * }
      │                                                      ^^^^^ did you mean `reason`?
      │
      = a window takes: name, cron, for, timezone, from, until, effect, match, reason

    1 file, 0 rules, 0 playbooks: 14 errors
    "#);
}

#[test]
fn schedules_are_read_with_their_defaults() {
    let library = library(&[
        ("quell.yml", "mode: auto\n"),
        ("playbooks/backup.yml", BACKUP),
        (
            "rules/times.yml",
            r#"
schedules:
  - name: nightly
    description: Dump it.
    cron: "0 2 * * *"
    timezone: Europe/Berlin
    playbook: backup
    with: { database: occ }
    target: postgres/main
    mode: approve
    tier: 3
    overlap: queue
    missed: run_once
    jitter: 5m
    labels: { severity: warning }
    verify: { promql: backup_age_seconds, healthy: value < 60.0, within: 5m }
  - { name: hourly/one, cron: "0 * * * *", playbook: backup, with: { database: "{{ labels.schedule }}" } }
"#,
        ),
    ]);
    let [nightly, hourly] = library.schedules.as_slice() else { panic!("{:?}", library.schedules) };
    assert_eq!(nightly.rule.name, "schedule:nightly");
    assert_eq!(nightly.rule.target, "postgres/main");
    assert_eq!((nightly.overlap, nightly.missed), (Overlap::Queue, Missed::RunOnce));
    assert_eq!(nightly.jitter, Duration::from_mins(5));
    assert_eq!(nightly.labels.get("severity"), "warning");
    assert_eq!((nightly.rule.mode.value, nightly.rule.response[0].tier), (Mode::Approve, Some(3)));
    assert_eq!(nightly.rule.response[0].with["database"], "occ");
    assert!(nightly.rule.verify.is_some());
    assert_eq!(hourly.rule.target, "schedule/hourly-one");
    assert_eq!((hourly.overlap, hourly.missed), (Overlap::Skip, Missed::Skip));
    assert_eq!((hourly.timezone.as_str(), hourly.jitter), ("UTC", Duration::ZERO));
    assert_eq!(hourly.rule.verify, None);
    assert!(library.rules.rules().is_empty(), "no alert can be taken by the rule of a schedule");
}

#[test]
fn times_and_playbooks_of_schedules_are_checked() {
    insta::assert_snapshot!(check(&[
        ("playbooks/backup.yml", BACKUP),
        ("rules/times.yml", r#"
schedules:
  - { name: a, cron: "0 2 30 2 *", playbook: backup, with: { database: occ } }
  - { name: a, cron: "0 2 * * *", timezone: Mars/Olympus, playbook: bakcup }
  - { name: b, cron: "* * * * *", playbook: backup, jitter: 1m }
  - { name: c, cron: "0 2 * * *", playbook: backup, with: { databse: occ, database: 'a b' } }
"#),
    ]), @r#"
    error[Q0118]: `0 2 30 2 *` never comes: no date is like that
      ┌─ rules/times.yml:3:22
      │
    3 │   - { name: a, cron: "0 2 30 2 *", playbook: backup, with: { database: occ } }
      │                      ^^^^^^^^^^^^ write a day that the month has, or `L` for its last one

    error[Q0121]: schedule `a` is here twice
      ┌─ rules/times.yml:4:13
      │
    4 │   - { name: a, cron: "0 2 * * *", timezone: Mars/Olympus, playbook: bakcup }
      │             ^ first at rules/times.yml:3

    error[Q0119]: unknown time zone `Mars/Olympus`
      ┌─ rules/times.yml:4:45
      │
    4 │   - { name: a, cron: "0 2 * * *", timezone: Mars/Olympus, playbook: bakcup }
      │                                             ^^^^^^^^^^^^ expected an IANA name such as Europe/Berlin

    error[Q0122]: unknown playbook `bakcup`
      ┌─ rules/times.yml:4:69
      │
    4 │   - { name: a, cron: "0 2 * * *", timezone: Mars/Olympus, playbook: bakcup }
      │                                                                     ^^^^^^ did you mean `backup`?
      │
      = playbooks: backup

    error[Q0124]: playbook `backup` needs parameter `database`
      ┌─ rules/times.yml:5:45
      │
    5 │   - { name: b, cron: "* * * * *", playbook: backup, jitter: 1m }
      │                                             ^^^^^^ write `with: { database: … }`

    error[Q0120]: the jitter is not shorter than the time between two slots
      ┌─ rules/times.yml:5:61
      │
    5 │   - { name: b, cron: "* * * * *", playbook: backup, jitter: 1m }
      │                                                             ^^ slots are 1m apart

    error[Q0123]: playbook `backup` has no parameter `databse`
      ┌─ rules/times.yml:6:61
      │
    6 │   - { name: c, cron: "0 2 * * *", playbook: backup, with: { databse: occ, database: 'a b' } }
      │                                                             ^^^^^^^ did you mean `database`?
      │
      = backup takes: database

    error[Q0125]: parameter `database`: `a b` does not match the pattern [a-z]+
      ┌─ rules/times.yml:6:85
      │
    6 │   - { name: c, cron: "0 2 * * *", playbook: backup, with: { databse: occ, database: 'a b' } }
      │                                                                                     ^^^^^

    2 files, 0 rules, 4 schedules, 1 playbook: 8 errors
    "#);
}

#[test]
fn keys_and_words_of_schedules_are_checked() {
    insta::assert_snapshot!(check(&[
        ("playbooks/backup.yml", BACKUP),
        ("rules/times.yml", r#"
schedules:
  - { name: d, cron: "0 2 * * *", playbook: backup, with: { database: "{{ label.x }}" }, target: "x/{{ labels.y }}" }
  - { name: e, cron: "0 2 * * *", playbook: backup, with: { database: occ }, overlap: wait, missed: always }
  - { name: f, cron: "0 2 * * *", playbook: backup, with: { database: occ }, labels: { slot: x }, verify: { alert: {} } }
  - { name: g, playbook: backup, limits: { cooldown: 5m } }
"#),
        ("rules/other.yml", "rules: [{ name: \"schedule:a\", match: ['a=\"b\"'], target: x }]\n"),
    ]), @r#"
    error[Q0120]: the name of a rule cannot begin with `schedule:`
      ┌─ rules/other.yml:1:17
      │
    1 │ rules: [{ name: "schedule:a", match: ['a="b"'], target: x }]
      │                 ^^^^^^^^^^^^ schedules are known by such names

    error[Q0115]: unknown variable `label`, did you mean `labels`?; there are: labels, annotations
      ┌─ rules/times.yml:3:75
      │
    3 │   - { name: d, cron: "0 2 * * *", playbook: backup, with: { database: "{{ label.x }}" }, target: "x/{{ labels.y }}" }
      │                                                                           ^^^^^

    error[Q0120]: the target of a schedule is plain text, without templates
      ┌─ rules/times.yml:3:98
      │
    3 │   - { name: d, cron: "0 2 * * *", playbook: backup, with: { database: "{{ label.x }}" }, target: "x/{{ labels.y }}" }
      │                                                                                                  ^^^^^^^^^^^^^^^^^^

    error[Q0108]: expected skip or queue, got `wait`
      ┌─ rules/times.yml:4:87
      │
    4 │   - { name: e, cron: "0 2 * * *", playbook: backup, with: { database: occ }, overlap: wait, missed: always }
      │                                                                                       ^^^^

    error[Q0108]: expected skip or run_once, got `always`
      ┌─ rules/times.yml:4:101
      │
    4 │   - { name: e, cron: "0 2 * * *", playbook: backup, with: { database: occ }, overlap: wait, missed: always }
      │                                                                                                     ^^^^^^

    error[Q0120]: a schedule gives the label `slot` itself
      ┌─ rules/times.yml:5:88
      │
    5 │   - { name: f, cron: "0 2 * * *", playbook: backup, with: { database: occ }, labels: { slot: x }, verify: { alert: {} } }
      │                                                                                        ^^^^
      │
      = its episodes have alertname="QuellSchedule", schedule and slot

    error[Q0129]: a schedule has no alert that could go away
      ┌─ rules/times.yml:5:107
      │
    5 │   - { name: f, cron: "0 2 * * *", playbook: backup, with: { database: occ }, labels: { slot: x }, verify: { alert: {} } }
      │                                                                                                           ^^^^^^^^^^^^^ verify with another probe, or leave `verify` out

    error[Q0106]: missing key `cron`
      ┌─ rules/times.yml:6:13
      │
    6 │   - { name: g, playbook: backup, limits: { cooldown: 5m } }
      │             ^ a schedule needs `cron`

    error[Q0104]: unknown key `limits`
      ┌─ rules/times.yml:6:34
      │
    6 │   - { name: g, playbook: backup, limits: { cooldown: 5m } }
      │                                  ^^^^^^
      │
      = a schedule takes: name, description, cron, timezone, playbook, with, target, mode, tier, approvals, verify, overlap, missed, jitter, labels

    3 files, 1 rule, 4 schedules, 1 playbook: 9 errors
    "#);
}

#[test]
fn a_page_is_held_for_a_time_that_makes_sense() {
    insta::assert_snapshot!(check(&[
        ("rules/a.yml", &rule("    page: {}\n")),
        ("rules/b.yml", &rule("    page: { unless_fixed_within: 2h }\n").replace("api", "b").replace("\"X\"", "B")),
        ("rules/c.yml", &rule("    page: { unless_fixed_within: 10 minutes, unles: 1m }\n").replace("api", "c").replace("\"X\"", "C")),
        ("rules/d.yml", &rule("    page: 10m\n").replace("api", "d").replace("\"X\"", "D")),
    ]), @r"
    error[Q0106]: missing key `unless_fixed_within`
      ┌─ rules/a.yml:5:11
      │
    5 │     page: {}
      │           ^^ `page` needs `unless_fixed_within`

    error[Q0120]: a page is held for more than 0s and at most 1h
      ┌─ rules/b.yml:5:34
      │
    5 │     page: { unless_fixed_within: 2h }
      │                                  ^^

    error[Q0112]: `10 minutes` is not a duration; write one like 90s, 5m or 1h30m
      ┌─ rules/c.yml:5:34
      │
    5 │     page: { unless_fixed_within: 10 minutes, unles: 1m }
      │                                  ^^^^^^^^^^

    error[Q0104]: unknown key `unles`
      ┌─ rules/c.yml:5:46
      │
    5 │     page: { unless_fixed_within: 10 minutes, unles: 1m }
      │                                              ^^^^^
      │
      = `page` takes: unless_fixed_within

    error[Q0107]: expected a mapping with the keys of `page`, got text
      ┌─ rules/d.yml:5:11
      │
    5 │     page: 10m
      │           ^^^

    4 files, 4 rules, 0 playbooks: 5 errors
    ");
}

#[test]
fn a_page_that_is_held_in_vain_is_a_warning() {
    let page = "    page: { unless_fixed_within: 20m }\n";
    let response = "    response: [{ playbook: backup, with: { database: occ } }]\n";
    let config = |pages: &str| {
        format!(
            "alertmanager: {{ url: \"http://alertmanager.example.com:9093\" }}\n\
             channels: {{ chat: {{ webhook: {{ url: \"http://x.example.com/\"{pages} }} }} }}\n\
             severities: {{ critical: {{ notify: [chat], ack_within: 15m }} }}\n"
        )
    };
    let files = |config: &str, rule: &str| {
        check_config(&[
            ("quell.yml", config),
            ("rules/a.yml", rule),
            ("playbooks/backup.yml", BACKUP),
        ])
    };
    let alone = [("quell.yml", &*config("")), ("rules/a.yml", &*rule(page))];
    insta::assert_snapshot!(check_config(&alone), @r"
    warning[Q0329]: this page waits for a remedy, and the rule has none
      ┌─ rules/a.yml:5:34
      │
    5 │     page: { unless_fixed_within: 20m }
      │                                  ^^^ without `response`, the page is sent at once

    2 files, 1 rule, 0 playbooks: 1 warning
    ");
    insta::assert_snapshot!(files(&config(""), &rule(&format!("{page}{response}"))), @r"
    warning[Q0329]: this page is held, and no channel pages
      ┌─ rules/a.yml:5:34
      │
    5 │     page: { unless_fixed_within: 20m }
      │                                  ^^^ of the channels that `severities` name, none has `pages: true`

    3 files, 1 rule, 1 playbook: 1 warning
    ");
    insta::assert_snapshot!(files(&config(", pages: true"), &rule(&format!("{page}{response}"))), @r"
    warning[Q0329]: this page is held for longer than a severity gives people to answer
      ┌─ rules/a.yml:5:34
      │
    5 │     page: { unless_fixed_within: 20m }
      │                                  ^^^ `critical` wants an answer within 15m

    3 files, 1 rule, 1 playbook: 1 warning
    ");
    let soon = rule(&format!("{}{response}", page.replace("20m", "15m")));
    insta::assert_snapshot!(files(&config(", pages: true"), &soon), @"3 files, 1 rule, 1 playbook: no problems");
    // it never takes an alert that wants an answer sooner
    let other =
        rule(&format!("{page}{response}")).replace("[alertname=\"X\"]", "[severity=\"warning\"]");
    insta::assert_snapshot!(files(&config(", pages: true"), &other), @r#"
    warning[Q0328]: severity `warning` is not one of quell.yml: such alerts are told as `critical`
      ┌─ rules/a.yml:3:13
      │
    3 │     match: [severity="warning"]
      │             ^^^^^^^^^^^^^^^^^^ add `warning` under `severities`
      │
      = `severities` has: critical

    3 files, 1 rule, 1 playbook: 1 warning
    "#);
}

#[test]
fn channels_page_when_they_are_pagerduty_or_say_so() {
    let library = library(&[(
        "quell.yml",
        r#"
channels:
  pager: { pagerduty: { routing_key: "${env:KEY32}" } }
  quiet: { pagerduty: { routing_key: "${env:KEY32}", pages: false } }
  mail: { email: { smtp: smtps://mail.example.com, from: q@example.com, to: [a@example.com], pages: true } }
  chat: { slack: { webhook_url: http://slack.example.com/x } }
  hook: { webhook: { url: http://hook.example.com/x, pages: true } }
"#,
    )]);
    let paging: Vec<&str> = library.config.paging.iter().map(String::as_str).collect();
    assert_eq!(paging, ["hook", "mail", "pager"]);
}

#[test]
fn a_token_cannot_pretend_to_be_a_schedule_or_a_check() {
    insta::assert_snapshot!(check_config(&[("quell.yml", "\
ingest: { tokens: [{ name: \"schedule:a\", token: x }, { name: \"check:a\", token: y }] }
")]), @r#"
    error[Q0120]: the name of a token cannot begin with `schedule:`
      ┌─ quell.yml:1:28
      │
    1 │ ingest: { tokens: [{ name: "schedule:a", token: * }, { name: "check:a", token: * }] }
      │                            ^^^^^^^^^^^^

    error[Q0120]: the name of a token cannot begin with `check:`
      ┌─ quell.yml:1:62
      │
    1 │ ingest: { tokens: [{ name: "schedule:a", token: * }, { name: "check:a", token: * }] }
      │                                                              ^^^^^^^^^

    1 file, 0 rules, 0 playbooks: 2 errors
    "#);
}
