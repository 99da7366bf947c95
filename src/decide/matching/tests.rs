use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::prelude::prop_oneof;
use proptest::prelude::proptest;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest::test_runner::TestCaseError;
use regex::Regex;

use super::*;
use crate::decide::condition;
use crate::model::matcher::Grammar;
use crate::model::matcher::Op;
use crate::model::matcher::parse_many;
use crate::model::playbook::Mode;
use crate::model::re2;
use crate::model::rule::Place;
use crate::model::rule::RuleLimits;
use crate::model::rule::Set;

fn rule_of(name: &str, matchers: &str, when: Option<&str>, go_on: bool) -> Arc<Rule> {
    Arc::new(Rule {
        name: name.into(),
        description: String::new(),
        matchers: parse_many(matchers, Grammar::Fallback).unwrap(),
        when: when.map(str::to_owned),
        group_by: Vec::new(),
        target: serde_json::from_str("\"t\"").unwrap(),
        response: Vec::new(),
        verify: None,
        limits: RuleLimits::default(),
        population: None,
        redundancy_group: None,
        page: None,
        updates: None,
        mode: Set::default_of(Mode::Auto),
        go_on,
        place: Place::default(),
    })
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.rules.iter().map(|it| it.name.as_str()).collect()
}

const API: [(&str, &str); 3] =
    [("alertname", "HighErrorRate"), ("service", "api"), ("severity", "critical")];

#[test]
fn the_first_rule_that_matches_wins() {
    let index = Index::new(vec![
        rule_of("other", "alertname=Other", None, false),
        rule_of("first", "alertname=HighErrorRate", None, false),
        rule_of("second", "service=api", None, false),
        rule_of("all", "", None, false),
    ]);
    assert_eq!(names(&index.select(&labels(&API), &Labels::default())), ["first"]);
    assert_eq!(
        names(&index.select(&labels(&[("service", "api")]), &Labels::default())),
        ["second"]
    );
    assert_eq!(names(&index.select(&Labels::default(), &Labels::default())), ["all"]);
}

#[test]
fn continue_lets_later_rules_take_the_alert_too() {
    let index = Index::new(vec![
        rule_of("any", "severity=~\".+\"", None, true),
        rule_of("mine", "service=api", None, true),
        rule_of("not-mine", "service=web", None, false),
        rule_of("last", "alertname=HighErrorRate", None, false),
        rule_of("too-late", "", None, false),
    ]);
    assert_eq!(names(&index.select(&labels(&API), &Labels::default())), ["any", "mine", "last"]);
}

#[test]
fn a_condition_that_is_unknown_selects_nothing_and_is_told() {
    let index = Index::new(vec![
        rule_of("unknown", "service=api", Some("labels.env != 'dev'"), false),
        rule_of("number", "service=api", Some("labels.severity > 3"), false),
        rule_of("no-condition", "", Some("labels.x ="), false),
        rule_of("false", "", Some("labels.service == 'web'"), false),
        rule_of("later", "", Some("annotations.runbook.startsWith('http')"), false),
        rule_of("not-asked", "", Some("labels.env != 'dev'"), false),
    ]);
    let annotations = labels(&[("runbook", "http://x")]);
    let selection = index.select(&labels(&API), &annotations);
    assert_eq!(names(&selection), ["later"]);
    let unknown: Vec<(&str, bool)> = selection
        .unknown
        .iter()
        .map(|(rule, reason)| {
            (
                rule.name.as_str(),
                reason.contains("env")
                    || reason.contains("does not take")
                    || reason.contains("no condition"),
            )
        })
        .collect();
    assert_eq!(unknown, [("unknown", true), ("number", true), ("no-condition", true)]);
}

