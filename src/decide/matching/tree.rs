//! Rules by what an alert must have: each under the one requirement that it shares with the fewest others.
//!
//! Where many rules remain under one requirement, as when a hundred services each have a hundred alerts, they stand
//! in a node of their own, by another of their requirements. So what an alert costs grows with its labels and with
//! the rules that nearly match, not with the rules that there are.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use super::affix::Affixes;
use super::affix::End;
use super::gram::Grams;
use super::key::Key;
use super::key::Kind;
use super::key::grams;
use super::key::keys;
use super::patterns::Patterns;
use crate::model::labels::Labels;
use crate::model::pattern::Pattern;
use crate::model::rule::Rule;

/// So few rules are tried one by one.
const LEAF: usize = 16;
/// Nodes inside nodes.
const DEPTH: usize = 4;

/// Rules by one requirement each.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Positions of the rules that need nothing that can be looked up.
    always: Box<[u32]>,
    /// By label name, sorted.
    labels: Box<[(Box<str>, Label)]>,
}

/// What is looked up in the value of one label.
#[derive(Debug, Clone)]
struct Label {
    is: HashMap<Box<[u8]>, Branch>,
    /// The length of the longest text in `is`.
    longest: usize,
    begins: Affixes<Branch>,
    ends: Affixes<Branch>,
    has: Grams<Branch>,
    matches: Patterns<Branch>,
    present: Option<Branch>,
}

/// The rules under one requirement.
#[derive(Debug, Clone)]
enum Branch {
    One(u32),
    Many(Box<[u32]>),
    Node(Box<Node>),
}

/// A rule on its way into the tree.
#[derive(Debug, Clone, Copy)]
struct Item {
    position: u32,
    /// Which of its keys it stands under already, one bit each.
    used: u64,
}

/// The rules under one text.
#[derive(Debug, Default)]
struct Entry<'a> {
    items: Vec<Item>,
    pattern: Option<&'a Arc<Pattern>>,
}

type Entries<'a> = HashMap<(Kind, &'a [u8]), Entry<'a>>;

impl Node {
    /// A tree over all rules.
    pub(super) fn of(rules: &[Arc<Rule>]) -> Self {
        let positions = 0..u32::try_from(rules.len()).unwrap_or(u32::MAX);
        let items = positions.map(|position| Item { position, used: 0 }).collect();
        Self::build(rules, items, 0)
    }

    fn build(rules: &[Arc<Rule>], items: Vec<Item>, depth: usize) -> Self {
        let keys_of = |item: Item| -> Vec<(u64, Key<'_>)> {
            let rule = usize::try_from(item.position).ok().and_then(|it| rules.get(it));
            let keys = rule.map(|rule| keys(rule)).unwrap_or_default();
            let bits = (0..64).map(|shift| 1 << shift);
            let free =
                |bit: &u64, key: &Key<'_>| item.used & bit == 0 && (depth > 0 || !key.second);
            bits.zip(keys).filter(|(bit, key)| free(bit, key)).collect()
        };
        let mut usage = Usage::default();
        for item in &items {
            for (_, key) in keys_of(*item) {
                usage.count(&key);
            }
        }
        let mut always = Vec::new();
        let mut labels: BTreeMap<&str, Entries<'_>> = BTreeMap::new();
        for item in items {
            let best = keys_of(item).into_iter().min_by_key(|(_, key)| usage.cost(key));
            let Some((bit, key)) = best else {
                always.push(item.position);
                continue;
            };
            let item = Item { used: item.used | bit, ..item };
            let entries = labels.entry(key.name).or_default();
            for text in key.texts() {
                let text = if key.kind == Kind::Has { usage.rarest(&key, text) } else { text };
                let entry = entries.entry((key.kind, text)).or_default();
                // two words of one rule may stand under the same piece
                if entry.items.last().is_none_or(|it| it.position != item.position) {
                    entry.items.push(item);
                }
                entry.pattern = key.pattern;
            }
        }
        drop(usage);
        let labels = labels
            .into_iter()
            .map(|(name, entries)| (name.into(), Label::build(rules, entries, depth)));
        Self { always: always.into_boxed_slice(), labels: labels.collect() }
    }

