//! The only place for SQL: one text for `SQLite` (embedded) and `PostgreSQL` (several replicas).
//!
//! Every transaction begins with a write, so that `SQLite` takes its lock at once and never has to upgrade one.
//! `SQLite` is written through a single connection, whose commits all share who write at the same time; reads have a pool of
//! their own.

pub mod alerts;
pub mod audit;
pub mod backup;
pub mod changes;
pub mod checks;
pub mod chronic;
mod claims;
pub mod clock;
mod compat;
pub mod credentials;
pub mod decisions;
pub mod duties;
pub mod episodes;
pub mod explain;
pub mod facts;
pub mod glance;
pub mod glass;
pub mod hands;
pub mod incidents;
pub mod leases;
pub mod links;
mod many;
pub mod outbox;
mod past;
pub mod pauses;
pub mod people;
mod pool;
pub mod prune;
pub mod reconcile;
pub mod restore;
pub mod runs;
pub mod schedules;
pub mod surroundings;
pub mod trust;
pub mod updates;
pub mod wakes;
mod watch;
pub mod windows;

#[cfg(test)]
pub(crate) mod simulated;

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::SqlSafeStr as _;
use sqlx::any::AnyPoolOptions;
use sqlx::any::AnyRow;
use sqlx::migrate::MigrateError;
use sqlx::migrate::Migration;
use sqlx::migrate::MigrationType;
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::clock::random_number;
use crate::crash;
use crate::crash::Point;
use crate::error::Error;

/// `due_at` of what waits for nothing.
pub(crate) const NEVER: i64 = i64::MAX;

/// A database that does not answer in this time when quell starts is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Connections of one replica to `PostgreSQL`.
const REPLICA_CONNECTIONS: u32 = 16;

/// Longest time for one answer: longer than what a server allows a statement, and than `SQLite` waits for a lock.
const LONGEST: Duration = Duration::from_secs(40);

/// How long `PostgreSQL` waits for whom. A replica that is stopped in the middle of a transaction would keep the others out for
/// as long as it is, and one that has vanished from the network for hours.
const BOUNDS: &str = "SELECT set_config('statement_timeout', '30s', false),
    set_config('idle_in_transaction_session_timeout', '10s', false),
    set_config('tcp_user_timeout', '10s', false),
    set_config('tcp_keepalives_idle', '5', false),
    set_config('tcp_keepalives_interval', '3', false),
    set_config('tcp_keepalives_count', '3', false)";

/// Tries after the first to bring a file up to date that other processes open at the same time.
const MIGRATION_TRIES: usize = 4;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another worker has claimed it since, or its journal has grown: this one must let go.
    #[error("another worker has taken it over")]
    Fenced,
    /// Facts changed between judging and creating: judge again.
    #[error("the facts changed meanwhile")]
    Changed,
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// This person may not.
    #[error("{0}")]
    Forbidden(String),
    /// What was said cannot be used; nothing was changed.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done in the state it is in.
    #[error("{0}")]
    Conflict(String),
    /// The database says something that it should not.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    /// The database could not be asked or written.
    #[error("{}", database_words(.0))]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether nobody can use the database now: that is logged once, by whoever watches it.
    pub fn is_outage(&self) -> bool {
        let Self::Database(sqlx::Error::AnyDriverError(error)) = self else { return false };
        error.is::<Outage>()
    }
}

/// Short for what the store returns.
pub type Result<T> = std::result::Result<T, StoreError>;

use past::Past;
use pool::Outage;
use pool::Pool;
use pool::Transaction;
use surroundings::Counted;

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file, one process writes.
    Sqlite,
    /// A server, several replicas.
    Postgres,
}

/// A database with quell's tables.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Pool,
    /// The same as the writer, but for `SQLite`.
    reader: Pool,
    engine: Engine,
    clock: Clock,
    /// Where it connects to; may hold a password.
    url: Arc<Hidden>,
    /// Set when it is closed, for what watches.
    closed: CancellationToken,
    /// Where the file of `SQLite` is.
    folder: Option<Arc<Path>>,
    /// Tells it from other stores.
    name: Arc<str>,
    /// What guards know of runs.
    past: Arc<Past>,
    /// How many targets are in trouble.
    counted: Arc<Counted>,
}

