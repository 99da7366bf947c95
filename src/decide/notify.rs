//! What the step `notify` tells. It is owed in the transaction that writes that the step is done: told once, whoever does it, and
//! never lost.

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::decide::audience;
use crate::decide::tell;
use crate::model::action::Action;
use crate::model::action::Notify;
use crate::model::config::Config;
use crate::model::incident::Incident;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::run::Event;
use crate::model::run::Outcome;
use crate::model::run::Plan;

/// Longest line for people, in characters.
const MAX_LINE: usize = 2_000;

/// What such a step leaves in its journal.
#[derive(Serialize, Deserialize)]
struct Told {
    channels: Vec<String>,
    summary: String,
    text: String,
}

/// What a rendered step comes to: done, or failed where nobody would be told.
pub fn outcome(config: &Config, notify: &Notify) -> Outcome {
    let failed = |reason: String| Outcome::Failed { reason, retryable: false };
    let mut channels: Vec<String> = Vec::new();
    for name in notify.channels.iter().map(|name| name.trim()) {
        if !config.channels.contains_key(name) {
            let names: Vec<&str> = config.channels.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let name: String = name.chars().take(80).collect();
            return failed(format!("there is no channel {name:?} in quell.yml; there is: {known}"));
        }
        if !channels.iter().any(|it| it == name) {
            channels.push(name.to_owned());
        }
    }
    let summary = notify.summary.split_whitespace().collect::<Vec<_>>().join(" ");
    if channels.is_empty() || summary.is_empty() {
        return failed("there is nobody to tell, or nothing to say".into());
    }
    let told = Told {
        channels,
        summary: summary.chars().take(MAX_LINE).collect(),
        text: notify.text.clone().unwrap_or_default(),
    };
    let words = format!("told {}", told.channels.join(", "));
    match serde_json::to_value(&told) {
        Ok(output) => Outcome::Done { summary: words, output },
        Err(error) => failed(format!("it cannot be written down: {error}")),
    }
}

/// What is owed with the entry of a run, if it says that such a step, or an undo that is one, is done.
pub fn owed(
    config: &Config,
    incident: &Incident,
    run: &str,
    plan: &Plan,
    event: &Event,
    now: Timestamp,
) -> Vec<Owed> {
    let Some(Told { channels, summary, text }) = told(plan, event) else { return Vec::new() };
    let mut details: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    details.push(format!("said by {} ({run}) on {}", plan.playbook.name, plan.target));
    // channels that wake people have no word for progress: what is said there needs somebody
    let (pages, others): (Vec<String>, Vec<String>) =
        channels.into_iter().partition(|name| config.paging.contains(name));
    let mut owed = Vec::new();
    for (kind, channels) in [(NoticeKind::Progress, others), (NoticeKind::NeedsYou, pages)] {
        let mut notice = tell::notice(incident, kind, summary.clone(), now);
        notice.details.clone_from(&details);
        owed.extend(audience::to_channels(config, &notice, &channels));
    }
    owed
}

/// Whether the entry says that such a step is done.
pub fn says(plan: &Plan, event: &Event) -> bool {
    told(plan, event).is_some()
}

fn told(plan: &Plan, event: &Event) -> Option<Told> {
    let (step, outcome, undoes) = if let Event::StepEnded { step, outcome, .. } = event {
        (*step, outcome, false)
    } else if let Event::UndoEnded { step, outcome, .. } = event {
        (*step, outcome, true)
    } else {
        return None;
    };
    let Outcome::Done { output, .. } = outcome else { return None };
    let step = plan.playbook.steps.get(step)?;
    let action = match (&step.what, undoes) {
        (_, true) => step.undo.as_ref().and_then(Undo::action)?,
        (What::Action(action), false) => action,
        _ => return None,
    };
    matches!(action, Action::Notify(_)).then(|| Told::deserialize(output).ok())?
}

#[cfg(test)]
mod tests;
