//! `*.test.yml`: tests of rules, run by `quell test` on a virtual clock.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use super::List;
use super::MatcherText;
use super::Opt;
use super::config::RawEffect;
use crate::decide::guard;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::schema::shape::exactly_one;
use crate::library::schema::shape::spelled;
use crate::model::playbook::Mode;
use crate::model::run::Health;
use crate::model::run::RunState;

/// A file of tests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a test file")]
pub(crate) struct RawTestFile {
    /// Tests, each in a world of its own.
    pub(crate) tests: Field<List<RawTest>>,
}

/// What happens, and what must come of it, on a virtual clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a test")]
pub(crate) struct RawTest {
    /// What it shows, unique in its file.
    pub(crate) name: Field<String>,
    /// When it begins, such as 2026-01-05T10:00:00Z (the default, a Monday).
    pub(crate) at: Opt<String>,
    /// The most any rule may do in this test; that of quell.yml when silent, auto without one.
    pub(crate) mode: Opt<Mode>,
    /// What happens, in order.
    pub(crate) events: Opt<List<RawEvent>>,
    /// What must come of it.
    pub(crate) expect: Field<List<RawExpect>>,
}

/// What happens: a time, and exactly one thing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "an event")]
#[schemars(extend("allOf" = [exactly_one(&[
    "alert", "resolve", "probe", "step", "silence", "unsilence", "alertmanager", "approve", "reject", "ack", "answer", "cancel",
    "take", "give_back", "break_glass", "pause", "resume", "window", "window_ends", "changed", "promote", "restart", "population", "watchdog", "clock",
])]))]
#[schemars(extend("dependencies" = { "annotations": ["alert"], "truncated": ["alert"], "starts": ["alert"] }))]
pub(crate) struct RawEvent {
    /// Time since the beginning of the test; that of the event before when silent.
    pub(crate) at: Opt<DurationText>,
    /// An alert with these labels fires, as Alertmanager would send it.
    pub(crate) alert: Opt<Entries<String>>,
    /// Beside `alert`: its annotations.
    pub(crate) annotations: Opt<Entries<String>>,
    /// Beside `alert`: how many alerts its delivery cut off.
    pub(crate) truncated: Opt<u32>,
    /// Beside `alert`: when its source says that it began, since the beginning of the test; in the future when the source's
    /// clock is wrong. Now when silent.
    pub(crate) starts: Opt<DurationText>,
    /// Open alerts that have all these labels resolve.
    pub(crate) resolve: Opt<Entries<String>>,
    /// From now on a probe sees this.
    pub(crate) probe: Opt<RawSees>,
    /// From now on a step comes to this.
    pub(crate) step: Opt<RawComesTo>,
    /// A person silences alerts that have all these labels, in Alertmanager.
    pub(crate) silence: Opt<Entries<String>>,
    /// The silence of these labels ends.
    pub(crate) unsilence: Opt<Entries<String>>,
    /// From now on Alertmanager says this.
    pub(crate) alertmanager: Opt<RawSays>,
    /// A person says yes to the run that waits for it.
    pub(crate) approve: Opt<RawWord>,
    /// A person says no to the run that waits for approval.
    pub(crate) reject: Opt<RawWord>,
    /// A person acknowledges the incident.
    pub(crate) ack: Opt<RawWord>,
    /// A person says whether the step in doubt happened.
    pub(crate) answer: Opt<RawWord>,
    /// A person asks that a run stop before its next step.
    pub(crate) cancel: Opt<RawWord>,
    /// A person takes the incident over: its runs stop, and none begins.
    pub(crate) take: Opt<RawWord>,
    /// A person gives the incident back.
    pub(crate) give_back: Opt<RawWord>,
    /// An operator of tier 4 lifts approval, windows and the sickness ceiling for the rule or the target, for 30m.
    pub(crate) break_glass: Opt<RawWord>,
    /// The kill switch is set: all, rule:NAME, playbook:NAME or target:NAME.
    pub(crate) pause: Opt<String>,
    /// The kill switch is cleared for this scope.
    pub(crate) resume: Opt<String>,
    /// A person adds a window that begins now.
    pub(crate) window: Opt<RawAdded>,
    /// The window of this name that was added ends now.
    #[schemars(extend("examples" = ["deploy"]))]
    pub(crate) window_ends: Opt<String>,
    /// Somebody changed this target, or all below it.
    #[schemars(extend("examples" = ["kubernetes/prod/deployment/api"]))]
    pub(crate) changed: Opt<String>,
    /// A person trusts this rule again, one rung more.
    #[schemars(extend("examples" = ["api-error-rate"]))]
    pub(crate) promote: Opt<String>,
    /// quell stops and starts again: what is in flight is found in flight.
    pub(crate) restart: Opt<RawNothing>,
    /// From now on the population of a rule is counted so.
    pub(crate) population: Opt<RawCounted>,
    /// The watchdog of quell.yml arrives no more (`gone`), or again (`back`). It arrives when no event says otherwise.
    pub(crate) watchdog: Opt<RawWatchdogIs>,
    /// The wall clock of quell's host is set: notice of it, since the clock of a test goes on.
    pub(crate) clock: Opt<RawSet>,
}

