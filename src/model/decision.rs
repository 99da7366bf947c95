//! Facts, verdicts and the decision they make.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;

/// What one guard says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// Nothing against it.
    Proceed,
    /// A person must say yes.
    Ask,
    /// Not before this time; then it is judged again.
    Hold {
        /// When to judge again.
        until: Timestamp,
    },
    /// No; judged again while the episode is open, and told.
    Refuse,
}

impl Verdict {
    /// The word people read.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Ask => "ask approval",
            Self::Hold { .. } => "hold",
            Self::Refuse => "refuse",
        }
    }

    /// Order of caution: the highest wins.
    pub fn caution(&self) -> u8 {
        match self {
            Self::Proceed => 0,
            Self::Ask => 1,
            Self::Hold { .. } => 2,
            Self::Refuse => 3,
        }
    }
}

/// One guard's verdict with everything that explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The guard: `cooldown`.
    pub guard: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, one sentence fragment.
    pub reason: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// The limit, with its unit; empty when there is none.
    pub limit: String,
    /// The key and place where the limit is set: `cooldown (rules/api.yml:27)`.
    pub knob: String,
}

/// The stored verdicts for one episode and one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The episode.
    pub episode: EpisodeId,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// The rule; empty when none matched.
    pub rule: String,
    /// Playbook of the remedy that was judged; empty when there was none.
    pub playbook: String,
    /// What it acts on.
    pub target: String,
    /// The most cautious verdict.
    pub verdict: Verdict,
    /// In words, leading with the guard that decided.
    pub reason: String,
    /// Every guard's ruling.
    pub rulings: Vec<Ruling>,
    /// When.
    pub at: Timestamp,
}

/// A pause that is in force: the kill switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// `all`, `rule:NAME`, `playbook:NAME` or `target:NAME`.
    pub scope: String,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A run, as far as guards need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its rule.
    pub rule: String,
    /// Its playbook.
    pub playbook: String,
    /// What it acted on.
    pub target: String,
    /// Its incident.
    pub incident: IncidentId,
    /// Which remedy, from 1.
    pub remedy: u32,
    /// Where it stands.
    pub state: crate::model::run::RunState,
    /// It failed because its verification could not see.
    pub inconclusive: bool,
    /// The service of its alert; empty when it named none.
    pub service: String,
    /// Redundancy group of what it acted on; empty when its rule names none.
    pub group: String,
    /// The version that it rolled back from; empty when it was no rollback.
    pub left_version: String,
    /// When it was created.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What Alertmanager says of an alert now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It fires and nobody muted it.
    Active,
    /// A person muted it.
    Silenced {
        /// By these silences.
        by: Vec<String>,
    },
    /// Another alert mutes it.
    Inhibited,
    /// Alertmanager does not list it.
    Gone,
    /// Alertmanager could not be asked.
    Unknown {
        /// Why.
        reason: String,
    },
    /// No Alertmanager is configured, or the alert did not come through one.
    NotAsked,
}

/// A window that covers an alert, at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InWindow {
    /// Its name.
    pub name: String,
    /// What it does.
    pub effect: crate::model::window::Effect,
    /// For people; may be empty.
    pub reason: String,
    /// Where its name stands.
    pub place: crate::model::rule::Place,
    /// Inside: when it ends. Outside: `None`.
    pub ends: Option<Timestamp>,
    /// Outside: when it begins next; `None` when it never does again.
    pub begins: Option<Timestamp>,
}

/// How many distinct targets are in trouble, over all rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storm {
    /// Distinct targets whose episodes opened within the span of `storm`.
    pub targets: u32,
    /// The trip that is in force.
    pub trip: Option<Trip>,
}

/// A breaker that has tripped: it closes by time continuously below its limit, not by the first good sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// When it tripped.
    pub since: Timestamp,
    /// Since when it has been below without a break; `None` while it is above.
    pub calm_since: Option<Timestamp>,
}

/// A count that somebody was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// So many.
    Known(u64),
    /// Nobody can say: an error, no sample, more than one, a broken number.
    Unknown(String),
}

/// The group that a rule's target belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population {
    /// Members.
    pub total: Counted,
    /// Members that are not well.
    pub unhealthy: Counted,
    /// The most members that were counted within the last day.
    pub was: Option<u64>,
    /// The trip of this group that is in force.
    pub trip: Option<Trip>,
}

