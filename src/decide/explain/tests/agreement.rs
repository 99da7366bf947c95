//! An explanation says what is decided: the same rules, the same rulings, the same verdict.

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::decision::Version;

const MATCHERS: [&str; 8] = [
    "alertname=A",
    "alertname=~\"A|B\"",
    "service=api",
    "service!=\"\"",
    "env=~\"prod.*\"",
    "env!=dev",
    "alertname!=B",
    "env=\"\"",
];
const WHENS: [&str; 3] = ["labels.env != 'dev'", "has(labels.service)", "labels.service > 1"];
const LIMITS: [&str; 4] =
    ["{}", "{ settle: 2m }", "{ settle: 30s, cooldown: 20m }", "{ rate: 1 per 1h, cooldown: 6m }"];
const RESPONSES: [&str; 4] = [
    "[]",
    "[{ playbook: restart, with: { unit: a } }]",
    "[{ playbook: rollback, with: { service: a }, mode: approve }, { playbook: restart, with: { unit: a } }]",
    "[{ playbook: restart, with: { unit: \"{{ labels.service }}\" } }]",
];
const TARGETS: [&str; 3] = ["t", "service/{{ labels.service }}", "service/{{ labels.env }}"];

/// Around [`now`]: inside, outside, of other alerts, and of each effect.
const WINDOWS: [&str; 6] = [
    "",
    "windows: [{ name: w, from: 2026-01-05T10:00:00Z, until: 2026-01-05T11:00:00Z, effect: refuse }]",
    "windows: [{ name: w, from: 2026-01-05T10:00:00Z, until: 2026-01-05T11:00:00Z, effect: refuse, match: [service=api] }]",
    "windows: [{ name: w, cron: '0 * * * *', for: 10m, effect: observe }]",
    "windows: [{ name: w, cron: '0 * * * *', for: 5m, effect: observe }]",
    "windows: [{ name: w, cron: '30 * * * *', for: 5m, effect: allow_only, match: [env!=dev] }]",
];

