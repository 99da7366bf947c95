//! `ask`: what an answer makes of its step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::Phase;
use super::Record;
use super::State;
use super::ended::failed_step;
use super::item_words;
use super::of_step;
use super::ready;
use crate::model::playbook::Ask;
use crate::model::playbook::What;
use crate::model::run::Plan;

/// Name of the answer to a question that declares none: true or false.
pub const YES: &str = "answer";

/// What a step asks, when it is an `ask`.
pub fn ask_of(plan: &Plan, step: usize) -> Option<&Ask> {
    match plan.playbook.steps.get(step).map(|step| &step.what) {
        Some(What::Ask(ask)) => Some(ask),
        Some(What::Action(_) | What::Probe { .. } | What::Wait(_)) | None => None,
    }
}

/// A no to a yes-or-no question fails the step; every other answer is its output.
pub(super) fn answered(
    plan: &Plan,
    state: &mut State,
    step: usize,
    by: &str,
    answers: &BTreeMap<String, Value>,
    at: Timestamp,
) -> Phase {
    let spot = of_step(step);
    let yes_or_no = ask_of(plan, step).is_some_and(|ask| ask.answers.is_empty());
    let said = if yes_or_no {
        if answers.get(YES) != Some(&Value::Bool(true)) {
            return failed_step(plan, state, spot, &format!("{by} said no"), at);
        }
        "said yes".to_owned()
    } else {
        let pairs = answers.iter().map(|(name, value)| format!("{name}={}", item_words(value)));
        format!("answered {}", pairs.collect::<Vec<_>>().join(" "))
    };
    let output = Value::Object(answers.clone().into_iter().collect());
    state.record(spot, Record::Done { summary: format!("{by} {said}"), output });
    ready(plan, step + 1, at)
}
