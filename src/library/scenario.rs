//! Tests of rules, validated: what happens and what must come of it, each with its place.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::diagnostic::Span;
use crate::model::incident::IncidentStatus;
use crate::model::incident::NoticeKind;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::playbook::Mode;
use crate::model::run::Health;
use crate::model::run::RunState;
use crate::model::window::Effect;

/// One test.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its file, as given.
    pub file: String,
    /// Where its name stands.
    pub span: Span,
    /// When it begins.
    pub at: Timestamp,
    /// The most any rule may do; that of the settings when `None`.
    pub mode: Option<Mode>,
    /// What happens, in order of time.
    pub events: Vec<Scripted>,
    /// What must come of it, in order of time.
    pub expects: Vec<Expect>,
}

/// A value that must hold, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// Time since the beginning.
    pub at: Duration,
    /// Where it stands.
    pub span: Span,
    /// What.
    pub what: Deed,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Deed {
    /// An alert fires.
    Fire {
        /// Its labels.
        labels: Labels,
        /// Its annotations.
        annotations: Labels,
        /// Alerts that its delivery cut off.
        truncated: u64,
        /// When its source says that it began, since the beginning; now when `None`.
        starts: Option<Duration>,
    },
    /// Open alerts with these labels resolve.
    Resolve(Labels),
    /// A probe sees this from now on.
    Probe {
        /// Whose.
        whose: Whose,
        /// What it means.
        health: Health,
        /// What was measured.
        measured: Option<String>,
    },
    /// A step comes to this from now on.
    Step {
        /// The playbook.
        playbook: Option<String>,
        /// The step.
        step: Option<String>,
        /// The n-th time only.
        nth: Option<u32>,
        /// Its undo instead.
        undo: bool,
        /// What it comes to.
        comes_to: ComesTo,
        /// How long it takes.
        takes: Duration,
        /// What a look at its target found before it.
        found: serde_json::Map<String, serde_json::Value>,
    },
    /// What Alertmanager says of alerts with these labels; `None` takes it back.
    Alertmanager {
        /// Which alerts.
        of: Labels,
        /// What it says.
        says: Option<Says>,
    },
    /// A person speaks.
    Word {
        /// Who.
        by: String,
        /// What.
        word: Spoken,
        /// Of a run or incident of this rule.
        rule: Option<String>,
        /// Of a run on this target.
        target: Option<String>,
    },
    /// The kill switch is set for a scope.
    Pause(String),
    /// It is cleared.
    Resume(String),
    /// A person adds a window that begins now.
    Window {
        /// Its name.
        name: String,
        /// How long it lasts.
        lasts: Duration,
        /// What it does.
        effect: Effect,
        /// Which alerts it is about.
        matchers: Vec<Matcher>,
        /// Why.
        reason: String,
    },
    /// A window that was added ends now.
    WindowEnds(String),
    /// Somebody changed this target.
    Changed(String),
    /// A person trusts this rule again, one rung more.
    Promote(String),
    /// quell stops and starts again.
    Restart,
    /// The population of a rule is counted so from now on; `None` means that nobody can say.
    Population {
        /// The rule.
        rule: String,
        /// Members.
        total: Option<u64>,
        /// Those that are not well.
        unhealthy: Option<u64>,
    },
    /// The watchdog arrives no more, or again.
    Watchdog {
        /// Whether it arrives.
        arrives: bool,
    },
    /// The wall clock is set by so many milliseconds: forward above zero.
    Clock(i64),
}

/// Whose probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A rule's verification.
    Rule(String),
    /// What the playbook of a remedy of a rule wants to be shown, by name.
    Proof(String, String),
    /// A metric that a remedy of a rule must not make worse, by name.
    Unharmed(String, String),
    /// A check's.
    Check(String),
    /// A step of a playbook.
    Step(String, String),
}

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComesTo {
    /// It happens.
    Done(serde_json::Value),
    /// It fails.
    Fails {
        /// Why.
        reason: String,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// Its credential is refused.
    Denied(String),
    /// Nobody knows.
    Unknown(String),
}

/// What Alertmanager says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// It fires, unmuted.
    Active,
    /// A person muted it.
    Silenced,
    /// Another alert mutes it.
    Inhibited,
    /// It is not listed.
    Gone,
    /// It cannot be asked.
    Unknown,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    /// Yes to a plan.
    Approve,
    /// No to a plan.
    Reject(String),
    /// Mine.
    Acknowledge,
    /// Whether the step in doubt happened.
    Answer(bool),
    /// Answers to what a step asks.
    Reply {
        /// The step that asks.
        step: Option<String>,
        /// By name.
        answers: BTreeMap<String, serde_json::Value>,
    },
    /// Stop.
    Cancel,
    /// Takes the incident over.
    Take,
    /// Gives it back.
    GiveBack,
    /// Breaks the glass for the rule or the target, for this reason.
    BreakGlass(String),
}

/// The word for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictWord {
    /// Proceed.
    Proceed,
    /// Ask approval.
    Ask,
    /// Hold.
    Hold,
    /// Refuse.
    Refuse,
}

impl VerdictWord {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Ask => "ask",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }
}

/// What must hold at a time.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Time since the beginning; an hour after the last event when `None`.
    pub at: Option<Duration>,
    /// Where it stands.
    pub span: Span,
    /// Of what.
    pub of: Of,
    /// The latest decision.
    pub verdict: Option<Wanted<VerdictWord>>,
    /// A guard that gave it.
    pub guard: Option<Wanted<String>>,
    /// Text in its reason.
    pub reason: Option<Wanted<String>>,
    /// Mode of the latest run.
    pub mode: Option<Wanted<Mode>>,
    /// What it has done.
    pub steps: Option<Wanted<Vec<String>>>,
    /// What it is planned to do.
    pub plan: Option<Wanted<Vec<String>>>,
    /// Where it stands.
    pub run: Option<Wanted<RunState>>,
    /// Text in what people are told of it.
    pub outcome: Option<Wanted<String>>,
    /// How many runs there were.
    pub runs: Option<Wanted<u32>>,
    /// Where the latest incident stands.
    pub incident: Option<Wanted<IncidentStatus>>,
    /// How many incidents there were.
    pub incidents: Option<Wanted<u32>>,
    /// Whether the latest was given to people.
    pub escalated: Option<Wanted<bool>>,
    /// What people were told.
    pub notifications: Vec<Wanted<Told>>,
}

/// What an expectation is about; what is silent fits all.
#[derive(Debug, Clone, Default)]
pub struct Of {
    /// The rule; `Some(None)` is none.
    pub rule: Option<Wanted<Option<String>>>,
    /// Labels of the alert.
    pub alert: Option<Wanted<Labels>>,
    /// The target.
    pub target: Option<Wanted<String>>,
    /// The playbook.
    pub playbook: Option<Wanted<String>>,
    /// The remedy.
    pub remedy: Option<Wanted<u32>>,
}

/// A notification that must be owed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// On this channel.
    pub channel: Option<String>,
    /// Of this kind.
    pub kind: Option<NoticeKind>,
    /// With this text in it.
    pub text: Option<String>,
    /// With this headline.
    pub headline: Option<String>,
    /// Exactly so often; at least once when `None`.
    pub count: Option<u32>,
}
