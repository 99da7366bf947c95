//! Steps and actions.

use std::time::Duration;

use super::action::action_of;
use super::ask;
use super::each;
use super::each::Pace;
use super::probe;
use super::text;
use super::text::Names;
use crate::decide::plan;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::playbook::RawRetry;
use crate::library::raw::playbook::RawStep;
use crate::library::raw::playbook::RawUndo;
use crate::model::action::Action;
use crate::model::action::Postgres;
use crate::model::playbook::Hold;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Retry;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::time::show_duration;

const TIMEOUT: Duration = Duration::from_mins(1);
const BACKOFF: Duration = Duration::from_secs(5);
const MOST_RETRIES: u32 = 20;
/// Time between two looks of a probe that must stay healthy.
const HOLD_EVERY: Duration = Duration::from_mins(1);
/// The shortest: each look is two entries of the journal.
const SHORTEST_EVERY: Duration = Duration::from_secs(1);

/// One step.
pub(crate) fn step(at: At<'_>, found: Found<RawStep>, names: Names<'_>) -> Option<Step> {
    let Found { value: mut raw, span, .. } = found;
    let name = std::mem::replace(&mut raw.name, Field::empty());
    let name = name.need(at, span, "a step", "name").and_then(|name| text::name(at, name));
    let place = name.as_ref().map_or(span, |name| name.span);
    let kinds = raw.kinds();
    if kinds.is_empty() && at.is_wrong(span) {
        return None;
    }
    let [kind] = kinds.as_slice() else {
        let message = match kinds.as_slice() {
            [] => "a step without an action, a `probe`, a `wait` or an `ask`".to_owned(),
            many => format!("a step that is more than one thing: {}", many.join(", ")),
        };
        let label =
            "expected exactly one: an action such as `http`, a `probe`, a `wait` or an `ask`";
        at.report(place, Diagnostic::error(codes::SHAPE, message).label(label));
        return None;
    };
    let acts = !matches!(*kind, "probe" | "wait" | "ask");
    misplaced(at, &raw, kind, acts);
    let action = raw.take_action();
    let items = raw.for_each.and_then(Field::found);
    let is_each = items.is_some();
    let pace = Pace {
        waves: raw.waves,
        bake: raw.bake,
        between: raw.between,
        max_targets: raw.max_targets,
        domain: raw.domain,
        among: raw.among,
    };
    let each = each::each(at, items, pace, names);

    // what is done for each item may name it
    let variables = if is_each {
        [names.variables, &plan::OF_ITEMS].concat()
    } else {
        names.variables.to_vec()
    };
    let names = Names { variables: &variables, ..names };

    let hold = raw.hold.and_then(Field::found).and_then(|it| text::duration(at, &it));
    let every = raw.every.and_then(Field::found).and_then(|it| {
        let every = text::duration(at, &it)?;
        if every < SHORTEST_EVERY {
            let message = format!("expected at least 1s, got {}", show_duration(every));
            at.report(it.span, Diagnostic::error(codes::VALUE, message));
        }
        Some(every)
    });
    let every = every.unwrap_or(HOLD_EVERY);
    let hold = hold.map(|lasts| Hold { lasts, every });
    let within = text::duration_or(at, raw.within.and_then(Field::found), probe::STEP_WITHIN);
    let what = if let Some(wait) = raw.wait {
        wait.found().and_then(|wait| text::duration(at, &wait)).map(What::Wait)
    } else if let Some(raw) = raw.ask {
        raw.found().and_then(|it| ask::ask(at, it, names)).map(What::Ask)
    } else if let Some(raw_probe) = raw.probe {
        raw_probe.found().and_then(|it| {
            let probe = probe::probe(at, "the probe", it.span, it.value, names)?;
            Some(What::Probe { probe, within })
        })
    } else {
        action.map(|it| What::Action(action_of(at, it, names)))
    };
    let retry = raw.retry.and_then(Field::found).map(|it| retry(at, it)).unwrap_or_default();
    let condition = raw.condition.and_then(Field::found).map(|it| text::condition(at, it, names));
    let timeout = text::duration_or(at, raw.timeout.and_then(Field::found), TIMEOUT);
    // An undo comes after its own step.
    let mut known = names.steps.unwrap_or_default().to_vec();
    known.extend(name.iter().map(|name| name.value.clone()));
    let after = Names { steps: Some(&known), ..names };
    let undo =
        raw.undo.and_then(Field::found).and_then(|it| undo(at, it, kind, what.as_ref(), after));
    let what = what?;
    let on_unknown = raw
        .on_unknown
        .and_then(Field::found)
        .map_or_else(|| default_on_unknown(&what), |it| it.value);
    Some(Step {
        name: name?.value,
        what,
        condition,
        each,
        hold,
        timeout,
        retry,
        on_failure: raw.on_failure.and_then(Field::found).map_or(OnFailure::Abort, |it| it.value),
        on_unknown,
        undo,
        line: place.line,
    })
}

