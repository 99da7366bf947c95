//! From an alert and a rule to a plan: names, groups, parameters; and from a plan to what a step will do.

mod proof;
mod rendering;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::decide::approval;
use crate::decide::credentials;
use crate::decide::guard::Limits;
use crate::decide::guard::Rollback;
use crate::decide::guard::Subject;
use crate::decide::machine::Record;
use crate::decide::machine::Spot;
use crate::decide::machine::State;
use crate::decide::parameters;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::decide::target;
use crate::model::config::Config;
use crate::model::incident::Episode;
use crate::model::incident::IncidentId;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::playbook::Unharmed;
use crate::model::playbook::Verification;
use crate::model::probe::Probe;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::Set;
use crate::model::rule::is_schedule;
use crate::model::run::Plan;

use proof::proof_context;

pub use proof::Look;
pub use proof::Wanted;
pub use proof::wanted;
pub use proof::wanted_before_step;
pub use rendering::member;
pub use rendering::render_action;
pub use rendering::render_measure;
pub use rendering::render_probe;

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
) -> Result<Subject, String> {
    let (number, remedy) = remedy;
    let limits = Limits::of(&config.limits, playbook).tightened(&rule.limits);
    let knob = |mode: &Set<Mode>| (format!("mode ({})", mode.place), mode.value);
    let mut modes = vec![knob(&config.mode), knob(&rule.mode)];
    modes.extend(remedy.mode.as_ref().map(knob));
    modes.push((format!("mode (playbook {})", playbook.name), playbook.mode));
    let rollback = match &playbook.rollback {
        None => None,
        Some(proof) => {
            let context = proof_context(playbook, &remedy.with, episode)?;
            let to = render(&proof.to, &context, Escape::None)?;
            Some(Rollback { to, memory: proof.memory })
        }
    };
    Ok(Subject {
        rule: rule.name.clone(),
        playbook: playbook.name.clone(),
        target: target.to_owned(),
        alertname: episode.labels.get("alertname").to_owned(),
        incident,
        remedy: number,
        since: episode.opened_at,
        modes,
        limits,
        service: episode.labels.get(SERVICE).to_owned(),
        group: group_of(rule, episode)?,
        acts_on: playbook.acts_on.clone(),
        dependency: dependency(config, target),
        credentials: credentials(config, remedy, playbook, episode),
        rollback,
    })
}

/// The credentials of a remedy that is judged. Parameters that do not fit make no plan, and use nothing.
fn credentials(
    config: &Config,
    remedy: &Remedy,
    playbook: &Playbook,
    episode: &Episode,
) -> Vec<String> {
    if !credentials::by_parameters(playbook) {
        return credentials::used(playbook, &BTreeMap::new(), &config.targets);
    }
    parameters::resolve(playbook, &remedy.with, &alert_context(episode))
        .map(|parameters| credentials::used(playbook, &parameters, &config.targets))
        .unwrap_or_default()
}

/// The label that says which service an alert is about.
pub const SERVICE: &str = "service";

/// Redundancy group of the target; empty when the rule names none.
fn group_of(rule: &Rule, episode: &Episode) -> Result<String, String> {
    let group = rule.redundancy_group.as_ref();
    let group = group.map(|it| render(it, &alert_context(episode), Escape::None)).transpose()?;
    match group {
        Some(group) if group.trim().is_empty() => {
            Err(format!("the redundancy group is empty (redundancy_group of rule {})", rule.name))
        }
        group => Ok(group.unwrap_or_default()),
    }
}

/// What of quell's own a target is, and the knob that says so.
fn dependency(config: &Config, target: &str) -> Option<(String, String)> {
    let found = config.dependencies.iter().find(|it| target::fits(&it.value, target))?;
    Some((target.to_owned(), format!("dependencies ({})", found.place)))
}

/// The plan of one remedy. Errors are sentences that name the parameter or template.
pub fn plan(
    rule: &Rule,
    subject: &Subject,
    playbook: &Playbook,
    episode: &Episode,
    mode: Mode,
    now: Timestamp,
) -> Result<Plan, Vec<String>> {
    let context = alert_context(episode);
    let remedy = (subject.remedy as usize)
        .checked_sub(1)
        .and_then(|index| rule.response.get(index))
        .ok_or_else(|| vec![format!("rule {} has no remedy {}", rule.name, subject.remedy)])?;
    let parameters = parameters::resolve(playbook, &remedy.with, &context)?;
    let verify = verification(rule, episode).map_err(|error| vec![error])?;
    let left_version = match &playbook.rollback {
        None => String::new(),
        Some(proof) => {
            let context = proof_context(playbook, &remedy.with, episode).map_err(|it| vec![it])?;
            render(&proof.from, &context, Escape::None).map_err(|it| vec![it])?
        }
    };
    let plan = Plan {
        incident: subject.incident,
        episode: episode.id,
        fingerprint: episode.fingerprint.clone(),
        rule: rule.name.clone(),
        remedy: subject.remedy,
        remedies: u32::try_from(rule.response.len()).unwrap_or(u32::MAX),
        target: subject.target.clone(),
        mode,
        tier: remedy.tier.unwrap_or(1).max(playbook.tier),
        approvals: remedy.approvals.unwrap_or(1).max(playbook.approvals).max(1),
        proposed_by: approval::proposer(episode),
        lists: BTreeMap::new(),
        playbook: playbook.clone(),
        parameters,
        labels: episode.labels.clone(),
        annotations: episode.annotations.clone(),
        // a schedule without verification has run when its steps are done
        verify: (rule.verify.is_some() || !is_schedule(&rule.name)).then_some(verify),
        glass: None,
        group: subject.group.clone(),
        left_version,
        approve_until: None,
        rules_digest: String::new(),
        taken: serde_json::Map::new(),
    };
    Ok(approval::in_mode(plan, mode, now))
}

