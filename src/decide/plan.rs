//! From an alert and a rule to a plan: names, groups, parameters; and from a plan to what a step will do.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::decide::guard::Limits;
use crate::decide::guard::Subject;
use crate::decide::guard::lowest_mode;
use crate::decide::machine::Record;
use crate::decide::machine::State;
use crate::decide::parameters;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::model::config::Config;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::playbook::Action;
use crate::model::playbook::Command;
use crate::model::playbook::HttpCall;
use crate::model::playbook::HttpProbe;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Probe;
use crate::model::playbook::RedisDelete;
use crate::model::playbook::RedisFlush;
use crate::model::playbook::Verification;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::Set;
use crate::model::rule::is_schedule;
use crate::model::run::Plan;
use crate::model::time::after;

/// Variables that rules see: `labels` and `annotations`.
pub fn alert_context(episode: &Episode) -> Value {
    json!({ "labels": episode.labels, "annotations": episode.annotations })
}

/// The canonical name of what the rule acts on for this alert.
pub fn target(rule: &Rule, episode: &Episode) -> Result<String, String> {
    let target = render(&rule.target, &alert_context(episode), Escape::None)?;
    if target.is_empty() || target.split('/').any(str::is_empty) {
        return Err(format!(
            "the target `{target}` has an empty part (target of rule {})",
            rule.name
        ));
    }
    Ok(target)
}

