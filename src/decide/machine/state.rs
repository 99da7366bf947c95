//! Where a run stands: the data of the run machine.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::hold::Healthy;
use crate::model::action::Action;
use crate::model::run::Event;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Taken;

/// Where a run stands, with what later decisions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// One record a step.
    pub steps: Vec<Record>,
    /// The items of each `for_each` whose list is known, by step.
    pub lists: BTreeMap<usize, List>,
    /// How far steps have come that are done a slice at a time.
    pub slices: BTreeMap<Spot, Progress>,
    /// What was made absolute before it was done, while it may have happened: it is done again exactly so, and taken back so.
    pub kept: BTreeMap<Spot, Kept>,
    /// Mode observe: what targets said to dry runs, by step.
    pub dry_runs: BTreeMap<usize, Outcome>,
    /// Probes that must stay healthy: since when they have been, by step.
    pub healthy: BTreeMap<usize, Healthy>,
    /// Entries folded so far.
    pub seq: i64,
    /// When the last one was written.
    pub last_at: Timestamp,
    /// Whether any action was begun: after it, stopping is no longer free.
    pub acted: bool,
    /// What must not get worse, as it was before the first step.
    pub baseline: Option<Vec<Taken>>,
    /// Why it ended or waits, for people.
    pub reason: String,
    /// Digest of the plan, which an approval must name.
    pub digest: String,
    /// When an approval is no longer of use: as the plan says, moved with the clock.
    pub approve_until: Option<Timestamp>,
    /// Who approved it, each once, in order.
    pub approved_by: Vec<String>,
    /// Who broke the glass, when nobody had to approve it.
    pub lifted_by: Option<String>,
    /// It was given up before it did anything, for a reason that nothing else tells people.
    pub withdrawn: bool,
    /// The verification could not see: nobody knows whether it helped.
    pub inconclusive: bool,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Not begun.
    Pending,
    /// Happened.
    Done {
        /// For people.
        summary: String,
        /// For later steps.
        output: serde_json::Value,
    },
    /// Did not happen, and the run went on or ended.
    Failed {
        /// Why.
        reason: String,
    },
    /// Its `if` was false.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Taken back.
    Undone,
    /// Could not be taken back.
    UndoFailed {
        /// Why.
        reason: String,
    },
}

/// The items of a `for_each`, as they were when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Texts or numbers.
    pub items: Vec<serde_json::Value>,
    /// One record an item.
    pub records: Vec<Record>,
}

/// An action that was prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// As it stands in the intent.
    pub action: Action,
    /// What takes it back; `None` when it would change nothing.
    pub previous: Option<Box<Action>>,
    /// Whether a try of it has ended, and nobody knew how: it is done again exactly so, whatever became of later tries.
    pub doubtful: bool,
}

/// How far a step has come that is done a slice at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where the next slice begins.
    pub cursor: u64,
    /// Slices that were done.
    pub slices: u32,
    /// Keys that went with them.
    pub gone: u64,
    /// When the last one was done.
    pub at: Timestamp,
}

/// A step, and in a `for_each` one of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Index from 0.
    pub step: usize,
    /// Index from 0.
    pub item: Option<usize>,
}

/// The states of the diagram, with their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No journal yet.
    Empty,
    /// Waits for a person's yes.
    AwaitingApproval,
    /// Mode observe, before the entry that says so.
    Observing,
    /// About to begin a step, not before `at`. Without an item, a `for_each` is about to list its items.
    Ready {
        /// Index from 0.
        step: usize,
        /// Index from 0, in a `for_each`.
        item: Option<usize>,
        /// From 1.
        attempt: u32,
        /// Not before.
        at: Timestamp,
    },
    /// A step was begun and its outcome is not written.
    InFlight {
        /// Index from 0.
        step: usize,
        /// Index from 0, in a `for_each`.
        item: Option<usize>,
        /// From 1.
        attempt: u32,
    },
    /// A `wait` step.
    Waiting {
        /// Index from 0.
        step: usize,
        /// Until.
        until: Timestamp,
    },
    /// Between two waves of a `for_each`: what is between them and what must not get worse is observed, not before `at`.
    Looking {
        /// Index from 0.
        step: usize,
        /// The item that comes next.
        item: usize,
        /// Not before.
        at: Timestamp,
        /// What was seen last of what must not get worse.
        harm: Option<Observation>,
    },
    /// An `ask` step waits for its answer.
    Asking {
        /// Index from 0.
        step: usize,
        /// The question.
        question: String,
        /// Until.
        until: Timestamp,
    },
    /// `on_unknown: probe`: the verification is asked whether the step happened.
    ReadingBack {
        /// Index from 0.
        step: usize,
        /// Index from 0, in a `for_each`.
        item: Option<usize>,
        /// From 1.
        attempt: u32,
    },
    /// A person must say whether a step happened.
    InDoubt {
        /// Index from 0.
        step: usize,
        /// Index from 0, in a `for_each`.
        item: Option<usize>,
        /// From 1.
        attempt: u32,
    },
    /// All steps are over; verification is about to begin.
    ToVerify,
    /// Verification is under way.
    Verifying {
        /// Since when.
        started_at: Timestamp,
        /// Since when it has been healthy without a break.
        healthy_since: Option<Timestamp>,
        /// What was seen last.
        last: Option<Observation>,
        /// What was seen last of what must not get worse.
        harm: Option<Observation>,
    },
    /// Taking steps back, the last first.
    Undoing {
        /// What is still to undo, in order.
        left: Vec<Spot>,
    },
    /// An undo was begun and its outcome is not written.
    UndoInFlight {
        /// What is undone.
        spot: Spot,
        /// What is to undo after it.
        left: Vec<Spot>,
    },
    /// Nothing follows.
    Final(RunState),
}

