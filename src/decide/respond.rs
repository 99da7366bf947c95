//! What an open episode asks for under one rule, between the questions that only its caller can answer.
//!
//! ```text
//! opening ─▶ asks ─▶ judge ─▶ (Alertmanager) ─▶ (precheck) ─▶ conclude ─▶ again, a plan, or people
//! ```
//!
//! The engine answers from the store and from outside; the rehearsal answers from a script. Both decide here, so they
//! cannot drift apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::approval;
use crate::decide::audience;
use crate::decide::guard;
use crate::decide::guard::Subject;
use crate::decide::own;
use crate::decide::page;
use crate::decide::plan;
use crate::decide::plan::Wanted;
use crate::decide::response;
use crate::decide::response::Next;
use crate::decide::tell;
use crate::decide::trust;
use crate::decide::trust::Policy;
use crate::decide::window;
use crate::model::config::Config;
use crate::model::decision::Circumstances;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::decision::PastRun;
use crate::model::decision::Ruling;
use crate::model::decision::Runs;
use crate::model::decision::Standing;
use crate::model::decision::Verdict;
use crate::model::decision::Version;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Rate;
use crate::model::probe::Probe;
use crate::model::rule::Rule;
use crate::model::rule::is_schedule;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::Plan;
use crate::model::time::after;
use crate::model::time::since;
use crate::model::trust::Trust;
use crate::model::window::Window;

/// Why an alert without a rule gets nothing.
pub const NO_RULE: &str = "no rule matches this alert";

/// Why a held page is sent although the alert has resolved.
pub const NOT_SEEN_TO_HELP: &str =
    "the alert has resolved, and nothing that quell tried was seen to help";

/// The incident that a rule opens for an episode when none of its group is open.
#[derive(Debug)]
pub struct Opening {
    /// As it would be opened; its id is the store's to give.
    pub incident: Incident,
    /// What the rule acts on, or why that cannot be said.
    pub target: Result<String, String>,
    /// Time for an acknowledgement.
    pub ack_within: Option<Duration>,
}

/// Names what the episode is about under this rule.
pub fn opening(config: &Config, rule: &Rule, episode: &Episode, now: Timestamp) -> Opening {
    let target = plan::target(rule, episode);
    let group_target = target.as_deref().unwrap_or_default();
    let group = plan::group_key(rule, episode, group_target);
    let mut incident = new_incident(&rule.name, group, episode, group_target, now);
    incident.held_until = page::hold(rule, now);
    let ack_within = ack_within(config, &incident.severity);
    Opening { incident, target, ack_within }
}

/// How soon somebody must acknowledge an incident of this severity.
pub fn ack_within(config: &Config, severity: &str) -> Option<Duration> {
    audience::severity(config, severity).and_then(|severity| severity.ack_within)
}

/// What people are told when a rule's incident opens.
pub fn opened(
    config: &Config,
    rule: &Rule,
    incident: &Incident,
    episode: &Episode,
    now: Timestamp,
) -> Vec<Owed> {
    let notice = tell::opened(incident, episode, rule.response.len(), now);
    page::held(config, incident, audience::owed(config, &notice, false))
}

/// What people are told when an incident flaps.
pub fn flaps(config: &Config, incident: &Incident, episode: &Episode, now: Timestamp) -> Vec<Owed> {
    let notice = tell::flaps(incident, episode, config.limits.flapping.value, now);
    page::held(config, incident, audience::owed(config, &notice, false))
}

/// How long an incident that flapped must be quiet before it is over.
pub fn quiet_after_flapping(limit: Rate) -> Duration {
    limit.per.checked_div(limit.count.saturating_add(1)).unwrap_or(limit.per)
}

/// The incident of an alert that no rule matches; `None` when `unmatched:` names nobody to tell, and it is not about quell itself.
pub fn unmatched(config: &Config, episode: &Episode, now: Timestamp) -> Option<Incident> {
    let own = own::is_name(episode.labels.get("alertname")) && !config.channels.is_empty();
    let told = own || !config.unmatched.is_empty();
    told.then(|| new_incident("", episode.fingerprint.clone(), episode, "", now))
}

