//! Where a run stands: the data of the run machine.

use jiff::Timestamp;

use crate::model::run::Event;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::run::RunState;

/// Where a run stands, with what later decisions need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// One record a step.
    pub steps: Vec<Record>,
    /// Entries folded so far.
    pub seq: i64,
    /// When the last one was written.
    pub last_at: Timestamp,
    /// Whether any action was begun: after it, stopping is no longer free.
    pub acted: bool,
    /// Why it ended or waits, for people.
    pub reason: String,
    /// Digest of the plan, which an approval must name.
    pub digest: String,
    /// Who approved it.
    pub approved_by: Option<String>,
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

/// The states of the diagram, with their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No journal yet.
    Empty,
    /// Waits for a person's yes.
    AwaitingApproval,
    /// Mode observe, before the entry that says so.
    Observing,
    /// About to begin a step, not before `at`.
    Ready {
        /// Index from 0.
        step: usize,
        /// From 1.
        attempt: u32,
        /// Not before.
        at: Timestamp,
    },
    /// A step was begun and its outcome is not written.
    InFlight {
        /// Index from 0.
        step: usize,
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
    /// `on_unknown: probe`: the verification is asked whether the step happened.
    ReadingBack {
        /// Index from 0.
        step: usize,
        /// From 1.
        attempt: u32,
    },
    /// A person must say whether a step happened.
    InDoubt {
        /// Index from 0.
        step: usize,
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
    },
    /// Taking steps back, the last first.
    Undoing {
        /// Steps still to undo, in order.
        left: Vec<usize>,
    },
    /// An undo was begun and its outcome is not written.
    UndoInFlight {
        /// The step.
        step: usize,
        /// Steps to undo after it.
        left: Vec<usize>,
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
    /// Check that the run is still wanted, render the step, write its intent, do it, write the outcome.
    Begin {
        /// Index from 0.
        step: usize,
        /// From 1.
        attempt: u32,
    },
    /// Ask the verification whether a step in doubt happened, and write `ReadBack`.
    ReadBack,
    /// Observe the verification, and write what [`super::verification_event`] says.
    Verify,
    /// Render the step's undo, write its intent, do it, write the outcome.
    Undo {
        /// Index from 0.
        step: usize,
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
            seq: 0,
            last_at: Timestamp::MIN,
            acted: false,
            reason: String::new(),
            digest: String::new(),
            approved_by: None,
            inconclusive: false,
        }
    }

    /// As stored and shown.
    pub fn summary(&self) -> RunState {
        match &self.phase {
            Phase::Empty | Phase::Observing => RunState::Planned,
            // nothing has begun yet, and nobody has said that it may
            Phase::Ready { step: 0, attempt: 1, .. } if self.approved_by.is_none() => {
                RunState::Planned
            }
            Phase::AwaitingApproval => RunState::AwaitingApproval,
            Phase::Ready { .. }
            | Phase::InFlight { .. }
            | Phase::Waiting { .. }
            | Phase::ReadingBack { .. } => RunState::Running,
            Phase::InDoubt { .. } => RunState::InDoubt,
            Phase::ToVerify | Phase::Verifying { .. } => RunState::Verifying,
            Phase::Undoing { .. } | Phase::UndoInFlight { .. } => RunState::Undoing,
            Phase::Final(state) => *state,
        }
    }

    pub(super) fn record(&mut self, step: usize, record: Record) {
        if let Some(slot) = self.steps.get_mut(step) {
            *slot = record;
        }
    }
}
