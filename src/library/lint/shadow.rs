//! Rules that can never match, since an earlier one takes every alert that they could.
//!
//! An earlier rule that lets nothing through takes all of a later one's alerts when each of its matchers follows
//! from one of the later one's. Earlier rules stand in a trie of their matchers, the rarest first; a later rule is
//! looked up with all matchers that follow from its own. So a hundred thousand rules are read about once.

use std::collections::HashMap;

use super::Gathered;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::rule::Rule;

/// Other matchers of a label, and of a label and a word, that are tried: what follows from a rule's own is not
/// looked for beyond them.
const MAX_TRIED: usize = 32;
/// Words that one matcher is looked up by.
const MAX_WORDS: usize = 64;
/// Places of the trie that one rule looks at.
const MAX_STEPS: usize = 10_000;

/// Reports rules after a rule that takes every alert that they could.
pub(super) fn check(sink: &Sink, gathered: &Gathered) {
    // of a rule that never matches anything, that was said
    let built: Vec<_> = gathered
        .rules
        .iter()
        .zip(&gathered.facts)
        .filter(|(built, facts)| built.selects && !facts.never)
        .collect();
    let asks: Vec<Asks<'_>> =
        built.iter().map(|(built, facts)| Asks::of(&built.rule, &facts.equal)).collect();
    for (dead, taker) in shadowed(&asks) {
        let (Some((rule, _)), Some((taker, _))) = (built.get(dead), built.get(taker)) else {
            continue;
        };
        let message = format!(
            "this rule can never match: rule `{}` ({}) takes every alert before it",
            taker.rule.name, taker.rule.place
        );
        let label = "put it first, or let the other say `continue: true`";
        let found = Diagnostic::warning(codes::NEVER_MATCHES, message).label(label);
        At { file: &rule.file, text: "", sink }.report(rule.name_span, found);
    }
}

/// What a rule asks of an alert.
#[derive(Debug, Clone)]
struct Asks<'a> {
    /// Its matchers, and what its `when` says that labels are.
    matchers: Vec<&'a Matcher>,
    /// Whether no later rule sees an alert that satisfies them.
    for_good: bool,
}

impl<'a> Asks<'a> {
    fn of(rule: &'a Rule, equal: &'a [Matcher]) -> Self {
        let matchers = rule.matchers.iter().chain(equal).collect();
        Self { matchers, for_good: !rule.go_on && rule.when.is_none() }
    }
}

/// Positions of rules that never match, each with that of the earliest rule that takes their alerts.
fn shadowed(rules: &[Asks<'_>]) -> Vec<(usize, usize)> {
    let known = Known::new(rules);
    let mut trie = Trie::default();
    let mut found = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        if let Some(taker) = trie.subset(&known.implied(rule)) {
            found.push((position, taker));
        } else if rule.for_good {
            trie.insert(&known.own(rule), position);
        }
    }
    found
}

/// Whether every alert that satisfies `own`, which takes these words, satisfies `other` of the same label.
fn implies(own: &Matcher, words: Option<&[&str]>, other: &Matcher) -> bool {
    let not_empty = match other.op() {
        Op::NotEqual => other.value().is_empty(),
        Op::Regex => matches!(other.value(), ".+" | "(.+)"),
        Op::Equal | Op::NotRegex => false,
    };
    own == other
        || not_empty && !own.takes("")
        || words.is_some_and(|words| words.iter().all(|it| other.takes(it)))
}

/// Whether every alert satisfies it, also one without its label.
fn takes_all(matcher: &Matcher) -> bool {
    matcher.op() == Op::Regex && matches!(matcher.value(), ".*" | "(.*)")
}

/// The values that a matcher takes, when they can be listed.
fn words(matcher: &Matcher) -> Option<Vec<&str>> {
    match matcher.op() {
        Op::Equal => Some(vec![matcher.value()]),
        Op::Regex => {
            let words = matcher.pattern()?.words()?;
            let few = (1..=MAX_WORDS).contains(&words.len());
            few.then(|| words.iter().map(|it| &**it).collect())
        }
        Op::NotEqual | Op::NotRegex => None,
    }
}

/// All different matchers, numbered: rare ones first.
struct Known<'a> {
    numbers: HashMap<(&'a str, Op, &'a str), u32>,
    matchers: Vec<&'a Matcher>,
    /// By a label and a word, the matchers that list it.
    listed: HashMap<(&'a str, &'a str), Vec<u32>>,
    /// By a label, the matchers that list nothing.
    tried: HashMap<&'a str, Vec<u32>>,
}

fn key(matcher: &Matcher) -> (&str, Op, &str) {
    (matcher.name(), matcher.op(), matcher.value())
}

