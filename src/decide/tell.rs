//! What people are told: the same facts in the same words on every channel. Pure; channels escape.

mod journal;

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::answer;
use crate::decide::approval;
use crate::decide::machine::List;
use crate::decide::machine::Phase;
use crate::decide::machine::Record;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::machine::item_words;
use crate::decide::own;
use crate::decide::plan;
use crate::decide::respond;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::playbook::Each;
use crate::model::playbook::Items;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::playbook::Step;
use crate::model::playbook::What;
use crate::model::rule::is_schedule;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::trust::Trust;

pub use journal::action_line;
pub use journal::event_line;
pub use journal::unharmed_words;

/// Annotation texts are cut to this many characters in notices.
const MAX_TEXT: usize = 500;
/// Items of a `for_each` that one line names.
const MOST_NAMED: usize = 10;

/// A notice that says one thing.
pub(super) fn notice(
    incident: &Incident,
    kind: NoticeKind,
    headline: String,
    now: Timestamp,
) -> Notice {
    Notice {
        kind,
        incident: incident.id,
        title: incident.title.clone(),
        severity: incident.severity.clone(),
        headline,
        details: Vec::new(),
        tried: Vec::new(),
        proposes: None,
        labels: incident.labels.clone(),
        opened_at: incident.opened_at,
        at: now,
    }
}

/// An incident began.
pub fn opened(incident: &Incident, episode: &Episode, remedies: usize, now: Timestamp) -> Notice {
    let next = match remedies {
        _ if incident.rule.is_empty() && own::is_name(incident.labels.get("alertname")) => {
            "it is about quell itself: a person must look".to_owned()
        }
        _ if incident.rule.is_empty() => "no rule matches it: a person must look".to_owned(),
        0 => format!("rule {} has no remedy: a person must look", incident.rule),
        1 => format!("rule {} has one remedy, which quell judges now", incident.rule),
        count => format!("rule {} has {count} remedies, which quell judges now", incident.rule),
    };
    let headline = format!("{} is firing; {next}", name(&incident.labels));
    let mut notice = notice(incident, NoticeKind::Opened, headline, now);
    notice.details = evidence(episode);
    notice
}

/// Says in notices how it was found, where no webhook told of it.
pub fn as_found(mut owed: Vec<Owed>, found: Option<&String>) -> Vec<Owed> {
    for (it, words) in owed.iter_mut().zip(found.into_iter().cycle()) {
        it.notice.details.push(words.clone());
    }
    owed
}

/// It fires again and again: from now on that is one incident.
pub fn flaps(incident: &Incident, episode: &Episode, limit: Rate, now: Timestamp) -> Notice {
    let headline = format!(
        "{} flaps: it fired more than {} times within {}, so it stays one incident until it has been quiet for {}",
        name(&incident.labels),
        limit.count,
        show_duration(limit.per),
        show_duration(respond::quiet_after_flapping(limit)),
    );
    let mut notice = notice(incident, NoticeKind::Opened, headline, now);
    notice.details = evidence(episode);
    notice
}

/// Automation will not act for now, and a person should know why.
pub fn refused(incident: &Incident, reason: &str, now: Timestamp) -> Notice {
    let headline = format!("quell does not act: {reason}");
    notice(incident, NoticeKind::NeedsYou, headline, now)
}

/// A remedy waits for a person's yes.
pub fn asks_approval(incident: &Incident, run: &str, plan: &Plan, now: Timestamp) -> Notice {
    let until = plan
        .approve_until
        .map_or_else(String::new, |at| format!(" within {}", show_duration(since(at, now))));
    let headline = format!(
        "proposes {} on {} (remedy {} of {}): needs {}{until}: quell approve {run}",
        plan.playbook.name,
        plan.target,
        plan.remedy,
        plan.remedies,
        approval::needs(plan, &State::empty(plan)),
    );
    let mut notice = notice(incident, NoticeKind::NeedsYou, headline, now);
    notice.details = plan_lines(plan);
    notice.proposes = run.parse().ok();
    notice
}

