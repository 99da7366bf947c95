//! Why quell did, would or would not act on an alert: everything that `quell explain` shows, as data.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::Value;

use crate::model::decision::InWindow;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;

/// Everything that explains what happens with one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The alert's labels.
    pub labels: Labels,
    /// Their fingerprint, as Alertmanager computes it.
    pub fingerprint: String,
    /// The episode of it that is meant; `None` for an alert that was never received.
    pub episode: Option<EpisodeId>,
    /// The time that it holds for.
    pub at: Timestamp,
    /// Where the facts come from.
    pub facts: Basis,
    /// Why the files in force are older than those on disk; `None` when they are not, or nobody knows.
    pub older_files: Option<String>,
    /// What was taken for granted, a fragment each.
    pub assumed: Vec<String>,
    /// How it was found that its episode opened or ended, where no webhook told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// The slot of a schedule that it is about, which no rule takes but its own; `None` for an alert.
    pub slot: Option<SlotPlan>,
    /// Each rule, in order: whether it takes the alert, or why not.
    pub rules: Vec<Finding>,
    /// The windows that are about it, whether or not they are at that time.
    pub windows: Vec<InWindow>,
    /// What follows under each rule that takes it.
    pub judgements: Vec<Judgement>,
    /// Channels told when no rule takes it (`unmatched:` in quell.yml).
    pub unmatched: Vec<String>,
}

/// What is to be explained by what is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// An alert, or a schedule.
    pub of: Asked,
    /// The time to explain it for; now when absent. Of a schedule, its first slot from then on.
    pub at: Option<Timestamp>,
}

/// An alert or a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An alert.
    Alert {
        /// Its labels.
        labels: Labels,
        /// Its annotations; those of its open episode count, when it has one.
        annotations: Labels,
        /// How long it is taken to have been firing by then, unless it has an open episode.
        firing_for: Duration,
    },
    /// The schedule of this name.
    Schedule(String),
}

/// What was stored that can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Every episode of an incident.
    Incident(IncidentId),
    /// One episode.
    Episode(EpisodeId),
    /// The decision that led to a run.
    Run(RunId),
}

impl FromStr for About {
    type Err = String;

    /// From `i-12`, `e-12` or `r-12`; the letter is needed, since it says what is meant.
    fn from_str(text: &str) -> Result<Self, String> {
        let about = match text.get(..2) {
            Some("i-") => text.parse().ok().map(Self::Incident),
            Some("e-") => text.parse().ok().map(Self::Episode),
            Some("r-") => text.parse().ok().map(Self::Run),
            _ => None,
        };
        about.ok_or_else(|| format!("`{text}` is not an id like i-12, e-12 or r-12"))
    }
}

/// Where facts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Files alone: as if nothing had happened before.
    Assumed,
    /// A running server: its store, Alertmanager, the precheck.
    Live,
    /// What was decided then.
    Stored,
}

/// Whether one rule takes the alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// Where it stands.
    pub place: String,
    /// Whether it takes the alert.
    pub selected: bool,
    /// Whether a matcher of it singles out this alert's name.
    pub names_alert: bool,
    /// Whether people should look: its `when` could not be evaluated.
    pub unknown: bool,
    /// `selected`, or the first reason why not, with the value it saw.
    pub why: String,
}

/// One slot of a schedule, and what becomes of slots that come at a bad time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotPlan {
    /// The schedule.
    pub schedule: String,
    /// Where it stands; empty when the files have no such schedule any more.
    pub place: String,
    /// When it comes: `0 2 * * * Europe/Berlin`.
    pub cron: String,
    /// The slot.
    pub slot: Timestamp,
    /// It begins up to this much later, such as `5m`.
    pub jitter: String,
    /// What becomes of it while the slot before is at work.
    pub overlap: Overlap,
    /// What becomes of it when quell is down as it comes.
    pub missed: Missed,
}

/// What becomes of the page of an incident whose rule says `page: { unless_fixed_within: … }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePlan {
    /// How long it is held, such as `10m`.
    pub within: String,
    /// Where that is set.
    pub set_in: String,
    /// The channels that page for the alert's severity; empty when there is none.
    pub channels: Vec<String>,
    /// Until when it is held; `None` when it is not held, or not any more.
    pub held_until: Option<Timestamp>,
    /// Why it is sent at once; empty while it is held, and when it was sent before.
    pub why: String,
}

/// What follows for the alert under one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The rule.
    pub rule: String,
    /// Where it stands; empty when only the stored decision knows it.
    pub place: String,
    /// What it acts on; empty when its template cannot be rendered.
    pub target: String,
    /// The incident that the alert belongs to.
    pub incident: Option<IncidentId>,
    /// Runs of it, as far as they are known.
    pub runs: Vec<RunId>,
    /// The verdict; `None` when there is nothing to decide now, such as while a run is at work.
    pub verdict: Option<Verdict>,
    /// Why, leading with the guard that decided.
    pub reason: String,
    /// When it was judged.
    pub at: Timestamp,
    /// What becomes of its page, when the rule holds it.
    pub page: Option<PagePlan>,
    /// Every guard's ruling, in the order in which guards are asked.
    pub rulings: Vec<Judged>,
    /// The remedies that may still follow, the judged one first.
    pub remedies: Vec<Proposal>,
}

/// One guard's ruling, and whether it rests on an assumption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The ruling.
    #[serde(flatten)]
    pub ruling: Ruling,
    /// What was measured is assumed.
    pub assumed: bool,
}

/// What one remedy would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Which remedy, from 1; 0 takes temporary measures back.
    pub remedy: u32,
    /// Of how many.
    pub of: u32,
    /// Its playbook.
    pub playbook: String,
    /// Where that stands.
    pub place: String,
    /// The mode it would run in.
    pub mode: Mode,
    /// The key and place that set this mode.
    pub mode_set_in: String,
    /// The tier an operator needs to approve it.
    pub tier: u8,
    /// Why there is no plan: a template or a parameter that cannot be used; else empty.
    pub problem: String,
    /// Parameters, rendered.
    pub parameters: BTreeMap<String, Value>,
    /// Steps in order.
    pub steps: Vec<StepPlan>,
    /// Steps that take temporary measures back when the alert resolves.
    pub on_resolve: Vec<StepPlan>,
    /// How it is verified.
    pub verify: Option<VerifyPlan>,
    /// What happens when it does not help.
    pub otherwise: String,
}

/// One step with everything rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlan {
    /// From 1.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// What it does.
    pub call: Call,
    /// What is special about it: its condition, tries, what a failure or an unknown outcome means.
    pub notes: Vec<String>,
    /// What takes it back; `None` when nothing would, or nothing has to.
    pub undo: Option<Call>,
    /// Whether it changes the world, so that a missing undo matters.
    pub acts: bool,
}

/// An action, probe or wait with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `command`, `probe promql`, `wait`.
    pub kind: String,
    /// Arguments that are set, rendered.
    pub arguments: Map<String, Value>,
    /// Why a template in it cannot be rendered before it runs; then the arguments are as written. Else empty.
    pub unrendered: String,
}

/// How a remedy is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyPlan {
    /// The probe.
    pub call: Call,
    /// It must begin to hold within this time, such as `5m`.
    pub within: String,
    /// And go on holding for this long.
    pub hold: String,
    /// What must not get worse: `latency (worse: value > before * 1.2)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unharmed: Vec<String>,
}