/// Whether the alert that always fires still arrives: without it, nobody knows what monitoring sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Watchdog {
    /// quell.yml names none.
    #[default]
    NotWatched,
    /// It arrived this long ago.
    Seen(Duration),
    /// It has not arrived for this long: since the last one, or since quell began to wait for it.
    Missing(Duration),
}

/// The wall clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// What it showed afterwards.
    pub at: Timestamp,
    /// By how much, in milliseconds: forward above zero.
    pub by_ms: i64,
}

/// A credential that was refused (G19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// Its name: `targets.http.shop`, `secrets.deploy-token`; never its value.
    pub credential: String,
    /// When it was refused.
    pub at: Timestamp,
    /// By whom and how: `HTTP 401 from http://shop:8000`.
    pub reason: String,
}

/// A person is at it (G15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// What they did.
    pub kind: HandKind,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// On what, or why; may be empty.
    pub what: String,
}

/// What a person did that makes automation step back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandKind {
    /// Acknowledged the incident.
    Acknowledged,
    /// Took the incident over.
    TakenOver,
    /// Changed the target.
    Changed,
}

/// Break-glass: a person lifts approval, windows and the sickness ceiling for a time (G11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glass {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// What a playbook wants to be shown before it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// For which guard.
    pub of: ProofOf,
    /// What is shown: `load`, `in the registry`.
    pub name: String,
    /// What was seen.
    pub seen: crate::model::run::Observation,
}

/// Which guard asks for a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofOf {
    /// G10: the store behind a cache bears the load.
    Cache,
    /// G12: the version to return to is sound.
    Rollback,
    /// G16: what must not get worse can be measured.
    Baseline,
}

/// What holds around a case, from the store: asked again before each step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// How much is in trouble at once.
    pub storm: Storm,
    /// Whether monitoring is alive.
    pub watchdog: Watchdog,
    /// Times that the wall clock was set, as far back as facts look.
    pub jumps: Vec<Jump>,
    /// Credentials that were refused and not mended since.
    pub denied: Vec<Denied>,
    /// People at the incident or the target.
    pub hands: Vec<Hand>,
    /// Break-glass in force for this case.
    pub glass: Option<Glass>,
}

/// What guards judge by. Loaded from the store and from probes, never from process memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Fails the creation of a run when it changed meanwhile.
    pub version: Version,
    /// Pauses in force, with the pause file as `all`.
    pub pauses: Vec<Pause>,
    /// Whether the episode is open.
    pub firing: bool,
    /// How long it has been firing.
    pub firing_for: Duration,
    /// Age of the latest evidence that it fires.
    pub evidence_age: Duration,
    /// Alerts the last delivery cut off.
    pub truncated: u64,
    /// Silences and inhibitions.
    pub standing: Standing,
    /// How far in the future the source says that the alert began: its clock or ours is wrong.
    pub ahead: Duration,
    /// Windows of quell.yml that cover the alert, whether or not they are now.
    pub windows: Vec<InWindow>,
    /// What holds around the case.
    pub around: Circumstances,
    /// The group of the target; `None` when the rule names none, or nobody was asked yet.
    pub population: Option<Population>,
    /// What the playbook wants to be shown; empty when it wants nothing, or nobody was asked yet.
    pub proofs: Vec<Proof>,
    /// The verification probe, asked before acting; `None` when the rule has none.
    pub precheck: Option<crate::model::run::Observation>,
    /// Runs that are not final, and those that ended within the longest window any limit looks at.
    pub runs: Runs,
}

/// What the facts of a store were read at. Each number grows whenever one of what it counts changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// Runs that are created or end, and all that the other counts.
    pub runs: i64,
    /// People at an incident, refused credentials, the trust in rules, the clock.
    pub others: i64,
}

/// Runs as guards need to know of them, in order of start; cheap to copy, since what has ended never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(Vec<Arc<PastRun>>);

impl Runs {
    /// One after the other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastRun> {
        self.0.iter().map(|run| &**run)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one that started last.
    pub fn push(&mut self, run: PastRun) {
        self.0.push(Arc::new(run));
    }
}

impl FromIterator<Arc<PastRun>> for Runs {
    fn from_iter<I: IntoIterator<Item = Arc<PastRun>>>(runs: I) -> Self {
        Self(runs.into_iter().collect())
    }
}

impl FromIterator<PastRun> for Runs {
    fn from_iter<I: IntoIterator<Item = PastRun>>(runs: I) -> Self {
        runs.into_iter().map(Arc::new).collect()
    }
}

impl From<Vec<PastRun>> for Runs {
    fn from(runs: Vec<PastRun>) -> Self {
        runs.into_iter().collect()
    }
}