/// Some have said yes to a plan that needs more of them.
pub fn approved_in_part(
    incident: &Incident,
    run: &str,
    plan: &Plan,
    state: &State,
    now: Timestamp,
) -> Notice {
    let until = state
        .approve_until
        .map_or_else(String::new, |at| format!(" within {}", show_duration(since(at, now))));
    let headline = format!("{}{until}: quell approve {run}", outcome_line(plan, state));
    let mut notice = notice(incident, NoticeKind::NeedsYou, headline, now);
    notice.details = plan_lines(plan);
    notice.proposes = run.parse().ok();
    notice
}

/// A person took it over.
pub fn taken(incident: &Incident, by: &str, now: Timestamp) -> Notice {
    let after = show_duration(since(now, incident.opened_at));
    let id = incident.id;
    let headline = format!(
        "taken over by {by} after {after}: quell does nothing more for it until `quell give-back {id}`"
    );
    notice(incident, NoticeKind::Acknowledged, headline, now)
}

/// A person gave it back.
pub fn given_back(incident: &Incident, by: &str, now: Timestamp) -> Notice {
    let headline = format!("given back by {by}: quell judges it again");
    notice(incident, NoticeKind::Progress, headline, now)
}

/// A run ended, or waits for a person.
pub fn run_ended(
    incident: &Incident,
    run: &str,
    plan: &Plan,
    state: &State,
    now: Timestamp,
) -> Notice {
    let kind = match state.summary() {
        RunState::InDoubt | RunState::AwaitingAnswer | RunState::Stuck => NoticeKind::NeedsYou,
        // the incident is over, so nothing else would tell that its temporary measures stand
        RunState::Failed | RunState::Cancelled if plan.remedy == 0 => NoticeKind::NeedsYou,
        RunState::Planned
        | RunState::AwaitingApproval
        | RunState::Running
        | RunState::Verifying
        | RunState::Undoing
        | RunState::Fixed
        | RunState::Failed
        | RunState::Cancelled
        | RunState::Expired
        | RunState::Rejected
        | RunState::Observed
        | RunState::Superseded => NoticeKind::Progress,
    };
    let mut headline = outcome_line(plan, state);
    if state.summary() == RunState::InDoubt {
        headline = format!(
            "{headline}; a person must say whether it happened: quell answer {run} happened|did-not-happen"
        );
    }
    let mut details = step_lines(plan, state);
    if let (Phase::Asking { until, .. }, Some(question)) =
        (&state.phase, answer::question(plan, state))
    {
        let within = show_duration(since(*until, now));
        headline = format!(
            "{headline}; needs one person of tier {} within {within}: {}",
            question.ask.tier,
            answer::command(run, &question)
        );
        details.splice(0..0, answer::lines(question.ask));
    }
    let mut notice = notice(incident, kind, headline, now);
    notice.details = details;
    notice
}

/// Automation gives the incident to people, with everything that was tried.
pub fn escalated(incident: &Incident, reason: &str, tried: Vec<String>, now: Timestamp) -> Notice {
    let headline = format!("{reason}: a person must take over");
    let mut notice = notice(incident, NoticeKind::NeedsYou, headline, now);
    notice.tried = tried;
    notice
}

/// The rule of the incident is trusted less from now on.
pub fn demoted(incident: &Incident, trust: &Trust) -> Notice {
    let (rule, mode) = (&trust.rule, trust.mode.as_str());
    let headline = format!(
        "rule {rule} is trusted less: mode {mode} until a person says quell promote {rule}"
    );
    let mut notice = notice(incident, NoticeKind::Progress, headline, trust.at);
    notice.details = vec![trust.why.clone()];
    notice
}

/// A page that was held is sent: it was not verified fixed, or nothing is tried any more.
pub fn paged(incident: &Incident, reason: &str, tried: Vec<String>, now: Timestamp) -> Notice {
    let headline = format!("{reason}: a person must look");
    let mut notice = notice(incident, NoticeKind::NeedsYou, headline, now);
    notice.tried = tried;
    notice
}

