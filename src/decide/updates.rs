//! Status updates: what people who only watch are told of an incident, every so often until it is over.
//!
//! ```text
//! Investigating ──▶ Identified ──▶ Monitoring ──▶ Resolved
//! nothing runs      a remedy runs  it helped      all alerts have ended
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use crate::decide::audience;
use crate::decide::page;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::tell;
use crate::decide::tell::Try;
use crate::model::config::Config;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::IncidentStatus;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::labels::Labels;
use crate::model::rule::Rule;
use crate::model::rule::is_schedule;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::model::updates::Updates;

/// What a `text` may name.
pub const VARIABLES: [&str; 8] =
    ["labels", "annotations", "status", "time", "impact", "services", "next_update", "actions"];
/// Alerts that are named one by one.
const MOST_NAMED: usize = 5;
/// Longest text of an annotation, in characters.
const MAX_TEXT: usize = 500;

/// Where an incident stands, for people who only watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is at work.
    Investigating,
    /// A remedy is at work.
    Identified,
    /// A remedy was verified to have helped, and the alerts have not ended yet.
    Monitoring,
    /// All alerts have ended.
    Resolved,
}

impl Status {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "Investigating",
            Self::Identified => "Identified",
            Self::Monitoring => "Monitoring",
            Self::Resolved => "Resolved",
        }
    }
}

/// The updates that an incident wants: those of its rule, or else of its severity. What runs by schedule has none.
pub fn wanted<'a>(
    config: &'a Config,
    rule: Option<&'a Rule>,
    incident: &Incident,
) -> Option<&'a Updates> {
    if incident.rule.is_empty() || is_schedule(&incident.rule) {
        return None;
    }
    let of_severity = || audience::severity(config, &incident.severity)?.updates.as_ref();
    rule.and_then(|rule| rule.updates.as_ref()).or_else(of_severity)
}

/// Where it stands; runs in order of start.
pub fn status<'a>(incident: &Incident, runs: impl Iterator<Item = Try<'a>>) -> Status {
    if incident.status == IncidentStatus::Resolved {
        return Status::Resolved;
    }
    let mut status = Status::Investigating;
    for run in runs.filter(|run| run.remedy > 0) {
        status = match run.state {
            RunState::Planned
            | RunState::Running
            | RunState::AwaitingAnswer
            | RunState::Verifying
            | RunState::Undoing => Status::Identified,
            RunState::Fixed => Status::Monitoring,
            RunState::Observed | RunState::Superseded => status,
            RunState::AwaitingApproval
            | RunState::InDoubt
            | RunState::Failed
            | RunState::Stuck
            | RunState::Cancelled
            | RunState::Expired
            | RunState::Rejected => Status::Investigating,
        };
    }
    status
}

/// When the next one is due after one at `now`; `None` when none follows by itself: it is over, or a person who took it over says
/// what follows.
pub fn next(updates: &Updates, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
    let goes_on = incident.status != IncidentStatus::Resolved && incident.taken_by.is_empty();
    goes_on.then(|| after(now, updates.every))
}

