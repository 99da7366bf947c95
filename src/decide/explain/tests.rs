//! What people see, case by case; and that it is what is decided.

mod agreement;

use tempfile::TempDir;

use super::*;
use crate::decide::explain::text::lines;
use crate::decide::plan;
use crate::library::Library;
use crate::model::decision::Circumstances;
use crate::model::decision::Pause;
use crate::model::decision::Standing;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::playbook::Mode;
use crate::model::time::before;

const CONFIG: &str = "
mode: auto
prometheus: { url: http://127.0.0.1:9 }
targets: { http: { shop: { url: http://127.0.0.1:9 } } }
channels:
  slack: { webhook: { url: http://127.0.0.1:9 } }
  boss: { webhook: { url: http://127.0.0.1:9 } }
severities: { critical: { notify: [slack], escalate_to: [boss] } }
";

const RULES: &str = r#"rules:
  - name: api-error-rate
    match: [alertname="HighErrorRate", severity=~"critical|high", service="api"]
    target: systemd/{{ labels.service }}
    response:
      - { playbook: restart, with: { unit: "{{ labels.service }}" } }
      - { playbook: rollback, with: { service: "{{ labels.service }}" }, mode: approve, tier: 3 }
    verify: { promql: 'errors{service="{{ labels.service }}"}', healthy: value < 0.05, within: 5m, hold: 1m }
    limits: { settle: 1m, cooldown: 15m, rate: 3 per 1h }
  - name: api-errors-dev
    match: [alertname="HighErrorRate", severity="warning"]
    target: systemd/dev
  - name: eu-error-rate
    match: [alertname=~"High.*", region=~"eu-.*"]
    target: systemd/eu
  - name: disk
    match: [alertname="DiskFull"]
    target: host/{{ labels.instance }}
"#;

const PLAYBOOKS: &str = r#"playbook: restart
parameters: { unit: { type: string, pattern: '[a-z0-9-]+', required: true } }
tier: 2
steps:
  - name: restart
    command: { argv: [systemctl, restart, "{{ unit }}"], env: { WHY: "{{ labels.alertname }}" } }
    timeout: 2m
    on_unknown: probe
  - name: runs
    probe: { http: { url: "http://{{ unit }}:8000/health", json: { status: ok } } }
    within: 1m
---
playbook: rollback
parameters: { service: { type: string, required: true } }
tier: 2
steps:
  - name: look
    command: { argv: [revisions, "{{ service }}"] }
    on_failure: continue
  - name: maintenance
    http: { server: shop, method: PUT, url: "/maintenance/{{ service }}", json: { on: true, run: "{{ run.id }}" } }
    retry: { times: 2, backoff: 5s }
    undo: { http: { server: shop, method: DELETE, url: "/maintenance/{{ service }}" } }
  - name: roll back
    if: service != "web"
    command: { argv: [rollback, "{{ service }}", "{{ steps.look.output.stdout }}"] }
  - name: settle
    wait: 30s
on_resolve:
  - name: over
    http: { server: shop, method: DELETE, url: "/maintenance/{{ service }}" }
---
playbook: roll
parameters:
  service: { type: string, required: true }
  token: { type: string, secret: true, required: true }
steps:
  - name: how
    ask: { question: "restart {{ service }}?", answers: { drain: { type: boolean } }, tier: 2, within: 30m }
  - name: known
    for_each: [web-1, web-2]
    waves: [1, 100%]
    command: { argv: [restart-on, "{{ item }}"], env: { TOKEN: "{{ token }}" } }
  - name: found
    for_each: steps.how.output.hosts
    http:
      server: shop
      method: POST
      url: "/restart/{{ item }}"
      headers: { Authorization: "Bearer {{ token }}" }
      json: { host: "{{ item }}", key: "{{ token }}" }
"#;

/// A channel that pages, for a rule that holds its page.
const PAGER: &str = "
channels:
  slack: { webhook: { url: http://127.0.0.1:9 } }
  boss: { webhook: { url: http://127.0.0.1:9 } }
  pager: { webhook: { url: http://127.0.0.1:9, pages: true } }
severities: { critical: { notify: [slack, pager], escalate_to: [boss] } }
";

fn now() -> Timestamp {
    "2026-01-05T10:08:48Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    before(now(), Duration::from_secs(seconds))
}

/// Settings, rules and playbooks as they are loaded, with places as beside quell.yml.
fn load(config: &str, rules: &str) -> Library {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    for (name, text) in
        [("quell.yml", config), ("rules/api.yml", rules), ("playbooks.yml", PLAYBOOKS)]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = folder.path().join("quell.yml");
    let config = format!("{config}\nplaybooks: [playbooks.yml]\n");
    std::fs::write(&file, config).unwrap();
    let loaded = crate::library::load(Some(&file), &|_| None);
    let text = loaded.render(false);
    let mut library = loaded.library.unwrap_or_else(|| panic!("{text}"));
    let prefix = format!("{}/", folder.path().display());
    let plain = |text: String| text.replace(&prefix, "");
    let rules = library.rules.rules().iter().map(|rule| {
        let text = plain(serde_json::to_string(&**rule).unwrap());
        Arc::new(serde_json::from_str(&text).unwrap())
    });
    library.rules = Arc::new(Index::new(rules.collect()));
    for playbook in library.playbooks.values_mut() {
        Arc::make_mut(playbook).file = plain(playbook.file.clone());
    }
    library.config.mode.place.file = plain(library.config.mode.place.file.clone());
    for window in &mut library.config.windows {
        window.place.file = plain(window.place.file.clone());
    }
    for schedule in &mut library.schedules {
        let schedule = Arc::make_mut(schedule);
        schedule.place.file = plain(schedule.place.file.clone());
        let rule = plain(serde_json::to_string(&*schedule.rule).unwrap());
        schedule.rule = Arc::new(serde_json::from_str(&rule).unwrap());
    }
    library
}

fn alert(pairs: &[(&str, &str)]) -> Episode {
    let labels = pairs.iter().copied().collect();
    Episode::unstored("test", labels, Labels::default(), now())
}

const API: [(&str, &str); 3] =
    [("alertname", "HighErrorRate"), ("service", "api"), ("severity", "critical")];

fn page(explanation: &Explanation, all: bool) -> String {
    let lines = lines(explanation, all);
    lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What `quell explain` prints by the files alone.
fn check(name: &str, config: &str, rules: &str, alert: &Episode, firing_for: u64) {
    let library = load(config, rules);
    let for_ = Duration::from_secs(firing_for);
    let explanation = offline(library.in_force(), alert, for_, now());
    insta::assert_snapshot!(name, page(&explanation, false));
}

#[test]
fn by_the_files_alone() {
    check("proceeds", CONFIG, RULES, &alert(&API), 300);
    check("settles", CONFIG, RULES, &alert(&API), 20);
    check("asks", &CONFIG.replace("auto", "approve"), RULES, &alert(&API), 300);
    check("observes", &CONFIG.replace("auto", "observe"), RULES, &alert(&API), 300);
    check("truncated", CONFIG, RULES, &Episode { truncated: 7, ..alert(&API) }, 300);
    check(
        "people_only",
        CONFIG,
        RULES,
        &alert(&[("alertname", "DiskFull"), ("instance", "a")]),
        300,
    );
    check("no_target", CONFIG, RULES, &alert(&[("alertname", "DiskFull")]), 300);
    check("nobody", CONFIG, RULES, &alert(&[("alertname", "Other")]), 300);
    check(
        "unmatched",
        &format!("{CONFIG}unmatched: [slack]\n"),
        RULES,
        &alert(&[("alertname", "Other")]),
        300,
    );
    check("no_rules", CONFIG, "rules: []\n", &alert(&API), 300);
}

#[test]
fn questions_items_and_secrets_are_shown_as_far_as_they_are_known() {
    let rules = "
rules:
  - name: fleet
    match: [alertname=\"HighErrorRate\", service!=\"\"]
    target: service/{{ labels.service }}
    response: [{ playbook: roll, with: { service: \"{{ labels.service }}\", token: deploy } }]
    verify: { promql: errors, healthy: value < 0.05, within: 5m, hold: 1m }
";
    let config = format!("{CONFIG}secrets: {{ deploy: 0123456789abcdef }}\n");
    check("fleet", &config, rules, &alert(&API), 300);
}

#[test]
fn a_parameter_that_the_alert_breaks_leaves_no_plan() {
    let rules = RULES.replace(r#", service="api""#, "");
    let hostile =
        alert(&[("alertname", "HighErrorRate"), ("severity", "high"), ("service", "a; reboot")]);
    check("no_plan", CONFIG, &rules, &hostile, 300);
}

#[test]
fn a_condition_that_is_unknown_is_shown() {
    let rules = RULES.replacen("    target:", "    when: labels.env != 'dev'\n    target:", 1);
    check("when_unknown", CONFIG, &rules, &alert(&API), 300);
}

#[test]
fn of_many_rules_those_that_name_the_alert_are_shown_and_the_others_counted() {
    let more = |number: usize| {
        format!("  - {{ name: more-{number}, match: [alertname=\"Other{number}\"], target: t }}\n")
    };
    let rules = format!("{}{}", RULES, (0..40).map(more).collect::<String>());
    check("many_rules", CONFIG, &rules, &alert(&API), 300);
    let library = load(CONFIG, &rules);
    let explanation = offline(library.in_force(), &alert(&API), Duration::from_mins(5), now());
    let all = page(&explanation, true);
    assert!(all.contains("more-39") && !all.contains("--all"), "{all}");
}

#[test]
fn several_rules_that_take_the_alert_are_each_explained() {
    let rules = RULES.replacen("    target:", "    continue: true\n    target:", 1);
    let rules = rules.replace(r#"severity="warning""#, r#"severity!="warning""#);
    check("several_rules", CONFIG, &rules, &alert(&API), 300);
}

#[test]
fn what_an_alert_says_neither_moves_the_cursor_nor_leaves_the_page() {
    let rules = r#"rules:
  - name: a-rule-with-a-name-that-is-longer-than-anybody-would-like-to-read-in-a-table-of-rules
    match: [service!=""]
    target: service/x
    response: [{ playbook: rollback, with: { service: "{{ labels.service }}" } }]
"#;
    let service =
        format!("\u{1b}[2J{}", "very long words and a wordwithoutanyblankinit ".repeat(8));
    check(
        "hostile",
        CONFIG,
        rules,
        &alert(&[("alertname", "\u{202e}evil"), ("service", &service)]),
        300,
    );
}

/// The first rule holds its page, and a channel pages.
fn paging(mode: &str) -> (String, String) {
    let channels = CONFIG.find("channels:").unwrap();
    let config = format!("{}{PAGER}", &CONFIG[..channels]).replace("auto", mode);
    let page = "    page: { unless_fixed_within: 10m }\n    target:";
    (config, RULES.replacen("    target:", page, 1))
}

#[test]
fn a_page_that_is_held_and_what_sends_it() {
    for mode in ["auto", "approve", "observe"] {
        let (config, rules) = paging(mode);
        check(&format!("page_{mode}"), &config, &rules, &alert(&API), 300);
    }
    let (config, rules) = paging("auto");
    let freeze = "windows: [{ name: freeze, from: 2026-01-05T00:00:00Z, until: 2026-01-05T12:00:00Z, effect: refuse }]";
    check("page_in_vain", &format!("{config}{freeze}\n"), &rules, &alert(&API), 300);
    let (before, rest) = rules.split_once("    response:").unwrap();
    let (_, rest) = rest.split_once("    verify:").unwrap();
    let without = format!("{before}    verify:{rest}");
    check("page_without_remedy", &config, &without, &alert(&API), 300);
    check("page_nobody", CONFIG, &rules, &alert(&API), 300);
}

const WINDOWS: &str = r#"
windows:
  - { name: freeze, from: 2026-01-05T10:00:00Z, until: 2026-01-05T12:00:00Z, effect: refuse, match: [service="api"], reason: release week }
  - { name: nightly, cron: "0 2 * * *", for: 2h, timezone: Europe/Berlin, effect: observe }
  - { name: yearly, cron: "0 2 1 7 *", for: 2h, effect: refuse }
  - { name: of-another, from: 2026-01-05T00:00:00Z, until: 2026-02-05T00:00:00Z, effect: refuse, match: [service="web"] }
"#;

/// What `quell explain --at` prints.
fn check_at(name: &str, config: &str, at: &str) {
    let library = load(config, RULES);
    let at: Timestamp = at.parse().unwrap();
    let episode = Episode::unstored("test", API.into_iter().collect(), Labels::default(), at);
    let explanation = offline(library.in_force(), &episode, Duration::from_mins(5), at);
    insta::assert_snapshot!(name, page(&explanation, false));
}

#[test]
fn windows_bind_at_the_time_that_is_asked_about() {
    let config = format!("{CONFIG}{WINDOWS}");
    check_at("window_refuses", &config, "2026-01-05T10:08:48Z");
    check_at("window_is_over", &config, "2026-01-05T12:00:00Z");
    check_at("window_observes", &config, "2026-01-06T01:30:00Z");
    let allow = "windows: [{ name: office, cron: '0 9 * * MON-FRI', for: 8h, effect: allow_only }]";
    check_at("window_allows_later", &format!("{CONFIG}{allow}\n"), "2026-01-10T10:00:00Z");
}

const SCHEDULES: &str = r#"schedules:
  - name: nightly
    cron: "30 2 * * *"
    timezone: Europe/Berlin
    playbook: rollback
    with: { service: "{{ labels.slot }}" }
    jitter: 5m
    labels: { severity: critical }
"#;

/// What `quell explain --schedule` prints.
fn check_slot(name: &str, config: &str, at: Timestamp) {
    let library = load(config, SCHEDULES);
    let (schedule, episode) = slot::first(library.in_force(), "nightly", at).unwrap();
    let explanation = slot::offline(library.in_force(), &schedule, &episode);
    insta::assert_snapshot!(name, page(&explanation, false));
}

#[test]
fn a_slot_of_a_schedule() {
    check_slot("slot", CONFIG, now());
    check_slot("slot_in_window", &format!("{CONFIG}{WINDOWS}"), now());
    let library = load(CONFIG, SCHEDULES);
    let first = |at: &str| {
        slot::first(library.in_force(), "nightly", at.parse().unwrap())
            .unwrap()
            .1
            .opened_at
            .to_string()
    };
    assert_eq!(first("2026-01-06T01:30:00Z"), "2026-01-06T01:30:00Z", "at it");
    assert_eq!(first("2026-01-06T01:30:00.000000001Z"), "2026-01-07T01:30:00Z", "after it");
    let missing =
        |library: &Library| slot::first(library.in_force(), "nigthly", now()).unwrap_err();
    assert_eq!(missing(&library), "there is no schedule nigthly: the files have nightly");
    assert_eq!(missing(&load(CONFIG, RULES)), "there is no schedule nigthly: the files have none");
}

/// Facts of a running server with nothing against it.
fn facts() -> Facts {
    let library = load(CONFIG, RULES);
    let rule = &library.rules.rules()[0];
    Facts {
        standing: Standing::Active,
        precheck: Some(Observation {
            health: Health::Unhealthy,
            measured: "0.37, healthy: value < 0.05".into(),
            denied: false,
        }),
        ..assumed_facts(&[], rule, &alert(&API), Duration::from_mins(12))
    }
}

fn run(playbook: &str, seconds: u64) -> PastRun {
    PastRun {
        rule: "api-error-rate".into(),
        playbook: playbook.into(),
        target: "systemd/api".into(),
        incident: IncidentId(99),
        remedy: 1,
        state: RunState::Fixed,
        inconclusive: false,
        service: String::new(),
        group: String::new(),
        left_version: String::new(),
        started_at: ago(seconds + 9),
        ended_at: Some(ago(seconds)),
    }
}

/// A run of the incident that is explained.
fn of_incident(remedy: u32, state: RunState, seconds: u64) -> PastRun {
    PastRun {
        incident: IncidentId(3),
        remedy,
        state,
        ended_at: state.is_final().then(|| ago(seconds)),
        ..run("restart", seconds)
    }
}

fn incident() -> Incident {
    Incident { id: IncidentId(3), ..opening() }
}

fn opening() -> Incident {
    let library = load(CONFIG, RULES);
    respond::opening(&library.config, &library.rules.rules()[0], &open_episode(), now()).incident
}

fn open_episode() -> Episode {
    Episode { id: EpisodeId(5), opened_at: ago(720), ..alert(&API) }
}

/// What `quell explain --server` prints of the page of an incident that is open.
fn page_now(held_until: Option<Timestamp>, past: Vec<PastRun>) -> Vec<String> {
    let (config, rules) = paging("auto");
    let library = load(&config, &rules);
    let mut explanation = begin(library.in_force(), &open_episode(), Basis::Live, now());
    let incident = Some(Incident { held_until, ..incident() });
    let known = Known { incident, runs: Vec::new(), past: past.into(), facts: Some(facts()) };
    let rule = &library.rules.rules()[0];
    let judged = judge(library.in_force(), rule, &open_episode(), &known, Basis::Live, now());
    explanation.judgements = vec![judged];
    let shown = page(&explanation, false);
    let lines = shown.lines().skip_while(|it| !it.starts_with("  page "));
    lines.take_while(|it| !it.is_empty()).map(|it| it.trim().to_owned()).collect()
}

#[test]
fn a_page_of_an_open_incident() {
    let set_in = "(unless_fixed_within: 10m, rules/api.yml:4)";
    let check = |held_until, past: Vec<PastRun>, expected: &str| {
        let words = page_now(held_until, past).join(" ").replacen("page         ", "", 1);
        assert_eq!(words, expected.replace("SET", set_in));
    };
    let soon = crate::model::time::after(now(), Duration::from_mins(4));
    let verifying = vec![of_incident(1, RunState::Verifying, 30)];
    let held = "held until 10:12:48 UTC (in 4m): pager only if no remedy has helped by then SET";
    check(Some(soon), verifying.clone(), held);
    let was =
        "was held until 10:07:48 UTC (1m ago): pager only if no remedy had helped by then SET";
    check(Some(ago(60)), verifying.clone(), was);
    check(None, verifying, "was sent to pager SET");
    let observed = vec![of_incident(1, RunState::Observed, 30)];
    let at_once = "is sent at once to pager: mode observe: nothing is tried SET";
    check(Some(soon), observed, at_once);
    let failed = vec![of_incident(2, RunState::Failed, 30)];
    check(Some(soon), failed, "is sent at once to pager: none of 2 remedies helped SET");
}

/// What `quell explain --server` prints of an alert that is open.
fn live(name: &str, past: Vec<PastRun>, facts: Facts, all: bool) {
    let library = load(CONFIG, RULES);
    let episode = open_episode();
    let mut explanation = begin(library.in_force(), &episode, Basis::Live, now());
    let runs = if past.is_empty() { Vec::new() } else { vec![RunId(7)] };
    let both = facts.runs.iter().chain(&past).cloned().collect();
    let facts = Some(Facts { runs: both, ..facts });
    let known = Known { incident: Some(incident()), runs, past: past.into(), facts };
    let rule = &library.rules.rules()[0];
    explanation.judgements =
        vec![judge(library.in_force(), rule, &episode, &known, Basis::Live, now())];
    insta::assert_snapshot!(name, page(&explanation, all));
}

#[test]
fn by_what_a_server_knows() {
    let none = Vec::new;
    live(
        "live_cooldown",
        none(),
        Facts { runs: vec![run("restart", 528)].into(), ..facts() },
        false,
    );
    live("live_all", none(), Facts { runs: vec![run("restart", 528)].into(), ..facts() }, true);
    live("live_second_remedy", vec![of_incident(1, RunState::Failed, 30)], facts(), false);
    let standing = Standing::Silenced { by: vec!["8d2b4c0e-8a5f-4d2c-9a51-0f3c5cbb1e77".into()] };
    live("live_silenced", none(), Facts { standing, ..facts() }, false);
    let pause = Pause {
        scope: "rule:api-error-rate".into(),
        by: "dana".into(),
        reason: "we are moving the database, and nothing must restart while we do".into(),
        at: ago(600),
    };
    let standing =
        Standing::Unknown { reason: "no answer from Alertmanager: connection refused".into() };
    let runs = vec![run("restart", 528), run("restart", 1000), run("restart", 3000)].into();
    let much = Facts { pauses: vec![pause], standing, runs, ..facts() };
    live("live_much_against_it", none(), much, false);
    live("live_busy", vec![of_incident(1, RunState::Verifying, 30)], facts(), false);
    live("live_fixed", vec![of_incident(1, RunState::Fixed, 30)], facts(), false);
    live("live_observed", vec![of_incident(1, RunState::Observed, 30)], facts(), false);
    live("live_people", vec![of_incident(2, RunState::Failed, 30)], facts(), false);
}

#[test]
fn as_it_was_decided() {
    let library = load(CONFIG, RULES);
    let episode = open_episode();
    let rule = &library.rules.rules()[0];
    let remedy = (1, &rule.response[0]);
    let playbook = &library.playbooks["restart"];
    let subject = plan::subject(
        &library.config,
        rule,
        remedy,
        playbook,
        &episode,
        IncidentId(3),
        "systemd/api",
    )
    .unwrap();
    let decided = |facts: &Facts, with_run: bool| {
        let rulings = guard::judge(&subject, facts, now());
        let (verdict, reason) = guard::conclude(&rulings);
        let plan = plan::plan(rule, &subject, playbook, &episode, Mode::Auto, now()).unwrap();
        let decision = Decision {
            episode: episode.id,
            incident: Some(IncidentId(3)),
            rule: rule.name.clone(),
            playbook: "restart".into(),
            target: "systemd/api".into(),
            verdict,
            reason,
            rulings,
            at: now(),
        };
        let runs = if with_run { vec![RunId(7)] } else { Vec::new() };
        let incident = Some(incident());
        let decided = Decided { decision, incident, runs, plan: with_run.then_some(plan) };
        page(&stored(library.in_force(), &episode, &[decided]), false)
    };
    insta::assert_snapshot!("stored_run", decided(&facts(), true));
    insta::assert_snapshot!(
        "stored_hold",
        decided(&Facts { firing_for: Duration::ZERO, ..facts() }, false)
    );
    insta::assert_snapshot!("not_judged", page(&stored(library.in_force(), &episode, &[]), false));
}

#[test]
fn an_explanation_reads_back_as_it_was_written() {
    let library = load(CONFIG, RULES);
    let explanation = offline(library.in_force(), &alert(&API), Duration::from_mins(5), now());
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
}

#[test]
fn facts_of_another_time_differ_in_how_long_it_fires_and_in_windows() {
    let at = |seconds: u64| crate::model::time::after(now(), Duration::from_secs(seconds));
    let windows = &load(&format!("{CONFIG}{WINDOWS}"), RULES).config.windows;
    let labels: Labels = API.into_iter().collect();
    let facts = Facts { firing_for: Duration::from_secs(30), ..facts() };
    let soon = shifted(facts.clone(), windows, &labels, now(), at(40));
    assert_eq!(soon.firing_for, Duration::from_secs(70));
    let freeze = |facts: &Facts| facts.windows.iter().find(|it| it.name == "freeze").unwrap().ends;
    assert!(freeze(&soon).is_some());
    let later = shifted(facts, windows, &labels, now(), at(2 * 3600));
    assert_eq!((later.firing_for, freeze(&later)), (Duration::from_secs(7230), None));
}
