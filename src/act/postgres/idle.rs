//! `postgres.kill_idle`: ends sessions that have waited too long inside of a transaction.
//!
//! Which ones is settled before the intent. Each is ended only if it is still the same session, still idle in a transaction, and
//! has done nothing since.

use serde_json::json;

use super::Ask;
use super::Bounds;
use super::Server;
use super::session::Backend;
use super::session::Session;
use super::session::columns;
use super::session::start;
use crate::model::action::postgres::KillIdle;
use crate::model::run::Outcome;
use crate::model::time::show_duration;

/// The longest idle first.
const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM pg_stat_activity a \
     WHERE a.state IN ('idle in transaction', 'idle in transaction (aborted)') \
     AND a.state_change <= clock_timestamp() - make_interval(secs => $1) \
     AND ($2::text IS NULL OR a.usename = $2) AND ($3::text IS NULL OR a.datname = $3) \
     AND ($4::text IS NULL OR a.application_name = $4) ORDER BY a.state_change, a.pid"
);

/// The condition stands in the statement that ends it.
const END: &str = concat!(
    "SELECT pg_terminate_backend(a.pid) AS told FROM pg_stat_activity a WHERE a.pid = $1 AND ",
    start!(),
    " = $2 AND a.state IN ('idle in transaction', 'idle in transaction (aborted)') \
     AND a.state_change <= clock_timestamp() - make_interval(secs => $3)"
);

/// Which sessions it will be.
pub(super) async fn prepare(kill: &KillIdle, ask: Ask<'_>) -> Result<KillIdle, Outcome> {
    let mut server = Server::open(&kill.server, ask, Bounds::READ).await?;
    server.prepare(kill).await
}

pub(super) async fn perform(kill: &KillIdle, ask: Ask<'_>) -> Result<Outcome, Outcome> {
    let idle_for = kill.idle_for.read().map_err(super::super::failed)?;
    let mut server = Server::open(&kill.server, ask, Bounds::READ).await?;
    let prepared = match &kill.backends {
        Some(_) => kill.clone(),
        None => server.prepare(kill).await?,
    };
    let (mut ended, mut spared) = (Vec::new(), Vec::new());
    for name in prepared.backends.iter().flatten() {
        let backend = Backend::parse(name).map_err(super::super::failed)?;
        let query = sqlx::query(END)
            .bind(backend.pid)
            .bind(backend.start.clone())
            .bind(idle_for.as_secs_f64());
        match server.end(query).await {
            Ok(true) => ended.push(backend),
            Ok(false) => spared.push(backend),
            Err(outcome) => return Err(after(outcome, ended.len())),
        }
    }
    server.until_gone(&ended).await?;
    let names = |of: &[Backend]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    let span = show_duration(idle_for);
    let also = match spared.len() {
        0 => String::new(),
        count => format!("; {count} had ended, or done something, before"),
    };
    Ok(Outcome::Done {
        summary: match (ended.len(), prepared.backends.iter().flatten().count()) {
            (_, 0) => {
                format!("nobody is idle in a transaction of postgres `{}` for {span}", kill.server)
            }
            (count, _) => format!(
                "ended {count} sessions of postgres `{}`, idle in a transaction for {span}{also}",
                kill.server
            ),
        },
        output: json!({ "ended": names(&ended), "spared": names(&spared) }),
    })
}

/// What had happened before it went wrong belongs to the reason.
fn after(outcome: Outcome, ended: usize) -> Outcome {
    let also = |reason: String| match ended {
        0 => reason,
        count => format!("{reason}; {count} sessions were told to end before"),
    };
    match outcome {
        Outcome::Failed { reason, retryable } => {
            Outcome::Failed { reason: also(reason), retryable }
        }
        Outcome::Denied { credentials, reason } => {
            Outcome::Denied { credentials, reason: also(reason) }
        }
        Outcome::Unknown { reason } => Outcome::Unknown { reason: also(reason) },
        done @ Outcome::Done { .. } => done,
    }
}

impl Server {
    async fn prepare(&mut self, kill: &KillIdle) -> Result<KillIdle, Outcome> {
        let failed = |error: String| super::super::failed(error);
        let idle_for = kill.idle_for.read().map_err(failed)?;
        let most = usize::try_from(kill.most.read().map_err(failed)?).unwrap_or(usize::MAX);
        // a name that a template left empty must not mean everybody (G4)
        let named = [
            ("user", &kill.user),
            ("database", &kill.database),
            ("application", &kill.application),
        ];
        for (key, name) in named {
            if name.as_ref().is_some_and(|name| name.trim().is_empty()) {
                return Err(failed(format!("`{key}` is empty; leave it out to mean every one")));
            }
        }
        let query = sqlx::query(FIND)
            .bind(idle_for.as_secs_f64())
            .bind(kill.user.clone())
            .bind(kill.database.clone())
            .bind(kill.application.clone());
        let rows = self.look("looking for idle sessions", query).await?;
        let sessions = rows.iter().map(Session::read).filter(|it| it.untouchable().is_none());
        let backends = sessions.filter_map(|it| it.backend()).take(most);
        let backends = Some(backends.map(|it| it.to_string()).collect());
        Ok(KillIdle { backends, ..kill.clone() })
    }
}