/// The plan that takes temporary measures back: the playbook's `on_resolve` steps, as remedy 0, at once and
/// without verification. They see what the steps of the run came to, which `state` is of: what was there before, and whether
/// there is anything to take back.
pub fn take_back(plan: &Plan, state: &State) -> Option<Plan> {
    if plan.playbook.on_resolve.is_empty() || plan.remedy == 0 {
        return None;
    }
    let steps = plan.playbook.on_resolve.clone();
    Some(Plan {
        remedy: 0,
        mode: Mode::Auto,
        playbook: Playbook { steps, on_resolve: Vec::new(), ..plan.playbook.clone() },
        verify: None,
        lists: BTreeMap::new(),
        glass: None,
        left_version: String::new(),
        approve_until: None,
        taken: steps_seen(plan, state),
        ..plan.clone()
    })
}

/// How a remedy of the rule is verified for this alert: rendered.
pub fn verification(rule: &Rule, episode: &Episode) -> Result<Verification, String> {
    match &rule.verify {
        Some(verify) => {
            let context = alert_context(episode);
            let unharmed = verify.unharmed.iter().map(|it| {
                let measure = render_measure(&it.measure, &context)?;
                Ok(Unharmed { measure, ..it.clone() })
            });
            Ok(Verification {
                probe: render_probe(&verify.probe, &context)?,
                unharmed: unharmed.collect::<Result<_, String>>()?,
                ..verify.clone()
            })
        }
        None => Ok(default_verification()),
    }
}

/// What guards judge again before each step of a run.
///
/// `rule` is the rule as it is now, when it still exists: what it tightens holds for what is under way, too.
pub fn subject_of(plan: &Plan, config: &Config, rule: Option<&Rule>, since: Timestamp) -> Subject {
    let limits = Limits::of(&config.limits, &plan.playbook);
    Subject {
        rule: plan.rule.clone(),
        playbook: plan.playbook.name.clone(),
        target: plan.target.clone(),
        alertname: plan.labels.get("alertname").to_owned(),
        incident: plan.incident,
        remedy: plan.remedy,
        since,
        modes: vec![("plan".into(), plan.mode)],
        limits: match rule {
            Some(rule) => limits.tightened(&rule.limits),
            None => limits,
        },
        service: plan.labels.get(SERVICE).to_owned(),
        group: plan.group.clone(),
        acts_on: plan.playbook.acts_on.clone(),
        dependency: dependency(config, &plan.target),
        credentials: credentials::used(&plan.playbook, &plan.parameters, &config.targets),
        rollback: None,
    }
}

/// When a rule names no verification, the alert itself must go away.
pub fn default_verification() -> Verification {
    Verification {
        probe: Probe::Alert,
        within: Duration::from_mins(10),
        hold: Duration::ZERO,
        unharmed: Vec::new(),
    }
}

/// Variables that steps see: parameters by name, `labels`, `annotations`, `run`, and the `steps` before. The output of a
/// step that was skipped, failed or was undone is null.
pub fn step_context(plan: &Plan, run: &str, state: &State) -> Value {
    let mut context: serde_json::Map<String, Value> =
        plan.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    context.insert("steps".into(), Value::Object(steps_seen(plan, state)));
    context.insert("labels".into(), json!(plan.labels));
    context.insert("annotations".into(), json!(plan.annotations));
    context.insert(
        "run".into(),
        json!({ "id": run, "incident": plan.incident, "target": plan.target, "rule": plan.rule }),
    );
    Value::Object(context)
}

/// What the steps before came to, by name; of a run that takes measures back, also those of the run that took them.
fn steps_seen(plan: &Plan, state: &State) -> serde_json::Map<String, Value> {
    let mut steps = plan.taken.clone();
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
    steps
}

/// The same, and for an item of a `for_each` also `item` and `index`, which counts from 0. An item that is done sees its own
/// output as that of its step: its undo may need it.
pub fn spot_context(plan: &Plan, run: &str, state: &State, spot: Spot) -> Value {
    let mut context = step_context(plan, run, state);
    let list = state.lists.get(&spot.step);
    let (Some(item), Some(list), Some(map)) = (spot.item, list, context.as_object_mut()) else {
        return context;
    };
    map.insert("item".into(), list.items.get(item).cloned().unwrap_or_default());
    map.insert("index".into(), item.into());
    let name = plan.playbook.steps.get(spot.step).map(|step| step.name.clone());
    if let (Some(name), Some(Record::Done { output, .. }), Some(Value::Object(steps))) =
        (name, list.records.get(item), map.get_mut("steps"))
    {
        steps.insert(name, json!({ "is": "done", "output": output }));
    }
    context
}

/// Names of the secrets that a run may use: its actions are given no others, and no output of any of them may hold one.
pub fn secrets(plan: &Plan) -> impl Iterator<Item = &str> {
    let secret = plan.playbook.parameters.iter().filter(|(_, parameter)| parameter.secret);
    secret.filter_map(|(name, _)| plan.parameters.get(name)?.as_str())
}

/// Variables that only an item of a `for_each` has.
pub const OF_ITEMS: [&str; 2] = ["item", "index"];

/// What names a step, or an item of one, to whoever is asked to do it: the same over all tries. `r-12/3`, `r-12/3.2`.
pub fn key(run: &str, spot: Spot) -> String {
    match spot.item {
        None => format!("{run}/{}", spot.step + 1),
        Some(item) => format!("{run}/{}.{}", spot.step + 1, item + 1),
    }
}
