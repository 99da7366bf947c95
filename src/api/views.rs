//! Rules, playbooks and checks as they are shown: in the words people write, durations as `5m`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::decide::tell;
use crate::model::labels::Labels;
use crate::model::playbook::Playbook;
use crate::model::playbook::Rate;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::probe::Probe;
use crate::model::rule::Check;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::rule::Rule;
use crate::model::rule::Schedule;
use crate::model::time::show_duration;
use crate::store::checks::CheckState;
use crate::store::schedules::ScheduleState;

/// A rule.
#[derive(Debug, Serialize)]
pub(super) struct RuleView {
    name: String,
    description: String,
    r#match: Vec<String>,
    when: Option<String>,
    group_by: Vec<String>,
    target: String,
    mode: &'static str,
    response: Vec<RemedyView>,
    verify: Option<VerifyView>,
    limits: BTreeMap<&'static str, String>,
    r#continue: bool,
    /// `unless fixed within 10m`, when the page is held.
    page: Option<String>,
    place: String,
}

#[derive(Debug, Serialize)]
struct RemedyView {
    playbook: String,
    with: BTreeMap<String, Value>,
    mode: Option<&'static str>,
    tier: Option<u8>,
}

#[derive(Debug, Serialize)]
struct VerifyView {
    probe: String,
    within: String,
    hold: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unharmed: Vec<String>,
}

/// A playbook.
#[derive(Debug, Serialize)]
pub(super) struct PlaybookView {
    name: String,
    description: String,
    tier: u8,
    mode: &'static str,
    parameters: Vec<String>,
    limits: BTreeMap<&'static str, String>,
    steps: Vec<StepView>,
    on_resolve: Vec<StepView>,
    place: String,
}

#[derive(Debug, Serialize)]
struct StepView {
    name: String,
    what: String,
    undo: Option<&'static str>,
}

/// A check, with what it saw last once it has looked.
#[derive(Debug, Serialize)]
pub(super) struct CheckView {
    name: String,
    cron: String,
    timezone: String,
    probe: String,
    consecutive: u32,
    labels: Labels,
    place: String,
    state: Option<CheckState>,
}

/// A schedule, with its next slot once a server knows it.
#[derive(Debug, Serialize)]
pub(super) struct ScheduleView {
    name: String,
    description: String,
    cron: String,
    timezone: String,
    target: String,
    mode: &'static str,
    response: Vec<RemedyView>,
    verify: Option<VerifyView>,
    overlap: Overlap,
    missed: Missed,
    jitter: String,
    labels: Labels,
    place: String,
    state: Option<ScheduleState>,
}

impl ScheduleView {
    /// A schedule and its state, if it is known to the store.
    pub(super) fn new(schedule: &Schedule, state: Option<ScheduleState>) -> Self {
        let rule = RuleView::from(&*schedule.rule);
        Self {
            name: schedule.name.clone(),
            description: rule.description,
            cron: schedule.cron.clone(),
            timezone: schedule.timezone.clone(),
            target: rule.target,
            mode: rule.mode,
            response: rule.response,
            verify: rule.verify,
            overlap: schedule.overlap,
            missed: schedule.missed,
            jitter: show_duration(schedule.jitter),
            labels: schedule.labels.clone(),
            place: rule.place,
            state,
        }
    }
}

impl From<&Rule> for RuleView {
    fn from(rule: &Rule) -> Self {
        let limits = &rule.limits;
        let set = [
            ("settle", limits.settle.as_ref().map(|it| show_duration(it.value))),
            ("cooldown", limits.cooldown.as_ref().map(|it| show_duration(it.value))),
            ("rate", limits.rate.as_ref().map(|it| rate(it.value))),
            ("demote_after", limits.demote_after.as_ref().map(|it| rate(it.value))),
        ];
        Self {
            name: rule.name.clone(),
            description: rule.description.clone(),
            r#match: rule.matchers.iter().map(ToString::to_string).collect(),
            when: rule.when.clone(),
            group_by: rule.group_by.clone(),
            target: rule.target.clone(),
            mode: rule.mode.value.as_str(),
            response: rule
                .response
                .iter()
                .map(|remedy| RemedyView {
                    playbook: remedy.playbook.clone(),
                    with: remedy.with.clone(),
                    mode: remedy.mode.as_ref().map(|mode| mode.value.as_str()),
                    tier: remedy.tier,
                })
                .collect(),
            verify: rule.verify.as_ref().map(|verify| VerifyView {
                probe: probe(&verify.probe),
                within: show_duration(verify.within),
                hold: show_duration(verify.hold),
                unharmed: verify.unharmed.iter().map(tell::unharmed_words).collect(),
            }),
            limits: given(set),
            r#continue: rule.go_on,
            page: rule
                .page
                .as_ref()
                .map(|page| format!("unless fixed within {}", show_duration(page.value))),
            place: rule.place.to_string(),
        }
    }
}

impl From<&Playbook> for PlaybookView {
    fn from(playbook: &Playbook) -> Self {
        let set = [
            ("rate", playbook.limits.rate.map(rate)),
            ("concurrent", playbook.limits.concurrent.map(|it| it.to_string())),
        ];
        Self {
            name: playbook.name.clone(),
            description: playbook.description.clone(),
            tier: playbook.tier,
            mode: playbook.mode.as_str(),
            parameters: playbook.parameters.keys().cloned().collect(),
            limits: given(set),
            steps: playbook.steps.iter().map(StepView::from).collect(),
            on_resolve: playbook.on_resolve.iter().map(StepView::from).collect(),
            place: format!("{}:{}", playbook.file, playbook.line),
        }
    }
}

impl From<&Step> for StepView {
    fn from(step: &Step) -> Self {
        let what = tell::step_line(step);
        let undo = step.undo.as_ref().map(|undo| match undo {
            Undo::Previous => "previous",
            Undo::Action(action) => action.kind(),
        });
        Self { name: step.name.clone(), what, undo }
    }
}

impl CheckView {
    /// A check and its state, if it is known to the store.
    pub(super) fn new(check: &Check, state: Option<CheckState>) -> Self {
        Self {
            name: check.name.clone(),
            cron: check.cron.clone(),
            timezone: check.timezone.clone(),
            probe: probe(&check.probe),
            consecutive: check.consecutive,
            labels: check.labels.clone(),
            place: check.place.to_string(),
            state,
        }
    }
}

/// A probe in one line. URLs are left out, since one may hold a password.
fn probe(probe: &Probe) -> String {
    probe.line()
}

fn rate(rate: Rate) -> String {
    format!("{} per {}", rate.count, show_duration(rate.per))
}

fn given<const N: usize>(
    limits: [(&'static str, Option<String>); N],
) -> BTreeMap<&'static str, String> {
    limits.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