impl<'a> Known<'a> {
    fn new(rules: &[Asks<'a>]) -> Self {
        let mut uses: HashMap<_, (usize, usize, &'a Matcher)> = HashMap::new();
        for matcher in rules.iter().flat_map(|rule| rule.matchers.iter().copied()) {
            let order = uses.len();
            uses.entry(key(matcher)).or_insert((0, order, matcher)).0 += 1;
        }
        let mut uses: Vec<_> = uses.into_values().collect();
        uses.sort_unstable_by_key(|(count, order, _)| (*count, *order));
        let mut known = Self {
            numbers: HashMap::with_capacity(uses.len()),
            matchers: uses.iter().map(|(_, _, matcher)| *matcher).collect(),
            listed: HashMap::new(),
            tried: HashMap::new(),
        };
        for (number, matcher) in (0..).zip(&known.matchers) {
            known.numbers.insert(key(matcher), number);
            if let Some(words) = words(matcher) {
                for word in words {
                    let listed = known.listed.entry((matcher.name(), word)).or_default();
                    if listed.len() < MAX_TRIED {
                        listed.push(number);
                    }
                }
            } else {
                let tried = known.tried.entry(matcher.name()).or_default();
                if tried.len() < MAX_TRIED {
                    tried.push(number);
                }
            }
        }
        known
    }

    /// The numbers of a rule's matchers, sorted. What every alert satisfies is not asked.
    fn own(&self, rule: &Asks<'_>) -> Vec<u32> {
        let asked = rule.matchers.iter().filter(|it| !takes_all(it));
        sorted(asked.filter_map(|it| self.numbers.get(&key(it))).copied().collect())
    }

    /// The numbers of all matchers that follow from a rule's, sorted.
    fn implied(&self, rule: &Asks<'_>) -> Vec<u32> {
        let mut numbers = self.own(rule);
        for own in &rule.matchers {
            // what takes all of its words takes the first
            let words = words(own);
            let first = words.as_ref().and_then(|words| words.first().copied());
            let listed = first.and_then(|word| self.listed.get(&(own.name(), word)));
            let maybe = listed.into_iter().chain(self.tried.get(own.name())).flatten();
            numbers.extend(maybe.filter(|number| {
                let index = usize::try_from(**number).ok();
                let other = index.and_then(|index| self.matchers.get(index));
                other.is_some_and(|other| implies(own, words.as_deref(), other))
            }));
        }
        sorted(numbers)
    }
}

fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Sets of numbers: each a path from node 0, its numbers in order.
#[derive(Default)]
struct Trie {
    children: HashMap<(usize, u32), usize>,
    /// Of each node, the rule whose set ends here.
    ends: Vec<Option<usize>>,
}

impl Trie {
    fn insert(&mut self, set: &[u32], rule: usize) {
        if self.ends.is_empty() {
            self.ends.push(None);
        }
        let mut node = 0;
        for number in set {
            let next = self.ends.len();
            node = *self.children.entry((node, *number)).or_insert(next);
            if node == next {
                self.ends.push(None);
            }
        }
        if let Some(end) = self.ends.get_mut(node) {
            end.get_or_insert(rule);
        }
    }

    /// The earliest rule whose set is a subset of this one.
    fn subset(&self, set: &[u32]) -> Option<usize> {
        let mut earliest: Option<usize> = None;
        let mut open = vec![(0, set)];
        let mut steps = 0;
        while let Some((node, rest)) = open.pop() {
            if let Some(rule) = self.ends.get(node).copied().flatten() {
                earliest = Some(earliest.map_or(rule, |it| it.min(rule)));
            }
            let mut rest = rest;
            while let Some((number, after)) = rest.split_first() {
                steps += 1;
                if steps > MAX_STEPS {
                    return earliest;
                }
                if let Some(child) = self.children.get(&(node, *number)) {
                    open.push((*child, after));
                }
                rest = after;
            }
        }
        earliest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::decide::matching::Index;
    use crate::model::labels::Labels;
    use crate::model::matcher::Grammar;
    use crate::model::matcher::parse_many;
    use crate::model::playbook::Mode;
    use crate::model::rule::Place;
    use crate::model::rule::RuleLimits;
    use crate::model::rule::Set;

    fn rule(name: &str, matchers: &str, when: Option<&str>, go_on: bool) -> Rule {
        Rule {
            name: name.into(),
            description: String::new(),
            matchers: parse_many(matchers, Grammar::Fallback).unwrap(),
            when: when.map(str::to_owned),
            group_by: Vec::new(),
            target: "t".into(),
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
        }
    }

    fn dead(rules: &[Rule]) -> Vec<(usize, usize)> {
        shadowed(&rules.iter().map(|rule| Asks::of(rule, &[])).collect::<Vec<_>>())
    }

    /// Whether the first of two rules takes every alert of the second.
    fn check(first: &str, second: &str, expected: bool) {
        let rules = [rule("first", first, None, false), rule("second", second, None, false)];
        let found = dead(&rules);
        assert_eq!(found, if expected { vec![(1, 0)] } else { vec![] }, "{first} / {second}");
    }

    #[test]
    fn a_rule_is_dead_when_an_earlier_one_asks_for_no_more() {
        for (first, second) in [
            ("", "a=x"),
            ("a=x", "a=x"),
            ("a=x", "b=y,a=x"),
            ("a=x,b=y", "b=y,c=z,a=x"),
            ("a=~\"x|y\"", "a=x"),
            ("a=~\"x|y|z\"", "a=~\"z|x\""),
            ("a!=\"\"", "a=x"),
            ("a!=\"\"", "a=~\"x.+\""),
            ("a!=z", "a=x"),
            ("a!=z", "a=\"\""),
            ("a!~\"z.*\"", "a=x"),
            ("a=~\"x.*\"", "a=~\"x1|x2\""),
            ("a=~\"x.*\",b=~\"[0-9]+\"", "b=7,a=x1"),
            ("a=~\"[a-z]+[0-9]\"", "a=~\"[a-z]+[0-9]\",b=y"),
            ("a=\"\"", "a=\"\",b=y"),
            ("b=~\".*\"", "a=x"),
            ("a=~\".+\"", "a=x"),
            ("a=~\".+\"", "a!=\"\""),
            ("a=~\"x.*\"", "a=x"),
        ] {
            check(first, second, true);
        }
        for (first, second) in [
            ("a=x", ""),
            ("a=x", "a=y"),
            ("a=x,b=y", "a=x"),
            ("a=x", "b=x"),
            ("a=~\"x|y\"", "a=~\"x|z\""),
            ("a!=\"\"", "a=~\"x.*|\""),
            ("a!=\"\"", "a!=z"),
            ("a!=z", "a=~\"x|z\""),
            ("a=~\".+\"", "a=~\"x|\""),
            ("b!=x", "a=x"),
            ("a=~\"x.*\"", "a=~\"x1|y\""),
        ] {
            check(first, second, false);
        }
    }

    #[test]
    fn a_rule_that_lets_alerts_through_takes_none_for_good() {
        let rules = [
            rule("goes-on", "a=x", None, true),
            rule("when", "a=x", Some("labels.b == 'y'"), false),
            rule("alive", "a=x", None, false),
            rule("dead", "a=x", Some("labels.c == 'z'"), true),
            rule("dead-too", "a=x,b=y", None, false),
        ];
        assert_eq!(dead(&rules), [(3, 2), (4, 2)]);
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];
    const MATCHERS: [&str; 16] = [
        "=x",
        "=y",
        "=z",
        "=\"\"",
        "!=x",
        "!=\"\"",
        "!=z",
        "=~\"x|y\"",
        "=~\"x|y|z\"",
        "=~\"x.*\"",
        "=~\"[a-x]+\"",
        "!~\"x|y\"",
        "=~\"y|\"",
        "=~\".+\"",
        "!~\"[yz]\"",
        "=~\".*\"",
    ];

    fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
        let matcher = (select(&NAMES[..]), select(&MATCHERS[..]));
        let matcher = matcher.prop_map(|(name, rest)| format!("{name}{rest}"));
        let when = proptest::option::weighted(0.1, Just("has(labels.a)"));
        vec((vec(matcher, 0..4), when, proptest::bool::weighted(0.2)), 0..30).prop_map(|shapes| {
            let number = |(number, (matchers, when, go_on)): (usize, (Vec<String>, _, _))| {
                rule(&format!("r{number}"), &matchers.join(","), when, go_on)
            };
            shapes.into_iter().enumerate().map(number).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_trie_agrees_with_comparing_every_pair(rules in any_rules()) {
            let mut expected = Vec::new();
            let mut takers: Vec<usize> = Vec::new();
            for (position, rule) in rules.iter().enumerate() {
                let takes = |taker: &usize| {
                    rules[*taker].matchers.iter().all(|other| takes_all(other) || rule.matchers.iter().any(|own| {
                        own.name() == other.name() && implies(own, words(own).as_deref(), other)
                    }))
                };
                if let Some(taker) = takers.iter().copied().find(takes) {
                    expected.push((position, taker));
                } else if Asks::of(rule, &[]).for_good {
                    takers.push(position);
                }
            }
            prop_assert_eq!(dead(&rules), expected);
        }

        #[test]
        fn a_dead_rule_takes_no_alert(
            rules in any_rules(),
            alerts in vec(vec((select(&NAMES[..]), "[xyz]{0,2}"), 0..5), 1..40),
        ) {
            let dead = dead(&rules);
            let index = Index::new(rules.iter().cloned().map(Arc::new).collect());
            for alert in alerts {
                let alert: Labels = alert.into_iter().collect();
                for taken in index.select(&alert, &Labels::default()).rules {
                    let is_dead = dead.iter().any(|(position, _)| rules[*position].name == taken.name);
                    prop_assert!(!is_dead, "{} took {:?}", taken.name, alert);
                }
            }
        }
    }
}
