//! What each remedy would do: every step with its arguments rendered, what takes it back, and what follows when it does
//! not help.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use crate::decide::audience;
use crate::decide::explain::Files;
use crate::decide::guard;
use crate::decide::items;
use crate::decide::items::Most;
use crate::decide::machine::State;
use crate::decide::plan;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::respond;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::tell;
use crate::model::action::Action;
use crate::model::action::Piece;
use crate::model::action::Sealed;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::explain::Call;
use crate::model::explain::Proposal;
use crate::model::explain::StepPlan;
use crate::model::explain::VerifyPlan;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::playbook::Ask;
use crate::model::playbook::Each;
use crate::model::playbook::Mode;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Playbook;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::Probe;
use crate::model::rule::Rule;
use crate::model::run::Plan;
use crate::model::time::show_duration;

/// The texts of an action that hold secrets; people see the names in their places.
const SEALED: &str = "sealed";

/// The run's name before there is one.
const NO_RUN: &str = "r-0";

/// The remedies of the case's rule from number `first` on, each planned for its alert.
pub(super) fn remedies(files: Files<'_>, case: Case<'_>, first: u32) -> Vec<Proposal> {
    let Case { rule, episode, now, .. } = case;
    let of = u32::try_from(rule.response.len()).unwrap_or(u32::MAX);
    let numbers = rule.response.iter().zip(1_u32..).filter(|(_, number)| *number >= first);
    numbers
        .map(|(remedy, number)| {
            let candidate = match respond::candidate(case, files.playbooks, number, 0) {
                Ok(candidate) => candidate,
                Err(problem) => return unplanned(&remedy.playbook, (number, of), problem),
            };
            let Candidate { subject, playbook, .. } = candidate;
            let (mode, mode_set_in) = guard::lowest_mode(&subject);
            let proposal = match plan::plan(rule, &subject, &playbook, episode, mode, now) {
                Ok(plan) => planned(files.config, &plan),
                Err(errors) => unplanned(&remedy.playbook, (number, of), errors.join("; ")),
            };
            let tier = remedy.tier.unwrap_or(1).max(playbook.tier);
            let otherwise = otherwise(files, case, number, &playbook);
            Proposal { place: place(&playbook), mode, mode_set_in, tier, otherwise, ..proposal }
        })
        .collect()
}

/// The remedies from the one on that a decision judged, as the files of now have them.
pub(super) fn as_now(
    files: Files<'_>,
    rule: &Rule,
    episode: &Episode,
    decision: &Decision,
) -> Vec<Proposal> {
    let judged = rule.response.iter().zip(1_u32..).find(|(it, _)| it.playbook == decision.playbook);
    let Some((_, first)) = judged else { return Vec::new() };
    let Files { config, windows, .. } = files;
    let (target, now) = (decision.target.as_str(), decision.at);
    let incident = &respond::opening(config, rule, episode, now).incident;
    let trust = files.trust.get(&rule.name);
    let case = Case { config, rule, episode, incident, target, windows, trust, now };
    remedies(files, case, first)
}

/// A plan with everything in it rendered.
pub(super) fn planned(config: &Config, plan: &Plan) -> Proposal {
    let context = plan::step_context(plan, NO_RUN, &State::empty(plan));
    let steps = |steps: &[Step]| -> Vec<StepPlan> {
        steps.iter().zip(1_u32..).map(|(step, number)| step_plan(step, number, &context)).collect()
    };
    let verify = plan.verify.as_ref().map(|verify| VerifyPlan {
        // rendered when it was planned: what an alert put into it is no template
        call: Call {
            kind: verify.probe.kind().to_owned(),
            arguments: arguments(&verify.probe),
            unrendered: String::new(),
        },
        within: show_duration(verify.within),
        hold: show_duration(verify.hold),
        unharmed: verify.unharmed.iter().map(tell::unharmed_words).collect(),
    });
    let otherwise = if plan.remedy < plan.remedies {
        format!("remedy {} of {}", plan.remedy.saturating_add(1), plan.remedies)
    } else {
        people(config, &plan.labels)
    };
    Proposal {
        remedy: plan.remedy,
        of: plan.remedies,
        playbook: plan.playbook.name.clone(),
        place: place(&plan.playbook),
        mode: plan.mode,
        mode_set_in: String::new(),
        tier: plan.tier,
        problem: String::new(),
        parameters: plan.parameters.clone(),
        steps: steps(&plan.playbook.steps),
        on_resolve: steps(&plan.playbook.on_resolve),
        verify,
        otherwise,
    }
}