/// What people are told of an alert that no rule matches.
pub fn opened_unmatched(
    config: &Config,
    incident: &Incident,
    episode: &Episode,
    now: Timestamp,
) -> Vec<Owed> {
    audience::owed(config, &tell::opened(incident, episode, 0, now), true)
}

/// Why a rule whose `when` could not be evaluated does not act.
pub fn when_unknown(rule: &Rule, why: &str) -> String {
    format!("`when` of rule {} is unknown, so it does not act: {why}", rule.name)
}

fn new_incident(
    rule: &str,
    group_key: String,
    episode: &Episode,
    target: &str,
    now: Timestamp,
) -> Incident {
    Incident {
        rule: rule.to_owned(),
        group_key,
        title: plan::title(episode, target),
        severity: episode.labels.get("severity").to_owned(),
        labels: episode.labels.clone(),
        ..Incident::unstored(now)
    }
}

/// One episode under one rule: what every decision about it reads.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Settings.
    pub config: &'a Config,
    /// The rule that took the alert.
    pub rule: &'a Rule,
    /// The episode.
    pub episode: &'a Episode,
    /// Its incident under the rule.
    pub incident: &'a Incident,
    /// What the rule acts on.
    pub target: &'a str,
    /// Windows of quell.yml, and those that were added.
    pub windows: &'a [Window],
    /// The last word on how far the rule is trusted.
    pub trust: Option<&'a Trust>,
    /// Now.
    pub now: Timestamp,
}

/// What the response asks for, before any guard is asked.
#[derive(Debug)]
pub enum Asks {
    /// Nothing, until then, or until something happens.
    Nothing {
        /// When to look again.
        until: Option<Timestamp>,
    },
    /// Send the page that is held, for this reason; then nothing, until then.
    Page {
        /// Why nothing is tried.
        reason: String,
        /// When to look again.
        until: Option<Timestamp>,
    },
    /// Write down why nothing is done.
    Note(String),
    /// Give the incident to people, and write it down.
    People(String),
    /// Judge this remedy.
    Remedy(Box<Candidate>),
}

/// A remedy whose turn it is.
#[derive(Debug)]
pub struct Candidate {
    /// What is judged.
    pub subject: Subject,
    /// Its playbook.
    pub playbook: Arc<Playbook>,
    /// How often it was begun before for this trouble and did nothing.
    pub round: u32,
    /// What may lower the trust in its rule; `None` for a schedule.
    pub policy: Option<Policy>,
}

impl Candidate {
    /// How far back facts must look: a run may last long beyond its start, so twice as far as the longest window.
    pub fn look_back(&self) -> Duration {
        let limits = &self.subject.limits;
        [
            limits.cooldown.value,
            limits.global_rate.value.per,
            limits.rule_rate.as_ref().map_or(Duration::ZERO, |rate| rate.value.per),
            limits.playbook_rate.map_or(Duration::ZERO, |rate| rate.per),
            self.policy.as_ref().map(Policy::look_back).unwrap_or_default(),
            limits.service_rate.value.per,
            limits.ineffective.value.per,
            limits.failures.value.per,
            limits.blast.as_ref().map_or(Duration::ZERO, |it| it.value.within),
            self.subject.rollback.as_ref().map_or(Duration::ZERO, |it| it.memory),
        ]
        .into_iter()
        .max()
        .unwrap_or_default()
        .saturating_mul(2)
    }
}

impl Candidate {
    /// What its playbook wants to be shown before it acts.
    pub fn wanted(&self, rule: &Rule, episode: &Episode) -> Vec<Wanted> {
        let remedy = (self.subject.remedy as usize).checked_sub(1);
        let remedy = remedy.and_then(|index| rule.response.get(index));
        remedy.map_or_else(Vec::new, |it| plan::wanted(rule, &self.playbook, &it.with, episode))
    }
}

/// Whether a run of this rule has come to be on the target since the response was asked: another worker has judged the same
/// episode, so this judgement is void.
pub fn is_overtaken(case: Case<'_>, facts: &Facts) -> bool {
    facts.runs.iter().any(|run| {
        let same = run.incident == case.incident.id && run.rule == case.rule.name;
        same && run.target == case.target && run.remedy > 0 && !run.state.is_final()
    })
}