/// What a state asks for: exactly one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time")]
pub enum Effect {
    /// Write this entry; no outside effect.
    Write(Event),
    /// Check that the run is still wanted, measure what must not get worse, and write `Baseline`.
    Measure,
    /// Check that the run is still wanted, render the step, write its intent, do it, write the outcome. Without an item, a
    /// `for_each` lists its items first, and writes them.
    Begin {
        /// What is begun.
        spot: Spot,
        /// From 1.
        attempt: u32,
    },
    /// Compare what must not get worse, observe what must be healthy between two waves of a `for_each`, and write `Looked`.
    Look {
        /// Index of the step from 0.
        step: usize,
        /// Index of the item that comes next.
        item: usize,
    },
    /// Ask the verification whether a step in doubt happened, and write `ReadBack`.
    ReadBack,
    /// Compare what must not get worse, and write what [`super::comparison_event`] says; observe the verification, and write
    /// what [`super::verification_event`] says.
    Verify,
    /// Render the step's undo, write its intent, do it, write the outcome.
    Undo {
        /// What is undone.
        spot: Spot,
    },
    /// Nothing before this time.
    Sleep {
        /// Until.
        until: Timestamp,
    },
    /// A person must act; nothing else will happen.
    AskPerson,
    /// Nothing follows.
    Over,
}

/// An event that the state does not allow: a bug or a damaged journal, never an operational error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalEvent {
    /// The state.
    pub phase: Phase,
    /// The event.
    pub event: Event,
}

impl std::fmt::Display for IllegalEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not allowed in {:?}", self.event, self.phase)
    }
}

impl std::error::Error for IllegalEvent {}

impl State {
    /// The state before the first entry.
    pub fn empty(plan: &Plan) -> Self {
        Self {
            phase: Phase::Empty,
            steps: vec![Record::Pending; plan.playbook.steps.len()],
            lists: BTreeMap::new(),
            slices: BTreeMap::new(),
            kept: BTreeMap::new(),
            dry_runs: BTreeMap::new(),
            healthy: BTreeMap::new(),
            seq: 0,
            last_at: Timestamp::MIN,
            acted: false,
            baseline: None,
            reason: String::new(),
            digest: String::new(),
            approve_until: plan.approve_until,
            approved_by: Vec::new(),
            lifted_by: None,
            withdrawn: false,
            inconclusive: false,
        }
    }

    /// Whether people said that it may begin, or nobody had to.
    pub fn is_approved(&self) -> bool {
        self.lifted_by.is_some() || !self.approved_by.is_empty()
    }

    /// As stored and shown.
    pub fn summary(&self) -> RunState {
        match &self.phase {
            Phase::Empty | Phase::Observing => RunState::Planned,
            // nothing has begun yet, and nobody has said that it may
            Phase::Ready { step: 0, item: None | Some(0), attempt: 1, .. }
                if !self.is_approved() && !self.acted =>
            {
                RunState::Planned
            }
            Phase::AwaitingApproval => RunState::AwaitingApproval,
            Phase::Ready { .. }
            | Phase::InFlight { .. }
            | Phase::Waiting { .. }
            | Phase::Looking { .. }
            | Phase::ReadingBack { .. } => RunState::Running,
            Phase::Asking { .. } => RunState::AwaitingAnswer,
            Phase::InDoubt { .. } => RunState::InDoubt,
            Phase::ToVerify | Phase::Verifying { .. } => RunState::Verifying,
            Phase::Undoing { .. } | Phase::UndoInFlight { .. } => RunState::Undoing,
            Phase::Final(state) => *state,
        }
    }

    /// What became of a step, or of an item.
    pub fn record_of(&self, spot: Spot) -> Option<&Record> {
        match spot.item {
            None => self.steps.get(spot.step),
            Some(item) => self.lists.get(&spot.step)?.records.get(item),
        }
    }

    /// What takes a step back that says `undo: previous`, if it changed anything.
    pub fn previous(&self, spot: Spot) -> Option<&Action> {
        self.kept.get(&spot)?.previous.as_deref()
    }

    /// Remembers what is about to be done, if it was made absolute.
    pub(super) fn keep(&mut self, spot: Spot, intent: &Intent) {
        let Some(action) = intent.action.as_ref().filter(|it| it.is_prepared()) else { return };
        let doubtful = self.kept.get(&spot).is_some_and(|kept| kept.doubtful);
        let kept = Kept { action: action.clone(), previous: intent.previous.clone(), doubtful };
        self.kept.insert(spot, kept);
    }

    pub(super) fn record(&mut self, spot: Spot, record: Record) {
        let slot = match spot.item {
            None => self.steps.get_mut(spot.step),
            Some(item) => self.lists.get_mut(&spot.step).and_then(|it| it.records.get_mut(item)),
        };
        if let Some(slot) = slot {
            *slot = record;
        }
    }

    /// All that happened and was not taken back, in the order in which it was done.
    pub fn done(&self) -> Vec<Spot> {
        let spots = (0..self.steps.len()).flat_map(|step| {
            let items = self.lists.get(&step).map(|list| list.records.len());
            let items = items.map_or_else(|| vec![None], |count| (0..count).map(Some).collect());
            items.into_iter().map(move |item| Spot { step, item })
        });
        let done = |spot: &Spot| matches!(self.record_of(*spot), Some(Record::Done { .. }));
        spots.filter(done).collect()
    }
}