fn unplanned(playbook: &str, (remedy, of): (u32, u32), problem: String) -> Proposal {
    Proposal {
        remedy,
        of,
        playbook: playbook.to_owned(),
        place: String::new(),
        mode: Mode::Observe,
        mode_set_in: String::new(),
        tier: 1,
        problem,
        parameters: BTreeMap::new(),
        steps: Vec::new(),
        on_resolve: Vec::new(),
        verify: None,
        otherwise: String::new(),
    }
}

fn place(playbook: &Playbook) -> String {
    format!("{}:{}", playbook.file, playbook.line)
}

fn step_plan(step: &Step, number: u32, context: &Value) -> StepPlan {
    let first = step.each.as_ref().and_then(|each| of_first(each, context));
    let context = first.as_ref().map_or(context, |(_, context)| context);
    let (call, acts) = match &step.what {
        What::Action(it) => (action(it, context), true),
        What::Probe { probe: it, within } => {
            let mut call = probe(it, context);
            call.arguments.insert("within".into(), show_duration(*within).into());
            if let Some(hold) = &step.hold {
                call.arguments.insert("hold".into(), show_duration(hold.lasts).into());
                call.arguments.insert("every".into(), show_duration(hold.every).into());
            }
            (call, false)
        }
        What::Wait(time) => {
            let arguments = Map::from_iter([("for".to_owned(), show_duration(*time).into())]);
            (Call { kind: "wait".into(), arguments, unrendered: String::new() }, false)
        }
        What::Ask(it) => (ask(it, context), false),
    };
    let undo = step.undo.as_ref().map(|it| undo(it, context));
    let mut notes = notes(step, acts);
    if let Some(each) = &step.each {
        let words = tell::each_words(each);
        let shown = first.map(|(item, _)| format!("; shown for {item}")).unwrap_or_default();
        notes.insert(0, format!("{}{shown}", words.trim_start()));
    }
    StepPlan { number, name: step.name.clone(), call, notes, undo, acts }
}

/// The first item of a `for_each`, if that can be known before it runs, and what its templates read.
fn of_first(each: &Each, context: &Value) -> Option<(String, Value)> {
    let any = Most { items: usize::MAX, knob: String::new() };
    let items = items::resolve(each, context, &any).ok()?;
    let first = items.into_iter().next()?;
    let mut context = context.clone();
    let map = context.as_object_mut()?;
    map.insert("item".into(), first.clone());
    map.insert("index".into(), 0.into());
    Some((first.as_str().map_or_else(|| first.to_string(), str::to_owned), context))
}

fn ask(ask: &Ask, context: &Value) -> Call {
    let (question, unrendered) = match render(&ask.question, context, Escape::None) {
        Ok(question) => (question, String::new()),
        Err(error) => (ask.question.clone(), error),
    };
    let mut arguments = Map::from_iter([("question".to_owned(), question.into())]);
    let answers: Vec<&str> = ask.answers.keys().map(String::as_str).collect();
    let answers = if answers.is_empty() { "yes or no".to_owned() } else { answers.join(", ") };
    arguments.insert("answers".into(), answers.into());
    arguments.insert("tier".into(), ask.tier.into());
    arguments.insert("within".into(), show_duration(ask.within).into());
    Call { kind: "ask".into(), arguments, unrendered }
}

fn notes(step: &Step, acts: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(condition) = &step.condition {
        notes.push(format!("if {condition}"));
    }
    if acts {
        notes.push(format!("timeout {}", show_duration(step.timeout)));
    }
    if step.retry.times > 0 {
        notes.push(format!("up to {} tries", step.retry.times.saturating_add(1)));
    }
    if step.on_failure == OnFailure::Continue {
        notes.push("a failure does not stop the run".into());
    }
    if acts {
        match step.on_unknown {
            OnUnknown::Retry => {}
            OnUnknown::Probe => notes.push("outcome unknown: the verification is asked".into()),
            OnUnknown::Ask => notes.push("outcome unknown: a person is asked".into()),
        }
    }
    notes
}

fn action(action: &Action, context: &Value) -> Call {
    call(action.kind().to_owned(), action, plan::render_action(action, context), context)
}

/// `previous` has no arguments before the step ran.
fn undo(undo: &Undo, context: &Value) -> Call {
    match undo {
        Undo::Action(it) => action(it, context),
        Undo::Previous => {
            Call { kind: "previous".into(), arguments: Map::new(), unrendered: String::new() }
        }
    }
}

fn probe(probe: &Probe, context: &Value) -> Call {
    let kind = format!("probe {}", probe.kind());
    call(kind, probe, plan::render_probe(probe, context), context)
}

