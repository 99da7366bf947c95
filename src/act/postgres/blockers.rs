//! `postgres.blockers`: reads who makes others wait for locks.

use serde_json::json;
use sqlx::Row as _;

use super::Ask;
use super::Bounds;
use super::Server;
use super::chains;
use super::chains::Member;
use super::session::Session;
use super::session::columns;
use crate::model::action::postgres::Blockers;
use crate::model::run::Outcome;
use crate::model::time::show_duration;

/// All sessions, with what they wait for. When a wait began is known from `PostgreSQL` 14 on; before, the time since the
/// statement began stands for it. `to_jsonb` because the column does not exist there.
const SQL: &str = concat!(
    "WITH w AS MATERIALIZED (SELECT DISTINCT ON (l.pid) l.pid, l.mode, \
     coalesce(l.relation::regclass::text, l.locktype) AS what, \
     (to_jsonb(l) ->> 'waitstart')::timestamptz AS since FROM pg_locks l WHERE NOT l.granted \
     ORDER BY l.pid) SELECT ",
    columns!(),
    ", CASE WHEN w.pid IS NOT NULL THEN pg_blocking_pids(a.pid) END AS blocked_by, \
     w.mode || ' on ' || w.what AS waits_for, \
     CASE WHEN w.pid IS NULL THEN NULL WHEN w.since IS NOT NULL \
     THEN extract(epoch FROM clock_timestamp() - w.since) \
     WHEN current_setting('server_version_num')::int >= 140000 THEN 0 \
     ELSE extract(epoch FROM clock_timestamp() - a.state_change) END::float8 AS waited \
     FROM pg_stat_activity a LEFT JOIN w ON w.pid = a.pid"
);

pub(super) async fn perform(blockers: &Blockers, ask: Ask<'_>) -> Result<Outcome, Outcome> {
    let waiting_for = blockers.waiting_for.read().map_err(super::super::failed)?;
    let lines = blockers.lines.read().map_err(super::super::failed)?;
    let mut server = Server::open(&blockers.server, ask, Bounds::READ).await?;
    let rows = server.look("looking who waits", sqlx::query(SQL)).await?;
    let members: Vec<Member> = rows
        .iter()
        .map(|row| Member {
            session: Session::read(row),
            blocked_by: row
                .try_get::<Option<Vec<i32>>, _>("blocked_by")
                .ok()
                .flatten()
                .unwrap_or_default(),
            waits_for: row.try_get("waits_for").ok().flatten(),
            waited: row.try_get("waited").ok().flatten(),
        })
        .collect();
    // who blocks whom is not known of sessions that nobody shows
    if members.iter().any(|it| it.session.hidden) {
        return Err(super::super::denied(format!(
            "postgres `{}`: the user may not see the sessions of others; grant pg_read_all_stats to it",
            blockers.server
        )));
    }
    let found = chains::find(&members, waiting_for.as_secs_f64());
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let shown: Vec<_> = found.chains.iter().take(lines).collect();
    let span = show_duration(waiting_for);
    let summary = match (shown.first(), found.waiting) {
        (_, 0) => format!("nobody waits {span} for a lock of postgres `{}`", blockers.server),
        (None, waiting) => format!(
            "{waiting} sessions of postgres `{}` wait {span} for a lock; who holds it is not seen",
            blockers.server
        ),
        (Some(first), waiting) => format!(
            "{waiting} sessions of postgres `{}` wait {span} for a lock, behind {}; first: {}",
            blockers.server,
            found.chains.len(),
            first.line()
        ),
    };
    let ends: Vec<String> = shown.iter().filter_map(|chain| chain.backend()).collect();
    Ok(Outcome::Done {
        summary,
        output: json!({
            "blockers": ends,
            "chains": shown.iter().map(|chain| chain.shown()).collect::<Vec<_>>(),
            "waiting": found.waiting,
            "prepared_transactions": found.prepared,
            "left_out": found.chains.len().saturating_sub(lines),
        }),
    })
}
