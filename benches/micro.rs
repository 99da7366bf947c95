//! What the pure parts of one alert's way cost, one at a time: parse, fingerprint, match, judge, plan, fold, render, hash.
//!
//! `cargo bench --bench micro`, or `cargo bench --bench micro -- judge` for those whose name says so. What finding the rules costs by
//! shape and number of rules is in `--bench matching`.
#![expect(clippy::panic, clippy::expect_used, reason = "a benchmark stops at what is wrong")]

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use divan::Bencher;
use divan::black_box;
use jiff::Timestamp;
use quell::decide::audit::merkle;
use quell::decide::guard;
use quell::decide::machine;
use quell::decide::machine::Effect;
use quell::decide::machine::Spot;
use quell::decide::plan;
use quell::decide::render::Escape;
use quell::decide::render::render;
use quell::decide::respond;
use quell::decide::respond::Case;
use quell::decide::respond::Then;
use quell::decide::stepping;
use quell::decide::stepping::Begin;
use quell::library::Library;
use quell::model::decision::Facts;
use quell::model::decision::PastRun;
use quell::model::decision::Standing;
use quell::model::incident::Episode;
use quell::model::incident::Incident;
use quell::model::incident::IncidentId;
use quell::model::labels::Labels;
use quell::model::run::Entry;
use quell::model::run::Event;
use quell::model::run::Health;
use quell::model::run::Observation;
use quell::model::run::Outcome;
use quell::model::run::Plan;
use quell::model::run::RunState;
use quell::webhook;

fn main() {
    divan::main();
}

const SETTINGS: &str = "\
mode: auto
prometheus: { url: http://localhost:9090 }
rules: [rules.yml]
playbooks: [restart.yml]
limits: { rate: 100000 per 1h, service_rate: 100000 per 1h, concurrent: 64 }
";

const RULES: &str = r#"
rules:
  - name: api-error-rate
    match: [alertname="HighErrorRate", severity=~"critical|high", service!=""]
    target: systemd/{{ labels.service }}
    response:
      - playbook: restart
        with: { unit: "{{ labels.service }}" }
    verify:
      promql: sum(rate(errors_total{service="{{ labels.service }}"}[1m]))
      healthy: value < 0.05
      within: 5m
      hold: 1m
    limits: { settle: 1m, cooldown: 15m, rate: 100 per 1h }
"#;

const PLAYBOOK: &str = r#"
playbook: restart
parameters:
  unit: { type: string, required: true, pattern: '[a-z0-9-]+' }
limits: { rate: 100000 per 1h, concurrent: 64 }
steps:
  - name: restart
    command: { argv: [systemctl, restart, "{{ unit }}"] }
    timeout: 30s
    on_unknown: retry
"#;

/// Rules, playbook and settings, from files as always.
static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for (name, text) in [("quell.yml", SETTINGS), ("rules.yml", RULES), ("restart.yml", PLAYBOOK)] {
        std::fs::write(folder.path().join(name), text).expect("a file can be written");
    }
    let loaded = quell::library::load(Some(&folder.path().join("quell.yml")), &|_| None);
    let said = loaded.render(false);
    loaded.library.unwrap_or_else(|| panic!("{said}"))
});