/// Never shown.
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// How much of a disk is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that quell may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Store {
    /// Connects and migrates. `url` is `sqlite:FILE` or `postgres://…`.
    pub async fn open(url: &str, clock: Clock) -> std::result::Result<Self, Error> {
        let store = Self::open_with(url, clock, migrator()).await?;
        let clock = store.steady().await.map_err(|error| {
            Error::new("Q0402", format!("could not read the database's clock: {error}"))
                .hint("correct the cause and start again; nothing was changed")
        })?;
        Ok(Self { clock, ..store })
    }

    /// The same with these tables alone, and by this clock.
    async fn open_with(
        url: &str,
        clock: Clock,
        migrator: Migrator,
    ) -> std::result::Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let engine = match url.split(':').next() {
            Some("sqlite") => Engine::Sqlite,
            Some("postgres" | "postgresql") => Engine::Postgres,
            _ => {
                return Err(Error::new("Q0401", "storage is neither sqlite:FILE nor postgres://…")
                    .hint("write `storage: sqlite:quell.db` or `storage: postgres://user@host/database`"));
            }
        };
        let failed = |error: sqlx::Error| {
            let file = sqlite_file(url).map_or_else(String::new, |it| format!(" {}", it.display()));
            let hint = match engine {
                Engine::Sqlite => "check the file, or name another under `storage:` in quell.yml",
                Engine::Postgres => "check that the server runs and that user and database exist",
            };
            let words = database_words(&error);
            Error::new("Q0402", format!("could not open the database{file}: {words}")).hint(hint)
        };
        let file = sqlite_file(url).map(|file| format!("sqlite://{}?mode=rwc", file.display()));
        let to = file.as_deref().unwrap_or(url);
        let first = first_connection(to, engine).await.map_err(failed)?;
        let (writer, reader) = match engine {
            Engine::Sqlite => {
                let writer = pool(1, engine).connect(to).await.map_err(failed)?;
                let reader = pool(4, engine).connect(to).await.map_err(failed)?;
                (Pool::grouped(writer, LONGEST), Pool::new(reader, LONGEST))
            }
            Engine::Postgres => {
                let pool = pool(REPLICA_CONNECTIONS, engine).connect(to).await.map_err(failed)?;
                let pool = Pool::new(pool, LONGEST);
                (pool.clone(), pool)
            }
        };
        migrate(first, engine, &migrator).await?;
        let folder = sqlite_file(url).map(|file| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => Arc::from(folder),
            _ => Arc::from(Path::new(".")),
        });
        let url = Arc::new(Hidden(to.to_owned()));
        let closed = CancellationToken::new();
        let name = name(&writer).await.map_err(failed)?;
        let (past, counted) = Default::default();
        Ok(Self { writer, reader, engine, clock, url, closed, folder, name, past, counted })
    }

    /// New connections to the same place, none of which is made before it is needed.
    fn new_pool(&self) -> sqlx::Result<sqlx::AnyPool> {
        pool(REPLICA_CONNECTIONS, self.engine).connect_lazy(&self.url.0)
    }

    /// How much of the disk under the database is free; `None` when that is on another host, or cannot be asked.
    pub fn disk_space(&self) -> Option<DiskSpace> {
        let seen = rustix::fs::statvfs(&**self.folder.as_ref()?).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(seen.f_frsize);
        Some(DiskSpace { free: bytes(seen.f_bavail), total: bytes(seen.f_blocks) })
    }

    /// Tells it from other stores, as the keys of effects do on targets that serve several: eight hexadecimal digits that were made up
    /// when the tables were.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which engine holds it.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The clock that stamps what is written.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT value FROM counters WHERE name = 'run'")
            .fetch_one(&self.reader)
            .await?;
        Ok(())
    }

    /// Closes all connections, after what is under way.
    pub async fn close(&self) {
        self.closed.cancel();
        self.reader.close().await;
        self.writer.close().await;
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Now, and the era by which a claim is fenced.
    fn now_and_era(&self) -> (Timestamp, i64) {
        self.clock.now_and_era()
    }

    async fn begin(&self) -> Result<Transaction> {
        Ok(self.writer.begin().await?)
    }
}

/// The file of `sqlite:FILE`.
pub fn sqlite_file(url: &str) -> Option<&Path> {
    let file = url.strip_prefix("sqlite:")?;
    Some(Path::new(file.strip_prefix("//").unwrap_or(file)))
}

