//! The actions `postgres.*`: one connection for one action, by no pool.
//!
//! What is known when something goes wrong: until COMMIT is sent nothing has happened, since a server takes back what nobody
//! commits; from then on until it is answered, nobody knows. Dropping the future drops the connection, and the server ends what it
//! was doing for it when it notices, or when the statement's time is over.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::time::Instant;

use crate::model::action::Postgres;
use crate::model::action::TargetKind;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::model::time::show_duration;
use crate::net;
use crate::net::Kind;
use crate::net::Trouble;

mod activity;
mod blockers;
mod chains;
mod execute;
mod idle;
mod literals;
mod session;
mod terminate;

/// Longest time that a read takes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a server gets less than the action has, so that its answer that the time is over still arrives.
const MARGIN: Duration = Duration::from_millis(500);

/// Performs it within `timeout`. `key` is that of the intent.
pub(super) async fn perform(
    action: &Postgres,
    key: &str,
    timeout: Duration,
    targets: &Targets,
) -> Outcome {
    let ask = Ask { key, timeout, targets };
    let done = match action {
        Postgres::Terminate(it) => terminate::perform(it, ask).await,
        Postgres::KillIdle(it) => idle::perform(it, ask).await,
        Postgres::Blockers(it) => blockers::perform(it, ask).await,
        Postgres::Activity(it) => activity::perform(it, ask).await,
        Postgres::Execute(it) => execute::perform(it, ask).await,
    };
    done.unwrap_or_else(|outcome| outcome)
}

/// The action with what can only be known by looking at the server, which is not changed: which sessions `postgres.kill_idle` ends.
pub(super) async fn prepare(
    action: &Postgres,
    timeout: Duration,
    targets: &Targets,
) -> Result<Postgres, Outcome> {
    let ask = Ask { key: "looks first", timeout, targets };
    match action {
        Postgres::KillIdle(it) => idle::prepare(it, ask).await.map(Postgres::KillIdle),
        Postgres::Terminate(_)
        | Postgres::Blockers(_)
        | Postgres::Activity(_)
        | Postgres::Execute(_) => Ok(action.clone()),
    }
}

/// What every action is given.
#[derive(Clone, Copy)]
struct Ask<'a> {
    key: &'a str,
    timeout: Duration,
    targets: &'a Targets,
}

/// A connection for one action, and the time it has.
struct Server {
    connection: PgConnection,
    name: String,
    timeout: Duration,
    deadline: Instant,
}

/// How long the server may take for a statement, and wait for a lock.
#[derive(Clone, Copy)]
struct Bounds {
    statement: Option<Duration>,
    lock: Duration,
}

impl Bounds {
    /// For what only looks.
    const READ: Self = Self { statement: Some(READ_TIMEOUT), lock: Duration::from_secs(5) };
}

impl Server {
    async fn open(name: &str, ask: Ask<'_>, bounds: Bounds) -> Result<Self, Outcome> {
        let deadline = Instant::now() + ask.timeout;
        let Some(target) = ask.targets.postgres.get(name) else {
            let names = ask.targets.names(TargetKind::Postgres);
            return Err(super::failed(super::no_target("postgres", name, &names)));
        };
        let most = ask.timeout.saturating_sub(MARGIN).max(ask.timeout / 2);
        let statement_timeout = bounds.statement.map_or(most, |asked| asked.min(most));
        let place = net::postgres::Place {
            url: target.url.reveal(),
            ca_file: target.ca_file.as_deref(),
            application: &format!("quell {}", ask.key),
            timeout: ask.timeout,
            statement_timeout,
            lock_timeout: bounds.lock.min(statement_timeout),
        };
        match net::postgres::connect(&place).await {
            Ok(connection) => {
                Ok(Self { connection, name: name.to_owned(), timeout: ask.timeout, deadline })
            }
            Err(trouble) => {
                let reason = format!("could not reach postgres `{name}`: {}", trouble.reason);
                let see = format!("see targets.postgres.{name} of quell.yml");
                Err(match trouble.kind {
                    Kind::Later | Kind::Lost => super::failed_for_now(reason),
                    Kind::Never => super::failed(format!("{reason}; {see}")),
                    Kind::Credential => super::denied(format!("{reason}; {see}")),
                })
            }
        }
    }

    /// Asks for something that changes nothing; `what` names it for people.
    async fn look(
        &mut self,
        what: &str,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<Vec<PgRow>, Outcome> {
        let answer = tokio::time::timeout_at(self.deadline, query.fetch_all(&mut self.connection));
        match answer.await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                let trouble = net::postgres::trouble(&error);
                Err(self.refused(what, &trouble))
            }
            Err(_) => Err(super::failed_for_now(self.late(what))),
        }
    }

    /// What an error means where nothing has happened yet, or nothing could happen.
    fn refused(&self, what: &str, trouble: &Trouble) -> Outcome {
        let reason = format!("postgres `{}`, {what}: {}", self.name, trouble.reason);
        match trouble.kind {
            Kind::Credential => super::denied(reason),
            Kind::Later => super::failed_for_now(reason),
            Kind::Lost => super::failed_for_now(format!(
                "connection to postgres `{}` lost while {what}: {}",
                self.name, trouble.reason
            )),
            Kind::Never => super::failed(reason),
        }
    }

    /// What an error means where it may have happened when the connection is lost; a server that answers says it did not.
    fn in_doubt(&self, what: &str, trouble: &Trouble) -> Outcome {
        match trouble.kind {
            Kind::Lost => super::unknown(format!(
                "connection to postgres `{}` lost while {what}: {}; nobody knows whether it happened",
                self.name, trouble.reason
            )),
            Kind::Credential | Kind::Later | Kind::Never => self.refused(what, trouble),
        }
    }

    fn late(&self, what: &str) -> String {
        let within = show_duration(self.timeout);
        format!("no answer of postgres `{}` while {what}, within {within}", self.name)
    }
}
