//! Regexes that nothing else finds: each is asked once an alert, for however many rules.

use std::sync::Arc;

use crate::model::pattern::Pattern;

/// Patterns with something under each.
#[derive(Debug, Clone)]
pub(super) struct Patterns<T>(Vec<(Arc<Pattern>, T)>);

impl<T> Patterns<T> {
    pub(super) fn new(entries: Vec<(Arc<Pattern>, T)>) -> Self {
        Self(entries)
    }

    /// What is under each pattern that matches the value.
    pub(super) fn find(&self, value: &str) -> impl Iterator<Item = &T> {
        self.0.iter().filter(|(it, _)| it.matches(value) == Some(true)).map(|(_, under)| under)
    }
}
