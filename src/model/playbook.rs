//! Playbooks: named lists of steps with typed parameters, validated.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::action::Action;
use crate::model::action::Template;
use crate::model::probe::Probe;

/// A named list of steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Playbook {
    /// Unique name.
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// Parameters by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// The tier (1–4) an operator needs to approve it.
    pub tier: u8,
    /// How many operators of that tier must approve it, from 1 to 5.
    pub approvals: u8,
    /// An approval is of use this long: the plan was made for what was seen then.
    pub approve_within: Duration,
    /// The most any rule may do with it.
    pub mode: Mode,
    /// Its own limits.
    pub limits: PlaybookLimits,
    /// G4: kinds of targets that it may act on, as patterns (`kubernetes/*/deployment/*`); empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts_on: Vec<String>,
    /// G10: what must hold before it empties a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheGuard>,
    /// G12: what must hold before it returns to an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackProof>,
    /// What it does, in order.
    pub steps: Vec<Step>,
    /// Steps that take temporary measures back when the episode resolves.
    pub on_resolve: Vec<Step>,
    /// File it came from, as given on the command line or in quell.yml.
    pub file: String,
    /// Line of its name, from 1.
    pub line: u32,
}

/// `cache:` of a playbook that empties one. Templates see the parameters, `labels` and `annotations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheGuard {
    /// Healthy while the store behind the cache can bear the load of an empty one.
    pub load: Probe,
    /// Healthy while the cache hits often enough that another slice may go.
    pub hit_ratio: Option<Probe>,
}

/// `rollback:` of a playbook that returns to an earlier version. Templates see the parameters, `labels` and
/// `annotations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackProof {
    /// The version to return to.
    pub to: Template,
    /// The version that is left.
    pub from: Template,
    /// Healthy when the version was well for long enough while it ran.
    pub was_healthy: Probe,
    /// Healthy when the registry still has it.
    pub in_registry: Probe,
    /// Healthy when no change of the schema came between the two; `None` when there is no schema.
    pub schema_unchanged: Option<Probe>,
    /// A version that was left within this time is not returned to.
    pub memory: Duration,
}

/// observe < approve < auto: the lowest of global, rule, remedy and playbook wins.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and plan, never act.
    Observe,
    /// Act after a person's approval.
    Approve,
    /// Act.
    Auto,
}

impl Mode {
    /// All of them, the most cautious first.
    pub const ALL: [Self; 3] = [Self::Observe, Self::Approve, Self::Auto];

    /// The mode that this word means.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// The word people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Approve => "approve",
            Self::Auto => "auto",
        }
    }
}

/// `limits:` of a playbook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookLimits {
    /// Runs of this playbook in a span of time.
    pub rate: Option<Rate>,
    /// Runs of this playbook at once.
    pub concurrent: Option<u32>,
}

/// `3 per 1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which span of time, sliding.
    pub per: Duration,
}

/// The type and the bounds of one parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// string, integer, number, boolean, duration or enum.
    pub kind: ParameterKind,
    /// Whether a rule must give it.
    pub required: bool,
    /// Value when a rule gives none.
    pub default: Option<serde_json::Value>,
    /// What a string must match, whole, in RE2 classes.
    pub pattern: Option<String>,
    /// Smallest number or duration in seconds.
    pub min: Option<f64>,
    /// Largest number or duration in seconds.
    pub max: Option<f64>,
    /// Its value is the name of an entry of `secrets:`; what that stands for is put in when an action is performed.
    #[serde(default)]
    pub secret: bool,
    /// For people.
    pub description: String,
}

impl Eq for Parameter {}

/// Type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterKind {
    /// Text; `pattern` bounds it.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// true or false.
    Boolean,
    /// A Prometheus duration, rendered as written.
    Duration,
    /// One of these words.
    Enum(Vec<String>),
}

/// One step: an action, a probe, a wait or a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique within its playbook.
    pub name: String,
    /// What it does.
    pub what: What,
    /// CEL; false skips the step, an error fails it.
    pub condition: Option<String>,
    /// Done once for each of these, one after another.
    #[serde(default)]
    pub each: Option<Each>,
    /// Of a probe: how long it must stay healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Longest time one try may take.
    pub timeout: Duration,
    /// Tries after the first.
    pub retry: Retry,
    /// What a failure means for the run.
    pub on_failure: OnFailure,
    /// What to do when nobody knows whether it happened.
    pub on_unknown: OnUnknown,
    /// What takes it back.
    pub undo: Option<Undo>,
    /// Line in its file, from 1.
    pub line: u32,
}

