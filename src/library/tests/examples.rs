//! What is shipped, and what is documented, loads.

use std::fs;
use std::path::Path;

use super::check;
use super::library;
use crate::decide::parameters::resolve;
use crate::library::load;
use crate::model::action::Action;
use crate::model::playbook::Mode;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::Probe;

#[test]
fn the_shipped_set_loads_without_error_or_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let env = |name: &str| {
        let key = "0123456789abcdef0123456789abcdef";
        let value = if name == "QUELL_SLACK_WEBHOOK" { "https://hooks.example.com/x" } else { key };
        Some(value.to_owned())
    };
    let loaded = load(Some(&root.join("quell.example.yml")), &env);
    assert_eq!(loaded.diagnostics, [], "{}", loaded.render(false));
    let library = loaded.library.expect("a library");
    assert!(loaded.counts.rules >= 2 && loaded.counts.playbooks >= 2, "{:?}", loaded.counts);
    assert_eq!(library.files.len(), loaded.counts.files);
    for rule in library.rules.rules() {
        for remedy in &rule.response {
            let context = serde_json::json!({ "labels": { "service": "shop", "address": "shop:8000" }, "annotations": {} });
            let playbook = &library.playbooks[&remedy.playbook];
            let resolved = resolve(playbook, &remedy.with, &context);
            assert!(resolved.is_ok(), "{}: {resolved:?}", rule.name);
        }
    }
}

#[test]
fn without_a_file_the_folders_of_the_working_directory_are_read_and_nothing_may_act() {
    // The working directory of tests is the package's, which ships both folders.
    let loaded = load(None, &|_| None);
    let library = loaded.library.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    assert_eq!(library.config.mode.value, Mode::Observe);
    assert_eq!(library.config.file, None);
    assert!(library.playbooks.contains_key("restart"), "{:?}", library.files);
    assert!(library.files.iter().any(|file| file == "rules/service.yml"), "{:?}", library.files);
}

#[test]
fn settings_that_cannot_be_read_give_no_library() {
    let loaded = load(Some(Path::new("no/such/quell.yml")), &|_| None);
    assert!(loaded.library.is_none());
    assert!(loaded.render(false).contains("cannot read no/such/quell.yml: no such file"));
}