/// The tables, in the order in which they came. Released migrations never change: their checksums are kept in the
/// database. (The macro of sqlx for this would compile both drivers a second time.)
///
/// A database may have been used by a newer quell already, whose migrations are not known here: [`compat`] says whether they
/// only added.
fn migrator() -> Migrator {
    let migration = |version, name, sql: &'static str| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(vec![
        migration(1, "init", include_str!("../migrations/0001_init.sql")),
        migration(2, "audit", include_str!("../migrations/0002_audit.sql")),
        migration(3, "compat", include_str!("../migrations/0003_compat.sql")),
        migration(4, "clock", include_str!("../migrations/0004_clock.sql")),
        migration(5, "reconcile", include_str!("../migrations/0005_reconcile.sql")),
        migration(6, "retention", include_str!("../migrations/0006_retention.sql")),
        migration(7, "woken", include_str!("../migrations/0007_woken.sql")),
        migration(8, "updates", include_str!("../migrations/0008_updates.sql")),
        migration(9, "facts", include_str!("../migrations/0009_facts.sql")),
    ]);
    migrator.set_ignore_missing(true);
    migrator
}

/// What the store is called, made up by whoever asks first.
async fn name(writer: &Pool) -> sqlx::Result<Arc<str>> {
    let ask = "SELECT value FROM counters WHERE name = 'store'";
    let mut known = sqlx::query(ask).fetch_optional(writer).await?;
    if known.is_none() {
        sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('store', $1) ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(random_number()))
        .execute(writer)
        .await?;
        known = sqlx::query(ask).fetch_optional(writer).await?;
    }
    let value: i64 = known.ok_or(sqlx::Error::RowNotFound)?.try_get("value")?;
    Ok(format!("{value:08x}").into())
}

/// Brings the tables up to date, unless a newer quell keeps this one out.
async fn migrate(
    mut on: AnyConnection,
    engine: Engine,
    migrator: &Migrator,
) -> std::result::Result<(), Error> {
    let mut migrated = migrator.run(&mut on).await;
    // SQLite has no lock for this: another process may be creating the same tables, and what it did is seen next time
    for _ in 0..MIGRATION_TRIES {
        if migrated.is_err() && engine == Engine::Sqlite {
            migrated = migrator.run(&mut on).await;
        }
    }
    migrated.map_err(not_migrated)?;
    // a database that is restored with older tables does not have this one yet
    if migrator.version_exists(compat::SINCE) {
        compat::check(&mut on).await?;
    }
    // what it was for is done
    let _goodbye = on.close().await;
    Ok(())
}

/// Connects once, as the pools do: they would go on trying for as long as a caller may wait, and keep the reason. Statements on
/// it may take as long as migrations do.
async fn first_connection(
    url: &str,
    engine: Engine,
) -> std::result::Result<AnyConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = AnyConnection::connect(url).await?;
        if engine == Engine::Sqlite {
            prepare(&mut connection, engine).await?;
        }
        Ok(connection)
    };
    tokio::time::timeout(CONNECT_WITHIN, connecting).await.unwrap_or_else(|_| {
        let late = format!("no answer within {}s", CONNECT_WITHIN.as_secs());
        Err(sqlx::Error::Io(std::io::Error::new(ErrorKind::TimedOut, late)))
    })
}

/// What every connection is told before it is used.
async fn prepare(connection: &mut AnyConnection, engine: Engine) -> sqlx::Result<()> {
    let statements: &[&str] = match engine {
        Engine::Sqlite => &[
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
        ],
        Engine::Postgres => &[BOUNDS],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Why the tables are not those of this quell; migrations are whole or not at all.
fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMismatch(version) => Error::new(
            "Q0403",
            format!(
                "the database belongs to another build of quell: its migration {version} differs"
            ),
        )
        .hint("start the quell that made it; nothing was changed"),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            let words = database_words(&error);
            Error::new("Q0403", format!("could not bring the database up to date: {words}"))
                .hint("nothing was changed; correct the cause and start again")
        }
        other => Error::new("Q0403", format!("could not bring the database up to date: {other}"))
            .hint("nothing was changed"),
    }
}