/// What is owed for an update of an incident with these episodes and runs, the runs in order of start.
pub fn owed(
    config: &Config,
    updates: &Updates,
    incident: &Incident,
    episodes: &[Episode],
    runs: &[Try<'_>],
    now: Timestamp,
) -> Vec<Owed> {
    let status = status(incident, runs.iter().copied());
    let headline = format!("Status: {}", status.as_str());
    let mut notice = tell::notice(incident, NoticeKind::Progress, headline, now);
    notice.details = details(updates, status, incident, episodes, runs, now);
    page::held(config, incident, audience::to_channels(config, &notice, &updates.channels))
}

fn details(
    updates: &Updates,
    status: Status,
    incident: &Incident,
    episodes: &[Episode],
    runs: &[Try<'_>],
    now: Timestamp,
) -> Vec<String> {
    let first = episodes.iter().find(|it| it.open).or_else(|| episodes.first());
    let annotations = first.map(|it| it.annotations.clone()).unwrap_or_default();
    let impact = impact(&annotations, incident);
    let services = services(episodes, incident);
    let (actions, _) = tell::tried(runs.iter().copied());
    let time = now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let next_update = match next(updates, incident, now) {
        Some(_) => format!("In {}, and when it is resolved", show_duration(updates.every)),
        None if status == Status::Resolved => "None: it is over".to_owned(),
        None => format!("None: {} has taken it over, and tells what follows", incident.taken_by),
    };
    let mut problem = None;
    if let Some(text) = &updates.text {
        let context = json!({
            "labels": incident.labels, "annotations": annotations, "status": status.as_str(), "time": time,
            "impact": impact, "services": services, "next_update": next_update, "actions": actions,
        });
        match render(text, &context, Escape::None) {
            Ok(text) => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                return lines.map(str::to_owned).collect();
            }
            // people are told all the same
            Err(error) => problem = Some(format!("the text of this update does not fit: {error}")),
        }
    }
    let mut lines = vec![
        format!("Time: {time}"),
        format!("Impact: {impact}"),
        format!("Affected Services: {services}"),
        "Current Status:".to_owned(),
    ];
    lines.extend(current(status, incident, episodes, runs, now));
    lines.push(format!("Next Update: {next_update}"));
    lines.push("Actions Taken:".to_owned());
    if actions.is_empty() {
        lines.push("- none so far".to_owned());
    }
    lines.extend(actions.iter().map(|line| format!("- {line}")));
    lines.extend(problem);
    lines
}

fn impact(annotations: &Labels, incident: &Incident) -> String {
    let said = ["impact", "summary", "description"].map(|name| annotations.get(name));
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or(&incident.title);
    said.chars().take(MAX_TEXT).collect()
}

fn services(episodes: &[Episode], incident: &Incident) -> String {
    let labels = episodes.iter().map(|it| &it.labels).chain([&incident.labels]);
    let named: BTreeSet<&str> =
        labels.map(|labels| labels.get("service")).filter(|name| !name.is_empty()).collect();
    if named.is_empty() {
        return incident.title.clone();
    }
    named.into_iter().collect::<Vec<_>>().join(", ")
}

fn current(
    status: Status,
    incident: &Incident,
    episodes: &[Episode],
    runs: &[Try<'_>],
    now: Timestamp,
) -> Vec<String> {
    if status == Status::Resolved {
        let took = since(incident.resolved_at.unwrap_or(now), incident.opened_at);
        return vec![format!("- all alerts have ended, after {}", show_duration(took))];
    }
    let open: Vec<&Episode> = episodes.iter().filter(|it| it.open).collect();
    let mut lines: Vec<String> = Vec::new();
    for it in open.iter().take(MOST_NAMED) {
        let name = it.labels.get("alertname");
        lines.push(format!("- {name} fires for {}", show_duration(since(now, it.opened_at))));
    }
    if let Some(more @ 1..) = open.len().checked_sub(MOST_NAMED) {
        lines.push(format!("- {more} more alerts fire"));
    }
    if open.is_empty() {
        lines.push("- no alert fires any more; quell waits whether that lasts".to_owned());
    }
    let shown = |run: &&Try<'_>| !matches!(run.state, RunState::Superseded | RunState::Observed);
    if let Some(run) = runs.iter().filter(|run| run.remedy > 0).rfind(shown) {
        let what = if run.state == RunState::AwaitingApproval {
            format!("- {} on {} waits for a person's yes", run.playbook, run.target)
        } else if run.state.is_final() {
            format!("- quell's last remedy, {}: {}", run.playbook, run.state.as_str())
        } else {
            format!(
                "- quell works on it: {} on {}: {}",
                run.playbook,
                run.target,
                run.state.as_str()
            )
        };
        lines.push(what);
    }
    let has_it = [&incident.taken_by, &incident.acked_by].into_iter().find(|by| !by.is_empty());
    if let Some(by) = has_it {
        lines.push(format!("- {by} has it"));
    } else if incident.escalated {
        lines.push("- it was given to people".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests;
