//! The index of rules selects what trying every rule in turn selects, by regexes compiled as a whole.
//!
//! An input has a line for each rule: its matchers, after `continue ` when later rules may take the alert too. A line
//! with `%d` is many rules, each with its number there, so that rules crowd under one requirement. After a line `---`
//! come alerts, a line each, their labels written as matchers.
#![no_main]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use libfuzzer_sys::Corpus;
use libfuzzer_sys::fuzz_target;
use quell::decide::matching::Index;
use quell::model::labels::Labels;
use quell::model::matcher::Grammar;
use quell::model::matcher::Matcher;
use quell::model::matcher::Op;
use quell::model::matcher::parse_many;
use quell::model::playbook::Mode;
use quell::model::re2;
use quell::model::rule::Place;
use quell::model::rule::Rule;
use quell::model::rule::RuleLimits;
use quell::model::rule::Set;
use regex::Regex;

/// Rules that a line with `%d` stands for: more than the index tries one by one.
const MANY: usize = 20;
const MAX_LINES: usize = 12;

fuzz_target!(|text: &str| -> Corpus {
    let Some((rules, alerts)) = text.split_once("\n---\n") else { return Corpus::Reject };
    let mut read: Vec<Arc<Rule>> = Vec::new();
    for line in rules.lines().take(MAX_LINES) {
        let (go_on, line) = match line.strip_prefix("continue ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let times = if line.contains("%d") { MANY } else { 1 };
        for number in 0..times {
            let line = line.replace("%d", &number.to_string());
            let Ok(matchers) = parse_many(&line, Grammar::Fallback) else { break };
            read.push(rule(read.len(), matchers, go_on));
        }
    }
    let index = Index::new(read);
    for line in alerts.lines().take(MAX_LINES) {
        let Ok(matchers) = parse_many(line, Grammar::Fallback) else { continue };
        let labels: Labels = matchers.iter().map(|it| (it.name(), it.value())).collect();
        let found = index.select(&labels, &Labels::default());
        assert!(found.unknown.is_empty());
        let found: Vec<&str> = found.rules.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(found, in_turn(index.rules(), &labels), "{labels}");
    }
    Corpus::Keep
});

fn rule(number: usize, matchers: Vec<Matcher>, go_on: bool) -> Arc<Rule> {
    Arc::new(Rule {
        name: number.to_string(),
        description: String::new(),
        matchers,
        when: None,
        group_by: Vec::new(),
        target: "t".into(),
        response: Vec::new(),
        verify: None,
        limits: RuleLimits::default(),
            population: None,
            redundancy_group: None,
        page: None,
        mode: Set::default_of(Mode::Auto),
        go_on,
        place: Place::default(),
    })
}

fn in_turn<'a>(rules: &'a [Arc<Rule>], alert: &Labels) -> Vec<&'a str> {
    let mut taken = Vec::new();
    for rule in rules {
        if rule.matchers.iter().all(|it| holds(it, alert.get(it.name()))) {
            taken.push(rule.name.as_str());
            if !rule.go_on {
                break;
            }
        }
    }
    taken
}

fn holds(matcher: &Matcher, value: &str) -> bool {
    match matcher.op() {
        Op::Equal => value == matcher.value(),
        Op::NotEqual => value != matcher.value(),
        Op::Regex => regex(matcher.value()).is_match(value),
        Op::NotRegex => !regex(matcher.value()).is_match(value),
    }
}

/// A regex as Go reads it; inputs repeat those of the inputs before.
fn regex(pattern: &str) -> Regex {
    thread_local! {
        static KNOWN: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() > 256 {
            known.clear();
        }
        let new = || re2::compile_anchored(pattern).expect("a matcher has a regex that compiles");
        known.entry(pattern.to_owned()).or_insert_with(new).clone()
    })
}