/// Whether a remedy that was judged is judged the same by these facts, in which only runs have changed.
pub fn comes_to_the_same(
    case: Case<'_>,
    candidate: &Candidate,
    verdict: &Verdict,
    facts: &Facts,
) -> bool {
    let rulings = guard::judge(&candidate.subject, facts, case.now);
    !is_overtaken(case, facts)
        && trust::again(case, candidate, facts).is_none()
        && guard::conclude(&rulings).0 == *verdict
}

/// Whose turn it is; `runs` are at least all runs of the incident, in order of start.
pub fn asks(case: Case<'_>, playbooks: &BTreeMap<String, Arc<Playbook>>, runs: &Runs) -> Asks {
    let Case { rule, episode, incident, target, now, .. } = case;
    let mine: Vec<PastRun> = runs
        .iter()
        .filter(|run| run.incident == incident.id && run.rule == rule.name)
        .cloned()
        .collect();
    let next =
        response::next(rule.response.len(), incident.id, target, episode.opened_at, &mine, now);
    match next {
        Next::Busy => Asks::Nothing { until: None },
        Next::Observed { at, remedy, round } => {
            match window::observed_until(case.windows, &episode.labels, at) {
                // observed because of a window: when it is over, the remedy is judged again
                Some(until) if until <= now => judge(case, playbooks, remedy, round),
                until if incident.held_until.is_some() => {
                    Asks::Page { reason: "mode observe: nothing is tried".to_owned(), until }
                }
                until => Asks::Nothing { until },
            }
        }
        Next::Fixed { until } => Asks::Nothing { until: Some(until) },
        Next::NoResponse => Asks::Note(format!("rule {} has no remedy: people only", rule.name)),
        Next::People(reason) => Asks::People(reason),
        Next::Remedy { remedy, round } => judge(case, playbooks, remedy, round),
    }
}

fn judge(
    case: Case<'_>,
    playbooks: &BTreeMap<String, Arc<Playbook>>,
    remedy: u32,
    round: u32,
) -> Asks {
    match candidate(case, playbooks, remedy, round) {
        Ok(candidate) => Asks::Remedy(Box::new(candidate)),
        Err(reason) => Asks::People(reason),
    }
}

/// Remedy `number` of the rule, from 1.
pub fn candidate(
    case: Case<'_>,
    playbooks: &BTreeMap<String, Arc<Playbook>>,
    number: u32,
    round: u32,
) -> Result<Candidate, String> {
    let Case { config, rule, episode, incident, target, .. } = case;
    let remedy = (number as usize).checked_sub(1).and_then(|index| rule.response.get(index));
    let remedy = remedy.ok_or_else(|| format!("rule {} has no remedy {number}", rule.name))?;
    let playbook = playbooks
        .get(&remedy.playbook)
        .ok_or_else(|| format!("there is no playbook {}", remedy.playbook))?;
    let numbered = (number, remedy);
    let mut subject =
        plan::subject(config, rule, numbered, playbook, episode, incident.id, target)?;
    let windows = window::covering(case.windows, &episode.labels, case.now);
    subject.modes.extend(window::modes(&windows));
    subject.modes.extend(case.trust.map(|it| (trust::knob(it), it.mode)));
    let policy = Policy::of(config, rule, number, playbook.mode);
    Ok(Candidate { subject, playbook: Arc::clone(playbook), round, policy })
}

/// Facts that the episode and the windows tell; pauses and runs are the caller's to add, and outside is not
/// asked yet.
pub fn facts(windows: &[Window], episode: &Episode, now: Timestamp) -> Facts {
    // a slot of a schedule needs no evidence: it is true because it is time
    let evidence_age =
        if is_schedule(&episode.source) { Duration::ZERO } else { since(now, episode.seen_at) };
    Facts {
        version: Version::default(),
        pauses: Vec::new(),
        firing: episode.open,
        firing_for: since(now, episode.starts_at.min(episode.opened_at)),
        evidence_age,
        truncated: episode.truncated,
        standing: Standing::NotAsked,
        ahead: since(episode.starts_at, now),
        windows: window::covering(windows, &episode.labels, now),
        around: Circumstances::default(),
        population: None,
        proofs: Vec::new(),
        precheck: None,
        runs: Runs::default(),
    }
}

