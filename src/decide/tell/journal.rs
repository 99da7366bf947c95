//! A journal's entries and its actions in words.

use serde_json::Value;

use super::MAX_TEXT;
use super::kind_line;
use super::named;
use super::short;
use crate::decide::machine::item_words;
use crate::decide::machine::wave_ends;
use crate::model::action::Action;
use crate::model::number;
use crate::model::playbook::Unharmed;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::Stop;
use crate::model::run::Taken;
use crate::model::time::show_duration;

/// Items and the waves they go in.
fn listed(plan: &Plan, step: usize, items: &[Value]) -> String {
    let each = plan.playbook.steps.get(step).and_then(|step| step.each.as_ref());
    let ends = each.map(|each| wave_ends(&each.waves, items.len())).unwrap_or_default();
    let waves = match ends.as_slice() {
        [] | [_] => String::new(),
        ends => {
            let ends: Vec<String> = ends.iter().map(ToString::to_string).collect();
            format!(" in waves up to {}", ends.join(", "))
        }
    };
    let items: Vec<String> = items.iter().map(item_words).collect();
    format!("{} items{waves}: {}", items.len(), named(&items))
}

/// One journal entry in words.
pub fn event_line(plan: &Plan, event: &Event) -> String {
    let name = |step: &usize, item: &Option<usize>| {
        let steps = &plan.playbook.steps;
        let name = steps.get(*step).map_or("?", |step| step.name.as_str());
        let item = item.map(|item| format!(", item {}", item + 1)).unwrap_or_default();
        format!("step {}/{} {name}{item}", step + 1, steps.len())
    };
    match event {
        Event::Planned { .. } => {
            let lifted = plan.glass.as_ref().map(|glass| {
                format!(", needs no approval: {} broke the glass: {}", glass.by, glass.reason)
            });
            let lifted = lifted.unwrap_or_default();
            format!("planned: {} on {}{lifted}", plan.playbook.name, plan.target)
        }
        Event::Approved { by, .. } => format!("approved by {by}"),
        Event::Lifted { by, reason } => {
            format!("needs no approval: {by} broke the glass: {reason}")
        }
        Event::Rejected { by, reason } => format!("rejected by {by}: {reason}"),
        Event::Expired => "nobody approved in time".into(),
        Event::Restored { made_at } => format!(
            "quell was restored from a backup of {}: nobody knows what happened since",
            made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        ),
        Event::DryRun { step, action, outcome } => {
            let said = outcome_words(outcome);
            format!("{}: dry run of {}: {said}", name(step, &None), action_line(action))
        }
        Event::Observed => "mode observe: it would have run".into(),
        Event::Listed { step, items } => {
            format!("{}: {}", name(step, &None), listed(plan, *step, items))
        }
        Event::StepStarted { step, item, attempt, intent } => {
            let nth = if *attempt == 1 { String::new() } else { format!(", try {attempt}") };
            let kind =
                || plan.playbook.steps.get(*step).map(|it| kind_line(&it.what)).unwrap_or_default();
            let what = intent.action.as_ref().map_or_else(kind, action_line);
            format!("{}: {what}{nth}", name(step, item))
        }
        Event::StepEnded { step, item, outcome, .. } => {
            format!("{}: {}", name(step, item), outcome_words(outcome))
        }
        Event::Sliced { step, item, gone, .. } => {
            format!("{}: a slice of {gone} keys is gone", name(step, item))
        }
        Event::StepSkipped { step, item, reason } => {
            format!("{}: skipped: {reason}", name(step, item))
        }
        Event::Looked { step, item, outcome } => {
            format!("{}, after {item} items: {}", name(step, &None), outcome_words(outcome))
        }
        Event::Baseline { taken } => {
            let taken: Vec<String> = taken.iter().map(taken_words).collect();
            format!("before: {}", taken.join(", "))
        }
        Event::Compared { seen } => match seen.health {
            Health::Healthy => format!("nothing got worse: {}", seen.measured),
            Health::Unhealthy => format!("got worse: {}", seen.measured),
            Health::Unknown => {
                format!("nobody knows whether anything got worse: {}", seen.measured)
            }
        },
        Event::Asked { step, question } => {
            format!("{}: asks: {}", name(step, &None), short(question))
        }
        Event::Answered { by, answers } => {
            let pairs = answers.iter().map(|(name, it)| format!("{name}={}", item_words(it)));
            format!("{by} answered {}", pairs.collect::<Vec<_>>().join(" "))
        }
        Event::Interrupted => "quell stopped here and went on".into(),
        Event::ReadBack { seen } => {
            format!("read back: {} {}", seen.health.as_str(), seen.measured)
        }
        Event::Settled { by, happened: true } => format!("{by} says that it happened"),
        Event::Settled { by, happened: false } => format!("{by} says that it did not happen"),
        Event::Stopped { why } => format!("stopped: {}", stop_words(why)),
        Event::ClockSet { by_ms, .. } => {
            let by = show_duration(std::time::Duration::from_millis(by_ms.unsigned_abs()));
            let way = if *by_ms < 0 { "back" } else { "forward" };
            format!("the wall clock was set {way} by {by}: what waits was moved with it")
        }
        Event::VerifyStarted => "verifying".into(),
        Event::Verified { seen } => format!("{}: {}", seen.health.as_str(), seen.measured),
        Event::UndoStarted { step, item, intent } => {
            let what = intent.action.as_ref().map(action_line).unwrap_or_default();
            format!("undo {}: {what}", name(step, item))
        }
        Event::UndoEnded { step, item, outcome } => {
            format!("undo {}: {}", name(step, item), outcome_words(outcome))
        }
    }
}

/// `latency 0.2`, or `latency of 3 series`.
fn taken_words(taken: &Taken) -> String {
    match taken.samples.as_slice() {
        [sample] => format!("{} {}", taken.name, number::show(sample.value)),
        samples => format!("{} of {} series", taken.name, samples.len()),
    }
}

/// What must not get worse, in words: `latency (worse: value > before * 1.2)`.
pub fn unharmed_words(metric: &Unharmed) -> String {
    format!("{} (worse: {})", metric.name, metric.worse)
}

fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { summary, .. } => summary.clone(),
        Outcome::Failed { reason, .. } => format!("failed: {reason}"),
        Outcome::Denied { reason, .. } => format!("denied: {reason}"),
        Outcome::Unknown { reason } => format!("outcome unknown: {reason}"),
    }
}

fn stop_words(why: &Stop) -> String {
    match why {
        Stop::Resolved => "the alert resolved".into(),
        Stop::AlreadyHealthy { measured } => format!("already healthy: {measured}"),
        Stop::Changed { what } => format!("no longer what was proposed: {what}"),
        Stop::TakenOver { by } => format!("taken over by {by}"),
        Stop::Refused { guard, reason } => format!("{guard}: {reason}"),
        Stop::Cancelled { by } => format!("by {by}"),
    }
}

/// A rendered action in one line: `http DELETE http://127.0.0.1:8000/cache`.
pub fn action_line(action: &Action) -> String {
    let line = action.line();
    let most = MAX_TEXT + action.kind().len() + 1;
    line.chars().take(most).collect()
}