/// formats.md's quell.yml, without what later versions take.
const CONFIG: &str = r#"
listen: 127.0.0.1:9797
external_url: http://quell.example.com:9797
storage: sqlite:quell.db            # or postgres://quell@db/quell
mode: auto                          # the most any rule may do: observe | approve | auto
rules: [rules/]
playbooks: [playbooks/]
prometheus: { url: http://localhost:9090 }
alertmanager: { url: http://localhost:9093 }   # silences are honoured, missed alerts are fetched again after downtime
ingest: { tokens: [{ name: am-eu, token: "${file:ingest-token}" }] }
targets:                            # places actions may go; credentials live here and nowhere else
  redis:      { cache: { url: redis://cache:6379 } }
operators:
  - { name: dana, email: dana@example.com, slack_id: U024BE7LH, tier: 3, token: "${env:TOKEN}" }
channels:
  mail:    { email: { smtp: smtps://user@mail.example.com, from: quell@example.com, to: [oncall@example.com] } }
severities:                         # label value → who is told, and how soon somebody must answer
  critical: { notify: [mail], ack_within: 15m, escalate_to: [mail] }
limits:                             # global ceilings; rules may only tighten them
  rate: 30 per 1h
  concurrent: 5
  max_age: 15m                      # evidence older than this is unknown
"#;

/// formats.md's rule, without what later versions take.
const RULE: &str = r#"
rules:
  - name: api-error-rate
    description: Roll the API back when its error rate stays high after a restart.
    match: [alertname="HighErrorRate", severity=~"critical|high", service!=""]
    when: labels.env != "dev"
    group_by: [service]             # one incident per service
    target: kubernetes/prod/deployment/{{ labels.service }}
    response:
      - playbook: restart
        with: { cluster: prod, namespace: shop, deployment: "{{ labels.service }}" }
      - playbook: restart
        with: { cluster: prod, namespace: shop, deployment: "{{ labels.service }}" }
        mode: approve
        tier: 3
    verify:
      promql: sum(rate(http_requests_total{service="{{ labels.service }}",status=~"5.."}[1m]))
              / sum(rate(http_requests_total{service="{{ labels.service }}"}[1m]))
      healthy: value < 0.05
      within: 5m
      hold: 1m
    limits:
      settle: 1m                    # the alert must have been firing this long
      cooldown: 15m                 # per target
      rate: 3 per 1h                # this rule
    on_failure: escalate
checks:
  - name: occ-health
    cron: "*/30 * * * * *"
    probe: { http: { url: http://localhost:8000/health, status: 200, json: { status: healthy } } }
    consecutive: 3                  # unhealthy this often in a row → fires; healthy this often → resolves
    unknown: alert                  # a check that cannot see raises its own alert; it never triggers a remedy
    labels: { alertname: occ_down, severity: critical, service: occ }
"#;

/// formats.md's playbook, with actions that this version has.
const PLAYBOOK: &str = r#"
playbook: restart
description: Return a Deployment to the revision before this one.
parameters:
  cluster:    { type: string, required: true }
  namespace:  { type: string, pattern: '[a-z0-9-]+', required: true }
  deployment: { type: string, pattern: '[a-z0-9.-]+', required: true }
tier: 2
limits: { rate: 2 per 6h, concurrent: 1 }
steps:
  - name: evidence                  # what a probe or a read finds is attached to the incident and shown to people
    http: { method: GET, url: "http://{{ cluster }}.example.com/{{ namespace }}/{{ deployment }}" }
    on_failure: continue
  - name: undo the rollout
    command: { argv: [kubectl, rollout, undo, "--namespace={{ namespace }}", "deployment/{{ deployment }}"] }
    timeout: 5m
    retry: { times: 2, backoff: 10s }
    undo: { command: { argv: [kubectl, rollout, undo, "deployment/{{ deployment }}"] } }
  - name: scale
    if: labels.severity == "critical" && cluster != "dev"
    http:
      method: POST
      url: "http://api.example.com/scale"
      json: { deployment: "{{ deployment }}", replicas: 5, why: ["{{ annotations.summary }}", "{{ run.id }}"] }
      status: [200, 202]
  - name: rest
    wait: 2h
  - name: ready
    probe: { http: { url: "http://{{ deployment }}.example.com/health" } }
    within: 5m
on_resolve: []                      # steps that take temporary measures back
"#;

fn documented() -> super::super::Library {
    library(&[
        ("quell.yml", CONFIG),
        ("ingest-token", "abc\n"),
        ("rules/api.yml", RULE),
        ("playbooks/restart.yml", PLAYBOOK),
    ])
}

#[test]
fn the_documented_files_load() {
    let library = documented();
    let rule = &library.rules.rules()[0];
    let matchers: Vec<String> = rule.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(
        matchers,
        [r#"alertname="HighErrorRate""#, r#"severity=~"critical|high""#, r#"service!="""#]
    );
    assert_eq!(rule.response.len(), 2);
    assert_eq!((rule.response[1].tier, rule.response[1].place.line), (Some(3), 12));
    let verify = rule.verify.as_ref().expect("verify");
    let Probe::Promql { query, .. } = &verify.probe else { panic!("{verify:?}") };
    assert!(query.contains("[1m])) / sum("), "{query}");
    let cooldown = rule.limits.cooldown.as_ref().expect("cooldown");
    assert_eq!((cooldown.value.as_secs(), cooldown.place.line), (900, 24));
    assert_eq!(library.checks[0].consecutive, 3);
    assert_eq!(library.checks[0].labels.get("alertname"), "occ_down");
    assert_eq!(library.playbooks["restart"].line, 2);
}

#[test]
fn steps_have_the_defaults_of_their_kind() {
    let library = documented();
    let steps = &library.playbooks["restart"].steps;
    let unknown: Vec<OnUnknown> = steps.iter().map(|step| step.on_unknown).collect();
    assert_eq!(
        unknown,
        [OnUnknown::Retry, OnUnknown::Ask, OnUnknown::Ask, OnUnknown::Retry, OnUnknown::Retry]
    );
    assert_eq!(steps[0].timeout.as_secs(), 60);
    assert_eq!((steps[1].retry.times, steps[1].retry.backoff.as_secs()), (2, 10));
    let undo = steps[1].undo.as_ref().and_then(Undo::action);
    assert!(matches!(undo, Some(Action::Command(_))));
    assert!(matches!(steps[3].what, What::Wait(wait) if wait.as_secs() == 7200));
    assert!(matches!(steps[4].what, What::Probe { within, .. } if within.as_secs() == 300));
}

#[test]
fn the_digest_follows_the_files() {
    let folder =
        super::folder(&[("quell.yml", ""), ("rules/a.yml", ""), ("playbooks/p.yml", PLAYBOOK)]);
    let digest = |config: &str, rules: &str| {
        fs::write(folder.path().join("quell.yml"), config).expect("a file");
        fs::write(folder.path().join("rules/a.yml"), rules).expect("a file");
        let library = load(Some(&folder.path().join("quell.yml")), &super::env).library;
        library.map(|library| (library.digest, library.files.len()))
    };
    let first = digest("mode: auto\n", "rules: []\n").expect("a library");
    assert_eq!((first.0.len(), first.1), (64, 3));
    assert_eq!(digest("mode: auto\n", "rules: []\n").as_ref(), Some(&first));
    assert_ne!(digest("mode: auto\n", "rules: [] # changed\n").as_ref(), Some(&first));
    assert_ne!(digest("mode: observe\n", "rules: []\n").as_ref(), Some(&first));
}

#[test]
fn tests_of_rules_and_examples_are_not_read_as_rules() {
    insta::assert_snapshot!(check(&[
        ("rules/a.test.yml", "tests: []\n"),
        ("rules/.hidden.yml", "nonsense\n"),
        ("quell.example.yml", "nonsense: true\n"),
        ("rules/a.yml", "rules: []\n"),
    ]), @"2 files, 0 rules, 0 playbooks: no problems");
}
