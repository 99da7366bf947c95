//! Runs: plan, journal events, outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::action::Action;
use crate::model::decision::Glass;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Verification;

/// Everything a run needs, fixed when it was planned. A reload does not change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The incident it is for.
    pub incident: IncidentId,
    /// The episode that asked for it.
    pub episode: EpisodeId,
    /// The alert's fingerprint.
    pub fingerprint: String,
    /// The rule.
    pub rule: String,
    /// Which remedy of the response, from 1.
    pub remedy: u32,
    /// How many remedies the response has.
    pub remedies: u32,
    /// What it acts on.
    pub target: String,
    /// The lowest of global, rule, remedy and playbook.
    pub mode: Mode,
    /// The tier an operator needs to approve it.
    pub tier: u8,
    /// How many operators of that tier must approve it, from 1.
    pub approvals: u8,
    /// The operator who asked for it, whose own approval does not count; empty when no person did.
    pub proposed_by: String,
    /// The items of each `for_each` that are known before it begins, by step: part of what is approved. Those of other
    /// lists are known when an earlier step has found them.
    pub lists: BTreeMap<usize, Vec<serde_json::Value>>,
    /// The playbook as it was.
    pub playbook: Playbook,
    /// Its parameters, rendered and checked.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Labels of the alert.
    pub labels: Labels,
    /// Annotations of the alert.
    pub annotations: Labels,
    /// How it is verified, rendered.
    pub verify: Option<Verification>,
    /// Break-glass that was in force when it was planned, so that nobody has to approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    /// Redundancy group of the target; empty when the rule names none.
    #[serde(default)]
    pub group: String,
    /// The version that a rollback leaves; empty when it is none.
    #[serde(default)]
    pub left_version: String,
    /// When an approval is no longer of use.
    pub approve_until: Option<Timestamp>,
    /// Of a run that takes temporary measures back: what the steps of the run came to that took them, as templates see it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub taken: serde_json::Map<String, serde_json::Value>,
    /// Digest of the set of files it was planned from; empty when no server planned it.
    pub rules_digest: String,
}

/// What an observation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// The condition holds for each sample.
    Healthy,
    /// It does not.
    Unhealthy,
    /// Nobody can say: error, no sample, a stale one, a warning in the answer. Never acted upon.
    Unknown,
}

impl Health {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// One answer of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What it means.
    pub health: Health,
    /// What was measured and against which condition, for people: `0.372, healthy: value < 0.05`.
    pub measured: String,
    /// The credential of the probe was refused (G19): nobody can say, and asking again will not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
}

/// A sample of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Of the series.
    pub labels: Labels,
    /// Finite.
    pub value: f64,
}

// the value is finite, so that it equals itself
impl Eq for Sample {}

/// What a metric that must not get worse was before the first step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name in `unharmed`.
    pub name: String,
    /// At least one.
    pub samples: Vec<Sample>,
}

/// How one try of a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Done {
        /// For people: `exit 0 in 212 ms`.
        summary: String,
        /// For later steps: `steps.<name>.output`. Capped.
        output: serde_json::Value,
    },
    /// It did not happen, or it failed.
    Failed {
        /// Why, for people.
        reason: String,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// The credential was refused, so it did not happen (G19). It is not tried again, says nothing of the target's health,
    /// and every playbook that uses the credential waits for a person.
    Denied {
        /// What was refused, by name: `targets.http.shop`. Never the value.
        #[serde(default)]
        credentials: Vec<String>,
        /// Why, for people.
        reason: String,
    },
    /// Nobody knows whether it happened.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Names of the credentials that were refused.
    pub fn denied(&self) -> &[String] {
        match self {
            Self::Denied { credentials, .. } => credentials,
            Self::Done { .. } | Self::Failed { .. } | Self::Unknown { .. } => &[],
        }
    }
}

/// What is about to be done, absolute: written before it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The action with every template rendered; absent for probes and waits.
    pub action: Option<Action>,
    /// What takes it back, when the action knows that itself: `undo: previous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<Action>>,
    /// Longest time it may take.
    pub timeout: Duration,
    /// Same over all tries of the step: `r-12/3`, and `r-12/3.2` for its second item. Sent as `Idempotency-Key` where the target can use it, after the name of the store.
    pub key: String,
}

