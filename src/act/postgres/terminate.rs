//! `postgres.terminate`: ends one session, if it is still the one that was meant.

use serde_json::json;
use sqlx::Row as _;

use super::Ask;
use super::Bounds;
use super::Server;
use super::session::Backend;
use super::session::start;
use crate::model::action::postgres::Terminate;
use crate::model::run::Outcome;
use crate::net;

/// The condition stands in the statement that ends it: between a look and the act, a process id can become another's.
const END: &str = concat!(
    "SELECT pg_terminate_backend(a.pid) AS told FROM pg_stat_activity a WHERE a.pid = $1 AND ",
    start!(),
    " = $2"
);

pub(super) async fn perform(terminate: &Terminate, ask: Ask<'_>) -> Result<Outcome, Outcome> {
    let backend = Backend::parse(&terminate.backend).map_err(super::super::failed)?;
    let mut server = Server::open(&terminate.server, ask, Bounds::READ).await?;
    let Some(session) = server.session(backend.pid).await? else {
        return Ok(gone(&server.name, &backend, "it has ended already"));
    };
    if session.hidden {
        return Err(super::super::denied(format!(
            "postgres `{}`: the user may not see the session {backend}; grant pg_read_all_stats to it",
            server.name
        )));
    }
    if session.backend().as_ref() != Some(&backend) {
        let why = "its process id is another session's by now, which is left alone";
        return Ok(gone(&server.name, &backend, why));
    }
    if let Some(why) = session.untouchable() {
        let name = &server.name;
        return Err(super::super::failed(format!("session {backend} of postgres `{name}`: {why}")));
    }
    let query = sqlx::query(END).bind(backend.pid).bind(&backend.start);
    if !server.end(query).await? {
        return Ok(gone(&server.name, &backend, "it ended by itself"));
    }
    server.until_gone(std::slice::from_ref(&backend)).await?;
    let whose = if session.application.is_empty() { &session.user } else { &session.application };
    Ok(Outcome::Done {
        summary: format!("ended session {backend} ({whose}) of postgres `{}`", server.name),
        output: json!({ "backend": backend.to_string(), "ended": true, "session": session.shown() }),
    })
}

fn gone(name: &str, backend: &Backend, why: &str) -> Outcome {
    Outcome::Done {
        summary: format!("session {backend} of postgres `{name}`: {why}"),
        output: json!({ "backend": backend.to_string(), "ended": false, "why": why }),
    }
}

impl Server {
    /// Tells a session to end; whether there was one.
    pub(super) async fn end(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<bool, Outcome> {
        const WHAT: &str = "ending a session";
        let answer = query.fetch_optional(&mut self.connection);
        match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(Ok(row)) => Ok(row.is_some_and(|row| row.try_get("told").unwrap_or(true))),
            Ok(Err(error)) => {
                let trouble = net::postgres::trouble(&error);
                Err(self.in_doubt(WHAT, &trouble))
            }
            Err(_) => {
                let late = self.late(WHAT);
                Err(super::super::unknown(format!("{late}; nobody knows whether it happened")))
            }
        }
    }
}
