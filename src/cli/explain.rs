//! `quell explain`: which rules an alert selects, why each other does not, and what the plan would be. Reads files only.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::cli::Place;
use crate::cli::output;
use crate::clock::Clock;
use crate::decide::machine::State;
use crate::decide::matching::Match;
use crate::decide::plan;
use crate::decide::tell;
use crate::error::Error;
use crate::library::Library;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::What;
use crate::model::rule::Rule;
use crate::model::run::Plan;
use crate::model::time::show_duration;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A file: a webhook body, one alert with `labels`, or a plain map of labels.
    file: Option<PathBuf>,
    /// A label; repeat it for each.
    #[arg(long = "label", short, value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

pub(super) fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let library = at.library()?;
    let mut alerts = match &options.file {
        Some(file) => read(file)?,
        None => Vec::new(),
    };
    if alerts.is_empty() || !options.labels.is_empty() {
        let labels: Labels = options.labels.iter().cloned().collect();
        if labels.is_empty() {
            return Err(Error::new("Q0601", "there is no alert to explain")
                .hint("name a file, or labels: quell explain --label alertname=HighErrorRate"));
        }
        alerts.push((labels, Labels::default()));
    }
    let now = Clock::System.now();
    let mut machine_readable = Vec::new();
    for (labels, annotations) in alerts {
        let episode = Episode::unstored("explain", labels, annotations, now);
        if at.json {
            machine_readable.push(as_json(&library, &episode));
        } else {
            explain(&library, &episode, now);
        }
    }
    if at.json {
        output::json(&machine_readable);
    }
    Ok(())
}

/// Alerts of a file: a webhook body, one alert, or a map of labels.
fn read(file: &PathBuf) -> Result<Vec<(Labels, Labels)>, Error> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::new("Q0602", format!("could not read {name}: {error}")))?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Error::new("Q0603", format!("{name} is not JSON: {error}")))?;
    let one = |value: &serde_json::Value| -> Option<(Labels, Labels)> {
        let labels = serde_json::from_value(value.get("labels").cloned()?).ok()?;
        let annotations = value.get("annotations").cloned().unwrap_or_default();
        Some((labels, serde_json::from_value(annotations).unwrap_or_default()))
    };
    let expected = || {
        Error::new("Q0603", format!("{name} holds no alert")).hint(
            "expected a webhook body with `alerts`, an alert with `labels`, or a map of labels",
        )
    };
    if let Some(alerts) = json.get("alerts").and_then(serde_json::Value::as_array) {
        return alerts.iter().map(|alert| one(alert).ok_or_else(expected)).collect();
    }
    if let Some(alert) = one(&json) {
        return Ok(vec![alert]);
    }
    let labels: Labels = serde_json::from_value(json).map_err(|_| expected())?;
    Ok(vec![(labels, Labels::default())])
}

fn explain(library: &Library, episode: &Episode, now: Timestamp) {
    let matches = library.rules.explain(&episode.labels, &episode.annotations);
    let selected: Vec<&Rule> = matches
        .iter()
        .filter(|(_, it)| *it == Match::Selected)
        .map(|(rule, _)| rule.as_ref())
        .collect();
    output::line(&format!(
        "{}     {} of {} rules selected",
        episode.labels,
        selected.len(),
        matches.len()
    ));
    output::line("");
    let name_width = width(matches.iter().map(|(rule, _)| rule.name.as_str()));
    let places: Vec<String> = matches.iter().map(|(rule, _)| rule.place.to_string()).collect();
    let place_width = width(places.iter().map(String::as_str));
    for ((rule, why), place) in matches.iter().zip(&places) {
        output::line(&format!(
            "  {:name_width$}  {place:place_width$}  {}",
            rule.name,
            why_words(why)
        ));
    }
    for rule in selected {
        output::line("");
        match first_plan(library, rule, episode, now) {
            Ok(Some(plan)) => show_plan(rule, &plan),
            Ok(None) => output::line(&format!("rule {} has no remedy: people only", rule.name)),
            Err(errors) => {
                output::line(&format!("rule {} cannot plan: {}", rule.name, errors.join("; ")));
            }
        }
    }
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

pub(super) fn why_words(why: &Match) -> String {
    match why {
        Match::Selected => "selected".into(),
        Match::Matcher { matcher, value: Some(value) } => {
            format!("no: {matcher}, the alert has {value:?}")
        }
        Match::Matcher { matcher, value: None } => {
            format!("no: {matcher}, the alert has no such label")
        }
        Match::When => "no: `when` is false".into(),
        Match::WhenUnknown(reason) => format!("no: `when` is unknown: {reason}"),
        Match::TakenBy(rule) => format!("no: rule {rule} takes it before"),
    }
}

/// The plan of the first remedy.
fn first_plan(
    library: &Library,
    rule: &Rule,
    episode: &Episode,
    now: Timestamp,
) -> Result<Option<Plan>, Vec<String>> {
    let Some(remedy) = rule.response.first() else { return Ok(None) };
    let playbook = library
        .playbooks
        .get(&remedy.playbook)
        .ok_or_else(|| vec![format!("there is no playbook {}", remedy.playbook)])?;
    let target = plan::target(rule, episode).map_err(|error| vec![error])?;
    let incident = IncidentId(0);
    let subject =
        plan::subject(&library.config, rule, (1, remedy), playbook, episode, incident, &target);
    plan::plan(rule, &subject, playbook, episode, now).map(Some)
}

fn show_plan(rule: &Rule, plan: &Plan) {
    output::line(&format!(
        "plan when it may run: remedy 1 of {}, {} (mode {}) on {}",
        plan.remedies,
        plan.playbook.name,
        plan.mode.as_str(),
        plan.target
    ));
    let context = plan::step_context(plan, "r-0", &State::empty(plan));
    for (index, step) in plan.playbook.steps.iter().enumerate() {
        // what is done for each item is rendered once there is one
        let what = match (&step.what, &step.each) {
            (What::Action(action), None) => plan::render_action(action, &context).map_or_else(
                |error| format!("{}: {error}", action.kind()),
                |it| tell::action_line(&it),
            ),
            _ => tell::step_line(step),
        };
        let undo = match &step.undo {
            Some(undo) if step.each.is_some() => format!("    undo: {}", undo.kind()),
            Some(undo) => plan::render_action(undo, &context).map_or_else(
                |error| format!("    undo: {error}"),
                |it| format!("    undo: {}", tell::action_line(&it)),
            ),
            None => String::new(),
        };
        output::line(&format!("  {}  {}: {what}{undo}", index + 1, step.name));
    }
    if let Some(verify) = &plan.verify {
        output::line(&format!(
            "  verify: {} within {}, held {}",
            verify.probe.kind(),
            show_duration(verify.within),
            show_duration(verify.hold)
        ));
    }
    for remedy in rule.response.iter().skip(1) {
        output::line(&format!("  then, if it does not help: {}", remedy.playbook));
    }
}

fn as_json(library: &Library, episode: &Episode) -> serde_json::Value {
    let matches = library.rules.explain(&episode.labels, &episode.annotations);
    let rules: Vec<serde_json::Value> = matches
        .iter()
        .map(|(rule, why)| {
            serde_json::json!({
                "rule": rule.name, "place": rule.place.to_string(),
                "selected": *why == Match::Selected, "why": why_words(why),
            })
        })
        .collect();
    serde_json::json!({ "labels": episode.labels, "fingerprint": episode.fingerprint, "rules": rules })
}
