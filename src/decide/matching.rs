//! Which rules an alert selects, and why each other does not.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::decide::condition::Condition;
use crate::decide::condition::Scope;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::rule::Rule;

/// What a rule's `when` may name.
pub const WHEN_VARIABLES: [&str; 2] = ["labels", "annotations"];

/// Finds rules by their equality matchers first, instead of trying all.
#[derive(Debug, Clone, Default)]
pub struct Index {
    rules: Vec<Arc<Rule>>,
    /// Of each rule, its `when`, or why that is no condition.
    whens: Vec<Option<Result<Condition, String>>>,
    /// Label name → value → positions of the rules that need it, each rule under one label.
    keyed: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Positions of the rules that need no label with a value of its own.
    rest: Vec<usize>,
}

/// What an alert selects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The rules that take the alert, in order.
    pub rules: Vec<Arc<Rule>>,
    /// Rules whose `when` could not be evaluated, with the reason. They do not take the alert, and a later
    /// rule may: people must be told, since it is not known that the later one should have.
    pub unknown: Vec<(Arc<Rule>, String)>,
}

/// Why a rule does or does not take an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It takes it.
    Selected,
    /// This matcher does not hold; with the value that the alert has, `None` when it lacks the label.
    Matcher {
        /// As people write it.
        matcher: String,
        /// What the alert has.
        value: Option<String>,
    },
    /// `when` is false.
    When,
    /// `when` could not be evaluated: unknown, so the rule does not act.
    WhenUnknown(String),
    /// An earlier rule took it.
    TakenBy(String),
}

impl Index {
    /// Builds the index; rules keep their order.
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let whens = rules.iter().map(|rule| rule.when.as_deref().map(compile)).collect();
        let mut used: HashMap<(&str, &str), usize> = HashMap::new();
        for matcher in rules.iter().flat_map(|rule| &rule.matchers).filter(|it| is_key(it)) {
            *used.entry((matcher.name(), matcher.value())).or_default() += 1;
        }
        let mut keyed: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        let mut rest = Vec::new();
        for (position, rule) in rules.iter().enumerate() {
            let rarest =
                rule.matchers.iter().filter(|it| is_key(it)).min_by_key(|it| {
                    used.get(&(it.name(), it.value())).copied().unwrap_or_default()
                });
            match rarest {
                Some(key) => keyed
                    .entry(key.name().to_owned())
                    .or_default()
                    .entry(key.value().to_owned())
                    .or_default()
                    .push(position),
                None => rest.push(position),
            }
        }
        Self { rules, whens, keyed, rest }
    }

    /// All rules in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that take the alert, in order: the first, and later ones while each says `continue`.
    pub fn select(&self, labels: &Labels, annotations: &Labels) -> Selection {
        let alert = Subject::new(labels, annotations);
        let mut selection = Selection::default();
        for (rule, when) in self.candidates(labels).into_iter().filter_map(|it| self.get(it)) {
            if mismatch(rule, labels).is_some() {
                continue;
            }
            match alert.when(when) {
                Ok(false) => {}
                Err(reason) => selection.unknown.push((Arc::clone(rule), reason)),
                Ok(true) => {
                    selection.rules.push(Arc::clone(rule));
                    if !rule.go_on {
                        break;
                    }
                }
            }
        }
        selection
    }

    /// For every rule, in order, whether it takes the alert or why not. Agrees with [`Index::select`].
    pub fn explain(&self, labels: &Labels, annotations: &Labels) -> Vec<(Arc<Rule>, Match)> {
        let alert = Subject::new(labels, annotations);
        let mut taken_by: Option<&str> = None;
        self.rules
            .iter()
            .zip(&self.whens)
            .map(|(rule, when)| {
                let found = if let Some(matcher) = mismatch(rule, labels) {
                    let value =
                        labels.has(matcher.name()).then(|| labels.get(matcher.name()).to_owned());
                    Match::Matcher { matcher: matcher.to_string(), value }
                } else if let Some(earlier) = taken_by {
                    Match::TakenBy(earlier.to_owned())
                } else {
                    match alert.when(when) {
                        Ok(true) => {
                            taken_by = (!rule.go_on).then_some(rule.name.as_str());
                            Match::Selected
                        }
                        Ok(false) => Match::When,
                        Err(reason) => Match::WhenUnknown(reason),
                    }
                };
                (Arc::clone(rule), found)
            })
            .collect()
    }

    fn get(&self, position: usize) -> Option<(&Arc<Rule>, &When)> {
        self.rules.get(position).zip(self.whens.get(position))
    }

    /// Positions, in order, of the rules whose key the alert has, and of those without a key.
    fn candidates(&self, labels: &Labels) -> Vec<usize> {
        let mut found = self.rest.clone();
        for (name, value) in labels.iter() {
            found.extend(
                self.keyed.get(name).and_then(|values| values.get(value)).into_iter().flatten(),
            );
        }
        found.sort_unstable();
        found
    }
}

