//! `postgres.activity`: reads what the sessions of a server do.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::Row as _;

use super::Ask;
use super::Bounds;
use super::Server;
use super::session::Session;
use super::session::columns;
use crate::model::action::postgres::Activity;
use crate::model::run::Outcome;

/// The oldest transaction first, then who is longest in its state.
const SQL: &str = concat!(
    "SELECT ",
    columns!(),
    ", a.wait_event_type || ': ' || a.wait_event AS waits_for, \
     current_setting('max_connections')::int AS most FROM pg_stat_activity a \
     WHERE a.usesysid IS NOT NULL ORDER BY a.xact_start NULLS LAST, a.state_change NULLS LAST, a.pid"
);

pub(super) async fn perform(activity: &Activity, ask: Ask<'_>) -> Result<Outcome, Outcome> {
    let lines = activity.lines.read().map_err(super::super::failed)?;
    let mut server = Server::open(&activity.server, ask, Bounds::READ).await?;
    let rows = server.look("looking at its sessions", sqlx::query(SQL)).await?;
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    let (mut sessions, mut hidden, mut total) = (Vec::new(), 0_u64, 0_u64);
    let most: Option<i32> = rows.first().and_then(|row| row.try_get("most").ok());
    for row in &rows {
        let session = Session::read(row);
        if session.own {
            continue;
        }
        total += 1;
        if session.hidden {
            hidden += 1;
            continue;
        }
        let state = if session.state.is_empty() { &session.kind } else { &session.state };
        *states.entry(state.clone()).or_default() += 1;
        let mut shown = session.shown();
        let waits_for: Option<String> = row.try_get("waits_for").ok().flatten();
        if let (Some(map), Some(waits_for)) = (shown.as_object_mut(), waits_for) {
            map.insert("waits_for".into(), waits_for.into());
        }
        sessions.push(shown);
    }
    let left_out = sessions.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    sessions.truncate(sessions.len() - left_out);
    let by_state: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let also = if hidden == 0 { String::new() } else { format!(", {hidden} not to be seen") };
    Ok(Outcome::Done {
        summary: format!(
            "postgres `{}`: {total} sessions of at most {}: {}{also}",
            activity.server,
            most.unwrap_or_default(),
            by_state.join(", ")
        ),
        output: json!({
            "connections": total,
            "max_connections": most,
            "states": states,
            "sessions": sessions,
            "hidden": hidden,
            "left_out": left_out,
        }),
    })
}