/// Nobody acknowledged in time.
pub fn unanswered(incident: &Incident, after: Duration, now: Timestamp) -> Notice {
    let headline = format!("nobody has acknowledged it within {}", show_duration(after));
    notice(incident, NoticeKind::NeedsYou, headline, now)
}

/// A person has it.
pub fn acknowledged(incident: &Incident, by: &str, now: Timestamp) -> Notice {
    let headline =
        format!("acknowledged by {by} after {}", show_duration(since(now, incident.opened_at)));
    notice(incident, NoticeKind::Acknowledged, headline, now)
}

/// All episodes are closed.
pub fn resolved(
    incident: &Incident,
    tried: Vec<String>,
    fixed_by: Option<&str>,
    now: Timestamp,
) -> Notice {
    let took = show_duration(since(now, incident.opened_at));
    let headline = match fixed_by {
        Some(playbook) if is_schedule(&incident.rule) => {
            format!("resolved after {took}: {playbook} ran again")
        }
        Some(playbook) => format!("resolved after {took}: {playbook} helped"),
        None if tried.is_empty() => format!("resolved after {took} by itself: quell did nothing"),
        None => format!("resolved after {took}; nothing that quell tried was seen to help"),
    };
    let mut notice = notice(incident, NoticeKind::Resolved, headline, now);
    notice.tried = tried;
    notice
}

/// Which step the doubt is about: `step 1 (restart): `.
fn doubtful_step(plan: &Plan, state: &State) -> String {
    let Phase::InDoubt { step, item, .. } = state.phase else { return String::new() };
    let name = plan.playbook.steps.get(step).map_or("?", |step| step.name.as_str());
    let list = state.lists.get(&step);
    let item = item.and_then(|item| list?.items.get(item)).map(item_words);
    let item = item.map(|words| format!(", {words}")).unwrap_or_default();
    format!("step {} ({name}{item}): ", step + 1)
}

/// One line on what a run did and what came of it: `restart on deployment/api: did not help: 0.12`.
pub fn outcome_line(plan: &Plan, state: &State) -> String {
    let what = format!("{} on {}", plan.playbook.name, plan.target);
    let reason = &state.reason;
    match state.summary() {
        RunState::Fixed if plan.remedy == 0 => {
            format!("{what}: temporary measures taken back")
        }
        RunState::Fixed if plan.verify.is_none() => format!("{what}: done"),
        RunState::Fixed => format!("{what}: verified: {reason}"),
        RunState::Failed if plan.remedy == 0 => {
            format!("{what}: temporary measures still stand: {reason}")
        }
        RunState::Failed if undone(state) => format!("{what}: {reason}; undone"),
        RunState::Stuck => {
            format!("{what}: stuck: {reason}; what was done stands, look before anything else")
        }
        RunState::AwaitingAnswer => {
            let question = answer::question(plan, state).map_or("?", |question| question.text);
            format!("{what}: asks: {}", short(question))
        }
        RunState::InDoubt => format!("{what}: in doubt: {}{reason}", doubtful_step(plan, state)),
        RunState::Cancelled => {
            format!("{what}: stopped between steps: {reason}{}", left(plan, state))
        }
        RunState::Failed
        | RunState::Superseded
        | RunState::Expired
        | RunState::Rejected
        | RunState::Observed => format!("{what}: {reason}"),
        RunState::AwaitingApproval if state.is_approved() => format!(
            "{what}: approved by {}; needs {}",
            state.approved_by.join(" and "),
            approval::needs(plan, state)
        ),
        RunState::Planned
        | RunState::AwaitingApproval
        | RunState::Running
        | RunState::Verifying
        | RunState::Undoing => format!("{what}: {}", state.summary().as_str()),
    }
}

