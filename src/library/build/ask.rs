//! `ask`: questions to an operator.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parameter;
use super::parameter::Role;
use super::text;
use super::text::Names;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::playbook::RawAsk;
use crate::model::playbook::Ask;

const WITHIN: Duration = Duration::from_hours(1);
/// What was planned for is old after that, and the target is held all the while.
const LONGEST: Duration = Duration::from_hours(24);

/// A question, and what must be answered.
pub(crate) fn ask(at: At<'_>, found: Found<RawAsk>, names: Names<'_>) -> Option<Ask> {
    let Found { value: raw, span, .. } = found;
    let question = raw.question.need(at, span, "`ask`", "question").map(|question| {
        if question.value.0.trim().is_empty() {
            let message = "expected a question, got empty text";
            at.report(question.span, Diagnostic::error(codes::VALUE, message));
        }
        text::template(at, question, names)
    });
    let mut answers = BTreeMap::new();
    let declared = raw.answers.and_then(Field::found);
    if let Some(empty) = declared.as_ref().filter(|it| it.value.0.is_empty()) {
        let message = "no answers are declared";
        let label = "leave `answers` out to ask for yes or no";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    for (key, value) in declared.map(|it| it.value.0).unwrap_or_default() {
        let (Some(key), Some(value)) = (key.found(), value.found()) else { continue };
        let answer = parameter::parameter(at, &key, value, Role::Answer);
        answers.extend(answer.map(|answer| (key.value, answer)));
    }
    let tier = raw.tier.and_then(Field::found);
    let within = raw.within.and_then(Field::found);
    let place = within.as_ref().map(|it| it.span);
    let within = text::duration_or(at, within, WITHIN);
    if let Some(place) = place.filter(|_| within.is_zero() || within > LONGEST) {
        let message = "people have between 1s and 24h to answer";
        let label = "the run holds its target all the while";
        at.report(place, Diagnostic::error(codes::VALUE, message).label(label));
    }
    Some(Ask {
        question: question?,
        answers,
        tier: text::tier(at, tier.as_ref()).unwrap_or(1),
        within,
    })
}