/// Whether Alertmanager is worth asking: nothing that is known already is against it. A stale alert may yet be confirmed
/// by Alertmanager, so a hold of that guard alone does not stop here.
pub fn worth_asking(rulings: &[Ruling]) -> bool {
    rulings.iter().all(|ruling| ruling.verdict.caution() < 2 || ruling.guard == guard::STALE)
}

/// Whether the precheck is worth asking, after what Alertmanager said.
pub fn worth_looking(standing: &Standing) -> bool {
    match standing {
        Standing::Silenced { .. } | Standing::Gone | Standing::Inhibited => false,
        Standing::Active | Standing::Unknown { .. } | Standing::NotAsked => true,
    }
}

/// The verification probe, asked before acting: what is healthy needs no remedy, and what cannot be seen gets none.
/// `None` when the rule names none, or is a schedule's, which runs because it is time and not because something is sick; a
/// probe that cannot be rendered is seen as unknown.
pub fn precheck(rule: &Rule, episode: &Episode) -> Option<Result<Probe, Observation>> {
    rule.verify.as_ref().filter(|_| !is_schedule(&rule.name))?;
    Some(match plan::verification(rule, episode) {
        Ok(verify) => Ok(verify.probe),
        Err(error) => Err(Observation { health: Health::Unknown, measured: error, denied: false }),
    })
}

/// Whether the alert has gone: by its resolution, else by what Alertmanager says of it, else by what was said last.
pub fn alert_seen(open: bool, standing: &Standing) -> Observation {
    let (health, measured) = match standing {
        _ if !open => (Health::Healthy, "the alert has resolved"),
        Standing::Active => (Health::Unhealthy, "the alert still fires"),
        Standing::Silenced { .. } => (Health::Unhealthy, "the alert still fires, silenced"),
        Standing::Inhibited => (Health::Unhealthy, "the alert still fires, inhibited"),
        Standing::Gone => (Health::Healthy, "Alertmanager no longer lists the alert"),
        Standing::NotAsked => (Health::Unhealthy, "the alert has not resolved"),
        Standing::Unknown { reason } => (Health::Unknown, reason.as_str()),
    };
    Observation { health, measured: measured.to_owned(), denied: false }
}

/// A judged remedy, and what follows.
#[derive(Debug)]
pub struct Conclusion {
    /// To be stored when it says something new.
    pub decision: Decision,
    /// Owed with the decision, if it is new.
    pub owed: Vec<Owed>,
    /// Why the page, if it is held, is to be sent now: nothing can be verified before its time is over.
    pub page: Option<String>,
    /// What follows.
    pub then: Then,
}

/// What follows a judgement.
#[derive(Debug)]
pub enum Then {
    /// Judge again then.
    Again(Timestamp),
    /// Create a run of this plan; its end makes the episode due again.
    Create(Box<Plan>),
    /// It cannot be planned: give the incident to people, and write it down.
    People(String),
}

/// Says what all rulings come to.
pub fn conclude(
    case: Case<'_>,
    candidate: &Candidate,
    facts: &Facts,
    rulings: Vec<Ruling>,
) -> Conclusion {
    let Case { config, rule, episode, incident, now, .. } = case;
    let subject = &candidate.subject;
    let (verdict, reason) = guard::conclude(&rulings);
    let owed = if tells(&rulings, facts) {
        audience::owed(config, &tell::refused(incident, &reason, now), false)
    } else {
        Vec::new()
    };
    let then = match &verdict {
        Verdict::Hold { until } => Then::Again(*until),
        Verdict::Refuse => Then::Again(after(now, guard::AGAIN_AFTER)),
        Verdict::Proceed | Verdict::Ask => {
            let mode = mode(subject, &verdict);
            match plan::plan(rule, subject, &candidate.playbook, episode, mode, now) {
                Ok(plan) => {
                    let glass = facts.around.glass.as_ref();
                    Then::Create(Box::new(approval::lifted(plan, subject, glass)))
                }
                Err(errors) => Then::People(errors.join("; ")),
            }
        }
    };
    let decision = Decision {
        episode: episode.id,
        incident: Some(incident.id),
        rule: subject.rule.clone(),
        playbook: subject.playbook.clone(),
        target: subject.target.clone(),
        verdict,
        reason,
        rulings,
        at: now,
    };
    let deadline = incident.held_until.filter(|until| *until > incident.opened_at);
    let page = deadline.and_then(|deadline| page::in_vain(&decision, deadline));
    Conclusion { decision, owed, page, then }
}