type Shape =
    (Vec<&'static str>, Option<&'static str>, bool, &'static str, &'static str, &'static str, bool);

fn shape() -> impl Strategy<Value = Shape> {
    (
        vec(select(&MATCHERS[..]), 0..3),
        option::weighted(0.3, select(&WHENS[..])),
        any::<bool>(),
        select(&LIMITS[..]),
        select(&RESPONSES[..]),
        select(&TARGETS[..]),
        any::<bool>(),
    )
}

fn rules(shapes: &[Shape]) -> String {
    let rule = |(number, shape): (usize, &Shape)| {
        let (matchers, when, go_on, limits, response, target, held) = shape;
        let held = if *held { "    page: { unless_fixed_within: 10m }\n" } else { "" };
        let matchers: Vec<String> = matchers.iter().map(|it| format!("'{it}'")).collect();
        let when = when.map(|it| format!("    when: \"{it}\"\n")).unwrap_or_default();
        format!(
            "  - name: r{number}\n    match: [{}]\n{when}    continue: {go_on}\n    \
             target: \"{target}\"\n    response: {response}\n    limits: {limits}\n{held}",
            matchers.join(", ")
        )
    };
    let rules: Vec<String> = shapes.iter().enumerate().map(rule).collect();
    if rules.is_empty() { "rules: []\n".into() } else { format!("rules:\n{}", rules.concat()) }
}

fn any_state() -> impl Strategy<Value = RunState> {
    select(vec![
        RunState::Running,
        RunState::Fixed,
        RunState::Failed,
        RunState::Rejected,
        RunState::Superseded,
        RunState::Observed,
    ])
}

fn any_run() -> impl Strategy<Value = PastRun> {
    (
        select(vec!["r0", "r1"]),
        select(vec!["t", "service/api"]),
        any_state(),
        0_u64..4000,
        0_u32..3,
        0_i64..3,
    )
        .prop_map(|(rule, target, state, seconds, remedy, incident)| PastRun {
            rule: rule.into(),
            target: target.into(),
            state,
            remedy,
            incident: IncidentId(incident),
            ended_at: state.is_final().then(|| ago(seconds)),
            ..run("restart", seconds)
        })
}

fn any_standing() -> impl Strategy<Value = Standing> {
    select(vec![
        Standing::Active,
        Standing::Silenced { by: vec!["s".into()] },
        Standing::Inhibited,
        Standing::Gone,
        Standing::Unknown { reason: "refused".into() },
        Standing::NotAsked,
    ])
}

fn any_health() -> impl Strategy<Value = Option<Observation>> {
    let health = select(vec![Health::Healthy, Health::Unhealthy, Health::Unknown]);
    option::of(health.prop_map(|health| Observation {
        health,
        measured: "m".into(),
        denied: false,
    }))
}

prop_compose! {
    fn any_facts()(
        paused in option::weighted(0.2, select(vec!["all", "rule:r0", "playbook:restart", "target:t"])),
        firing in prop::bool::weighted(0.9),
        firing_for in 0_u64..300,
        evidence_age in 0_u64..1200,
        truncated in select(vec![0_u64, 0, 0, 4]),
        standing in any_standing(),
        precheck in any_health(),
        runs in vec(any_run(), 0..4),
    ) -> Facts {
        let pause = |scope: &str| Pause {
            scope: scope.into(), by: "dana".into(), reason: String::new(), at: now(),
        };
        Facts {
            version: Version::default(),
            pauses: paused.map(pause).into_iter().collect(),
            firing,
            firing_for: Duration::from_secs(firing_for),
            evidence_age: Duration::from_secs(evidence_age),
            truncated,
            standing,
            ahead: Duration::ZERO,
            windows: Vec::new(),
            around: Circumstances::default(),
            population: None,
            proofs: Vec::new(),
            precheck,
            runs: runs.into(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_explanation_says_what_is_decided(
        shapes in vec(shape(), 0..6),
        labels in btree_map("alertname|service|env", "A|B|api|dev|prod-1", 0..4),
        facts in any_facts(),
        mode in select(vec!["observe", "approve", "auto"]),
        windows in select(&WINDOWS[..]),
    ) {
        let (config, _) = paging(mode);
        let library = load(&format!("{config}{windows}\n"), &rules(&shapes));
        let labels: Labels = labels.into_iter().collect();
        let windows = window::covering(&library.config.windows, &labels, now());
        let facts = Facts { windows, ..facts };
        let episode = Episode::unstored("test", labels, Labels::default(), now());
        let files = library.in_force();
        let explanation = begin(files, &episode, Basis::Live, now());
        let selection = library.rules.select(&episode.labels, &episode.annotations);
        let names = |rules: &[Arc<Rule>]| -> Vec<String> { rules.iter().map(|it| it.name.clone()).collect() };
        let taking: Vec<String> =
            explanation.rules.iter().filter(|it| it.selected).map(|it| it.rule.clone()).collect();
        prop_assert_eq!(taking, names(&selection.rules));
        let unknown: Vec<String> =
            explanation.rules.iter().filter(|it| it.unknown).map(|it| it.rule.clone()).collect();
        let expected: Vec<String> = selection.unknown.iter().map(|(it, _)| it.name.clone()).collect();
        prop_assert_eq!(unknown, expected);

        for rule in &selection.rules {
            let opening = respond::opening(&library.config, rule, &episode, now());
            let incident = Incident { id: IncidentId(1), ..opening.incident };
            let known = Known {
                incident: Some(incident.clone()),
                runs: Vec::new(),
                past: facts.runs.clone(),
                facts: Some(facts.clone()),
            };
            let judged = judge(files, rule, &episode, &known, Basis::Live, now());
            let explanation = Explanation { judgements: vec![judged.clone()], ..explanation.clone() };
            let shown = page(&explanation, true);
            prop_assert!(shown.lines().all(|it| it.chars().count() <= 100), "{shown}");
            let Ok(target) = opening.target else {
                prop_assert_eq!(judged.verdict, Some(Verdict::Refuse));
                continue;
            };
            let config = &library.config;
            let (incident, target, now) = (&incident, target.as_str(), now());
            let windows = config.windows.as_slice();
            let trust = None;
            let case =
                Case { config, rule, episode: &episode, incident, target, windows, trust, now };
            let candidate = match respond::asks(case, &library.playbooks, &facts.runs) {
                Asks::Nothing { .. } => {
                    prop_assert_eq!(judged.verdict, None);
                    let held = judged.page.is_none_or(|it| it.held_until.is_some());
                    prop_assert!(held || incident.held_until.is_none());
                    continue;
                }
                Asks::Page { reason, .. } => {
                    let page = judged.page.map(|it| (it.held_until, it.why));
                    prop_assert_eq!((judged.verdict, page), (None, Some((None, reason))));
                    continue;
                }
                Asks::Note(reason) | Asks::People(reason) => {
                    prop_assert_eq!((judged.verdict, judged.reason), (Some(Verdict::Refuse), reason));
                    continue;
                }
                Asks::Remedy(candidate) => candidate,
            };
            let rulings = guard::judge(&candidate.subject, &facts, now);
            let explained: Vec<_> = judged.rulings.iter().map(|it| it.ruling.clone()).collect();
            prop_assert_eq!(&explained, &rulings);
            let conclusion = respond::conclude(case, &candidate, &facts, rulings);
            if let (Some(why), Some(page)) = (&conclusion.page, &judged.page) {
                prop_assert_eq!((page.held_until, &page.why), (None, why));
            }
            let expected = match conclusion {
                // what the guards let pass and cannot be planned is given to people
                Conclusion { then: Then::People(reason), .. } => (Verdict::Refuse, reason),
                Conclusion { decision, .. } => (decision.verdict, decision.reason),
            };
            prop_assert_eq!((judged.verdict, judged.reason), (Some(expected.0), expected.1));
        }
    }
}

const CRONS: [&str; 4] = ["*/7 * * * *", "0 * * * *", "30 2 * * *", "10 5 10 * * *"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_explained_slot_says_what_is_decided_of_it(
        cron in select(&CRONS[..]),
        facts in any_facts(),
        mode in select(vec!["observe", "approve", "auto"]),
        windows in select(&WINDOWS[..]),
    ) {
        let (config, _) = paging(mode);
        let schedules = SCHEDULES.replace("30 2 * * *", cron).replace("Europe/Berlin", "UTC");
        let library = load(&format!("{config}{windows}\n"), &schedules);
        let files = library.in_force();
        let (schedule, episode) = slot::first(files, "nightly", now()).unwrap();
        let at = episode.opened_at;
        prop_assert!(at >= now());
        let windows = window::covering(&library.config.windows, &episode.labels, at);
        let facts = Facts { windows, precheck: None, ..facts };
        let rule = &schedule.rule;
        let incident = Incident { id: IncidentId(1), held_until: Some(at), ..opening() };
        let known = Known {
            incident: Some(incident.clone()),
            runs: Vec::new(),
            past: Runs::default(),
            facts: Some(facts.clone()),
        };
        let judged = judge(files, rule, &episode, &known, Basis::Live, at);
        // as the engine judges a slot: no rule is asked, its target is no template
        let (config, target, incident) = (&library.config, rule.target.as_str(), &incident);
        let (episode, windows) = (&episode, config.windows.as_slice());
        let trust = None;
        let case = Case { config, rule, episode, incident, target, windows, trust, now: at };
        let candidate = respond::candidate(case, &library.playbooks, 1, 0).unwrap();
        let rulings = guard::judge(&candidate.subject, &facts, at);
        let decision = respond::conclude(case, &candidate, &facts, rulings).decision;
        let explained: Vec<_> = judged.rulings.iter().map(|it| it.ruling.clone()).collect();
        prop_assert_eq!(explained, decision.rulings);
        prop_assert_eq!(judged.verdict, Some(decision.verdict));
        prop_assert_eq!((judged.reason, judged.target), (decision.reason, decision.target));
        prop_assert_eq!(judged.page, None);
    }
}
