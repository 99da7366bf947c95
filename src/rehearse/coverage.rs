//! What of a library its tests reach: rules, remedies, steps, undos, limits, guards.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::happening::Happening;
use super::happening::What as Happened;
use crate::decide::guard;
use crate::library::Library;
use crate::model::playbook::Mode;
use crate::model::run::Event;

/// Something that a test can reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A rule took an alert.
    Rule(String),
    /// A remedy of a rule was begun.
    Remedy {
        /// The rule.
        rule: String,
        /// From 1.
        number: u32,
        /// Its playbook.
        playbook: String,
    },
    /// A limit or mode that a rule sets stopped a remedy.
    Limit {
        /// The rule.
        rule: String,
        /// The guard that applies it.
        guard: String,
    },
    /// A step was begun.
    Step {
        /// The playbook.
        playbook: String,
        /// The step.
        step: String,
    },
    /// The undo of a step was begun.
    Undo {
        /// The playbook.
        playbook: String,
        /// The step.
        step: String,
    },
    /// A guard stopped something of any rule.
    Guard(String),
}

impl Item {
    /// What kind of thing it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Remedy { .. } => "remedy",
            Self::Limit { .. } => "limit",
            Self::Step { .. } => "step",
            Self::Undo { .. } => "undo",
            Self::Guard(_) => "guard",
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> String {
        match self {
            Self::Rule(name) | Self::Guard(name) => name.clone(),
            Self::Remedy { rule, number, playbook } => format!("{rule} {number} ({playbook})"),
            Self::Limit { rule, guard } => format!("{rule} {guard}"),
            Self::Step { playbook, step } | Self::Undo { playbook, step } => {
                format!("{playbook}/{step}")
            }
        }
    }

    /// Whether it counts: which guards ever stop anything depends on more than rules.
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Guard(_))
    }
}

/// What there is to reach, and how many tests reached each.
#[derive(Debug, Clone, Default)]
pub struct Coverage(BTreeMap<Item, u32>);

impl Coverage {
    /// Everything in a library, reached by nobody. Playbooks that no rule names cannot be reached, and are left out.
    pub fn of(library: &Library) -> Self {
        let mut items = BTreeMap::new();
        let mut used = BTreeSet::new();
        for rule in library.rules.rules() {
            let name = || rule.name.clone();
            items.insert(Item::Rule(name()), 0);
            for (number, remedy) in (1_u32..).zip(&rule.response) {
                let playbook = remedy.playbook.clone();
                used.insert(remedy.playbook.as_str());
                items.insert(Item::Remedy { rule: name(), number, playbook }, 0);
            }
            if rule.response.is_empty() {
                continue;
            }
            let limits = &rule.limits;
            let modes = rule.response.iter().filter_map(|it| it.mode.as_ref()).chain([&rule.mode]);
            for (guard, set) in [
                ("settle", limits.settle.is_some()),
                ("cooldown", limits.cooldown.is_some()),
                ("rate of the rule", limits.rate.is_some()),
                ("mode", modes.into_iter().any(|mode| mode.value == Mode::Approve)),
            ] {
                if set {
                    items.insert(Item::Limit { rule: name(), guard: guard.to_owned() }, 0);
                }
            }
        }
        for playbook in library.playbooks.values().filter(|it| used.contains(it.name.as_str())) {
            for step in playbook.steps.iter().chain(&playbook.on_resolve) {
                let (playbook, name) = (playbook.name.clone(), step.name.clone());
                if step.undo.is_some() {
                    let item = Item::Undo { playbook: playbook.clone(), step: name.clone() };
                    items.insert(item, 0);
                }
                items.insert(Item::Step { playbook, step: name }, 0);
            }
        }
        for name in guard::NAMES {
            items.insert(Item::Guard(name.to_owned()), 0);
        }
        Self(items)
    }

    /// Counts what one test reached.
    pub fn add(&mut self, reached: &BTreeSet<Item>) {
        for item in reached {
            if let Some(count) = self.0.get_mut(item) {
                *count += 1;
            }
        }
    }

