//! `quell schedules`: when each runs next, and what was left out.

use std::collections::BTreeMap;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::store_error;
use crate::error::Error;
use crate::model::rule::Schedule;
use crate::store::schedules::ScheduleState;

pub(super) async fn list(at: &Place) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let states = store.schedules().await.map_err(store_error)?;
    let mut states: BTreeMap<String, ScheduleState> =
        states.into_iter().map(|state| (state.name.clone(), state)).collect();
    let known: Vec<(&Schedule, Option<ScheduleState>)> =
        library.schedules.iter().map(|it| (&**it, states.remove(&it.name))).collect();
    if at.json {
        let shown: Vec<_> = known.iter().map(|(it, state)| as_json(it, state.as_ref())).collect();
        output::json(&shown);
        return Ok(());
    }
    if known.is_empty() {
        output::line("no schedules");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = known.iter().map(|(it, state)| row(it, state.as_ref())).collect();
    output::table(&["schedule", "cron", "playbook", "next", "last", "left out"], &rows);
    Ok(())
}

fn as_json(schedule: &Schedule, state: Option<&ScheduleState>) -> serde_json::Value {
    serde_json::json!({
        "name": schedule.name, "cron": schedule.cron, "timezone": schedule.timezone,
        "playbook": playbook(schedule), "target": schedule.rule.target, "state": state,
    })
}

fn row(schedule: &Schedule, state: Option<&ScheduleState>) -> Vec<String> {
    let shown = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let next = match state {
        None => "not yet known: is the server running?".to_owned(),
        Some(state) if state.due_at == jiff::Timestamp::MAX => "never again".to_owned(),
        Some(state) if state.waits => format!("{}, waits for the one before", shown(state.slot)),
        Some(state) => shown(state.slot),
    };
    let last = state.and_then(|state| state.last_slot).map_or_else(|| "none yet".to_owned(), shown);
    let skipped = match state {
        Some(state) if state.skipped > 0 => format!("{}: {}", state.skipped, state.note),
        _ => "none".to_owned(),
    };
    let cron = format!("{} {}", schedule.cron, schedule.timezone);
    vec![schedule.name.clone(), cron, playbook(schedule).to_owned(), next, last, skipped]
}

fn playbook(schedule: &Schedule) -> &str {
    schedule.rule.response.first().map_or("", |remedy| remedy.playbook.as_str())
}