fn labels(service: usize) -> Labels {
    [
        ("alertname", "HighErrorRate"),
        ("cluster", "eu-west-1"),
        ("container", "api"),
        ("instance", "10.0.0.7:9100"),
        ("job", "node"),
        ("namespace", "prod"),
        ("pod", "api-7d9f8b6c5-x2x8k"),
        ("severity", "critical"),
        ("team", "payments"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .chain([("service".to_owned(), format!("api-{service}"))])
    .collect()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_767_607_200).unwrap_or_default()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// An alert that has been firing for a while, its incident, and what is known.
struct Story {
    episode: Episode,
    incident: Incident,
    target: String,
}

static STORY: LazyLock<Story> = LazyLock::new(|| {
    let annotations: Labels = [("summary", "errors of the API")].into_iter().collect();
    let mut episode = Episode::unstored("alertmanager", labels(0), annotations, now());
    episode.starts_at = now() - minutes(5);
    episode.opened_at = now() - minutes(5);
    let opening = respond::opening(&LIBRARY.config, rule(), &episode, now());
    let incident = Incident { id: IncidentId(7), ..opening.incident };
    let target = opening.target.unwrap_or_else(|error| panic!("{error}"));
    Story { episode, incident, target }
});

fn rule() -> &'static quell::model::rule::Rule {
    LIBRARY.rules.rules().first().expect("there is one rule")
}

fn case() -> Case<'static> {
    Case {
        config: &LIBRARY.config,
        rule: rule(),
        episode: &STORY.episode,
        incident: &STORY.incident,
        target: &STORY.target,
        windows: &[],
        trust: None,
        now: now(),
    }
}

/// What guards know, with so many runs of other targets in the time that limits look back on.
fn facts(past: usize) -> Facts {
    let mut facts = respond::facts(&[], &STORY.episode, now());
    facts.standing = Standing::Active;
    let measured = "0.31".to_owned();
    facts.precheck = Some(Observation { health: Health::Unhealthy, measured, denied: false });
    facts.runs = (0..past)
        .map(|number| PastRun {
            rule: "another-rule".to_owned(),
            playbook: "restart".to_owned(),
            target: format!("systemd/other-{number}"),
            incident: IncidentId(100),
            remedy: 1,
            state: RunState::Fixed,
            inconclusive: false,
            service: format!("other-{number}"),
            group: String::new(),
            left_version: String::new(),
            started_at: now() - minutes(50),
            ended_at: Some(now() - minutes(49)),
        })
        .collect();
    facts
}

fn planned() -> Plan {
    let case = case();
    let candidate = respond::candidate(case, &LIBRARY.playbooks, 1, 0);
    let candidate = candidate.unwrap_or_else(|error| panic!("{error}"));
    let facts = facts(0);
    let rulings = guard::judge(&candidate.subject, &facts, now());
    match respond::conclude(case, &candidate, &facts, rulings).then {
        Then::Create(plan) => *plan,
        other => panic!("expected a plan, got {other:?}"),
    }
}

/// The journal of a run whose step has failed so often, and that was fixed at last.
fn journal(plan: &Plan, failures: u32) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = now();
    let mut failed = 0;
    let mut say = |entries: &mut Vec<Entry>, event| {
        at += minutes(6);
        let seq = i64::try_from(entries.len() + 1).unwrap_or(i64::MAX);
        entries.push(Entry { seq, at, event });
    };
    say(&mut entries, Event::Planned { digest: "d16e57".to_owned() });
    loop {
        let state = machine::fold(plan, &entries).unwrap_or_else(|error| panic!("{error}"));
        let last = entries.last().map_or(now(), |it| it.at);
        let event = match machine::next(plan, &state, last + minutes(6)) {
            Effect::Over => return entries,
            Effect::Write(Event::Interrupted) => {
                let outcome = if failed < failures {
                    failed += 1;
                    Outcome::Unknown { reason: "the connection broke".to_owned() }
                } else {
                    let summary = "exit 0 in 212 ms".to_owned();
                    Outcome::Done { summary, output: serde_json::json!({ "stdout": "" }) }
                };
                Event::StepEnded { step: 0, item: None, outcome, jitter: 0 }
            }
            Effect::Write(event) => event,
            Effect::Begin { spot: Spot { step, item }, attempt } => {
                let limits = &LIBRARY.config.limits;
                let spot = Spot { step, item };
                match stepping::begin(plan, "r-1", &state, (spot, attempt), limits) {
                    Some(Begin::Act(intent)) => Event::StepStarted { step, item, attempt, intent },
                    other => panic!("expected an action, got {other:?}"),
                }
            }
            Effect::Verify => {
                let measured = "0.01 (healthy: value < 0.05)".to_owned();
                let seen = Observation { health: Health::Healthy, measured, denied: false };
                Event::Verified { seen }
            }
            other => panic!("expected a step or a verification, got {other:?}"),
        };
        say(&mut entries, event);
    }
}

