//! The store: every test on both engines, each on a database of its own.

mod backup;
mod chain;
mod checks;
mod chronic;
mod claims;
mod clock;
mod credentials;
mod decisions;
mod durability;
mod hands;
mod incidents;
mod ingest;
mod leases;
mod log;
mod outbox;
mod pages;
mod people;
mod prune;
mod races;
mod reconcile;
mod runs;
mod schedules;
mod surroundings;
mod tampering;
mod trust;
mod updates;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use quell::clock::Clock;
use quell::model::action::Action;
use quell::model::action::Command;
use quell::model::alert::Alert;
use quell::model::alert::AlertStatus;
use quell::model::alert::Delivery;
use quell::model::incident::EpisodeId;
use quell::model::incident::Incident;
use quell::model::incident::IncidentId;
use quell::model::incident::IncidentStatus;
use quell::model::incident::Notice;
use quell::model::incident::NoticeKind;
use quell::model::incident::Owed;
use quell::model::incident::RunId;
use quell::model::labels::Labels;
use quell::model::playbook::Mode;
use quell::model::playbook::OnFailure;
use quell::model::playbook::OnUnknown;
use quell::model::playbook::Playbook;
use quell::model::playbook::PlaybookLimits;
use quell::model::playbook::Retry;
use quell::model::playbook::Step;
use quell::model::playbook::Undo;
use quell::model::playbook::What;
use quell::model::run::Entry;
use quell::model::run::Event;
use quell::model::run::Plan;
use quell::model::run::RunState;
use quell::model::time::after;
use quell::store::Store;
use quell::store::StoreError;
use quell::store::alerts::Accepted;
use quell::store::alerts::Intake;
use quell::store::alerts::NotAccepted;
use quell::store::runs::Claim;
use quell::store::runs::Row;
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

use crate::support::postgres;

/// Makes of each named function, which takes a [`Database`], one test on each engine.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::store::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::store::Database::postgres().await).await;
            })*
        }
    };
}
use on_both_engines;

/// The same, and one on the tables of a newer quell.
macro_rules! on_each_engine {
    ($($name:ident),* $(,)?) => {
        crate::store::on_both_engines!($($name),*);
        /// As it is after the migrations of a newer quell, which only add.
        mod future {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::store::Database::future().await).await;
            })*
        }
    };
}
use on_each_engine;

const LEASE: Duration = Duration::from_secs(30);

/// The names of all tables.
const SQLITE_TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table'";
const POSTGRES_TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";

/// An empty database and the clock of all stores on it.
struct Database {
    url: String,
    clock: Clock,
    is_sqlite: bool,
    /// Holds the file of `SQLite`.
    _dir: Option<tempfile::TempDir>,
}

impl Database {
    fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("quell.db").display());
        Self { url, clock: Clock::manual(at(0)), is_sqlite: true, _dir: Some(dir) }
    }

    /// `SQLite` with a column more in each table, and a table more.
    async fn future() -> Self {
        let this = Self::sqlite();
        this.store().await.close().await;
        let raw = this.raw().await;
        upgrade(&raw, SQLITE_TABLES).await;
        raw.close().await;
        this
    }

    async fn postgres() -> Self {
        let url = postgres::database().await;
        Self { url, clock: Clock::manual(at(0)), is_sqlite: false, _dir: None }
    }

    /// As one replica opens it.
    async fn store(&self) -> Store {
        Store::open(&self.url, self.clock.clone()).await.unwrap()
    }

    /// For what no store would write.
    async fn raw(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        let url = self.url.replacen("sqlite:", "sqlite://", 1);
        AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap()
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Does what migrations of the future may do while older replicas are at work.
async fn upgrade(raw: &AnyPool, tables: &'static str) {
    let mut tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(raw).await.unwrap();
    tables.retain(|it| !it.starts_with('_') && !it.starts_with("sqlite_"));
    assert!(tables.len() > 25, "{tables:?}");
    let mut tx = raw.begin().await.unwrap();
    for table in tables {
        for column in ["later BIGINT", "later_still TEXT NOT NULL DEFAULT ''"] {
            let add = format!("ALTER TABLE {table} ADD COLUMN {column}");
            sqlx::query(sqlx::AssertSqlSafe(add)).execute(&mut *tx).await.unwrap();
        }
    }
    for statement in [
        "CREATE TABLE latest (name TEXT PRIMARY KEY NOT NULL)",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 9999, 'from the future', success, checksum, 1 FROM _sqlx_migrations WHERE version = 1",
    ] {
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Runs a statement that changes one row.
async fn change_one(raw: &AnyPool, sql: &'static str) {
    assert_eq!(sqlx::query(sql).execute(raw).await.unwrap().rows_affected(), 1, "{sql}");
}

/// The one number that a query finds.
async fn number(raw: &AnyPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(raw).await.unwrap()
}

/// Seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_607_200 + seconds).unwrap()
}

fn labels(name: &str) -> Labels {
    [("alertname", name), ("severity", "critical")].into_iter().collect()
}

fn firing(name: &str, starts: i64) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels: labels(name),
        annotations: Labels::default(),
        starts_at: Some(at(starts)),
        ends_at: None,
        generator_url: "http://prometheus/graph".into(),
    }
}

fn resolved(name: &str, starts: i64, ends: i64) -> Alert {
    Alert { status: AlertStatus::Resolved, ends_at: Some(at(ends)), ..firing(name, starts) }
}