/// Why a run was stopped between steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The alert resolved.
    Resolved,
    /// The condition is already healthy, so there is nothing to remedy.
    AlreadyHealthy {
        /// What was measured.
        measured: String,
    },
    /// What was approved, or proposed, is no longer what would be done.
    Changed {
        /// What is different.
        what: String,
    },
    /// A person took the incident over.
    TakenOver {
        /// Who.
        by: String,
    },
    /// A guard says that it may no longer act.
    Refused {
        /// The guard.
        guard: String,
        /// Why.
        reason: String,
    },
    /// A person stopped it.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// One entry of a run's journal. The state of a run is the fold of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run exists. Always first.
    Planned {
        /// Digest of the plan, which approvals are bound to.
        digest: String,
    },
    /// A person said yes to the plan with this digest.
    Approved {
        /// Who.
        by: String,
        /// To what.
        digest: String,
    },
    /// Break-glass is in force, so nobody has to approve it.
    Lifted {
        /// Who broke the glass.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person said no.
    Rejected {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Nobody said yes in time.
    Expired,
    /// Mode observe: what the target of a step said to a dry run, which changed nothing.
    DryRun {
        /// Index of the step from 0.
        step: usize,
        /// What the step would be, with every template rendered.
        action: Box<Action>,
        /// *Done* when the target would accept it.
        outcome: Outcome,
    },
    /// Mode observe: it would have run.
    Observed,
    /// What the metrics that must not get worse were, before the first step (G16).
    Baseline {
        /// Each of them.
        taken: Vec<Taken>,
    },
    /// The items of a `for_each`, before the first of them is done. What the list says later changes nothing.
    Listed {
        /// Index of the step from 0.
        step: usize,
        /// Texts or numbers, each once.
        items: Vec<serde_json::Value>,
    },
    /// The intent of a step, before it is done.
    StepStarted {
        /// Index from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// From 1.
        attempt: u32,
        /// What will be done.
        intent: Intent,
    },
    /// What became of it.
    StepEnded {
        /// Index from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// Outcome.
        outcome: Outcome,
        /// Random part of the next delay, in thousandths: randomness enters here, so that the fold is pure.
        jitter: u16,
    },
    /// A slice of a step that is done a slice at a time was done, and more is left.
    Sliced {
        /// Index from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// Where the next slice begins.
        cursor: u64,
        /// Keys that went with this slice.
        gone: u64,
    },
    /// Its `if` was false.
    StepSkipped {
        /// Index from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// Why.
        reason: String,
    },
    /// What was seen between two waves of a `for_each`.
    Looked {
        /// Index of the step from 0.
        step: usize,
        /// Index of the item that comes next.
        item: usize,
        /// Outcome.
        outcome: Outcome,
    },
    /// What became of the metrics that must not get worse: *unhealthy* is worse. Repeats that change nothing are not
    /// written.
    Compared {
        /// What was seen of all of them.
        seen: Observation,
    },
    /// A step asks people, and waits.
    Asked {
        /// Index of the step from 0.
        step: usize,
        /// The question, rendered.
        question: String,
    },
    /// A person answered.
    Answered {
        /// Who.
        by: String,
        /// By name, in the types that the step declares; `answer` for yes or no.
        answers: BTreeMap<String, serde_json::Value>,
    },
    /// quell stopped while a step, an undo or a verification was in flight.
    Interrupted,
    /// `on_unknown: probe`: what the verification said about a step in doubt.
    ReadBack {
        /// What was seen.
        seen: Observation,
    },
    /// A person settled what nobody could know: whether the step in doubt happened.
    Settled {
        /// Who.
        by: String,
        /// Whether it happened.
        happened: bool,
    },
    /// The database was restored from a backup that was made while the run was at work: nobody knows what it did since.
    Restored {
        /// When the backup was made.
        made_at: Timestamp,
    },
    /// Stopped between steps.
    Stopped {
        /// Why.
        why: Stop,
    },
    /// The wall clock was set: instants before this entry are moved by so much, so that what waits waits neither longer nor
    /// less long for it.
    ClockSet {
        /// The number of the jump.
        era: i64,
        /// Milliseconds; negative when it was set back.
        by_ms: i64,
    },
    /// Verification began.
    VerifyStarted,
    /// Verification saw a change, or its end. Repeats that change nothing are not written.
    Verified {
        /// What was seen.
        seen: Observation,
    },
    /// The intent of an undo.
    UndoStarted {
        /// Index of the step from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// What will be done.
        intent: Intent,
    },
    /// What became of it.
    UndoEnded {
        /// Index of the step from 0.
        step: usize,
        /// Index of the item from 0, in a `for_each`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<usize>,
        /// Outcome.
        outcome: Outcome,
    },
}

impl Event {
    /// What a call to the outside came to, if this is the entry of one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::StepEnded { outcome, .. }
            | Self::DryRun { outcome, .. }
            | Self::Looked { outcome, .. }
            | Self::UndoEnded { outcome, .. } => Some(outcome),
            Self::Planned { .. }
            | Self::Approved { .. }
            | Self::Lifted { .. }
            | Self::Baseline { .. }
            | Self::Sliced { .. }
            | Self::Compared { .. }
            | Self::Rejected { .. }
            | Self::Expired
            | Self::Observed
            | Self::Listed { .. }
            | Self::StepStarted { .. }
            | Self::StepSkipped { .. }
            | Self::Asked { .. }
            | Self::Answered { .. }
            | Self::Interrupted
            | Self::ReadBack { .. }
            | Self::Settled { .. }
            | Self::Restored { .. }
            | Self::Stopped { .. }
            | Self::ClockSet { .. }
            | Self::VerifyStarted
            | Self::Verified { .. }
            | Self::UndoStarted { .. } => None,
        }
    }
}