/// What the queries of a rule's `population` come to from now on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`population` of an event")]
pub(crate) struct RawCounted {
    /// The rule.
    pub(crate) rule: Field<String>,
    /// How many members there are; nobody can say when silent.
    pub(crate) of: Opt<u32>,
    /// How many of them are not well; nobody can say when silent.
    pub(crate) unhealthy: Opt<u32>,
}

/// Whether the watchdog arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawWatchdogIs {
    /// It arrives no more.
    Gone,
    /// It arrives again.
    Back,
}

/// Which way a clock is set, and by how much.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`clock` of an event")]
#[schemars(extend("allOf" = [exactly_one(&["forward", "back"])]))]
pub(crate) struct RawSet {
    /// It shows a later time than before.
    pub(crate) forward: Opt<DurationText>,
    /// It shows an earlier time than before.
    pub(crate) back: Opt<DurationText>,
}

/// A window that a person adds, beside those of quell.yml.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`window` of an event")]
pub(crate) struct RawAdded {
    /// Its name.
    #[schemars(extend("examples" = ["deploy"]))]
    pub(crate) name: Field<String>,
    /// How long it lasts.
    #[schemars(extend("examples" = ["2h"]))]
    #[serde(rename = "for")]
    pub(crate) lasts: Field<DurationText>,
    /// observe, refuse or `allow_only`, as in quell.yml.
    pub(crate) effect: Field<RawEffect>,
    /// Matchers of the alerts that it is about; every alert and schedule when silent.
    #[schemars(extend("examples" = [["service=\"shop\""]]))]
    #[serde(rename = "match")]
    pub(crate) matchers: Opt<List<MatcherText>>,
    /// Why, for people.
    pub(crate) reason: Opt<String>,
}

/// `restart: {}`
#[derive(Debug, Deserialize)]
pub(crate) struct RawNothing;

/// What a playbook wants to be shown before it acts, by name.
pub(crate) const PROOFS: [&str; 5] =
    ["load", "hit ratio", "was healthy", "in the registry", "schema unchanged"];

/// What a probe sees from now on, until another event says otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`probe` of an event")]
pub(crate) struct RawSees {
    /// The verification of this rule, which is also asked before it acts.
    pub(crate) rule: Opt<String>,
    /// Beside `rule`: what the playbook of its remedy wants to be shown instead: load, hit ratio, was healthy, in the registry
    /// or schema unchanged.
    #[schemars(extend("anyOf" = spelled(&PROOFS)))]
    pub(crate) proof: Opt<String>,
    /// Beside `rule`: a metric of `unharmed` of its verification instead; unhealthy is worse than before.
    pub(crate) unharmed: Opt<String>,
    /// The probe of this check.
    pub(crate) check: Opt<String>,
    /// The probe step of this playbook.
    pub(crate) playbook: Opt<String>,
    /// Beside `playbook`: the step.
    pub(crate) step: Opt<String>,
    /// healthy, unhealthy or unknown.
    pub(crate) is: Field<Health>,
    /// What was measured, for people.
    pub(crate) measured: Opt<String>,
}

/// What a step comes to from now on. Steps are done at once when no event says otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`step` of an event")]
pub(crate) struct RawComesTo {
    /// The playbook; every one when silent.
    pub(crate) playbook: Opt<String>,
    /// The name of the step; every one when silent.
    pub(crate) step: Opt<String>,
    /// Only the n-th time that it is done from now on, from 1.
    pub(crate) nth: Opt<u32>,
    /// The undo of the step instead of the step.
    pub(crate) undo: Opt<bool>,
    /// done, fails, refused (fails, and trying again is of no use), denied (its credential is refused) or unknown.
    pub(crate) is: Field<RawOutcome>,
    /// What it gives to later steps, when it is done.
    pub(crate) output: Opt<serde_json::Value>,
    /// Why, for people.
    pub(crate) reason: Opt<String>,
    /// How long it takes; nothing when silent.
    pub(crate) takes: Opt<DurationText>,
    /// What a look at its target found before it began, of an action that is made absolute then: `{ from: 3 }` replicas. What is
    /// not named is likely: one replica, revision 1 before 2, a variable that is not there.
    #[schemars(extend("examples" = [{"from": 3}]))]
    pub(crate) found: Opt<Entries<serde_json::Value>>,
}

/// What a step comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawOutcome {
    /// It was done.
    Done,
    /// It fails, and may be tried again.
    Fails,
    /// It fails, and trying again is of no use.
    Refused,
    /// Its credential is refused: whatever uses it waits.
    Denied,
    /// Nobody knows whether it was done.
    Unknown,
}

