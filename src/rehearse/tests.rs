//! Tests as people write them, on rules made for each; and what holds for any sequence of alerts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Map;

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

mod chance;
mod heard;
mod steps;
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
targets:
  redis: { cache: { url: \"redis://cache:6379\" } }
  kubernetes: { prod: { in_cluster: true } }
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
