//! Tests as people write them, on rules made for each; and what holds for any sequence of alerts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::coverage::Coverage;
use super::happening::What;
use super::report;
use super::scenario;
use super::*;
use crate::library;
use crate::library::Loaded;
use crate::library::Tested;
use crate::model::labels::Labels;
use crate::model::run::Event;

mod storms;

const SETTINGS: &str = "
mode: auto
operators: [{ name: dana, tier: 3 }]
channels:
  chat: { slack: { webhook_url: \"${env:CHAT}\" } }
  pager: { pagerduty: { routing_key: \"${file:/nowhere/key}\" } }
severities:
  critical: { notify: [chat], ack_within: 15m, escalate_to: [pager] }
  major: { notify: [chat, pager] }
windows:
  - { name: freeze, from: 2026-01-05T13:00:00Z, until: 2026-01-05T14:00:00Z, effect: refuse, match: [service=\"frozen\"] }
unmatched: [chat]
targets: { redis: { cache: { url: \"redis://cache:6379\" } } }
";

const RULES: &str = r#"
rules:
  - name: api
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response:
      - { playbook: drain, with: { unit: "{{ labels.service }}" } }
      - { playbook: restart, with: { unit: "{{ labels.service }}" }, mode: approve }
    verify: { promql: errors, healthy: value < 0.05, within: 5m, hold: 1m }
    limits: { settle: 30s, cooldown: 10m }
  - name: look
    match: [alertname="Odd"]
    when: labels.size > 3
    target: host/x
  - name: people
    match: [alertname="Disk"]
    target: host/{{ labels.host }}
  - name: held
    match: [alertname="Slow"]
    target: service/{{ labels.service }}
    response:
      - { playbook: drain, with: { unit: "{{ labels.service }}" } }
    verify: { promql: latency, healthy: value < 1, within: 5m, hold: 30s }
    limits: { cooldown: 10m }
    page: { unless_fixed_within: 4m }
schedules:
  - name: noon
    cron: "0 12 * * *"
    playbook: drain
    with: { unit: "noon {{ labels.schedule }}" }
    labels: { severity: major }
checks:
  - name: front
    cron: "* * * * *"
    probe: { tcp: { address: "127.0.0.1:1" } }
    consecutive: 2
    labels: { alertname: Errors, service: front, severity: critical }
"#;

const PLAYBOOKS: &str = r#"
playbook: drain
parameters:
  unit: { type: string, required: true }
steps:
  - name: take out
    http: { method: POST, url: "http://lb/out/{{ unit }}" }
    undo: { http: { method: POST, url: "http://lb/in/{{ unit }}" } }
    retry: { times: 1, backoff: 10s }
  - name: settle
    wait: 1m
  - name: note
    if: steps["take out"].output == "big"
    http: { method: POST, url: "http://log/{{ unit }}" }
on_resolve:
  - name: put in
    http: { method: POST, url: "http://lb/in/{{ unit }}" }
---
playbook: restart
parameters:
  unit: { type: string, required: true }
steps:
  - name: restart
    command: { argv: [systemctl, restart, "{{ unit }}"] }
    timeout: 1m
    on_unknown: ask
  - name: answers
    probe: { tcp: { address: "{{ unit }}:80" } }
    within: 30s
"#;

fn loaded(tests: &str) -> Loaded {
    loaded_of(RULES, PLAYBOOKS, tests)
}

fn loaded_of(rules: &str, playbooks: &str, tests: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("quell.yml", SETTINGS),
        ("rules/r.yml", rules),
        ("playbooks/p.yml", playbooks),
        ("rules/r.test.yml", tests),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let config = Some(folder.path().join("quell.yml"));
    let mut loaded = library::load_tests(&Tested { config, ..Tested::default() });
    let prefix = format!("{}/", folder.path().display());
    for scenario in &mut loaded.scenarios {
        scenario.file = scenario.file.replace(&prefix, "");
    }
    for diagnostic in &mut loaded.diagnostics {
        diagnostic.file = diagnostic.file.replace(&prefix, "");
    }
    loaded.sources = loaded.sources.without(&prefix);
    loaded
}

/// What fails of these events and expectations; empty when they hold.
fn check(events: &str, expect: &str) -> String {
    check_of(RULES, PLAYBOOKS, events, expect)
}

fn check_of(rules: &str, playbooks: &str, events: &str, expect: &str) -> String {
    let indented = |text: &str| text.trim().replace('\n', "\n      ");
    let tests = format!(
        "tests:\n  - name: t\n    events:\n      {}\n    expect:\n      {}\n",
        indented(events),
        indented(expect)
    );
    let loaded = loaded_of(rules, playbooks, &tests);
    let Some(library) = &loaded.library else { return loaded.render(false) };
    let scenario = &loaded.scenarios[0];
    let finished = scenario::run(library, scenario);
    if finished.passed() {
        return String::new();
    }
    report::failure(scenario, &finished, &loaded.sources, false)
}

fn holds(events: &str, expect: &str) {
    let failed = check(events, expect);
    assert!(failed.is_empty(), "\n{failed}");
}

const ROLL_RULES: &str = r#"
rules:
  - name: roll
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response: [{ playbook: roll }]
    verify: { promql: errors, healthy: value < 0.05, within: 5m, hold: 1m }
"#;

const ROLL: &str = r#"
playbook: roll
steps:
  - name: hosts
    command: { argv: [hosts] }
  - name: how
    ask: { question: how many at once?, answers: { batch: { type: integer, min: 1 } }, tier: 2, within: 10m }
  - name: restart
    for_each: steps.hosts.output.lines
    waves: [1, 100%]
    bake: 5m
    between: { probe: { tcp: { address: "shop:80" } }, within: 30s }
    command: { argv: [restart, "{{ item }}", "{{ steps.how.output.batch }}"] }
    undo: { command: { argv: [start, "{{ item }}"] } }
"#;

#[test]
fn questions_and_items_go_as_they_do_in_the_engine() {
    let hosts = "- { step: { step: hosts, is: done, output: { lines: [a, b, c] } } }";
    let answer = "- { at: 1m, answer: { by: dana, answers: { batch: 2 } } }";
    for (events, expect) in [
        (
            "",
            "- { at: 9m, run: awaiting answer, notifications: [{ kind: needs_you, text: quell answer r-1 batch=… }] }",
        ),
        ("", "- { at: 11m, run: failed, outcome: nobody answered within 10m }"),
        ("- { at: 2m, resolve: { service: api } }", "- { run: fixed, outcome: verified }"),
        (answer, "- { at: 2m, run: running, steps: [command hosts, command restart a 2] }"),
        (
            answer,
            "- { at: 7m, run: verifying, steps: [command hosts, command restart a 2, command restart b 2, command restart c 2] }",
        ),
        (
            &format!(
                "{answer}\n- {{ at: 2m, step: {{ step: restart, nth: 2, is: refused, reason: stuck }} }}"
            ),
            "- { at: 7m, run: failed, outcome: \"item 3 of 3 (c) failed: stuck\" }",
        ),
        (
            &format!(
                "{answer}\n- {{ at: 2m, probe: {{ playbook: roll, step: restart, is: unhealthy }} }}"
            ),
            "- { at: 7m, run: failed, outcome: stopped after 1 of 3 items }",
        ),
    ] {
        let events = format!("{FIRES}\n{hosts}\n{events}");
        let failed = check_of(ROLL_RULES, ROLL, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
    for (answer, words) in [
        ("answers: { batch: 0 }", "below the minimum of 1"),
        ("answers: { size: 2 }", "there is no answer `size`"),
        ("answers: { batch: 2 }, step: hosts", "r-1 asks `how` now, not `hosts`"),
    ] {
        let events = format!("{FIRES}\n{hosts}\n- {{ at: 1m, answer: {{ by: dana, {answer} }} }}");
        let failed = check_of(ROLL_RULES, ROLL, &events, "- { run: awaiting answer }");
        assert!(failed.contains(words), "{answer}: {failed}");
    }
}

const HARM_RULES: &str = r#"
rules:
  - name: flush
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response: [{ playbook: flush }]
    verify:
      promql: errors
      healthy: value < 0.05
      within: 5m
      hold: 1m
      unharmed: [{ name: latency, promql: latency, worse: value > before * 1.2 }]
"#;

const HARM: &str = r"
playbook: flush
cache:
  load: { promql: queries, healthy: value < 500.0 }
  hit_ratio: { promql: hits, healthy: value > 0.3 }
steps:
  - name: mark
    command: { argv: [mark] }
    undo: { command: { argv: [unmark] } }
  - name: flush
    redis.flush: { server: cache, slices: { keys: 500, pause: 10s } }
    timeout: 1m
";

#[test]
fn what_does_harm_is_undone_and_a_cache_goes_slice_by_slice_as_in_the_engine() {
    let heals = "- { at: 20s, probe: { rule: flush, is: healthy } }";
    let slices = "- { at: 0s, step: { step: flush, nth: 1, is: done, output: { deleted: 500, cursor: 17 } } }";
    for (events, expect) in [
        (heals.to_owned(), "- { at: 3m, run: fixed }"),
        // it would be fixed at 1m20s
        (
            format!(
                "{heals}\n- {{ at: 1m, probe: {{ rule: flush, unharmed: latency, is: unhealthy, measured: \"0.3\" }} }}"
            ),
            "- { at: 1m, run: failed, outcome: \"it did harm: latency: 0.3\", steps: [command mark, redis.flush cache in slices of 500 keys, undo command unmark] }",
        ),
        (
            format!(
                "{heals}\n- {{ at: 1m, probe: {{ rule: flush, unharmed: latency, is: unknown, measured: no sample }} }}"
            ),
            "- { at: 6m, run: failed, outcome: \"nobody knows whether it did harm: latency: no sample\" }",
        ),
        (
            "- { probe: { rule: flush, unharmed: latency, is: unknown, measured: no sample } }"
                .into(),
            "- { at: 1m, verdict: hold, guard: evidence, reason: latency cannot be measured before acting, nothing: true }",
        ),
        (
            "- { probe: { rule: flush, proof: load, is: unhealthy } }".into(),
            "- { at: 1m, verdict: hold, guard: cache, nothing: true }",
        ),
        (
            format!("{slices}\n{heals}"),
            "- { at: 15s, run: verifying, steps: [command mark, redis.flush cache in slices of 500 keys, redis.flush cache in slices of 500 keys] }",
        ),
        // the second slice waits, and begins when the store has recovered
        (
            format!(
                "{slices}\n- {{ at: 5s, probe: {{ rule: flush, proof: hit_ratio, is: unhealthy }} }}\n- {{ at: 30s, probe: {{ rule: flush, proof: hit_ratio, is: healthy }} }}"
            ),
            "- { at: 29s, run: running }\n- { at: 50s, run: verifying }",
        ),
        (
            format!("{slices}\n- {{ at: 5s, probe: {{ rule: flush, proof: load, is: unknown }} }}"),
            "- { at: 59s, run: running }\n- { at: 1m, run: failed, outcome: \"no slice for 1m after 500 keys went in 1: cache: load is unknown\" }",
        ),
    ] {
        // what holds from the beginning is said before the alert
        let (before, after) = if events.starts_with("- { probe") || events.starts_with("- { at: 0s")
        {
            events.split_once('\n').unwrap_or((&events, ""))
        } else {
            ("", events.as_str())
        };
        let events = format!("{before}\n{FIRES}\n{after}");
        let failed = check_of(HARM_RULES, HARM, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
}

const AMONG: &str = r#"
playbook: roll
steps:
  - name: restart
    for_each: [a, b]
    waves: [1, 100%]
    bake: 1m
    among: { promql: up, label: instance }
    command: { argv: [restart, "{{ item }}"] }
"#;

#[test]
fn g04_an_item_that_vanished_is_skipped_and_one_that_nobody_can_look_up_waits() {
    let at_second =
        |is: &str| format!("- {{ at: 30s, probe: {{ playbook: roll, step: restart, is: {is} }} }}");
    for (events, expect) in [
        (
            String::new(),
            "- { at: 2m, run: verifying, steps: [command restart a, command restart b] }",
        ),
        (at_second("unhealthy"), "- { at: 2m, run: verifying, steps: [command restart a] }"),
        (at_second("unknown"), "- { at: 10m, run: running, steps: [command restart a] }"),
        (at_second("unknown"), "- { at: 20m, run: cancelled, outcome: target }"),
    ] {
        let events = format!("{FIRES}\n{events}");
        let failed = check_of(ROLL_RULES, AMONG, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
}

const FIRES: &str = "- { at: 0s, alert: { alertname: Errors, service: api, severity: critical } }";

#[test]
#[expect(clippy::too_many_lines, reason = "one table of all cases")]
fn what_a_rule_does_step_by_step() {
    for (events, expect) in [
        // verdicts and guards
        (
            "",
            "- { at: 0s, rule: api, verdict: hold, guard: settle, reason: 0s of 30s, nothing: true }",
        ),
        ("", "- { at: 30s, rule: api, verdict: proceed, playbook: drain, runs: 1 }"),
        ("- { pause: all }", "- { at: 5m, verdict: hold, guard: kill switch, nothing: true }"),
        ("- { pause: \"rule:api\" }\n- { at: 2m, resume: \"rule:api\" }", "- { at: 2m, runs: 1 }"),
        ("- { silence: { service: api } }", "- { verdict: refuse, guard: silence, nothing: true }"),
        ("- { alertmanager: { is: unknown } }", "- { at: 10m, verdict: hold, guard: evidence }"),
        ("- { alertmanager: { is: inhibited } }", "- { verdict: refuse, guard: silence }"),
        (
            "- { alertmanager: { is: gone } }",
            "- { verdict: refuse, guard: still-firing, nothing: true }",
        ),
        (
            "- { probe: { rule: api, is: unknown } }",
            "- { verdict: hold, guard: evidence, nothing: true }",
        ),
        (
            "- { probe: { rule: api, is: healthy } }",
            "- { verdict: hold, guard: evidence, reason: already healthy }",
        ),
        // steps with their arguments, and the wait between them
        ("", "- { at: 30s, steps: [\"http POST http://lb/out/api\"], run: running }"),
        (
            "",
            "- { at: 1m30s, run: verifying, plan: [\"http POST http://lb/out/api\", \"http POST http://log/api\"] }",
        ),
        (
            "- { step: { playbook: drain, step: take out, is: done, output: big } }",
            "- { at: 2m, steps: [\"http POST http://lb/out/api\", \"http POST http://log/api\"] }",
        ),
        // it helps, and what is temporary is taken back
        (
            "- { at: 3m, probe: { rule: api, is: healthy, measured: \"0.01\" } }\n- { at: 6m, resolve: { service: api } }",
            "- { at: 4m, run: fixed, outcome: \"verified: 0.01\" }\n\
             - { at: 5m, incident: open }\n\
             - { incident: resolved, escalated: false }\n\
             - { remedy: 0, steps: [\"http POST http://lb/in/api\"], run: fixed }",
        ),
        // it does not help: undone, and the next remedy waits for a person
        (
            "",
            "- { at: 6m30s, playbook: drain, run: failed, steps: [\"http POST http://lb/out/api\", \"undo http POST http://lb/in/api\"] }",
        ),
        (
            "",
            "- { at: 6m30s, playbook: restart, remedy: 2, verdict: ask, mode: approve, run: awaiting approval, steps: [] }",
        ),
        (
            "- { at: 7m, reject: { reason: not now } }",
            "- { at: 7m, run: rejected, outcome: not now, escalated: true }",
        ),
        (
            "- { at: 7m, approve: {} }",
            "- { at: 7m, run: verifying, steps: [command systemctl restart api] }",
        ),
        ("", "- { at: 2h, playbook: restart, run: expired, escalated: true }"),
        ("- { at: 7m, resolve: { service: api } }", "- { run: superseded, incident: resolved }"),
        // a step fails, once and for good
        (
            "- { step: { step: take out, nth: 1, is: fails, reason: busy } }",
            "- { at: 35s, steps: [\"http POST http://lb/out/api\", \"http POST http://lb/out/api\"] }",
        ),
        (
            "- { step: { step: take out, is: fails, reason: busy } }",
            "- { at: 1m, playbook: drain, run: failed, outcome: \"step 1 (take out) failed: busy\" }",
        ),
        (
            "- { step: { step: take out, is: refused, reason: 403 } }",
            "- { at: 30s, playbook: drain, run: failed, steps: [\"http POST http://lb/out/api\"] }",
        ),
        // its credential is refused (G19): not tried again, and the next alert of the playbook waits for a person
        (
            "- { step: { step: take out, is: denied, reason: lb answered 401 } }",
            "- { at: 30s, playbook: drain, run: failed, outcome: lb answered 401, steps: [\"http POST http://lb/out/api\"] }",
        ),
        (
            "- { step: { step: take out, is: denied, reason: lb answered 401 } }\n\
             - { at: 2m, alert: { alertname: Errors, service: mail, severity: critical } }",
            "- { at: 3m, alert: { service: mail }, verdict: hold, guard: credential, reason: playbooks.drain was denied }",
        ),
        (
            "- { step: { step: take out, is: denied, reason: lb answered 401 } }",
            "- { at: 1m, rule: none, alert: { alertname: QuellCredentialDenied }, notifications: [{ channel: chat, kind: opened, count: 1 }, { channel: pager, kind: opened, count: 1 }] }",
        ),
        // the undo fails too
        (
            "- { step: { undo: true, is: fails, reason: lb down } }",
            "- { run: stuck, outcome: lb down, escalated: true, runs: 1 }",
        ),
        // nobody knows what became of a step: a person says so
        (
            "- { at: 7m, step: { playbook: restart, is: unknown, reason: no answer, nth: 1 } }\n- { at: 7m, approve: {} }",
            "- { at: 8m, run: in doubt, outcome: no answer, notifications: [{ kind: needs_you, text: quell answer r-2 }] }",
        ),
        (
            "- { at: 7m, step: { playbook: restart, is: unknown } }\n- { at: 7m, approve: {} }\n- { at: 9m, answer: { happened: true } }",
            "- { at: 9m, run: verifying }",
        ),
        // quell dies in the middle
        (
            "- { at: 7m, step: { playbook: restart, is: done, takes: 40s } }\n- { at: 7m, approve: {} }\n- { at: 7m20s, restart: {} }",
            "- { at: 8m, run: in doubt, outcome: quell stopped while the step was in flight }",
        ),
        // a probe step that never becomes healthy
        (
            "- { probe: { playbook: restart, step: answers, is: unhealthy } }\n- { at: 7m, approve: {} }",
            "- { at: 7m20s, run: running }\n- { at: 7m30s, run: failed, outcome: not healthy within 30s }",
        ),
        // cancelled between steps
        (
            "- { at: 1m, cancel: {} }",
            "- { at: 1m, run: cancelled, outcome: take out, escalated: true }",
        ),
        // people
        (
            "- { at: 2m, ack: { by: dana } }",
            "- { incident: acknowledged, notifications: [{ channel: chat, kind: acknowledged }, { channel: pager, text: nobody has acknowledged, count: 0 }] }",
        ),
        (
            "",
            "- { at: 16m, notifications: [{ channel: pager, headline: nobody has acknowledged it within 15m }] }",
        ),
        (
            "",
            "- { at: 0s, incidents: 1, notifications: [{ kind: opened, channel: chat, count: 1 }, { channel: pager, count: 0 }] }",
        ),
    ] {
        holds(&format!("{FIRES}\n{events}"), expect);
    }
}

#[test]
fn what_is_nobodys_and_what_is_for_people() {
    for (events, expect) in [
        (
            "- { alert: { alertname: Other } }",
            "- { rule: none, nothing: true, incidents: 1, notifications: [{ channel: chat }] }",
        ),
        (
            "- { alert: { alertname: Odd, size: big } }",
            "- { rule: look, reason: is unknown, nothing: true }",
        ),
        (
            "- { alert: { alertname: Disk, host: a } }",
            "- { rule: people, reason: no remedy, nothing: true }",
        ),
        (
            "- { alert: { alertname: Disk, host: a, severity: critical }, truncated: 0 }",
            "- { at: 15m, escalated: false, notifications: [{ channel: pager, text: nobody }] }",
        ),
        ("- { alert: { alertname: Disk } }", "- { escalated: true, reason: labels.host }"),
        (
            "- { alert: { alertname: Errors, service: a }, truncated: 2 }",
            "- { at: 1m, verdict: refuse, guard: evidence, reason: 2 alerts }",
        ),
        ("- { probe: { check: front, is: healthy } }", "- { at: 5m, incidents: 0 }"),
        (
            "- { probe: { check: front, is: unhealthy } }",
            "- { at: 1m30s, incidents: 0 }\n- { at: 2m, rule: api, incidents: 1, verdict: hold }\n- { at: 2m30s, steps: [\"http POST http://lb/out/front\"] }",
        ),
        (
            "- { probe: { check: front, is: unknown } }",
            "- { at: 2m, rule: none, alert: { alertname: QuellCheckUnknown }, nothing: true }",
        ),
    ] {
        holds(events, expect);
    }
}

#[test]
fn a_page_is_held_while_a_remedy_is_tried_and_sent_when_it_does_not_help() {
    const SLOW: &str = "- { at: 0s, alert: { alertname: Slow, service: api, severity: major } }";
    for (events, expect) in [
        // the channel hears at once, nobody is paged
        (
            "",
            "- { at: 1m, notifications: [{ channel: chat, kind: opened }, { channel: pager, count: 0 }] }",
        ),
        // verified fixed in time: never
        (
            "- { at: 2m, probe: { rule: held, is: healthy } }\n- { at: 5m, resolve: { service: api } }",
            "- { run: fixed, incident: resolved, notifications: [{ channel: pager, count: 0 }] }",
        ),
        // the time is over
        (
            "",
            "- { at: 3m59s, notifications: [{ channel: pager, count: 0 }] }\n\
             - { at: 4m, notifications: [{ channel: pager, kind: needs_you, text: not fixed within 4m, count: 1 }] }",
        ),
        // nothing is tried
        (
            "- { pause: all }",
            "- { at: 0s, notifications: [{ channel: pager, text: quell does not act, count: 1 }] }",
        ),
        // the last remedy has failed
        (
            "- { step: { step: take out, is: refused, reason: 403 } }",
            "- { at: 1s, escalated: true, notifications: [{ channel: pager, text: the page was held, count: 1 }] }",
        ),
        // it went away by itself while a remedy was tried
        (
            "- { at: 30s, cancel: {} }\n- { at: 31s, resolve: { service: api } }",
            "- { at: 2m, incident: resolved, notifications: [{ channel: pager, kind: needs_you, count: 1 }] }",
        ),
    ] {
        holds(&format!("{SLOW}\n{events}"), expect);
    }
}

#[test]
fn windows_bind_remedies_and_schedules_run_at_their_time() {
    for (events, expect) in [
        (
            "- { at: 3h, alert: { alertname: Slow, service: frozen } }\n- { at: 3h59m, alert: { alertname: Slow, service: frozen } }",
            "- { at: 3h30m, rule: held, verdict: hold, guard: window, nothing: true }\n\
             - { at: 4h1s, rule: held, verdict: proceed, runs: 1 }",
        ),
        (
            "- { at: 1h, alert: { alertname: Disk, host: a } }",
            "- { at: 2h5m, rule: people, nothing: true, runs: 0 }\n\
             - { at: 2h5m, rule: \"schedule:noon\", run: fixed, steps: [\"http POST http://lb/out/noon%20noon\"], incident: resolved, notifications: [{ count: 0, text: noon }] }",
        ),
        (
            "- { step: { step: take out, is: refused, reason: 403 } }\n- { at: 2h, alert: { alertname: Disk, host: a } }",
            "- { at: 2h5m, rule: \"schedule:noon\", run: failed, escalated: true, incident: open, notifications: [{ channel: pager, text: did not succeed }] }",
        ),
        // the next that succeeds ends the incident
        (
            "- { step: { step: take out, nth: 1, is: refused, reason: 403 } }\n- { at: 26h, alert: { alertname: Disk, host: a } }",
            "- { at: 26h5m, rule: \"schedule:noon\", runs: 2, run: fixed, incident: resolved }",
        ),
        // one target, one run: the slot before waits for a person
        (
            "- { step: { step: take out, is: unknown } }\n- { at: 26h, alert: { alertname: Disk, host: a } }",
            "- { at: 26h5m, rule: \"schedule:noon\", runs: 1 }",
        ),
    ] {
        holds(events, expect);
    }
}

#[test]
fn people_add_windows_tell_of_changes_and_promote_what_was_demoted() {
    let slow = |at: &str, service: &str| {
        format!("- {{ at: {at}, alert: {{ alertname: Slow, service: {service} }} }}")
    };
    let (web, sale) = (slow("1m", "web"), "match: ['service=\"web\"'], reason: sale");
    let flaps = "- { at: 2m, resolve: { service: web } }";
    let failing = "- { step: { step: take out, is: refused, reason: 403 } }";
    let thrice = [slow("1m", "a"), slow("2m", "b"), slow("3m", "c"), slow("9m", "d")].join("\n");
    for (events, expect) in [
        (
            format!(
                "- {{ window: {{ name: deploy, for: 2h, effect: refuse, {sale} }} }}\n{web}\n- {{ at: 9m, window_ends: deploy }}"
            ),
            "- { at: 8m, rule: held, verdict: hold, guard: window, nothing: true }\n\
             - { at: 9m, rule: held, verdict: proceed, runs: 1 }",
        ),
        // what is only observed has the same cooldown, or it would be planned and told each time
        (
            format!(
                "- {{ window: {{ name: deploy, for: 2h, effect: observe }} }}\n{web}\n{flaps}\n{}",
                slow("3m", "web")
            ),
            "- { at: 2m, rule: held, run: observed, runs: 1 }\n\
             - { at: 4m, rule: held, verdict: hold, guard: cooldown, runs: 1 }",
        ),
        (
            format!("- {{ changed: service }}\n{web}"),
            "- { at: 2m, rule: held, verdict: ask, guard: people, reason: the test changed the target, run: awaiting approval }",
        ),
        (
            format!("- {{ changed: service/other }}\n{web}"),
            "- { at: 2m, rule: held, verdict: proceed }",
        ),
        (
            format!("{failing}\n{thrice}\n- {{ at: 10m, promote: held }}\n{}", slow("11m", "e")),
            "- { at: 4m, notifications: [{ channel: chat, count: 1, headline: \"rule held is trusted less: mode approve until a person says quell promote held\" }] }\n\
             - { at: 9m, rule: held, target: service/d, verdict: ask, guard: mode, run: awaiting approval }\n\
             - { at: 11m, rule: held, target: service/e, mode: auto, run: failed }",
        ),
    ] {
        holds(&events, expect);
    }
}

#[test]
fn a_team_reads_why_its_test_fails() {
    let events = format!(
        "{FIRES}\n- {{ at: 1m, approve: {{ by: dana }} }}\n- {{ at: 2m, alert: {{ alertname: Other }} }}"
    );
    let expect = "\
- { at: 30s, rule: api, verdict: hold, guard: cooldown }
- { at: 2m, rule: people, verdict: proceed }
- { at: 2m, rule: api, playbook: restart }
- { at: 2m, steps: [\"http POST http://lb/out/web\", command restart] }
- { at: 2m, notifications: [{ channel: pager }] }";
    insta::assert_snapshot!(check(&events, expect));
}

#[test]
fn mistakes_in_a_test_are_found_before_it_runs() {
    let tests = "tests:
  - name: t
    at: yesterday
    events:
      - { at: 1x, alert: { alertname: Errors } }
      - { alert: { alertname: A }, resolve: { alertname: A } }
      - { probe: { rule: apy, is: helthy } }
      - { step: { playbook: drain, step: take-out, is: fails, output: 1 } }
      - { pause: everything }
      - { annotations: { summary: x }, restart: {} }
    expect:
      - { at: 1m }
      - { at: 1m, guard: cooldwn, run: awaiting, notifications: [{ channel: chats }] }
      - { playbok: drain }
  - name: t
    expect: []
";
    insta::assert_snapshot!(loaded(tests).render(false));
}

#[test]
fn coverage_names_what_no_test_reached() {
    let loaded = loaded(&format!(
        "tests:\n  - name: t\n    events: [{}]\n    expect: [{{ rule: api }}]\n",
        "{ alert: { alertname: Errors, service: api } }, { at: 2m, resolve: { service: api } }"
    ));
    let library = loaded.library.expect("a library");
    let mut coverage = Coverage::of(&library);
    coverage.add(&scenario::run(&library, &loaded.scenarios[0]).reached);
    insta::assert_snapshot!(coverage.render());
}

#[test]
fn the_shipped_rules_are_covered_by_the_tests_beside_them() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    // a runbook has a site of its own, which its own tests hold
    let files = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        entries.map(|it| it.unwrap().path()).filter(|it| it.is_file()).collect::<Vec<_>>()
    };
    let is_test = |it: &std::path::PathBuf| it.to_string_lossy().ends_with(".test.yml");
    let (tests, mut rules): (Vec<_>, Vec<_>) = files("rules").into_iter().partition(is_test);
    rules.extend(files("playbooks"));
    rules.sort();
    let loaded = library::load_tests(&Tested { config: None, rules, tests });
    let library = loaded.library.as_ref().unwrap_or_else(|| panic!("{}", loaded.render(false)));
    let mut coverage = Coverage::of(library);
    for scenario in &loaded.scenarios {
        let finished = scenario::run(library, scenario);
        let shown = report::failure(scenario, &finished, &loaded.sources, false);
        assert!(finished.passed(), "{}\n{shown}", scenario.name);
        coverage.add(&finished.reached);
    }
    assert_eq!(coverage.percent(), 100, "\n{}", coverage.render());
}

/// Something random that happens.
#[derive(Debug, Clone)]
enum Chance {
    Fire(u8),
    Resolve(u8),
    Sees(Health),
    Comes(u8),
    Approve,
    Cancel,
    Answer(bool),
    Restart,
    Pause(bool),
}

fn chance() -> impl Strategy<Value = (u64, Chance)> {
    let what = prop_oneof![
        4 => (0..3_u8).prop_map(Chance::Fire),
        3 => (0..3_u8).prop_map(Chance::Resolve),
        2 => prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Unknown)]
            .prop_map(Chance::Sees),
        2 => (0..4_u8).prop_map(Chance::Comes),
        2 => Just(Chance::Approve),
        1 => Just(Chance::Cancel),
        1 => any::<bool>().prop_map(Chance::Answer),
        1 => Just(Chance::Restart),
        1 => any::<bool>().prop_map(Chance::Pause),
    ];
    (0..300_u64, what)
}

fn outcome(number: u8) -> crate::model::run::Outcome {
    use crate::model::run::Outcome;
    let reason = "chance".to_owned();
    match number {
        0 => Outcome::Failed { reason, retryable: true },
        1 => Outcome::Failed { reason, retryable: false },
        2 => Outcome::Unknown { reason },
        _ => script::Tried::default().outcome,
    }
}

/// Plays chances; returns all that happened.
fn play(library: &Library, chances: &[(u64, Chance)], memory: Memory) -> Vec<Happening> {
    let start: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    let mut world = World::with(library, &library.config, memory, start);
    let mut at = start;
    let labels = |number: u8| -> Labels {
        [("alertname", "Errors"), ("service", ["a", "b", "a"][usize::from(number)])]
            .into_iter()
            .chain((number == 2).then_some(("pod", "2")))
            .collect()
    };
    let about = people::About::default();
    for (seconds, chance) in chances {
        at = crate::model::time::after(at, Duration::from_secs(*seconds));
        world.come_to(at);
        match chance {
            Chance::Fire(number) => {
                world.alert(at, &firing(labels(*number), at), "chance", 0);
            }
            Chance::Resolve(number) => {
                let alert = Alert {
                    status: AlertStatus::Resolved,
                    ends_at: Some(at),
                    ..firing(labels(*number), start)
                };
                world.alert(at, &alert, "chance", 0);
            }
            Chance::Sees(health) => {
                let seen =
                    Observation { health: *health, measured: "chance".into(), denied: false };
                world.script(at, |script| script.probe(Seen::Rule("api"), seen));
            }
            Chance::Comes(number) => {
                let which =
                    script::Which { playbook: None, step: None, nth: None, undo: *number == 3 };
                let takes = Duration::from_secs(u64::from(*number) * 20);
                let tried = script::Tried { outcome: outcome(*number), takes };
                world.script(at, |script| script.step(which, tried));
            }
            // nobody may be waiting for it
            Chance::Approve => drop(world.say("dana", &about, people::Word::Approve)),
            Chance::Cancel => drop(world.say("dana", &about, people::Word::Cancel)),
            Chance::Answer(yes) => drop(world.say("dana", &about, people::Word::Answer(*yes))),
            Chance::Restart => world.restart(),
            Chance::Pause(true) => world.pause("all", "dana", ""),
            Chance::Pause(false) => drop(world.resume("all")),
        }
    }
    // everything that fires ends, nothing is paused, and what waits for a person is stopped
    drop(world.resume("all"));
    for number in 0..3 {
        let ends_at = Some(at);
        let over =
            Alert { status: AlertStatus::Resolved, ends_at, ..firing(labels(number), start) };
        world.alert(at, &over, "chance", 0);
    }
    world.run_until(crate::model::time::after(at, Duration::from_hours(6)));
    world.happenings().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_ends_with_one_run_a_target_at_a_time_and_nothing_done_on_the_unknown(
        chances in prop::collection::vec(chance(), 1..25)
    ) {
        let loaded = LIBRARY.with(Arc::clone);
        let happened = play(&loaded, &chances, Memory::Whole);
        let mut states: BTreeMap<RunId, (String, State, Arc<Plan>)> = BTreeMap::new();
        for happening in &happened {
            match &happening.what {
                What::Run { run, plan, event } => {
                    let entry_of = |state: &State| Entry { seq: state.seq + 1, at: happening.at, event: (**event).clone() };
                    let state = match states.remove(run) {
                        Some((_, state, _)) => state,
                        None => State::empty(plan),
                    };
                    let entry = entry_of(&state);
                    let state = crate::decide::machine::apply(plan, state, &entry)
                        .map_err(|illegal| TestCaseError::fail(illegal.to_string()))?;
                    states.insert(*run, (plan.target.clone(), state, Arc::clone(plan)));
                    let busy: Vec<&String> = states.values().filter(|(_, state, _)| !state.summary().is_final()).map(|(target, ..)| target).collect();
                    let targets: BTreeSet<&String> = busy.iter().copied().collect();
                    prop_assert_eq!(busy.len(), targets.len(), "two runs on a target");
                }
                What::Decided { decision, .. } => {
                    let evidence = decision.rulings.iter().find(|it| it.guard == "evidence");
                    let unknown = evidence.is_some_and(|it| it.measured == "unknown");
                    prop_assert!(!(unknown && decision.verdict.caution() < 2), "acted on unknown");
                }
                _ => {}
            }
        }
        for (target, state, plan) in states.values() {
            let waits = matches!(state.summary(), crate::model::run::RunState::InDoubt);
            prop_assert!(state.summary().is_final() || waits, "{target} {} {:?}", plan.playbook.name, state.phase);
        }
    }

    #[test]
    fn a_streaming_world_plans_the_same_runs(chances in prop::collection::vec(chance(), 1..30)) {
        let foreseeable = |chances: &[(u64, Chance)]| -> Vec<(u64, Chance)> {
            let keeps = |it: &&(u64, Chance)| matches!(it.1, Chance::Fire(_) | Chance::Resolve(_));
            chances.iter().filter(keeps).cloned().collect()
        };
        let chances = foreseeable(&chances);
        let loaded = LIBRARY.with(Arc::clone);
        let planned = |memory| -> Vec<(Timestamp, String, u32)> {
            let happened = play(&loaded, &chances, memory);
            happened.iter().filter_map(|it| match &it.what {
                What::Run { plan, event, .. } if matches!(**event, Event::Planned { .. }) =>
                    Some((it.at, plan.target.clone(), plan.remedy)),
                _ => None,
            }).collect()
        };
        prop_assert_eq!(planned(Memory::Whole), planned(Memory::Stream));
    }
}

thread_local! {
    static LIBRARY: Arc<Library> = {
        let loaded = loaded("tests: [{ name: t, expect: [{ runs: 0 }] }]");
        let shown = loaded.render(false);
        Arc::new(loaded.library.unwrap_or_else(|| panic!("{shown}")))
    };
}