#[test]
fn each_rule_is_explained() {
    let index = Index::new(vec![
        rule_of("dev", "service=api,severity=warning", None, false),
        rule_of("eu", "region=~\"eu-.*\"", None, false),
        rule_of("when", "", Some("labels.service == 'web'"), false),
        rule_of("unknown", "", Some("labels.env == 'x'"), false),
        rule_of("mine", "service=api", None, false),
        rule_of("late", "service=api", None, false),
        rule_of("other", "service=web", None, false),
    ]);
    let explained: Vec<Match> = index
        .explain(&labels(&API), &Labels::default())
        .into_iter()
        .map(|(_, found)| found)
        .collect();
    let not = |matcher: &str, value: Option<&str>| Match::Matcher {
        matcher: matcher.into(),
        value: value.map(str::to_owned),
    };
    let Some(Match::WhenUnknown(reason)) = explained.get(3) else { panic!("{explained:?}") };
    assert!(reason.contains("there is no `env`"), "{reason}");
    assert_eq!(
        explained,
        [
            not("severity=\"warning\"", Some("critical")),
            not("region=~\"eu-.*\"", None),
            Match::When,
            Match::WhenUnknown(reason.clone()),
            Match::Selected,
            Match::TakenBy("mine".into()),
            not("service=\"web\"", Some("api")),
        ]
    );
}

#[test]
fn a_rule_is_found_by_its_rarest_equality_matcher() {
    let mut rules: Vec<Arc<Rule>> = (0..50)
        .map(|number| {
            rule_of(
                &format!("r{number}"),
                &format!("severity=critical,service=s{number}"),
                None,
                false,
            )
        })
        .collect();
    rules.push(rule_of("absent", "service=\"\"", None, false));
    rules.push(rule_of("regex", "service=~\"s1\"", None, false));
    let index = Index::new(rules);
    assert_eq!(index.candidates(&labels(&[("severity", "critical"), ("service", "s7")])), [7, 50]);
    assert_eq!(index.candidates(&labels(&[("severity", "critical")])), [50]);
}

/// Compiled once a thread: the same few patterns come again and again.
fn regex(pattern: &str) -> Regex {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let new = || re2::compile_anchored(pattern).unwrap();
        compiled.entry(pattern.to_owned()).or_insert_with(new).clone()
    })
}

/// What selects: every rule in turn, until one takes the alert and does not go on. Written without the index, its
/// compiled patterns and its compiled conditions.
fn linear(rules: &[Arc<Rule>], alert: &Labels, annotations: &Labels) -> (Vec<String>, Vec<String>) {
    let variables = BTreeMap::from([
        ("labels", serde_json::to_value(alert).unwrap()),
        ("annotations", serde_json::to_value(annotations).unwrap()),
    ]);
    let holds = |matcher: &Matcher| {
        let value = alert.get(matcher.name());
        let matches = || regex(matcher.value()).is_match(value);
        match matcher.op() {
            Op::Equal => value == matcher.value(),
            Op::NotEqual => value != matcher.value(),
            Op::Regex => matches(),
            Op::NotRegex => !matches(),
        }
    };
    let (mut selected, mut unknown) = (Vec::new(), Vec::new());
    for rule in rules {
        if !rule.matchers.iter().all(holds) {
            continue;
        }
        match rule.when.as_deref().map_or(Ok(true), |when| condition::evaluate(when, &variables)) {
            Err(_) => unknown.push(rule.name.clone()),
            Ok(false) => {}
            Ok(true) => {
                selected.push(rule.name.clone());
                if !rule.go_on {
                    break;
                }
            }
        }
    }
    (selected, unknown)
}

/// Asks the index for an alert in every way, and holds the answers against [`linear`].
fn agrees(index: &Index, alert: &Labels, annotations: &Labels) -> Result<(), TestCaseError> {
    let (selected, unknown) = linear(index.rules(), alert, annotations);
    let selection = index.select(alert, annotations);
    prop_assert_eq!(names(&selection), selected, "{:?}", alert);
    let told: Vec<&str> = selection.unknown.iter().map(|(rule, _)| rule.name.as_str()).collect();
    prop_assert_eq!(told, unknown);

    let candidates = index.candidates(alert);
    prop_assert!(candidates.is_sorted() && candidates.len() <= index.rules().len());
    for (position, rule) in index.rules().iter().enumerate() {
        if rule.matchers.iter().all(|it| it.matches(alert)) {
            prop_assert!(candidates.binary_search(&position).is_ok(), "{} is not found", rule.name);
        }
    }

    let explained = index.explain(alert, annotations);
    prop_assert_eq!(explained.len(), index.rules().len());
    let (mut rules, mut unknown) = (Vec::new(), Vec::new());
    for (rule, found) in explained {
        match found {
            Match::Selected => rules.push(rule),
            Match::WhenUnknown(reason) => unknown.push((rule, reason)),
            Match::Matcher { .. } | Match::When | Match::TakenBy(_) => {}
        }
    }
    prop_assert_eq!(Selection { rules, unknown }, selection);
    Ok(())
}