/// `undo` of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undo {
    /// What the action says itself, when it is prepared: it stands in the intent.
    #[serde(rename = "previous")]
    Previous,
    /// This action.
    #[serde(untagged)]
    Action(Box<Action>),
}

impl Undo {
    /// The action that the playbook names, if it names one.
    pub fn action(&self) -> Option<&Action> {
        match self {
            Self::Previous => None,
            Self::Action(action) => Some(action),
        }
    }
}

/// How long a probe must stay healthy before the next step begins, and how often it is looked at meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How long. What nobody watched does not count.
    pub lasts: Duration,
    /// Time between two looks.
    pub every: Duration,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Changes the world.
    Action(Action),
    /// Observes until healthy, for at most `within`.
    Probe {
        /// What to observe.
        probe: Probe,
        /// Longest time to become healthy.
        within: Duration,
    },
    /// Waits; survives restarts.
    Wait(Duration),
    /// Asks a person, and waits for the answer; survives restarts.
    Ask(Ask),
}

/// `for_each`: what a step is done for, and how fast. Its templates see `item` and `index`, which counts from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Each {
    /// Where the items come from.
    pub items: Items,
    /// How many are done, in all, at the end of each wave; the last is all. Empty means one wave.
    pub waves: Vec<Share>,
    /// Time between two waves.
    pub bake: Duration,
    /// What must be healthy between two waves, after the time between them.
    pub between: Option<Between>,
    /// G4: most items that the list may have, below that of quell.yml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_targets: Option<u32>,
    /// G4: the failure domain of an item, a template; all items must be of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Template>,
    /// G4: what an item must still be among, asked immediately before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among: Option<Among>,
}

/// `among: { promql, label }`: the values of a label of all series that a query gives now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Among {
    /// The query, a template.
    pub query: Template,
    /// The label whose values are the items.
    pub label: String,
}

/// Where the items of a `for_each` come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// A template each.
    Listed(Vec<Template>),
    /// CEL over the variables of the step, which gives a list of texts or numbers.
    Expression(String),
}

/// A count, or a part of all, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// So many.
    Count(u32),
    /// Of all, from 1 to 100.
    Percent(u8),
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// `between: { probe, within }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// What to observe.
    pub probe: Probe,
    /// Longest time to become healthy.
    pub within: Duration,
}

/// `ask:`, a question to an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The question.
    pub question: Template,
    /// What must be answered, declared as parameters are; empty means yes or no.
    pub answers: BTreeMap<String, Parameter>,
    /// The tier (1–4) that an operator needs to answer.
    pub tier: u8,
    /// Longest time to wait for an answer.
    pub within: Duration,
}

/// `retry: { times, backoff }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries after the first.
    pub times: u32,
    /// First delay; doubled each time, with full jitter above the half.
    pub backoff: Duration,
}

/// `on_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Undo what was done, and fail the run.
    Abort,
    /// Note it, and go on.
    Continue,
}

/// `on_unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Repeating changes nothing: do it again.
    Retry,
    /// Ask the rule's verification whether it helped; continue as if it had been done.
    Probe,
    /// A person decides.
    Ask,
}

/// A probe that must hold for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What to observe.
    pub probe: Probe,
    /// It must begin to hold within this time.
    pub within: Duration,
    /// And go on holding for this long.
    pub hold: Duration,
    /// G16: what must not have become worse than it was before the first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unharmed: Vec<Unharmed>,
}

/// A metric that a remedy must not make worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unharmed {
    /// Unique in its list, for people: `latency`.
    pub name: String,
    /// What to measure.
    pub measure: Measure,
    /// CEL over `value`, `labels` and `before`, the value of the same series before the first step.
    pub worse: String,
}

/// Something that gives numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// An instant query.
    Promql {
        /// The query, a template.
        query: Template,
    },
    /// Samples from a metrics page.
    Scrape {
        /// The page, a template.
        url: Template,
        /// Metric and matchers, a template.
        select: Template,
    },
}
