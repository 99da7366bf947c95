//! Which rules an alert selects, and why each other does not.

use std::sync::Arc;

use crate::model::labels::Labels;
use crate::model::rule::Rule;

/// Finds rules by their equality matchers first, instead of trying all.
#[derive(Debug, Clone, Default)]
pub struct Index {
    rules: Vec<Arc<Rule>>,
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

/// What an alert selects.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rules that take it, in order.
    pub rules: Vec<Arc<Rule>>,
    /// Rules whose `when` could not be evaluated, with the reason: they do not act.
    pub unknown: Vec<(Arc<Rule>, String)>,
}

impl Index {
    /// Builds the index; rules keep their order.
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        Self { rules }
    }

    /// All rules in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that take the alert, in order: the first, and later ones while each says `continue`.
    pub fn select(&self, labels: &Labels, annotations: &Labels) -> Selection {
        let _ = (labels, annotations);
        Selection::default()
    }

    /// For every rule, in order, whether it takes the alert or why not.
    pub fn explain(&self, labels: &Labels, annotations: &Labels) -> Vec<(Arc<Rule>, Match)> {
        let _ = (labels, annotations);
        Vec::new()
    }
}