fn delivery(alerts: Vec<Alert>) -> Delivery {
    Delivery { source: "am".into(), receiver: "quell".into(), truncated: 0, alerts }
}

/// Hands a delivery to an intake of its own, and waits until it is stored.
async fn accept(store: &Store, delivery: Delivery) -> Result<Accepted, NotAccepted> {
    let (intake, writer) = Intake::new(store.clone(), 10_000, || {});
    // the intake goes when it has its answer, and the writer with it
    let (answer, ()) = tokio::join!(async move { intake.accept(delivery).await }, writer);
    answer
}

async fn fire(store: &Store, name: &str) -> EpisodeId {
    let now = store.clock().now();
    let alert = Alert { starts_at: Some(now), ..firing(name, 0) };
    accept(store, delivery(vec![alert])).await.unwrap();
    store.latest_episode(&labels(name).fingerprint()).await.unwrap().unwrap().id
}

async fn resolve(store: &Store, name: &str) {
    let now = store.clock().now();
    let alert = Alert { ends_at: Some(now), ..resolved(name, 0, 0) };
    assert_eq!(accept(store, delivery(vec![alert])).await.unwrap().closed, 1);
}

fn incident(rule: &str, group: &str) -> Incident {
    Incident {
        rule: rule.into(),
        group_key: group.into(),
        title: "api: HighErrorRate, critical".into(),
        severity: "critical".into(),
        labels: labels("HighErrorRate"),
        ..Incident::unstored(at(0))
    }
}

/// Opens an incident of rule `r` for an episode that fires now.
async fn open_incident(store: &Store, name: &str) -> (Incident, EpisodeId) {
    let episode = fire(store, name).await;
    let new = incident("r", name);
    let (incident, opened) =
        store.incident_for(&new, episode, None, |_| false, |_| Vec::new()).await.unwrap();
    assert!(opened);
    (incident, episode)
}

fn owed(incident: IncidentId, channel: &str, headline: &str) -> Owed {
    Owed {
        channel: channel.into(),
        recipient: String::new(),
        notice: Notice {
            kind: NoticeKind::Progress,
            incident,
            title: "api: HighErrorRate, critical".into(),
            severity: "critical".into(),
            headline: headline.into(),
            details: Vec::new(),
            tried: Vec::new(),
            proposes: None,
            labels: Labels::default(),
            opened_at: at(0),
            at: at(0),
        },
    }
}

/// One action with an undo, and a person who is asked when nobody knows.
fn plan(target: &str, incident: IncidentId, episode: EpisodeId) -> Plan {
    let command = |program: &str| {
        Action::Command(Command { argv: vec![program.into()], ..Command::default() })
    };
    let step = Step {
        name: "restart".into(),
        what: What::Action(command("true")),
        condition: None,
        each: None,
        hold: None,
        timeout: Duration::from_mins(1),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown: OnUnknown::Ask,
        undo: Some(Undo::Action(Box::new(command("false")))),
        line: 3,
    };
    Plan {
        incident,
        episode,
        fingerprint: "f".into(),
        rule: "r".into(),
        remedy: 1,
        remedies: 1,
        target: target.into(),
        mode: Mode::Auto,
        tier: 2,
        approvals: 1,
        proposed_by: String::new(),
        lists: BTreeMap::new(),
        playbook: Playbook {
            name: "restart".into(),
            description: "it's “restarted” \\ at once".into(),
            parameters: BTreeMap::new(),
            tier: 2,
            approvals: 1,
            approve_within: Duration::from_hours(1),
            mode: Mode::Auto,
            limits: PlaybookLimits::default(),
            acts_on: Vec::new(),
            cache: None,
            rollback: None,
            steps: vec![step],
            on_resolve: Vec::new(),
            file: "playbooks/restart.yml".into(),
            line: 1,
        },
        parameters: BTreeMap::new(),
        labels: Labels::default(),
        annotations: Labels::default(),
        verify: None,
        glass: None,
        group: String::new(),
        left_version: String::new(),
        approve_until: None,
        rules_digest: String::new(),
        taken: serde_json::Map::new(),
    }
}

/// Creates a run of the first remedy for an episode.
async fn create(store: &Store, plan: &Plan) -> RunId {
    let version = store.facts_version().await.unwrap();
    store.create_run(version, plan, 0, |_| Vec::new()).await.unwrap()
}

/// Creates a run with a target of its own, for an incident and an episode that nobody looks at.
async fn create_for(store: &Store, number: i64) -> RunId {
    create(store, &plan(&format!("t-{number}"), IncidentId(number), EpisodeId(number))).await
}

/// What an entry leaves in the row of a run that is at work.
fn row(state: RunState) -> Row {
    Row {
        state,
        outcome: if state.is_final() { state.as_str().to_owned() } else { String::new() },
        inconclusive: false,
        due_at: (!state.is_final()).then(|| after(at(0), LEASE)),
    }
}

/// Appends an entry that is written now and owes nothing.
async fn append(
    store: &Store,
    claim: &mut Claim,
    event: Event,
    state: RunState,
) -> Result<(), StoreError> {
    store.append(claim, entry(claim, store.clock().now(), event), &row(state), Vec::new()).await
}

/// The next entry of a claimed run.
fn entry(claim: &Claim, at: Timestamp, event: Event) -> Entry {
    Entry { seq: claim.entries.last().unwrap().seq + 1, at, event }
}
