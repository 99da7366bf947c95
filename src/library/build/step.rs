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
use crate::library::raw::playbook::RawAction;
use crate::library::raw::playbook::RawCommand;
use crate::library::raw::playbook::RawHttp;
use crate::library::raw::playbook::RawRedisDelete;
use crate::library::raw::playbook::RawRedisFlush;
use crate::library::raw::playbook::RawRetry;
use crate::library::raw::playbook::RawStep;
use crate::library::raw::playbook::RawUndo;
use crate::model::action::Action;
use crate::model::action::Postgres;
use crate::model::action::TargetKind;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Retry;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;

const TIMEOUT: Duration = Duration::from_mins(1);
const BACKOFF: Duration = Duration::from_secs(5);
const MOST_RETRIES: u32 = 20;

/// A server of `targets:` that an action names.
#[derive(Debug, Clone)]
pub(crate) struct ServerUse {
    pub(crate) kind: TargetKind,
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// What a step may name, and what it uses.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) servers: Vec<ServerUse>,
}

/// One step.
pub(crate) fn step(at: At<'_>, found: Found<RawStep>, scope: &mut Scope<'_>) -> Option<Step> {
    let Found { value: mut raw, span, .. } = found;
    let name = std::mem::replace(&mut raw.name, Field::empty());
    let name = name.need(at, span, "a step", "name").and_then(|name| text::name(at, name));
    let place = name.as_ref().map_or(span, |name| name.span);
    let kinds = kinds(&raw);
    if kinds.is_empty() && at.is_wrong(span) {
        return None;
    }
    let [kind] = kinds.as_slice() else {
        let message = match kinds.as_slice() {
            [] => "a step without an action, a `probe`, a `wait` or an `ask`".to_owned(),
            many => format!("a step that is more than one thing: {}", many.join(", ")),
        };
        let label =
            "expected exactly one of command, http, redis.flush, redis.delete, probe, wait, ask";
        at.report(place, Diagnostic::error(codes::SHAPE, message).label(label));
        return None;
    };
    let acts = !matches!(*kind, "probe" | "wait" | "ask");
    misplaced(at, &raw, kind, acts);
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
    let each = each::each(at, items, pace, scope.names);

    // what is done for each item may name it
    let variables = scope.names.variables;
    let variables =
        if is_each { [variables, &plan::OF_ITEMS].concat() } else { variables.to_vec() };
    let outer = scope;
    let scope =
        &mut Scope { names: Names { variables: &variables, ..outer.names }, servers: Vec::new() };

    let within = text::duration_or(at, raw.within.and_then(Field::found), probe::STEP_WITHIN);
    let what = if let Some(wait) = raw.wait {
        wait.found().and_then(|wait| text::duration(at, &wait)).map(What::Wait)
    } else if let Some(raw) = raw.ask {
        raw.found().and_then(|it| ask::ask(at, it, scope.names)).map(What::Ask)
    } else if let Some(raw_probe) = raw.probe {
        raw_probe.found().and_then(|it| {
            let probe = probe::probe(at, "the probe", it.span, it.value, scope.names)?;
            Some(What::Probe { probe, within })
        })
    } else {
        let action = raw_action(raw.command, raw.http, raw.redis_flush, raw.redis_delete);
        action.map(|it| What::Action(action_of(at, it, scope)))
    };
    let retry = raw.retry.and_then(Field::found).map(|it| retry(at, it)).unwrap_or_default();
    let condition =
        raw.condition.and_then(Field::found).map(|it| text::condition(at, it, scope.names));
    let timeout = text::duration_or(at, raw.timeout.and_then(Field::found), TIMEOUT);
    // An undo comes after its own step.
    let mut known = scope.names.steps.unwrap_or_default().to_vec();
    known.extend(name.iter().map(|name| name.value.clone()));
    let names = Names { steps: Some(&known), ..scope.names };
    let mut after = Scope { names, servers: Vec::new() };
    let undo = raw.undo.and_then(Field::found).and_then(|it| undo(at, it, kind, &mut after));
    outer.servers.append(&mut scope.servers);
    outer.servers.append(&mut after.servers);
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
        timeout,
        retry,
        on_failure: raw.on_failure.and_then(Field::found).map_or(OnFailure::Abort, |it| it.value),
        on_unknown,
        undo,
        line: place.line,
    })
}

fn kinds(raw: &RawStep) -> Vec<&'static str> {
    [
        ("command", raw.command.is_some()),
        ("http", raw.http.is_some()),
        ("redis.flush", raw.redis_flush.is_some()),
        ("redis.delete", raw.redis_delete.is_some()),
        ("probe", raw.probe.is_some()),
        ("wait", raw.wait.is_some()),
        ("ask", raw.ask.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
    .collect()
}

/// Keys that mean nothing for this kind of step.
fn misplaced(at: At<'_>, raw: &RawStep, kind: &str, acts: bool) {
    let refuse = |span: Option<Span>, key: &str, only: &str| {
        if let Some(span) = span {
            let message = format!("`{key}` does not go together with `{kind}`");
            at.report(span, Diagnostic::error(codes::SHAPE, message).label(only));
        }
    };
    if kind != "probe" {
        refuse(raw.within.as_ref().map(Field::span), "within", "only a `probe` has it");
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

fn undo(at: At<'_>, found: Found<RawUndo>, kind: &str, scope: &mut Scope<'_>) -> Option<Undo> {
    let action = match found.value {
        RawUndo::Previous => {
            let (message, label) = if ["probe", "wait"].contains(&kind) {
                (format!("a `{kind}` has nothing to undo"), "remove it: only an action has it")
            } else {
                (
                    format!("`{kind}` does not know its own reverse"),
                    "name an action, as in `undo: { command: { argv: […] } }`, or remove it",
                )
            };
            at.report(found.span, Diagnostic::error(codes::UNDO, message).label(label));
            None
        }
        RawUndo::Command(it) => it.found().map(|it| it.map(RawAction::Command)),
        RawUndo::Http(it) => it.found().map(|it| it.map(|it| RawAction::Http(Box::new(it)))),
        RawUndo::RedisFlush(it) => it.found().map(|it| it.map(RawAction::RedisFlush)),
        RawUndo::RedisDelete(it) => it.found().map(|it| it.map(RawAction::RedisDelete)),
    };
    let action = action?;
    let span = action.span;
    let action = action_of(at, action, scope);
    if action.slices().is_some() {
        let message = "`slices` does not go together with `undo`";
        let label = "an undo is one effect: remove it";
        at.report(span, Diagnostic::error(codes::UNDO, message).label(label));
    }
    Some(Undo::Action(Box::new(action)))
}

fn raw_action(
    command: Option<Field<RawCommand>>,
    http: Option<Field<RawHttp>>,
    flush: Option<Field<RawRedisFlush>>,
    delete: Option<Field<RawRedisDelete>>,
) -> Option<Found<RawAction>> {
    let command = command.and_then(Field::found).map(|it| it.map(RawAction::Command));
    let http = http.and_then(Field::found).map(|it| it.map(|it| RawAction::Http(Box::new(it))));
    let flush = flush.and_then(Field::found).map(|it| it.map(RawAction::RedisFlush));
    let delete = delete.and_then(Field::found).map(|it| it.map(RawAction::RedisDelete));
    command.or(http).or(flush).or(delete)
}