const NAMES: [&str; 4] = ["alertname", "service", "ä", "zone"];
const VALUES: [&str; 16] = [
    "",
    "1",
    "2",
    "api",
    "api-1",
    "api-12",
    "api-db",
    "web",
    "web-db",
    "x-middle-y",
    "x-a-long-middle-y",
    "é",
    "é🙂",
    "a\nb",
    "K",
    "\u{212a}",
];
const PATTERNS: [&str; 34] = [
    "",
    ".*",
    ".+",
    "1|2",
    "1|",
    "api",
    "api-.*",
    "api.+",
    "api-.*|web-.*",
    "api-1.*",
    ".*-db",
    ".+db",
    "web-db|.*-db",
    ".*middle.*",
    "x-.*long.*-y",
    ".*(?:middle|long).*",
    "(?i)k",
    "(?i)api-.*",
    "[a-z]+",
    "[a-z]+-\\d+",
    "api-[0-9]",
    "\\d",
    "é.*",
    ".*🙂",
    "a.b",
    "(?s)a.b",
    "(?s)a.*",
    "^api$",
    "api|web",
    "api-1|api-12|é",
    "x.{2,}y",
    "[^a]*",
    "(?:ap|we).*",
    "\\w+-[a-z]{2}",
];
const WHENS: [&str; 6] = [
    "labels.service == 'api'",
    "has(labels.zone)",
    "labels.zone != '1'",
    "annotations.x == '1'",
    "labels.service > 1",
    "labels.service.matches('^ap')",
];

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let equal = (select(&[Op::Equal, Op::NotEqual][..]), select(&VALUES[..]));
    let regex = (select(&[Op::Regex, Op::Regex, Op::NotRegex][..]), select(&PATTERNS[..]));
    let free = (Just(Op::Regex), "[ab.|*-]{1,6}".prop_map(|it| it.replace("**", "*")));
    (
        select(&NAMES[..]),
        prop_oneof![
            3 => equal.prop_map(|(op, value)| (op, value.to_owned())),
            4 => regex.prop_map(|(op, value)| (op, value.to_owned())),
            1 => free,
        ],
    )
        .prop_filter_map("a regex that Go refuses", |(name, (op, value))| {
            Matcher::new(name, op, &value).ok()
        })
}

fn any_rules(most: usize) -> impl Strategy<Value = Vec<Arc<Rule>>> {
    let rule = (vec(any_matcher(), 0..4), option::weighted(0.2, select(&WHENS[..])), any::<bool>());
    vec(rule, 0..most).prop_map(|shapes| {
        let number = |(number, (matchers, when, go_on))| {
            let name = format!("r{number}");
            Arc::new(Rule { matchers, ..Rule::clone(&rule_of(&name, "", when, go_on)) })
        };
        shapes.into_iter().enumerate().map(number).collect()
    })
}