/// A run, as far as people are told of it afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Try<'a> {
    /// The run.
    pub run: RunId,
    /// Its playbook.
    pub playbook: &'a str,
    /// What it acts on.
    pub target: &'a str,
    /// Which remedy, from 1; 0 takes temporary measures back.
    pub remedy: u32,
    /// Where it stands.
    pub state: RunState,
    /// In words, once it has ended or waits for a person.
    pub outcome: &'a str,
    /// When it was created.
    pub started_at: Timestamp,
}

/// What was tried, one line a run, and the playbook that was verified to help, if one was; runs in order of start.
pub fn tried<'a>(runs: impl Iterator<Item = Try<'a>>) -> (Vec<String>, Option<String>) {
    let (mut lines, mut fixed_by) = (Vec::new(), None);
    for run in runs.filter(|run| run.remedy > 0) {
        // nothing was done for these: they are decisions, not tries
        if matches!(run.state, RunState::Superseded | RunState::Observed) {
            continue;
        }
        if run.state == RunState::Fixed {
            fixed_by = Some(run.playbook.to_owned());
        }
        let outcome = if run.outcome.is_empty() {
            format!("{} on {}: {}", run.playbook, run.target, run.state.as_str())
        } else {
            run.outcome.to_owned()
        };
        let at = run.started_at.strftime("%H:%M:%S UTC");
        lines.push(format!("{outcome} ({}, {at})", run.run));
    }
    (lines, fixed_by)
}

/// One line a step: what it is and what came of it; and one for each item that was not simply done.
pub fn step_lines(plan: &Plan, state: &State) -> Vec<String> {
    let count = plan.playbook.steps.len();
    let mut lines = Vec::new();
    for (index, (step, record)) in plan.playbook.steps.iter().zip(&state.steps).enumerate() {
        let list = state.lists.get(&index);
        let came = match (record_words(record), list) {
            (Some(came), _) => came,
            (None, Some(list)) => so_far(list),
            (None, None) => continue,
        };
        lines.push(format!("step {}/{count} {}: {came}", index + 1, step.name));
        let items = list.into_iter().flat_map(|list| list.items.iter().zip(&list.records));
        let odd = items.filter(|(_, record)| !matches!(record, Record::Done { .. }));
        lines.extend(odd.filter_map(|(item, record)| {
            Some(format!("  {}: {}", item_words(item), record_words(record)?))
        }));
    }
    lines
}

fn record_words(record: &Record) -> Option<String> {
    Some(match record {
        Record::Pending => return None,
        Record::Done { summary, .. } => summary.clone(),
        Record::Failed { reason } => format!("failed: {reason}"),
        Record::Skipped { reason } => format!("skipped: {reason}"),
        Record::Undone => "done, then undone".to_owned(),
        Record::UndoFailed { reason } => format!("done; undoing it failed: {reason}"),
    })
}

fn so_far(list: &List) -> String {
    let over = list.records.iter().filter(|it| !matches!(it, Record::Pending)).count();
    format!("{over} of {} items so far", list.items.len())
}

/// What a plan would do, one line a step.
pub fn plan_lines(plan: &Plan) -> Vec<String> {
    plan.playbook
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let kind = match (&step.each, plan.lists.get(&index)) {
                (Some(each), Some(items)) => {
                    let items: Vec<String> = items.iter().map(item_words).collect();
                    format!("{}{}", kind_line(&step.what), waves_words(each, &named(&items)))
                }
                (Some(_), None) if plan.mode == Mode::Approve => {
                    format!("{}, which is found when it runs", step_line(step))
                }
                _ => step_line(step),
            };
            format!("step {} {}: {kind}", index + 1, step.name)
        })
        .collect()
}

/// The same with every action as it would be done, where no step before it has to say so first.
pub fn plan_in_full(plan: &Plan, run: &str) -> Vec<String> {
    let context = plan::step_context(plan, run, &State::empty(plan));
    let steps = plan.playbook.steps.iter().enumerate().zip(plan_lines(plan));
    steps
        .map(|((index, step), line)| match (&step.what, &step.each) {
            (What::Action(action), None) => match plan::render_action(action, &context) {
                Ok(action) => format!("step {} {}: {}", index + 1, step.name, action_line(&action)),
                Err(_) => line,
            },
            _ => line,
        })
        .collect()
}