type When = Option<Result<Condition, String>>;

/// An alert as conditions see it: made ready when the first condition needs it.
struct Subject<'a> {
    labels: &'a Labels,
    annotations: &'a Labels,
    scope: OnceCell<Scope>,
}

impl<'a> Subject<'a> {
    fn new(labels: &'a Labels, annotations: &'a Labels) -> Self {
        Self { labels, annotations, scope: OnceCell::new() }
    }

    fn when(&self, when: &When) -> Result<bool, String> {
        let condition = match when {
            None => return Ok(true),
            Some(Err(reason)) => return Err(reason.clone()),
            Some(Ok(condition)) => condition,
        };
        let [labels, annotations] = WHEN_VARIABLES;
        condition.evaluate(self.scope.get_or_init(|| {
            Scope::new().labels(labels, self.labels).labels(annotations, self.annotations)
        }))
    }
}

/// The loader refuses what does not compile; a rule that came another way does not act.
fn compile(when: &str) -> Result<Condition, String> {
    Condition::new(when, &WHEN_VARIABLES)
        .map_err(|(message, _)| format!("`when` is no condition: {message}"))
}

/// Whether only alerts with this very label can satisfy it; a missing label is the empty value.
fn is_key(matcher: &Matcher) -> bool {
    matcher.op() == Op::Equal && !matcher.value().is_empty()
}