/// A body as Alertmanager sends it.
fn body(alerts: usize) -> String {
    let mut text = String::new();
    for number in 0..alerts {
        let comma = if number > 0 { "," } else { "" };
        let labels = serde_json::to_string(&labels(number)).unwrap_or_default();
        // a String takes whatever is written
        write!(
            text,
            r#"{comma}{{"status":"firing","labels":{labels},"annotations":{{"summary":"errors of the API","description":"31 % of the requests of the API have failed for five minutes"}},"startsAt":"2026-01-05T10:00:00.000Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph?g0.expr=errors","fingerprint":"{number:016x}"}}"#
        )
        .unwrap_or_default();
    }
    format!(
        r#"{{"receiver":"quell","status":"firing","alerts":[{text}],"groupLabels":{{"alertname":"HighErrorRate"}},"commonLabels":{{"alertname":"HighErrorRate"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager:9093","version":"4","groupKey":"{{}}:{{}}","truncatedAlerts":0}}"#
    )
}

#[divan::bench(args = [1, 20])]
fn parse_alerts(bencher: Bencher<'_, '_>, alerts: usize) {
    let body = body(alerts);
    bencher.bench_local(|| {
        webhook::delivery(black_box(body.as_bytes()), "alertmanager".to_owned(), now())
    });
}

#[divan::bench]
fn fingerprint(bencher: Bencher<'_, '_>) {
    let labels = labels(0);
    bencher.bench_local(|| black_box(&labels).fingerprint());
}

#[divan::bench]
fn select(bencher: Bencher<'_, '_>) {
    let (labels, annotations) = (labels(0), Labels::default());
    bencher.bench_local(|| LIBRARY.rules.select(black_box(&labels), &annotations));
}

#[divan::bench(args = [0, 100, 10_000])]
fn judge_with_past_runs(bencher: Bencher<'_, '_>, past_runs: usize) {
    let candidate = respond::candidate(case(), &LIBRARY.playbooks, 1, 0);
    let subject = candidate.unwrap_or_else(|error| panic!("{error}")).subject;
    let facts = facts(past_runs);
    bencher.bench_local(|| guard::judge(black_box(&subject), &facts, now()));
}

#[divan::bench]
fn conclude(bencher: Bencher<'_, '_>) {
    let candidate = respond::candidate(case(), &LIBRARY.playbooks, 1, 0);
    let candidate = candidate.unwrap_or_else(|error| panic!("{error}"));
    let facts = facts(0);
    let rulings = guard::judge(&candidate.subject, &facts, now());
    bencher
        .with_inputs(|| rulings.clone())
        .bench_local_values(|rulings| respond::conclude(case(), &candidate, &facts, rulings));
}

#[divan::bench(args = [0, 1])]
fn fold_after_failures(bencher: Bencher<'_, '_>, failures: u32) {
    let plan = planned();
    let entries = journal(&plan, failures);
    bencher.bench_local(|| machine::fold(black_box(&plan), &entries));
}

#[divan::bench]
fn render_target(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| plan::target(black_box(rule()), &STORY.episode));
}

#[divan::bench]
fn render_template(bencher: Bencher<'_, '_>) {
    let context = plan::alert_context(&STORY.episode);
    let template = "sum(rate(errors_total{service=\"{{ labels.service }}\"}[1m]))";
    bencher.bench_local(|| render(black_box(template), &context, Escape::None));
}

#[divan::bench]
fn entry_as_json(bencher: Bencher<'_, '_>) {
    let entries = journal(&planned(), 0);
    bencher.bench_local(|| serde_json::to_string(&black_box(&entries[..])));
}

#[divan::bench(args = [200, 2_000])]
fn hash_bytes(bencher: Bencher<'_, '_>, bytes: usize) {
    let record = vec![b'x'; bytes];
    bencher.bench_local(|| merkle::leaf(black_box(&record)));
}
