//! Which rules an alert selects, and why each other does not.
//!
//! ```text
//! key        what a rule needs that can be looked up
//! tree       rules by their rarest need; affix, gram and patterns are its tables
//! merge      what was found, in the order of the rules
//! ```
//!
//! The tree finds every rule that takes an alert, and some that do not: each is tried. So it decides how long a
//! selection takes, and never what it is.

mod affix;
mod gram;
mod key;
mod merge;
mod patterns;
#[cfg(test)]
mod tests;
mod tree;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::decide::condition::Condition;
use crate::decide::condition::Scope;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::rule::Rule;

use self::merge::merge;
use self::tree::Node;

/// What a rule's `when` may name.
pub const WHEN_VARIABLES: [&str; 2] = ["labels", "annotations"];

/// Finds the rules that take an alert without trying all.
#[derive(Debug, Clone, Default)]
pub struct Index {
    rules: Vec<Arc<Rule>>,
    /// Of each rule, its `when`, or why that is no condition.
    whens: Vec<When>,
    tree: Node,
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
        let mut compiled: HashMap<&str, Result<Condition, String>> = HashMap::new();
        let whens = rules
            .iter()
            .map(|rule| {
                let when = rule.when.as_deref()?;
                Some(compiled.entry(when).or_insert_with(|| compile(when)).clone())
            })
            .collect();
        drop(compiled);
        Self { whens, tree: Node::of(&rules), rules }
    }

    /// All rules in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that take the alert, in order: the first, and later ones while each says `continue`.
    pub fn select(&self, labels: &Labels, annotations: &Labels) -> Selection {
        let alert = Subject::new(labels, annotations);
        let mut selection = Selection::default();
        for (rule, when) in self.tried(labels).filter_map(|it| self.get(it)) {
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

    /// Positions, in order, of the rules that [`Index::select`] tries at most: what an alert costs.
    pub fn candidates(&self, labels: &Labels) -> Vec<usize> {
        self.tried(labels).collect()
    }

    fn tried(&self, labels: &Labels) -> impl Iterator<Item = usize> {
        let mut lists = Vec::with_capacity(labels.len() + 1);
        self.tree.find(labels, &mut lists);
        merge(lists).filter_map(|it| usize::try_from(it).ok())
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

fn mismatch<'a>(rule: &'a Rule, labels: &Labels) -> Option<&'a Matcher> {
    rule.matchers.iter().find(|it| !it.matches(labels))
}