/// What a plan may do: a guard that asks makes it wait for a person's yes, and break-glass lifts that.
pub fn mode(subject: &Subject, verdict: &Verdict) -> Mode {
    match (guard::lowest_mode(subject).0, verdict) {
        (Mode::Observe, _) => Mode::Observe,
        (Mode::Approve | Mode::Auto, Verdict::Proceed) => Mode::Auto,
        (Mode::Approve | Mode::Auto, Verdict::Ask | Verdict::Hold { .. } | Verdict::Refuse) => {
            Mode::Approve
        }
    }
}

/// A person is told of a refusal that they would want to know of: not of waiting, nor of their own silence.
fn tells(rulings: &[Ruling], facts: &Facts) -> bool {
    let evidence = rulings
        .iter()
        .any(|ruling| ruling.guard == guard::EVIDENCE && ruling.verdict.caution() >= 2);
    let already_healthy =
        facts.precheck.as_ref().is_some_and(|seen| seen.health == Health::Healthy);
    // what only people can end (G5, G12)
    let for_people = rulings.iter().any(|ruling| {
        ruling.verdict == Verdict::Refuse
            && [guard::INEFFECTIVE, guard::ROLLBACK_PROOF].contains(&ruling.guard.as_str())
    });
    for_people || (evidence && !already_healthy)
}

/// What people are told when a run is created: one that `asks` needs a person's yes.
pub fn created(
    config: &Config,
    incident: &Incident,
    run: RunId,
    plan: &Plan,
    verdict: &Verdict,
    now: Timestamp,
) -> Vec<Owed> {
    if *verdict != Verdict::Ask {
        return Vec::new();
    }
    let notice = tell::asks_approval(incident, &run.to_string(), plan, now);
    audience::owed(config, &notice, false)
}

/// What people are told when the incident is given to them: everything that was tried, on every channel that anybody
/// would be told on.
pub fn given_to_people(
    config: &Config,
    incident: &Incident,
    reason: &str,
    tried: Vec<String>,
    now: Timestamp,
) -> Vec<Owed> {
    let notice = tell::escalated(incident, reason, tried, now);
    let mut owed = audience::owed(config, &notice, incident.rule.is_empty());
    for more in audience::owed_escalation(config, &notice) {
        if !owed.iter().any(|it| it.channel == more.channel) {
            owed.push(more);
        }
    }
    owed
}

/// A decision that no guard made: no rule, no remedy left, a template that cannot be rendered.
pub fn without_guards(
    episode: &Episode,
    incident: Option<&Incident>,
    rule: &str,
    target: &str,
    reason: String,
    now: Timestamp,
) -> Decision {
    Decision {
        episode: episode.id,
        incident: incident.map(|it| it.id),
        rule: rule.to_owned(),
        playbook: String::new(),
        target: target.to_owned(),
        verdict: Verdict::Refuse,
        reason,
        rulings: Vec::new(),
        at: now,
    }
}

/// Whether a decision says the same as the one before it, for the same episode and rule: then it is not written again.
pub fn same(before: &Decision, decision: &Decision) -> bool {
    before.playbook == decision.playbook
        && before.incident == decision.incident
        && before.verdict.as_str() == decision.verdict.as_str()
        && deciding(before) == deciding(decision)
}

/// The guard that decided; without one, the reason.
pub fn deciding(decision: &Decision) -> &str {
    decision
        .rulings
        .iter()
        // of several holds the one that lasts longest
        .find(|ruling| ruling.verdict == decision.verdict)
        .map_or(decision.reason.as_str(), |ruling| ruling.guard.as_str())
}

#[cfg(test)]
mod tests;