    /// Each item with the number of tests that reached it, in order.
    pub fn items(&self) -> impl Iterator<Item = (&Item, u32)> {
        self.0.iter().map(|(item, count)| (item, *count))
    }

    /// How many items count, and how many of them were reached.
    pub fn total(&self) -> (usize, usize) {
        let counted = || self.0.iter().filter(|(item, _)| item.counts());
        (counted().filter(|(_, tests)| **tests > 0).count(), counted().count())
    }

    /// Of 100, rounded down, so that 100 means all.
    pub fn percent(&self) -> usize {
        let (reached, all) = self.total();
        (100 * reached).checked_div(all).unwrap_or(100)
    }

    /// The table that people read: what was not reached, and sums by kind.
    pub fn render(&self) -> String {
        let mut by_kind: BTreeMap<usize, (&str, usize, usize)> = BTreeMap::new();
        let order = ["rule", "remedy", "limit", "step", "undo", "guard"];
        let mut missing = Vec::new();
        for (item, tests) in self.items() {
            let place = order.iter().position(|kind| *kind == item.kind()).unwrap_or_default();
            let sums = by_kind.entry(place).or_insert((item.kind(), 0, 0));
            sums.2 += 1;
            if tests > 0 {
                sums.1 += 1;
            } else {
                missing.push((place, item));
            }
        }
        let mut text = String::from("kind    reached  of\n");
        for (kind, reached, all) in by_kind.values() {
            text = format!("{text}{kind:<6} {reached:>8}  {all:>2}\n");
        }
        let (reached, all) = self.total();
        text = format!("{text}{:<6} {reached:>8}  {all:>2}  {}%\n", "all", self.percent());
        missing.sort_by_key(|(place, _)| *place);
        let never = missing.iter().filter(|(_, item)| item.counts());
        for (index, (_, item)) in never.enumerate() {
            let begin = if index == 0 { "\nno test reached\n" } else { "" };
            text = format!("{text}{begin}  {:<7} {}\n", item.kind(), item.name());
        }
        let guards: Vec<String> = missing
            .iter()
            .filter(|(_, item)| !item.counts())
            .map(|(_, item)| item.name())
            .collect();
        if !guards.is_empty() {
            text =
                format!("{text}\nguards that stopped nothing in any test: {}\n", guards.join(", "));
        }
        text
    }
}

/// What a rehearsal reached.
pub fn reached(library: &Library, happenings: &[Happening]) -> BTreeSet<Item> {
    let mut reached = BTreeSet::new();
    for happening in happenings {
        match &happening.what {
            Happened::Decided { decision, .. } => {
                if !decision.rule.is_empty() {
                    reached.insert(Item::Rule(decision.rule.clone()));
                }
                for ruling in decision.rulings.iter().filter(|it| it.verdict.caution() > 0) {
                    let (rule, guard) = (decision.rule.clone(), ruling.guard.clone());
                    reached.insert(Item::Guard(guard.clone()));
                    reached.insert(Item::Limit { rule, guard });
                }
            }
            Happened::Run { plan, event, .. } => {
                let name = |step: &usize| {
                    plan.playbook.steps.get(*step).map(|it| it.name.clone()).unwrap_or_default()
                };
                let playbook = plan.playbook.name.clone();
                match event.as_ref() {
                    Event::Planned { .. } => {
                        let (rule, number) = (plan.rule.clone(), plan.remedy);
                        reached.insert(Item::Remedy { rule, number, playbook });
                    }
                    Event::StepStarted { step, .. } => {
                        reached.insert(Item::Step { playbook, step: name(step) });
                    }
                    Event::UndoStarted { step, .. } => {
                        reached.insert(Item::Undo { playbook, step: name(step) });
                    }
                    _ => {}
                }
            }
            Happened::Opened(incident) if !incident.rule.is_empty() => {
                reached.insert(Item::Rule(incident.rule.clone()));
            }
            _ => {}
        }
    }
    // a rule that was renamed meanwhile cannot be meant
    reached.retain(|item| match item {
        Item::Rule(name) => library.rules.rules().iter().any(|rule| rule.name == *name),
        _ => true,
    });
    reached
}