/// What groups the episodes of a rule into one incident: the labels of `group_by`, or the target.
pub fn group_key(rule: &Rule, episode: &Episode, target: &str) -> String {
    if rule.group_by.is_empty() {
        return target.to_owned();
    }
    let pair = |name: &String| format!("{name}={:?}", episode.labels.get(name));
    rule.group_by.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// `api: HighErrorRate, critical`: what people see first.
pub fn title(episode: &Episode, target: &str) -> String {
    let labels = &episode.labels;
    let subject = ["service", "job", "instance"]
        .into_iter()
        .map(|name| labels.get(name))
        .find(|value| !value.is_empty())
        .unwrap_or_else(|| target.rsplit('/').next().unwrap_or(target));
    let alertname = match labels.get("alertname") {
        "" => "alert without a name",
        name => name,
    };
    let title =
        if subject.is_empty() { alertname.to_owned() } else { format!("{subject}: {alertname}") };
    match labels.get("severity") {
        "" => title,
        severity => format!("{title}, {severity}"),
    }
}

/// What guards judge: the tighter of each pair of limits.
pub fn subject(
    config: &Config,
    rule: &Rule,
    remedy: (u32, &Remedy),
    playbook: &Playbook,
    episode: &Episode,
    incident: IncidentId,
    target: &str,
) -> Subject {
    let (number, remedy) = remedy;
    let mut limits = Limits::of(&config.limits, playbook);
    limits.settle.clone_from(&rule.limits.settle);
    limits.rule_rate.clone_from(&rule.limits.rate);
    if let Some(own) = &rule.limits.cooldown
        && own.value >= limits.cooldown.value
    {
        limits.cooldown = own.clone();
    }
    let knob = |mode: &Set<Mode>| (format!("mode ({})", mode.place), mode.value);
    let mut modes = vec![knob(&config.mode), knob(&rule.mode)];
    modes.extend(remedy.mode.as_ref().map(knob));
    modes.push((format!("mode (playbook {})", playbook.name), playbook.mode));
    Subject {
        rule: rule.name.clone(),
        playbook: playbook.name.clone(),
        target: target.to_owned(),
        alertname: episode.labels.get("alertname").to_owned(),
        incident,
        remedy: number,
        since: episode.opened_at,
        modes,
        limits,
    }
}

/// An approval is of use this long: the plan was made for what was seen then.
const APPROVAL_LASTS: Duration = Duration::from_hours(1);

/// The plan of one remedy. Errors are sentences that name the parameter or template.
pub fn plan(
    rule: &Rule,
    subject: &Subject,
    playbook: &Playbook,
    episode: &Episode,
    now: Timestamp,
) -> Result<Plan, Vec<String>> {
    let context = alert_context(episode);
    let remedy = (subject.remedy as usize)
        .checked_sub(1)
        .and_then(|index| rule.response.get(index))
        .ok_or_else(|| vec![format!("rule {} has no remedy {}", rule.name, subject.remedy)])?;
    let parameters = parameters::resolve(playbook, &remedy.with, &context)?;
    let verify = verification(rule, episode).map_err(|error| vec![error])?;
    let (mode, _) = lowest_mode(subject);
    Ok(Plan {
        incident: subject.incident,
        episode: episode.id,
        fingerprint: episode.fingerprint.clone(),
        rule: rule.name.clone(),
        remedy: subject.remedy,
        remedies: u32::try_from(rule.response.len()).unwrap_or(u32::MAX),
        target: subject.target.clone(),
        mode,
        tier: remedy.tier.unwrap_or(1).max(playbook.tier),
        playbook: playbook.clone(),
        parameters,
        labels: episode.labels.clone(),
        annotations: episode.annotations.clone(),
        // a schedule without verification has run when its steps are done
        verify: (rule.verify.is_some() || !is_schedule(&rule.name)).then_some(verify),
        approve_until: (mode == Mode::Approve).then(|| after(now, APPROVAL_LASTS)),
    })
}

/// The plan that takes temporary measures back: the playbook's `on_resolve` steps, as remedy 0, at once and
/// without verification.
pub fn take_back(plan: &Plan) -> Option<Plan> {
    if plan.playbook.on_resolve.is_empty() || plan.remedy == 0 {
        return None;
    }
    let steps = plan.playbook.on_resolve.clone();
    Some(Plan {
        remedy: 0,
        mode: Mode::Auto,
        playbook: Playbook { steps, on_resolve: Vec::new(), ..plan.playbook.clone() },
        verify: None,
        approve_until: None,
        ..plan.clone()
    })
}

/// How a remedy of the rule is verified for this alert: rendered.
pub fn verification(rule: &Rule, episode: &Episode) -> Result<Verification, String> {
    match &rule.verify {
        Some(verify) => Ok(Verification {
            probe: render_probe(&verify.probe, &alert_context(episode))?,
            ..verify.clone()
        }),
        None => Ok(default_verification()),
    }
}

/// What guards judge again before each step of a run.
pub fn subject_of(plan: &Plan, limits: &crate::model::config::Limits, since: Timestamp) -> Subject {
    Subject {
        rule: plan.rule.clone(),
        playbook: plan.playbook.name.clone(),
        target: plan.target.clone(),
        alertname: plan.labels.get("alertname").to_owned(),
        incident: plan.incident,
        remedy: plan.remedy,
        since,
        modes: vec![("plan".into(), plan.mode)],
        limits: Limits::of(limits, &plan.playbook),
    }
}

/// When a rule names no verification, the alert itself must go away.
pub fn default_verification() -> Verification {
    Verification { probe: Probe::Alert, within: Duration::from_mins(10), hold: Duration::ZERO }
}

/// Variables that steps see: parameters by name, `labels`, `annotations`, `run`, and the `steps` before.
pub fn step_context(plan: &Plan, run: &str, state: &State) -> Value {
    let mut context: serde_json::Map<String, Value> =
        plan.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut steps = serde_json::Map::new();
    for (step, record) in plan.playbook.steps.iter().zip(&state.steps) {
        let (is, output) = match record {
            Record::Pending => continue,
            Record::Done { output, .. } => ("done", output.clone()),
            Record::Failed { .. } => ("failed", Value::Null),
            Record::Skipped { .. } => ("skipped", Value::Null),
            Record::Undone => ("undone", Value::Null),
            Record::UndoFailed { .. } => ("undo failed", Value::Null),
        };
        steps.insert(step.name.clone(), json!({ "is": is, "output": output }));
    }
    context.insert("steps".into(), Value::Object(steps));
    context.insert("labels".into(), json!(plan.labels));
    context.insert("annotations".into(), json!(plan.annotations));
    context.insert(
        "run".into(),
        json!({ "id": run, "incident": plan.incident, "target": plan.target, "rule": plan.rule }),
    );
    Value::Object(context)
}

/// An action with every template rendered.
pub fn render_action(action: &Action, context: &Value) -> Result<Action, String> {
    let plain = |text: &String| render(text, context, Escape::None);
    Ok(match action {
        Action::Command(command) => Action::Command(render_command(command, context)?),
        Action::Http(call) => Action::Http(HttpCall {
            server: call.server.as_ref().map(plain).transpose()?,
            url: render(&call.url, context, Escape::Url)?,
            headers: texts(&call.headers, plain)?,
            body: call.body.as_ref().map(plain).transpose()?,
            json: call.json.as_ref().map(|json| render_json(json, context)).transpose()?,
            ..call.clone()
        }),
        Action::RedisFlush(flush) => {
            Action::RedisFlush(RedisFlush { server: plain(&flush.server)?, ..flush.clone() })
        }
        Action::RedisDelete(delete) => Action::RedisDelete(RedisDelete {
            server: plain(&delete.server)?,
            keys: delete.keys.iter().map(plain).collect::<Result<_, _>>()?,
            pattern: delete.pattern.as_ref().map(plain).transpose()?,
            database: delete.database,
        }),
    })
}

/// A probe with every template rendered.
pub fn render_probe(probe: &Probe, context: &Value) -> Result<Probe, String> {
    Ok(match probe {
        Probe::Promql { query, healthy } => Probe::Promql {
            query: render(query, context, Escape::Quoted)?,
            healthy: healthy.clone(),
        },
        Probe::Scrape { url, select, healthy } => Probe::Scrape {
            url: render(url, context, Escape::Url)?,
            select: render(select, context, Escape::Quoted)?,
            healthy: healthy.clone(),
        },
        Probe::Http(http) => {
            Probe::Http(HttpProbe { url: render(&http.url, context, Escape::Url)?, ..http.clone() })
        }
        Probe::Tcp { address } => Probe::Tcp { address: render(address, context, Escape::None)? },
        Probe::Command(command) => Probe::Command(render_command(command, context)?),
        Probe::Alert => Probe::Alert,
    })
}

fn render_command(command: &Command, context: &Value) -> Result<Command, String> {
    let plain = |text: &String| render(text, context, Escape::None);
    Ok(Command {
        argv: command.argv.iter().map(plain).collect::<Result<_, _>>()?,
        shell: command.shell.clone(),
        env: texts(&command.env, plain)?,
        directory: command.directory.as_ref().map(plain).transpose()?,
    })
}

fn texts(
    map: &BTreeMap<String, String>,
    render: impl Fn(&String) -> Result<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    map.iter().map(|(name, text)| Ok((name.clone(), render(text)?))).collect()
}

fn render_json(json: &Value, context: &Value) -> Result<Value, String> {
    Ok(match json {
        Value::String(text) => Value::String(render(text, context, Escape::None)?),
        Value::Array(items) => Value::Array(
            items.iter().map(|item| render_json(item, context)).collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, value)| Ok((name.clone(), render_json(value, context)?)))
                .collect::<Result<_, String>>()?,
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
    })
}