fn pool(size: u32, engine: Engine) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(match engine {
            Engine::Sqlite => Duration::from_secs(30),
            Engine::Postgres => Duration::from_secs(10),
        })
        // first flushes a rollback that is queued
        .test_before_acquire(true)
        .before_acquire(|connection, _| {
            // SQLite rolls a transaction back by itself when the disk is full or fails. The ROLLBACK that follows is
            // then an error, after which sqlx counts one level of nesting too many: later transactions would be
            // savepoints in one that is never committed, lost at the end of the process.
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        });
    options.after_connect(move |connection, _| Box::pin(prepare(connection, engine)))
}

/// Commits, between two crash points: a crash before it has done nothing, one after it has done all.
async fn commit(tx: Transaction) -> Result<()> {
    crash::point();
    crash::pass(Point::Commit).await.map_err(sqlx::Error::Io)?;
    tx.commit().await?;
    crash::pass(Point::Committed).await.map_err(sqlx::Error::Io)?;
    crash::point();
    Ok(())
}

/// The next `count` ids of a counter; returns the first.
async fn next_ids(tx: &mut Transaction, counter: &str, count: usize) -> Result<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(count)
        .bind(counter)
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get::<i64, _>(0)? - count + 1)
}

/// Instants as stored.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn micros_or_none(at: Option<Timestamp>) -> i64 {
    at.map_or(0, micros)
}

fn instant(row: &AnyRow, column: &str) -> Result<Timestamp> {
    let value: i64 = row.try_get(column)?;
    Timestamp::from_microsecond(value)
        .map_err(|_| StoreError::Corrupt(format!("{column} {value} is no instant")))
}

/// An instant of a row that is evidence: as the clock now in force shows it.
fn moved_instant(row: &AnyRow, column: &str) -> Result<Timestamp> {
    let value: i64 = row.try_get(column)?;
    let moved: i64 = row.try_get("moved")?;
    Timestamp::from_microsecond(value.saturating_add(moved))
        .map_err(|_| StoreError::Corrupt(format!("{column} {value} is no instant")))
}

fn instant_or_none(row: &AnyRow, column: &str) -> Result<Option<Timestamp>> {
    let value: i64 = row.try_get(column)?;
    if value == 0 { Ok(None) } else { instant(row, column).map(Some) }
}

fn text(row: &AnyRow, column: &str) -> Result<String> {
    Ok(row.try_get(column)?)
}

fn number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is {value}")))
}

fn flag(row: &AnyRow, column: &str) -> Result<bool> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

/// Text from outside for a column that people read: `PostgreSQL` has no NUL in texts. JSON escapes its own.
fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A database error in words: never the URL, which may hold a password.
fn database_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("13") => "the disk is full".into(),
            // SQLITE_IOERR_WRITE, _FSYNC, _TRUNCATE
            Some("778" | "1034" | "1546") => "the disk cannot be written".into(),
            Some("26") => "the file is not a database".into(),
            Some("8" | "1032" | "25006") => "the database may only be read".into(),
            Some("0A000") if error.message().contains("cached plan") => {
                "a newer quell has changed the tables meanwhile".into()
            }
            Some("57P03") => "the database is starting or stopping".into(),
            Some("53300") => "the database takes no more connections".into(),
            Some("57014") => "the database did not answer within its statement_timeout".into(),
            Some("57P01" | "57P02" | "57P05" | "25P03") => {
                "the database ended the connection".into()
            }
            Some("5" | "6" | "517") => "the database is locked by another process".into(),
            _ => error.message().to_owned(),
        },
        sqlx::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            "nothing listens where the storage URL says: connection refused".into()
        }
        sqlx::Error::Io(error) => format!("the database cannot be reached: {error}"),
        sqlx::Error::PoolTimedOut => "no database connection became free in time".into(),
        sqlx::Error::AnyDriverError(error) => error.to_string(),
        sqlx::Error::PoolClosed => "the database is closed".into(),
        sqlx::Error::Configuration(_) => "the storage URL cannot be read".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What promises that an alert answered with 2xx is on disk, also when the power goes.
    #[tokio::test]
    async fn sqlite_writes_ahead_and_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("quell.db").display());
        let store = Store::open(&url, Clock::System).await.unwrap();
        for pool in [&store.writer.connections(), &store.reader.connections()] {
            let mode: String =
                sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
            let synchronous: i64 =
                sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
            let timeout: i64 =
                sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(pool).await.unwrap();
            assert_eq!((mode.as_str(), synchronous, timeout), ("wal", 2, 10_000));
        }
        assert_eq!(store.writer.connections().options().get_max_connections(), 1);
    }
}
