//! What an action of a step is given, and sessions that do what people's do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use quell::act;
use quell::model::action::Action;
use quell::model::action::Postgres;
use quell::model::action::postgres::Blockers;
use quell::model::action::postgres::Execute;
use quell::model::action::postgres::KillIdle;
use quell::model::action::postgres::Terminate;
use quell::model::config::Secret;
use quell::model::config::Server;
use quell::model::config::Targets;
use quell::model::labels::Labels;
use quell::model::probe::Probe;
use quell::model::run::Intent;
use quell::model::run::Observation;
use quell::model::run::Outcome;
use quell::probe;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::PgConnection;

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One server `main` of this kind.
pub(crate) fn postgres_at(url: &str) -> Targets {
    let server = Server { url: Secret::new(url), ca_file: None };
    Targets { postgres: BTreeMap::from([("main".to_owned(), server)]), ..Targets::default() }
}

/// One server `cache`.
pub(crate) fn redis_at(url: &str, ca_file: Option<PathBuf>) -> Targets {
    let server = Server { url: Secret::new(url), ca_file };
    Targets { redis: BTreeMap::from([("cache".to_owned(), server)]), ..Targets::default() }
}

/// Does it, as step 2 of the first run.
pub(crate) async fn does(action: impl Into<Action>, targets: &Targets) -> Outcome {
    does_as("r-1/2", action, TIMEOUT, targets).await
}

/// Does it with this key of the intent.
pub(crate) async fn does_as(
    key: &str,
    action: impl Into<Action>,
    timeout: Duration,
    targets: &Targets,
) -> Outcome {
    let action = Some(action.into());
    let intent = Intent { action, previous: None, timeout, key: key.to_owned() };
    act::perform(&intent, 1, targets, &BTreeMap::new()).await
}

/// What it would do, and what takes that back.
pub(crate) async fn prepares(action: impl Into<Action>, targets: &Targets) -> act::Prepared {
    let now = quell::clock::Clock::System.now();
    let action = Some(action.into());
    let intent = Intent { action, previous: None, timeout: TIMEOUT, key: "r-1/2".to_owned() };
    act::prepare(&intent, TIMEOUT, targets, now).await.unwrap()
}

/// Looks once.
pub(crate) async fn sees(probe: Probe, targets: &Targets) -> Observation {
    let max_age = Duration::from_mins(15);
    let sources = probe::Sources { prometheus: None, alertmanager: None, targets, max_age };
    let now = quell::clock::Clock::System.now();
    probe::observe(&probe, &Labels::default(), &sources, now).await
}

/// Summary and output of what was done.
pub(crate) fn done(outcome: Outcome) -> (String, Value) {
    let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
    (summary, output)
}

/// The reason of what did not happen, and would not later.
pub(crate) fn failed(outcome: Outcome) -> String {
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    reason
}

/// The reason of what did not happen, and may later.
pub(crate) fn failed_for_now(outcome: Outcome) -> String {
    let Outcome::Failed { reason, retryable: true } = outcome else { panic!("{outcome:?}") };
    reason
}

/// The reason of what nobody knows.
pub(crate) fn unknown(outcome: Outcome) -> String {
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    reason
}

/// The reason of a refused credential.
pub(crate) fn denied(outcome: Outcome) -> String {
    let Outcome::Denied { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(!reason.contains("hush"), "{reason}");
    reason
}

pub(crate) fn blockers(waiting_for: &str) -> Action {
    let waiting_for = quell::model::action::Span(waiting_for.into());
    Action::Postgres(Postgres::Blockers(Blockers {
        server: "main".into(),
        waiting_for,
        lines: 20.into(),
    }))
}

pub(crate) fn terminate(backend: &str) -> Action {
    let backend = backend.to_owned();
    Action::Postgres(Postgres::Terminate(Terminate { server: "main".into(), backend }))
}

pub(crate) fn kill_idle(idle_for: &str, most: u32, application: Option<&str>) -> KillIdle {
    KillIdle {
        server: "main".into(),
        idle_for: quell::model::action::Span(idle_for.into()),
        most: most.into(),
        user: None,
        database: None,
        application: application.map(str::to_owned),
        backends: None,
    }
}

pub(crate) fn execute(sql: &str, parameters: &[&str]) -> Execute {
    Execute {
        server: "main".into(),
        sql: sql.into(),
        parameters: parameters.iter().map(ToString::to_string).collect(),
        transaction: true,
        once: false,
        statement_timeout: None,
    }
}

/// A session of an application.
pub(crate) struct Client {
    pub(crate) connection: PgConnection,
    pub(crate) pid: i32,
}

impl Client {
    pub(crate) async fn new(url: &str, application: &str) -> Self {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        let options = options.application_name(application);
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection);
        let pid = pid.await.unwrap();
        Self { connection, pid }
    }

    pub(crate) async fn says(&mut self, statements: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(statements).execute(&mut self.connection).await.map(drop)
    }

    /// Whether it still is there.
    pub(crate) async fn lives(&mut self) -> bool {
        self.says("SELECT 1").await.is_ok()
    }
}
