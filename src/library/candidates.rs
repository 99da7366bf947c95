//! Rules by the name of the alert they ask for: most ask for one, and the others are few.

use std::collections::BTreeMap;

use super::build::rule::BuiltRule;
use crate::model::matcher::Op;

/// Rules that may take an alert, by its name.
#[derive(Debug, Default)]
pub(crate) struct Candidates<'a> {
    named: BTreeMap<&'a str, Vec<&'a BuiltRule>>,
    others: Vec<&'a BuiltRule>,
}

impl<'a> Candidates<'a> {
    /// A rule that could not be read may take anything.
    pub(crate) fn of(rules: &'a [BuiltRule]) -> Self {
        let mut candidates = Self::default();
        for built in rules {
            let mut matchers = built.rule.matchers.iter().filter(|_| built.selects);
            match matchers.find(|it| it.name() == "alertname" && it.op() == Op::Equal) {
                Some(matcher) => candidates.named.entry(matcher.value()).or_default().push(built),
                None => candidates.others.push(built),
            }
        }
        candidates
    }

    /// Those that may take an alert of this name.
    pub(crate) fn for_alert(&self, name: &str) -> impl Iterator<Item = &'a BuiltRule> {
        self.named.get(name).into_iter().flatten().chain(&self.others).copied()
    }
}