/// What was rendered; where that is not possible before it runs, each text by itself, and as written what cannot be.
fn call<T: Serialize>(
    kind: String,
    written: &T,
    rendered: Result<T, String>,
    context: &Value,
) -> Call {
    match rendered {
        Ok(rendered) => {
            let mut arguments = arguments(&rendered);
            arguments.remove(SEALED);
            Call { kind, arguments, unrendered: String::new() }
        }
        Err(unrendered) => {
            let mut arguments = arguments(written);
            for (name, value) in &mut arguments {
                let escape = if name == "url" { Escape::Url } else { Escape::None };
                each_text(value, &|text| render(text, context, escape).ok());
            }
            seal(&mut arguments, context);
            Call { kind, arguments, unrendered }
        }
    }
}

/// Puts the names of secrets where their values will be, in what cannot be rendered yet.
fn seal(arguments: &mut Map<String, Value>, context: &Value) {
    let Some(sealed) = arguments.remove(SEALED) else { return };
    let Ok(Sealed { named, body, json }) = serde_json::from_value(sealed) else { return };
    let shown = |pieces: &[Piece]| -> Value {
        let show = |piece: &Piece| match piece {
            Piece::Text(text) => {
                render(text, context, Escape::None).unwrap_or_else(|_| text.clone())
            }
            Piece::Secret(parameter) => {
                let name = context.get(parameter).and_then(Value::as_str).unwrap_or(parameter);
                format!("[secret {name}]")
            }
        };
        pieces.iter().map(show).collect::<String>().into()
    };
    for (name, pieces) in &named {
        for holder in ["env", "headers"] {
            let held = arguments.get_mut(holder).and_then(|it| it.get_mut(name));
            if let Some(text) = held {
                *text = shown(pieces);
            }
        }
    }
    if let Some(pieces) = body {
        arguments.insert("body".into(), shown(&pieces));
    }
    for (pointer, pieces) in &json {
        let held = arguments.get_mut("json").and_then(|it| it.pointer_mut(pointer));
        if let Some(text) = held {
            *text = shown(pieces);
        }
    }
}

fn each_text(value: &mut Value, change: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(text) {
                *text = changed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| each_text(it, change)),
        Value::Object(fields) => fields.values_mut().for_each(|it| each_text(it, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What an action or a probe is made of, by the names people write, without what is not set.
fn arguments(of: &impl Serialize) -> Map<String, Value> {
    let Ok(Value::Object(tagged)) = serde_json::to_value(of) else { return Map::new() };
    let inner = tagged.into_iter().next().map(|(_, inner)| inner);
    let Some(Value::Object(fields)) = inner else { return Map::new() };
    fields.into_iter().filter_map(|(name, value)| Some((name, set(value)?))).collect()
}

/// The value, if it says anything; a duration as people write it.
fn set(value: Value) -> Option<Value> {
    match &value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(fields) => match (fields.len(), fields.get("secs"), fields.get("nanos")) {
            (0, ..) => None,
            (2, Some(secs), Some(nanos)) => {
                let nanos = u32::try_from(nanos.as_u64()?).ok()?;
                let time = Duration::new(secs.as_u64()?, nanos);
                Some(show_duration(time).into())
            }
            _ => Some(value),
        },
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Some(value),
    }
}

/// What happens when remedy `number` does not help.
fn otherwise(files: Files<'_>, case: Case<'_>, number: u32, playbook: &Playbook) -> String {
    let Case { rule, episode, .. } = case;
    let undo =
        if playbook.steps.iter().any(|step| step.undo.is_some()) { "undo, then " } else { "" };
    let Some(next) = rule.response.get(number as usize) else {
        return format!("{undo}{}", people(files.config, &episode.labels));
    };
    let place = format!("remedy {} of {}", number.saturating_add(1), rule.response.len());
    let candidate = respond::candidate(case, files.playbooks, number.saturating_add(1), 0);
    let Ok(Candidate { subject, playbook, .. }) = candidate else {
        return format!("{undo}{place}, {}", next.playbook);
    };
    let tier = next.tier.unwrap_or(1).max(playbook.tier);
    let how = match guard::lowest_mode(&subject).0 {
        Mode::Auto => String::new(),
        Mode::Approve => format!(" (needs one person of tier {tier})"),
        Mode::Observe => " (mode observe: planned and told, never done)".to_owned(),
    };
    format!("{undo}{place}, {}{how}", next.playbook)
}

/// Who takes over.
fn people(config: &Config, labels: &Labels) -> String {
    let value = labels.get("severity");
    let mut channels: Vec<&str> = Vec::new();
    if let Some(severity) = audience::severity(config, value) {
        for name in severity.notify.iter().chain(&severity.escalate_to) {
            if !channels.contains(&name.as_str()) {
                channels.push(name);
            }
        }
    }
    let of = if value.is_empty() {
        "alerts without a severity".to_owned()
    } else {
        format!("severity {value}")
    };
    if channels.is_empty() {
        return format!("people take over, and nobody is told: no channel for {of} in quell.yml");
    }
    format!("people take over, told on {} ({of})", channels.join(", "))
}