/// Keys that mean nothing for this kind of step.
fn misplaced(at: At<'_>, raw: &RawStep, kind: &str, acts: bool) {
    let refuse_beside = |span: Option<Span>, key: &str, other: &str, label: &str| {
        if let Some(span) = span {
            let message = format!("`{key}` does not go together with {other}");
            at.report(span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
    };
    let refuse = |span: Option<Span>, key: &str, only: &str| {
        refuse_beside(span, key, &format!("`{kind}`"), only);
    };
    if kind != "probe" {
        refuse(raw.within.as_ref().map(Field::span), "within", "only a `probe` has it");
        refuse(raw.hold.as_ref().map(Field::span), "hold", "only a `probe` has it");
    }
    if raw.for_each.is_some() {
        let instead = "what must stay healthy after all items is a step of its own";
        refuse_beside(raw.hold.as_ref().map(Field::span), "hold", "`for_each`", instead);
    }
    if raw.hold.is_none() {
        let without = "it is the time between two looks while a probe must `hold`";
        refuse_beside(
            raw.every.as_ref().map(Field::span),
            "every",
            "a step without `hold`",
            without,
        );
    }
    if matches!(kind, "wait" | "ask") {
        refuse(
            raw.for_each.as_ref().map(Field::span),
            "for_each",
            "only an action or a `probe` has it",
        );
        let only = "only an action or a `probe` has it";
        refuse(raw.timeout.as_ref().map(Field::span), "timeout", only);
        refuse(raw.retry.as_ref().map(Field::span), "retry", only);
    }
    if !acts && !matches!(raw.undo.as_ref().and_then(Field::get), Some(RawUndo::Previous)) {
        refuse(raw.undo.as_ref().map(Field::span), "undo", "only an action has it");
    }
    if !acts {
        refuse(raw.on_unknown.as_ref().map(Field::span), "on_unknown", "only an action has it");
    }
}

/// What is safe when nobody knows whether it happened: do again only what may be done twice.
fn default_on_unknown(what: &What) -> OnUnknown {
    match what {
        What::Action(Action::Command(_) | Action::Ssh(_)) => OnUnknown::Ask,
        What::Action(Action::Http(call)) if matches!(call.method.as_str(), "POST" | "PATCH") => {
            OnUnknown::Ask
        }
        What::Action(Action::Postgres(Postgres::Execute(it))) if !it.once => OnUnknown::Ask,
        What::Action(_) | What::Probe { .. } | What::Wait(_) | What::Ask(_) => OnUnknown::Retry,
    }
}

fn retry(at: At<'_>, found: Found<RawRetry>) -> Retry {
    let times = found.value.times.need(at, found.span, "`retry`", "times");
    if let Some(times) = times.as_ref().filter(|times| times.value > MOST_RETRIES) {
        let message = format!("expected at most {MOST_RETRIES} retries, got {}", times.value);
        at.report(times.span, Diagnostic::error(codes::VALUE, message));
    }
    let backoff = text::duration_or(at, found.value.backoff.and_then(Field::found), BACKOFF);
    Retry { times: times.map(|times| times.value).unwrap_or_default(), backoff }
}

fn undo(
    at: At<'_>,
    found: Found<RawUndo>,
    kind: &str,
    what: Option<&What>,
    names: Names<'_>,
) -> Option<Undo> {
    if let RawUndo::Previous = found.value {
        return previous(at, found.span, kind, what);
    }
    let action = found.value.action()?;
    let span = action.span;
    let action = action_of(at, action, names);
    if action.slices().is_some() {
        let message = "`slices` does not go together with `undo`";
        let label = "an undo is one effect: remove it";
        at.report(span, Diagnostic::error(codes::UNDO, message).label(label));
    }
    Some(Undo::Action(Box::new(action)))
}

/// `undo: previous`, of an action that knows its own reverse.
fn previous(at: At<'_>, span: Span, kind: &str, what: Option<&What>) -> Option<Undo> {
    let (message, label) = match what {
        // what is wrong with it is said already
        None if !["probe", "wait", "ask"].contains(&kind) => return Some(Undo::Previous),
        Some(What::Action(action)) if action.is_reversible() => return Some(Undo::Previous),
        Some(What::Action(action)) if action.reads() => {
            (format!("`{kind}` only reads: there is nothing to undo"), "remove it")
        }
        Some(What::Action(_)) => (
            format!("`{kind}` does not know its own reverse"),
            "name an action, as in `undo: { command: { argv: […] } }`, or remove it",
        ),
        Some(What::Ask(_) | What::Probe { .. } | What::Wait(_)) | None => {
            (format!("a `{kind}` has nothing to undo"), "remove it: only an action has it")
        }
    };
    at.report(span, Diagnostic::error(codes::UNDO, message).label(label));
    None
}