fn any_alert() -> impl Strategy<Value = Labels> {
    let value = prop_oneof![5 => select(&VALUES[..]).prop_map(str::to_owned), 1 => "[ab-]{1,4}"];
    vec((select(&NAMES[..]), value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #![proptest_config(Config::with_cases(300))]

    #[test]
    fn the_index_agrees_with_trying_every_rule(
        rules in any_rules(24),
        alerts in vec(any_alert(), 1..4),
        annotations in btree_map("x", "[12]", 0..2),
    ) {
        let index = Index::new(rules);
        let annotations: Labels = annotations.into_iter().collect();
        for alert in alerts {
            agrees(&index, &alert, &annotations)?;
        }
    }
}

proptest! {
    #![proptest_config(Config::with_cases(16))]

    /// So many rules that the tree has nodes inside nodes.
    #[test]
    fn the_index_agrees_when_rules_share_what_they_need(
        rules in any_rules(400),
        alerts in vec(any_alert(), 1..6),
    ) {
        let rules: Vec<Arc<Rule>> =
            rules.iter().map(|it| Arc::new(Rule { go_on: true, when: None, ..Rule::clone(it) })).collect();
        let index = Index::new(rules);
        for alert in alerts {
            agrees(&index, &alert, &Labels::default())?;
        }
    }
}

/// Rules of one shape, each about something of its own, and an alert that one of them takes.
type Shape = fn(usize) -> Vec<(&'static str, Op, String)>;

const SHAPES: [(&str, Shape); 8] = [
    ("equality", |it| {
        vec![
            ("alertname", Op::Equal, format!("Alert{it}")),
            ("severity", Op::Equal, "critical".into()),
            ("team", Op::NotEqual, "nobody".into()),
        ]
    }),
    ("alternations", |it| {
        vec![
            ("alertname", Op::Regex, format!("Down{it}|Slow{it}|Full{it}")),
            ("severity", Op::Regex, "critical|warning".into()),
        ]
    }),
    ("prefixes", |it| {
        vec![
            ("severity", Op::Equal, "critical".into()),
            ("instance", Op::Regex, format!("host-{it}-.*")),
        ]
    }),
    ("suffixes", |it| vec![("instance", Op::Regex, format!(".*-{it}-db"))]),
    ("inner texts", |it| vec![("instance", Op::Regex, format!(".*-at-{it:06}-here-.*"))]),
    ("regexes", |it| vec![("instance", Op::Regex, format!("host-{it}-[a-z]+[0-9]?"))]),
    ("two of many", |it| {
        vec![
            ("alertname", Op::Equal, format!("Alert{}", it % 317)),
            ("service", Op::Equal, format!("s{}", it / 317)),
        ]
    }),
    ("a regex that all share", |it| {
        vec![
            ("instance", Op::Regex, "[a-z]+[0-9]*".into()),
            ("service", Op::Regex, format!("s{it}|t{it}")),
        ]
    }),
];

fn many(shape: Shape, count: usize) -> Index {
    let rule = Rule::clone(&rule_of("r", "", None, true));
    let rules = (0..count).map(|number| {
        let matchers = shape(number).into_iter();
        let matchers = matchers.map(|(name, op, value)| Matcher::new(name, op, &value).unwrap());
        Arc::new(Rule { name: format!("r{number}"), matchers: matchers.collect(), ..rule.clone() })
    });
    Index::new(rules.collect())
}

#[test]
fn an_alert_costs_no_more_among_many_rules_than_among_few() {
    for (name, shape) in SHAPES {
        // reading 100,000 regexes takes a build without optimisation a while; `benches/matching.rs` has them all
        let most = if name == "equality" { 100_000 } else { 5_000 };
        for count in [100, most] {
            let index = many(shape, count);
            for chosen in [0, 41, count - 1] {
                let alert = labels(&[
                    (
                        "alertname",
                        &match name {
                            "alternations" => format!("Slow{chosen}"),
                            "two of many" => format!("Alert{}", chosen % 317),
                            _ => format!("Alert{chosen}"),
                        },
                    ),
                    ("severity", "critical"),
                    (
                        "service",
                        &match name {
                            "two of many" => format!("s{}", chosen / 317),
                            _ => format!("s{chosen}"),
                        },
                    ),
                    (
                        "instance",
                        &match name {
                            "prefixes" => format!("host-{chosen}-eu"),
                            "suffixes" => format!("eu-{chosen}-db"),
                            "inner texts" => format!("eu-at-{chosen:06}-here-1"),
                            "regexes" => format!("host-{chosen}-eu1"),
                            _ => "host7".to_owned(),
                        },
                    ),
                    ("namespace", "prod"),
                ]);
                let candidates = index.candidates(&alert);
                assert!(candidates.contains(&chosen), "{name}, {count} rules: {candidates:?}");
                assert!(candidates.len() <= 16, "{name}, {count} rules: {}", candidates.len());
                assert_eq!(
                    names(&index.select(&alert, &Labels::default())),
                    [&*format!("r{chosen}")]
                );
            }
        }
    }
}

#[test]
fn a_long_value_finds_no_more_than_a_short_one() {
    for (name, shape) in SHAPES {
        let index = many(shape, 2_000);
        for piece in ["a", "host-1-", "-at-000001-here-", "é"] {
            let long = piece.repeat((64 << 10) / piece.len());
            let alert = labels(&[("alertname", &long), ("instance", &long), ("service", &long)]);
            let candidates = index.candidates(&alert);
            assert!(candidates.len() <= 16, "{name}: {piece} finds {}", candidates.len());
        }
    }
}
