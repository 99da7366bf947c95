//! Rules after a rule that takes every alert that they could.

use std::collections::BTreeMap;

use super::Facts;
use super::Gathered;
use super::contradiction::satisfies;
use super::contradiction::values;
use crate::library::build::rule::BuiltRule;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;

/// Earlier rules that a rule is compared with, of each kind: files are loaded at each reload, also those of 100,000 rules.
const COMPARED: usize = 100;

/// Earlier rules that let nothing through that they match.
#[derive(Debug, Default)]
struct Takers<'a> {
    /// By a label and the one value that they ask for.
    by_value: BTreeMap<(&'a str, &'a str), Vec<&'a BuiltRule>>,
    /// Those that ask for no single value.
    others: Vec<&'a BuiltRule>,
}

impl<'a> Takers<'a> {
    fn add(&mut self, built: &'a BuiltRule) {
        let equal = || built.rule.matchers.iter().filter(|it| it.op() == Op::Equal);
        let key = equal().find(|it| it.name() == "alertname").or_else(|| equal().next());
        match key {
            Some(key) => self.by_value.entry((key.name(), key.value())).or_default().push(built),
            None => self.others.push(built),
        }
    }

    /// The first that takes whatever satisfies `matchers`.
    fn find(&self, matchers: &[&Matcher]) -> Option<&'a BuiltRule> {
        let single = matchers.iter().filter_map(|it| match values(it)?.as_slice() {
            [value] => self.by_value.get(&(it.name(), *value)),
            _ => None,
        });
        let near = single.flatten().take(COMPARED).chain(self.others.iter().take(COMPARED));
        let takes = |it: &&&BuiltRule| it.rule.matchers.iter().all(|wide| implied(wide, matchers));
        near.copied().filter(|it| takes(&it)).min_by_key(|it| (&it.file, it.name_span))
    }
}

/// Reports them.
pub(super) fn check(sink: &Sink, gathered: &Gathered) {
    let mut takers = Takers::default();
    for (built, facts) in gathered.rules.iter().zip(&gathered.facts) {
        // of a rule that never matches anything, that was said
        if !built.selects || facts.never {
            continue;
        }
        if let Some(taker) = takers.find(&asked(built, facts)) {
            let message = format!(
                "this rule can never match: rule `{}` ({}) takes every alert before it",
                taker.rule.name, taker.rule.place
            );
            let label = "put it first, or let the other say `continue: true`";
            let found = Diagnostic::warning(codes::NEVER_MATCHES, message).label(label);
            At { file: &built.file, text: "", sink }.report(built.name_span, found);
        } else if !built.rule.go_on && built.rule.when.is_none() {
            takers.add(built);
        }
    }
}

/// What an alert must satisfy to be taken.
fn asked<'a>(built: &'a BuiltRule, facts: &'a Facts) -> Vec<&'a Matcher> {
    built.rule.matchers.iter().chain(&facts.equal).collect()
}

/// Whether whatever satisfies `matchers` satisfies `wide`.
fn implied(wide: &Matcher, matchers: &[&Matcher]) -> bool {
    let any_text = wide.op() == Op::Regex && matches!(wide.value(), ".*" | "(.*)");
    let any_but_empty = match wide.op() {
        Op::NotEqual => wide.value().is_empty(),
        Op::Regex => matches!(wide.value(), ".+" | "(.+)"),
        Op::Equal | Op::NotRegex => false,
    };
    any_text
        || matchers.iter().filter(|it| it.name() == wide.name()).any(|it| {
            *it == wide
                || any_but_empty && !it.matches(&Labels::default())
                || values(it).is_some_and(|all| all.iter().all(|value| satisfies(wide, value)))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::prop_assert;
    use proptest::prelude::proptest;

    use super::*;
    use crate::model::matcher::Grammar;
    use crate::model::matcher::parse_many;

    #[test]
    fn what_asks_for_more_is_implied() {
        for (narrow, wide, expected) in [
            (r#"a="x""#, r#"a="x""#, true),
            (r#"a="x""#, r#"a=~"x|y""#, true),
            (r#"a="x""#, r#"a=~"x.*""#, true),
            (r#"a="x""#, r#"a!="y""#, true),
            (r#"a="x""#, r#"a!~"y.*""#, true),
            (r#"a="x""#, r#"a!="""#, true),
            (r#"a="x""#, r#"a=~".+""#, true),
            (r#"a="x""#, r#"b=~".*""#, true),
            (r#"a=~"x|y""#, r#"a=~"x|y|z""#, true),
            (r#"a=~"x.+""#, r#"a!="""#, true),
            (r#"a=~"x|z""#, r#"a=~"x|y""#, false),
            (r#"a=~"x.*""#, r#"a=~"x.*|y""#, false), // true, and not looked for
            (r#"a="x""#, r#"a="y""#, false),
            (r#"a="x""#, r#"b="x""#, false),
            (r#"a="x""#, r#"b!="x""#, false), // true of an alert without b only
            (r#"a=~"x|""#, r#"a!="""#, false),
            (r#"a!="x""#, r#"a!="""#, false),
        ] {
            let narrow_ones = parse_many(narrow, Grammar::Fallback).expect(narrow);
            let all: Vec<&Matcher> = narrow_ones.iter().collect();
            let wide_one = parse_many(wide, Grammar::Fallback).expect(wide);
            assert_eq!(implied(&wide_one[0], &all), expected, "{narrow} implies {wide}");
        }
    }

    proptest! {
        /// What is called implied holds whenever the other does.
        #[test]
        fn what_is_implied_holds(
            narrow in (0..4_usize, 0..7_usize),
            wide in (0..4_usize, 0..7_usize),
            value in 0..7_usize,
        ) {
            const OPS: [Op; 4] = [Op::Equal, Op::NotEqual, Op::Regex, Op::NotRegex];
            const VALUES: [&str; 7] = ["", "x", "y", "x|y", ".+", "x.*", ".*"];
            let matcher = |(op, value): (usize, usize)| {
                Matcher::new("a", OPS[op], VALUES[value]).expect("a matcher")
            };
            let (narrow, wide) = (matcher(narrow), matcher(wide));
            let labels = Labels::from_iter([("a", VALUES[value])]);
            if implied(&wide, &[&narrow]) && narrow.matches(&labels) {
                prop_assert!(wide.matches(&labels), "{narrow} does not imply {wide} at {labels}");
            }
        }
    }
}