    /// Adds the positions of all rules that may take the alert, in sorted lists.
    pub(super) fn find<'a>(&'a self, alert: &Labels, lists: &mut Vec<&'a [u32]>) {
        if !self.always.is_empty() {
            lists.push(&self.always);
        }
        if self.labels.len() <= alert.len() {
            for (name, label) in &self.labels {
                let value = alert.get(name);
                if !value.is_empty() {
                    label.find(value, alert, lists);
                }
            }
        } else {
            for (name, value) in alert.iter() {
                let found = self.labels.binary_search_by(|(it, _)| (**it).cmp(name));
                if let Some((_, label)) = found.ok().and_then(|at| self.labels.get(at)) {
                    label.find(value, alert, lists);
                }
            }
        }
    }
}

impl Label {
    fn build(rules: &[Arc<Rule>], entries: Entries<'_>, depth: usize) -> Self {
        let mut is: HashMap<Box<[u8]>, Branch> = HashMap::new();
        let (mut begins, mut ends, mut has) = (Vec::new(), Vec::new(), Vec::new());
        let (mut matches, mut present) = (Vec::new(), None);
        for ((kind, text), Entry { items, pattern }) in entries {
            let branch = Branch::build(rules, items, depth + 1);
            match kind {
                Kind::Is => drop(is.insert(text.into(), branch)),
                Kind::Begins => begins.push((text.into(), branch)),
                Kind::Ends => ends.push((text.into(), branch)),
                Kind::Has => has.push((text.into(), branch)),
                Kind::Matches => matches.extend(pattern.map(|it| (Arc::clone(it), branch))),
                Kind::Present => present = Some(branch),
            }
        }
        Self {
            longest: is.keys().map(|it| it.len()).max().unwrap_or_default(),
            is,
            begins: Affixes::new(End::Front, begins),
            ends: Affixes::new(End::Back, ends),
            has: Grams::new(has),
            matches: Patterns::new(matches),
            present,
        }
    }

    fn find<'a>(&'a self, value: &str, alert: &Labels, lists: &mut Vec<&'a [u32]>) {
        let bytes = value.as_bytes();
        // a long value is not hashed in vain
        let is = if bytes.len() <= self.longest { self.is.get(bytes) } else { None };
        let found = is.into_iter().chain(&self.present);
        let found = found.chain(self.begins.find(bytes)).chain(self.ends.find(bytes));
        let found = found.chain(self.has.find(bytes)).chain(self.matches.find(value));
        found.for_each(|branch| branch.find(alert, lists));
    }
}

impl Branch {
    fn build(rules: &[Arc<Rule>], items: Vec<Item>, depth: usize) -> Self {
        if let [one] = items.as_slice() {
            return Self::One(one.position);
        }
        if items.len() > LEAF && depth < DEPTH {
            let node = Node::build(rules, items.clone(), depth);
            if node.always.len() * 2 <= items.len() {
                return Self::Node(Box::new(node));
            }
        }
        Self::Many(items.into_iter().map(|it| it.position).collect())
    }

    fn find<'a>(&'a self, alert: &Labels, lists: &mut Vec<&'a [u32]>) {
        match self {
            Self::One(position) => lists.push(std::slice::from_ref(position)),
            Self::Many(positions) => lists.push(positions),
            Self::Node(node) => node.find(alert, lists),
        }
    }
}

/// How many rules share each text of a key.
#[derive(Debug, Default)]
struct Usage<'a>(HashMap<(&'a str, Kind, &'a [u8]), usize>);

impl<'a> Usage<'a> {
    fn count(&mut self, key: &Key<'a>) {
        for text in key.texts() {
            if key.kind == Kind::Has {
                for gram in grams(text) {
                    *self.0.entry((key.name, key.kind, gram)).or_default() += 1;
                }
            } else {
                *self.0.entry((key.name, key.kind, text)).or_default() += 1;
            }
        }
    }

    fn of(&self, key: &Key<'a>, text: &'a [u8]) -> usize {
        self.0.get(&(key.name, key.kind, text)).copied().unwrap_or_default()
    }

    /// The piece of an inner text that the fewest rules share.
    fn rarest(&self, key: &Key<'a>, text: &'a [u8]) -> &'a [u8] {
        grams(text).min_by_key(|gram| self.of(key, gram)).unwrap_or(text)
    }

    fn cost(&self, key: &Key<'a>) -> usize {
        let shared = key.texts().map(|text| match key.kind {
            Kind::Has => self.of(key, self.rarest(key, text)),
            Kind::Is | Kind::Begins | Kind::Ends | Kind::Matches | Kind::Present => {
                self.of(key, text)
            }
        });
        key.cost(shared.max().unwrap_or_default())
    }
}
