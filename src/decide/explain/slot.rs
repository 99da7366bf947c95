//! A slot of a schedule, explained as an alert is: only the schedule's own rule takes it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::explain::Files;
use crate::decide::explain::Known;
use crate::decide::explain::begin;
use crate::decide::explain::judge;
use crate::decide::respond;
use crate::decide::schedule;
use crate::model::decision::Runs;
use crate::model::explain::Basis;
use crate::model::explain::Explanation;
use crate::model::explain::SlotPlan;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::rule::Schedule;
use crate::model::time::before;
use crate::model::time::show_duration;

/// The first slot of a schedule from `at` on, as the episode that it opens; else why there is none.
pub fn first(
    files: Files<'_>,
    name: &str,
    at: Timestamp,
) -> Result<(Arc<Schedule>, Episode), String> {
    let Some(schedule) = files.schedules.iter().find(|it| it.name == name) else {
        let names: Vec<&str> = files.schedules.iter().map(|it| it.name.as_str()).collect();
        let others = match names.as_slice() {
            [] => "the files have none".to_owned(),
            names => format!("the files have {}", names.join(", ")),
        };
        return Err(format!("there is no schedule {name}: {others}"));
    };
    // a slot at `at` itself counts
    let slot = schedule::next_slot(schedule, before(at, Duration::from_nanos(1)))
        .ok_or_else(|| format!("schedule {name} never comes after {at:.0}"))?;
    let labels = schedule::labels(schedule, slot);
    let source = &schedule.rule.name;
    Ok((Arc::clone(schedule), Episode::unstored(source, labels, Labels::default(), slot)))
}

/// What is known of the slot that opened an episode; `None` for an alert.
pub(super) fn of(files: Files<'_>, episode: &Episode) -> Option<SlotPlan> {
    let name = schedule::name_of(&episode.source)?;
    let slot = episode.labels.get("slot").parse().unwrap_or(episode.starts_at);
    let Some(schedule) = files.schedules.iter().find(|it| it.name == name) else {
        return Some(SlotPlan {
            schedule: name.to_owned(),
            place: String::new(),
            cron: String::new(),
            slot,
            jitter: show_duration(Duration::ZERO),
            overlap: Overlap::Skip,
            missed: Missed::Skip,
        });
    };
    Some(SlotPlan {
        schedule: name.to_owned(),
        place: schedule.place.to_string(),
        cron: format!("{} {}", schedule.cron, schedule.timezone),
        slot,
        jitter: show_duration(schedule.jitter),
        overlap: schedule.overlap,
        missed: schedule.missed,
    })
}

/// What the slot of [`first`] would meet, by the files alone.
pub fn offline(files: Files<'_>, schedule: &Schedule, episode: &Episode) -> Explanation {
    let at = episode.opened_at;
    let mut explanation = begin(files, episode, Basis::Assumed, at);
    explanation.assumed = vec![
        "it begins at once".into(),
        "the slot before has ended".into(),
        "no run before it".into(),
        "nothing paused".into(),
    ];
    let facts = Some(respond::facts(files.windows, episode, at));
    let known = Known { incident: None, runs: Vec::new(), past: Runs::default(), facts };
    explanation.judgements =
        vec![judge(files, &schedule.rule, episode, &known, Basis::Assumed, at)];
    explanation
}