/// What Alertmanager says of alerts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`alertmanager` of an event")]
pub(crate) struct RawSays {
    /// Alerts that have all these labels; all when silent.
    pub(crate) of: Opt<Entries<String>>,
    /// active, silenced, inhibited, gone or unknown (it cannot be asked).
    pub(crate) is: Field<RawStanding>,
}

/// How an alert stands in Alertmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawStanding {
    /// It fires.
    Active,
    /// A person silenced it.
    Silenced,
    /// Another alert inhibits it.
    Inhibited,
    /// It is not there.
    Gone,
    /// Alertmanager cannot be asked.
    Unknown,
}

/// What a person says, and of which run or incident. The only one that it fits when silent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "what a person says")]
pub(crate) struct RawWord {
    /// Who: an operator of quell.yml.
    pub(crate) by: Opt<String>,
    /// Of a run or incident of this rule.
    pub(crate) rule: Opt<String>,
    /// Of a run on this target.
    pub(crate) target: Opt<String>,
    /// Why, of a `reject` or `break_glass`.
    pub(crate) reason: Opt<String>,
    /// Whether the step happened, of an `answer`.
    pub(crate) happened: Opt<bool>,
    /// Answers to what a step asks, by name, of an `answer`; `{ answer: true }` is a yes.
    #[schemars(extend("examples" = [{"replicas": 3}]))]
    pub(crate) answers: Opt<Entries<serde_json::Value>>,
    /// The step that asks, of an `answer`; needed when the playbook asks more than once.
    pub(crate) step: Opt<String>,
}

/// What must hold: `at`, `rule`, `alert`, `target`, `playbook` and `remedy` say of what, the other keys say what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "an expectation")]
pub(crate) struct RawExpect {
    /// Time since the beginning of the test, after all that happens then; an hour after the last event when silent.
    pub(crate) at: Opt<DurationText>,
    /// The rule that took the alert, or `none`.
    pub(crate) rule: Opt<String>,
    /// Of alerts that have all these labels.
    pub(crate) alert: Opt<Entries<String>>,
    /// Of decisions and runs on this target.
    pub(crate) target: Opt<String>,
    /// Of decisions on and runs of this playbook.
    pub(crate) playbook: Opt<String>,
    /// Of runs of this remedy of the rule, from 1; 0 takes temporary measures back.
    pub(crate) remedy: Opt<u32>,
    /// The latest decision: proceed, ask, hold or refuse.
    pub(crate) verdict: Opt<RawVerdict>,
    /// A guard that gave this verdict.
    #[schemars(extend("anyOf" = spelled(&guard::NAMES)))]
    pub(crate) guard: Opt<String>,
    /// Text in the reason of the latest decision.
    pub(crate) reason: Opt<String>,
    /// The mode of the latest run.
    pub(crate) mode: Opt<Mode>,
    /// What the latest run has done, one action a line, rendered; `undo …` for what it took back.
    pub(crate) steps: Opt<List<String>>,
    /// What the latest run is planned to do, one action a line, rendered as far as it can be known before.
    pub(crate) plan: Opt<List<String>>,
    /// Where the latest run stands: awaiting approval, awaiting answer, running, verifying, fixed, failed …
    #[schemars(extend("anyOf" = spelled(&RunState::ALL.map(RunState::as_str))))]
    pub(crate) run: Opt<String>,
    /// Text in what people are told of the latest run.
    pub(crate) outcome: Opt<String>,
    /// How many runs there were.
    pub(crate) runs: Opt<u32>,
    /// No run was created.
    pub(crate) nothing: Opt<bool>,
    /// Where the latest incident stands: open, acknowledged or resolved.
    #[schemars(extend("enum" = ["open", "acknowledged", "resolved"]))]
    pub(crate) incident: Opt<String>,
    /// How many incidents there were.
    pub(crate) incidents: Opt<u32>,
    /// Whether the latest incident was given to people.
    pub(crate) escalated: Opt<bool>,
    /// What people were told by then: each of these.
    pub(crate) notifications: Opt<List<RawTold>>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawVerdict {
    /// The remedy runs.
    Proceed,
    /// The remedy waits for a person.
    Ask,
    /// The remedy waits until a guard lets it run.
    Hold,
    /// The remedy does not run.
    Refuse,
}

/// What a channel was told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a notification")]
pub(crate) struct RawTold {
    /// Name of the channel.
    pub(crate) channel: Opt<String>,
    /// `opened`, `progress`, `needs_you`, `acknowledged` or `resolved`.
    pub(crate) kind: Opt<RawKind>,
    /// Text in its headline, its details or what was tried.
    pub(crate) text: Opt<String>,
    /// Its whole headline.
    pub(crate) headline: Opt<String>,
    /// Exactly so many; at least one when silent.
    pub(crate) count: Opt<u32>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawKind {
    /// An incident opened.
    Opened,
    /// Something was tried.
    Progress,
    /// A person is needed.
    NeedsYou,
    /// A person acknowledged.
    Acknowledged,
    /// It is over.
    Resolved,
}