/// An event and when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
}

/// Final and waiting states, as stored beside the journal for queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Created, nothing done.
    Planned,
    /// Waiting for a person's yes.
    AwaitingApproval,
    /// Doing steps.
    Running,
    /// A step asked people; waiting for the answer.
    AwaitingAnswer,
    /// A step's outcome is unknown; waiting for a person to settle it.
    InDoubt,
    /// Looking whether it helped.
    Verifying,
    /// Taking steps back.
    Undoing,
    /// Verified.
    Fixed,
    /// It did not help, or a step failed; undone.
    Failed,
    /// An undo failed, or an outcome nobody can learn. Reaches a human.
    Stuck,
    /// By a person.
    Cancelled,
    /// Nobody approved in time.
    Expired,
    /// A person said no.
    Rejected,
    /// Mode observe.
    Observed,
    /// No longer needed before anything was done.
    Superseded,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Planned,
        Self::AwaitingApproval,
        Self::Running,
        Self::AwaitingAnswer,
        Self::InDoubt,
        Self::Verifying,
        Self::Undoing,
        Self::Fixed,
        Self::Failed,
        Self::Stuck,
        Self::Cancelled,
        Self::Expired,
        Self::Rejected,
        Self::Observed,
        Self::Superseded,
    ];

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        match self {
            Self::Planned
            | Self::AwaitingApproval
            | Self::Running
            | Self::AwaitingAnswer
            | Self::InDoubt
            | Self::Verifying
            | Self::Undoing => false,
            Self::Fixed
            | Self::Failed
            | Self::Stuck
            | Self::Cancelled
            | Self::Expired
            | Self::Rejected
            | Self::Observed
            | Self::Superseded => true,
        }
    }

    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::AwaitingApproval => "awaiting approval",
            Self::Running => "running",
            Self::AwaitingAnswer => "awaiting answer",
            Self::InDoubt => "in doubt",
            Self::Verifying => "verifying",
            Self::Undoing => "undoing",
            Self::Fixed => "fixed",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Observed => "observed",
            Self::Superseded => "superseded",
        }
    }

    /// From the word people read.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