/// What a step does, before it is rendered: `redis.flush for each of primary, replica`.
pub fn step_line(step: &Step) -> String {
    let each = step.each.as_ref().map(each_words).unwrap_or_default();
    format!("{}{each}", kind_line(&step.what))
}

fn kind_line(what: &What) -> String {
    match what {
        What::Action(action) => action.kind().to_owned(),
        What::Probe { probe, within } => {
            format!("probe {} within {}", probe.kind(), show_duration(*within))
        }
        What::Wait(time) => format!("wait {}", show_duration(*time)),
        What::Ask(ask) => format!(
            "ask one person of tier {} within {}: {}",
            ask.tier,
            show_duration(ask.within),
            short(&ask.question)
        ),
    }
}

/// ` for each of steps.members.output.items, in waves of 1, 25%, 100%, 5m apart`.
pub fn each_words(each: &Each) -> String {
    let items = match &each.items {
        Items::Listed(items) => named(items),
        Items::Expression(source) => source.clone(),
    };
    waves_words(each, &items)
}

fn waves_words(each: &Each, items: &str) -> String {
    let mut words = format!(" for each of {items}");
    if !each.waves.is_empty() {
        let waves: Vec<String> = each.waves.iter().map(ToString::to_string).collect();
        words = format!("{words}, in waves of {}", waves.join(", "));
    }
    if !each.bake.is_zero() {
        words = format!("{words}, {} apart", show_duration(each.bake));
    }
    if let Some(between) = &each.between {
        words = format!("{words}, while {} is healthy", between.probe.kind());
    }
    if let Some(among) = &each.among {
        words = format!("{words}, as long as it is among the {} of {}", among.label, among.query);
    }
    if each.domain.is_some() {
        words = format!("{words}, in one failure domain");
    }
    words
}

/// The first of a list, and how many more there are.
fn named(items: &[String]) -> String {
    let first: Vec<&str> = items.iter().take(MOST_NAMED).map(String::as_str).collect();
    match items.len().saturating_sub(MOST_NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn name(labels: &crate::model::labels::Labels) -> String {
    labels.to_string()
}

fn undone(state: &State) -> bool {
    let items = state.lists.values().flat_map(|list| &list.records);
    state.steps.iter().chain(items).any(|record| *record == Record::Undone)
}

/// What a stopped run left as it is.
fn left(plan: &Plan, state: &State) -> String {
    let mut standing: Vec<String> = Vec::new();
    let done = state.done();
    for (index, step) in plan.playbook.steps.iter().enumerate() {
        let items: Vec<Spot> = done.iter().copied().filter(|spot| spot.step == index).collect();
        let list = state.lists.get(&index);
        let names: Vec<String> =
            items.iter().filter_map(|spot| list?.items.get(spot.item?).map(item_words)).collect();
        match (items.as_slice(), names.as_slice()) {
            ([], _) => {}
            (_, []) => standing.push(step.name.clone()),
            (_, names) => standing.push(format!("{} ({})", step.name, named(names))),
        }
    }
    if standing.is_empty() {
        String::new()
    } else {
        format!("; done and not undone: {}", standing.join(", "))
    }
}

/// Annotations that are written for people, and what the source says.
fn evidence(episode: &Episode) -> Vec<String> {
    let mut lines: Vec<String> = ["summary", "description", "runbook_url"]
        .into_iter()
        .map(|name| episode.annotations.get(name))
        .filter(|text| !text.is_empty())
        .map(|text| text.chars().take(MAX_TEXT).collect())
        .collect();
    if episode.truncated > 0 {
        lines.push(format!(
            "evidence missing: the sender left {} alerts of this group out",
            episode.truncated
        ));
    }
    lines
}