fn mismatch<'a>(rule: &'a Rule, labels: &Labels) -> Option<&'a Matcher> {
    rule.matchers.iter().find(|it| !it.matches(labels))
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::any;
    use proptest::prelude::prop_assert_eq;
    use proptest::prelude::proptest;
    use proptest::sample::select;

    use super::*;
    use crate::model::matcher::Grammar;
    use crate::model::matcher::parse_many;
    use crate::model::playbook::Mode;
    use crate::model::rule::Place;
    use crate::model::rule::RuleLimits;
    use crate::model::rule::Set;

    fn rule(name: &str, matchers: &str, when: Option<&str>, go_on: bool) -> Arc<Rule> {
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
            page: None,
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
            rule("other", "alertname=Other", None, false),
            rule("first", "alertname=HighErrorRate", None, false),
            rule("second", "service=api", None, false),
            rule("all", "", None, false),
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
            rule("any", "severity=~\".+\"", None, true),
            rule("mine", "service=api", None, true),
            rule("not-mine", "service=web", None, false),
            rule("last", "alertname=HighErrorRate", None, false),
            rule("too-late", "", None, false),
        ]);
        assert_eq!(
            names(&index.select(&labels(&API), &Labels::default())),
            ["any", "mine", "last"]
        );
    }

    #[test]
    fn a_condition_that_is_unknown_selects_nothing_and_is_told() {
        let index = Index::new(vec![
            rule("unknown", "service=api", Some("labels.env != 'dev'"), false),
            rule("number", "service=api", Some("labels.severity > 3"), false),
            rule("no-condition", "", Some("labels.x ="), false),
            rule("false", "", Some("labels.service == 'web'"), false),
            rule("later", "", Some("annotations.runbook.startsWith('http')"), false),
            rule("not-asked", "", Some("labels.env != 'dev'"), false),
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
            rule("dev", "service=api,severity=warning", None, false),
            rule("eu", "region=~\"eu-.*\"", None, false),
            rule("when", "", Some("labels.service == 'web'"), false),
            rule("unknown", "", Some("labels.env == 'x'"), false),
            rule("mine", "service=api", None, false),
            rule("late", "service=api", None, false),
            rule("other", "service=web", None, false),
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
                rule(
                    &format!("r{number}"),
                    &format!("severity=critical,service=s{number}"),
                    None,
                    false,
                )
            })
            .collect();
        rules.push(rule("absent", "service=\"\"", None, false));
        rules.push(rule("regex", "service=~\"s1\"", None, false));
        let index = Index::new(rules);
        assert_eq!(
            index.candidates(&labels(&[("severity", "critical"), ("service", "s7")])),
            [7, 50, 51]
        );
        assert_eq!(index.rest, [50, 51]);
    }

    const MATCHERS: [&str; 10] = [
        "a=1",
        "a=2",
        "b=1",
        "a=\"\"",
        "a!=1",
        "b!=\"\"",
        "a=~\"1|2\"",
        "b!~\"1\"",
        "c=1",
        "c=~\".*\"",
    ];
    const WHENS: [&str; 5] = [
        "labels.a == '1'",
        "has(labels.b)",
        "labels.c != '1'",
        "annotations.x == '1'",
        "labels.a > 1",
    ];

    proptest! {
        #[test]
        fn the_index_agrees_with_trying_every_rule(
            shapes in vec((vec(select(&MATCHERS[..]), 0..3), option::weighted(0.4, select(&WHENS[..])), any::<bool>()), 0..12),
            alert in btree_map("[abc]", "[12]", 0..4),
            annotations in btree_map("x", "[12]", 0..2),
        ) {
            let rules: Vec<Arc<Rule>> = shapes
                .iter()
                .enumerate()
                .map(|(number, (matchers, when, go_on))| rule(&format!("r{number}"), &matchers.join(","), *when, *go_on))
                .collect();
            let (alert, annotations): (Labels, Labels) = (alert.into_iter().collect(), annotations.into_iter().collect());
            let variables = std::collections::BTreeMap::from([
                ("labels", serde_json::to_value(&alert).unwrap()),
                ("annotations", serde_json::to_value(&annotations).unwrap()),
            ]);
            let (mut selected, mut unknown) = (Vec::new(), Vec::new());
            for rule in &rules {
                if !rule.matchers.iter().all(|it| it.matches(&alert)) {
                    continue;
                }
                match rule.when.as_deref().map_or(Ok(true), |when| crate::decide::condition::evaluate(when, &variables)) {
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

            let index = Index::new(rules);
            let selection = index.select(&alert, &annotations);
            prop_assert_eq!(names(&selection), selected);
            let told: Vec<&str> = selection.unknown.iter().map(|(rule, _)| rule.name.as_str()).collect();
            prop_assert_eq!(told, unknown);

            let explained = index.explain(&alert, &annotations);
            prop_assert_eq!(explained.len(), index.rules().len());
            let (mut by_explain, mut unknown_by_explain) = (Vec::new(), Vec::new());
            for (rule, found) in explained {
                match found {
                    Match::Selected => by_explain.push(rule),
                    Match::WhenUnknown(reason) => unknown_by_explain.push((rule, reason)),
                    Match::Matcher { .. } | Match::When | Match::TakenBy(_) => {}
                }
            }
            prop_assert_eq!(Selection { rules: by_explain, unknown: unknown_by_explain }, selection);
        }
    }
}
