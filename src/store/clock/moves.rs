//! Moves what waits, and what is measured from, when the clock was set.

use jiff::Timestamp;

use crate::decide::own;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Transaction;
use crate::store::micros;

/// Instants that are moved by $1, of rows that are in force or later than $2. A row that has none (0) gets none.
const MOVES: &[&str] = &[
    // cooldowns, rates, failures
    "UPDATE runs SET started_at = started_at + $1,
       ended_at = CASE WHEN ended_at = 0 THEN 0 ELSE ended_at + $1 END
     WHERE is_final = 0 OR started_at > $2",
    // how long an alert fires, and how long ago it ended
    "UPDATE episodes SET opened_at = opened_at + $1, seen_at = seen_at + $1,
       ended_at = CASE WHEN ended_at = 0 THEN 0 ELSE ended_at + $1 END
     WHERE is_open = 1 OR opened_at > $2",
    // deadlines of acknowledgements and held pages, flapping, hands
    "UPDATE incidents SET opened_at = opened_at + $1,
       resolved_at = CASE WHEN resolved_at = 0 THEN 0 ELSE resolved_at + $1 END,
       acked_at = CASE WHEN acked_at = 0 THEN 0 ELSE acked_at + $1 END,
       taken_at = CASE WHEN taken_at = 0 THEN 0 ELSE taken_at + $1 END,
       given_back_at = CASE WHEN given_back_at = 0 THEN 0 ELSE given_back_at + $1 END,
       held_until = CASE WHEN held_until = 0 THEN 0 ELSE held_until + $1 END
     WHERE status <> 'resolved' OR opened_at > $2",
    // retries, leases, and pages that are late
    "UPDATE outbox SET created_at = created_at + $1,
       ended_at = CASE WHEN ended_at = 0 THEN 0 ELSE ended_at + $1 END
     WHERE state = 'pending' OR created_at > $2",
    "UPDATE changes SET moved = moved + $1 WHERE at + moved > $2",
    "UPDATE jumps SET at = at + $1 WHERE at > $2",
];

/// The same for tables that hold nothing else.
const WHOLE: &[&str] = &[
    "UPDATE channel_troubles SET since = since + $1",
    // breakers, and what they count
    "UPDATE troubles SET at = at + $1",
    "UPDATE trips SET since = since + $1,
       calm_since = CASE WHEN calm_since = 0 THEN 0 ELSE calm_since + $1 END",
    // or the next start would take it for another jump
    "UPDATE clock SET at = at + $1",
    "UPDATE marks SET at = at + $1",
    // at two looks in a row
    "UPDATE missing SET since = since + $1",
    "UPDATE chronic SET told_at = told_at + $1,
       over_at = CASE WHEN over_at = 0 THEN 0 ELSE over_at + $1 END",
    // break-glass is asked for by a duration
    "UPDATE glass SET moved = moved + $1 WHERE over = 0 AND ended_at = 0",
];

/// Where `due_at` is a wait or a lease, and nothing else.
const DUE: &[&str] = &[
    "UPDATE incidents SET due_at = due_at + $1 WHERE due_at < $2",
    "UPDATE outbox SET due_at = due_at + $1 WHERE due_at < $2",
    "UPDATE duties SET due_at = due_at + $1 WHERE due_at < $2",
    "UPDATE updates SET due_at = due_at + $1 WHERE due_at < $2",
    // else it is a slot, by the wall clock
    "UPDATE schedules SET due_at = due_at + $1 WHERE (leased = 1 OR waits = 1) AND due_at < $2",
    "UPDATE runs SET due_at = due_at + $1 WHERE is_final = 0 AND owner <> '' AND due_at < $2",
];

/// By so many microseconds; the new clock shows `now`, and rows older than `recent` by the old one keep their instants.
pub(super) async fn by(
    tx: &mut Transaction,
    by: i64,
    recent: Timestamp,
    now: Timestamp,
) -> Result<()> {
    for statement in WHOLE {
        sqlx::query(*statement).bind(by).execute(&mut **tx).await?;
    }
    for (statements, than) in [(MOVES, micros(recent)), (DUE, NEVER)] {
        for statement in statements {
            sqlx::query(*statement).bind(by).bind(than).execute(&mut **tx).await?;
        }
    }
    // what holds these may be a duration or a window: they find out again
    for (statement, than) in [
        ("UPDATE runs SET due_at = $1 WHERE is_final = 0 AND owner = '' AND due_at <= $2", NEVER),
        (
            "UPDATE episodes SET due_at = $1, leased = 0, attempt = attempt + 1 WHERE due_at < $2",
            NEVER,
        ),
    ] {
        sqlx::query(statement).bind(micros(now)).bind(than).execute(&mut **tx).await?;
    }
    // alerts of quell's own began by its clock; those of others by theirs
    sqlx::query("UPDATE episodes SET starts_at = starts_at + $1 WHERE is_open = 1 AND source = $2")
        .bind(by)
        .bind(own::WATCH)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
