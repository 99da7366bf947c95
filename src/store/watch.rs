//! Looks whether `PostgreSQL` can be used: now and then, and at once when something failed. What begins and what ends is logged
//! once, however many ask meanwhile.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::Connection as _;
use sqlx::Row as _;
use tokio::time::Instant;

use crate::store::Engine;
use crate::store::Store;
use crate::store::compat;
use crate::store::database_words;
use crate::store::pool::Outage;
use crate::store::prepare;

/// How often somebody looks while all is well.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often while it is not.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// A database that does not answer the smallest question in this time is not there.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);

/// What looking came to.
enum Seen {
    /// It can be used.
    Well,
    /// It cannot, and why.
    Ill(String),
}

impl Store {
    /// Watches until the store is closed. Nothing to do for `SQLite`, which is in this process.
    pub async fn watch(&self) {
        if self.engine == Engine::Sqlite {
            return;
        }
        let mut since: Option<Instant> = None;
        while !self.closed.is_cancelled() {
            let waits = if since.is_some() { TRY_EVERY } else { LOOK_EVERY };
            let suspected = tokio::select! {
                () = self.closed.cancelled() => return,
                () = self.writer.suspected(), if since.is_none() => true,
                () = tokio::time::sleep(waits) => false,
            };
            match (self.look(suspected || since.is_some()).await, since) {
                (Seen::Well, None) => {}
                (Seen::Well, Some(began)) => {
                    self.renew();
                    self.writer.set_outage(None);
                    since = None;
                    let after = began.elapsed().as_secs();
                    tracing::warn!("the database can be used again after {after} s; going on");
                }
                (Seen::Ill(words), None) => {
                    since = Some(Instant::now());
                    tracing::error!(
                        "the database cannot be used: {words}; until it can, alerts are answered 503 and nothing acts"
                    );
                    self.writer.set_outage(Some(Outage(words)));
                    self.renew();
                }
                (Seen::Ill(words), Some(_)) => {
                    let before = self.writer.outage().map(|it| it.0.clone()).unwrap_or_default();
                    if before != words {
                        tracing::warn!("the database still cannot be used: {words}");
                        self.writer.set_outage(Some(Outage(words)));
                    }
                }
            }
        }
    }

    /// Lets go of all connections.
    fn renew(&self) {
        match self.new_pool() {
            Ok(pool) => self.writer.renew(pool),
            // it was read when quell started
            Err(error) => tracing::error!("no new connections: {}", database_words(&error)),
        }
    }

    /// Lets go of connections that remember tables as they were.
    fn replace(&self) {
        // that it can be read was seen when quell started
        if let Ok(pool) = self.new_pool() {
            self.writer.replace(pool);
        }
    }

    /// Looks through the connections in use, and through a new one when those are under `suspicion` or say no.
    async fn look(&self, suspicion: bool) -> Seen {
        let used = async {
            let mut connection = self.writer.connections().acquire().await?;
            ask(&mut connection).await
        };
        let known =
            if suspicion { None } else { tokio::time::timeout(ANSWERS_WITHIN, used).await.ok() };
        if let Some(Ok(Seen::Well)) = known {
            return Seen::Well;
        }
        let new = async {
            let mut connection = AnyConnection::connect(&self.url.0).await?;
            prepare(&mut connection, self.engine).await?;
            let seen = ask(&mut connection).await;
            // an answer is an answer, also when the goodbye gets lost
            let _goodbye = connection.close().await;
            seen
        };
        match tokio::time::timeout(ANSWERS_WITHIN, new).await {
            Ok(Ok(Seen::Well)) => {}
            Ok(Ok(ill)) => return ill,
            Ok(Err(error)) => return Seen::Ill(database_words(&error)),
            Err(_) => return Seen::Ill(format!("no answer within {}s", ANSWERS_WITHIN.as_secs())),
        }
        if self.writer.was_stale() {
            tracing::info!("a newer quell has changed the tables; making new connections");
            self.replace();
            return Seen::Well;
        }
        // the server is well, so the connections of before may not be; a pool that is merely busy is none of that
        let busy = matches!(known, Some(Err(sqlx::Error::PoolTimedOut)));
        if !busy && self.writer.outage().is_none() && !self.pool_is_well().await {
            tracing::warn!("connections to the database were lost; new ones are made");
            self.renew();
        }
        Seen::Well
    }

    /// Whether every connection that is not in use leads to a database that may be written.
    async fn pool_is_well(&self) -> bool {
        let pool = self.writer.connections();
        // held, so that each comes once
        let mut idle = Vec::new();
        while let Some(mut connection) = pool.try_acquire() {
            let asked = tokio::time::timeout(ANSWERS_WITHIN, ask(&mut connection)).await;
            if !matches!(asked, Ok(Ok(Seen::Well))) {
                return false;
            }
            idle.push(connection);
        }
        true
    }
}

/// Asks a database that answers whether quell may write, and whether this quell may.
async fn ask(connection: &mut AnyConnection) -> sqlx::Result<Seen> {
    let row = sqlx::query(
        "SELECT value, current_setting('transaction_read_only') FROM compat WHERE name = 'oldest'",
    )
    .fetch_one(connection)
    .await?;
    let (oldest, read_only): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match compat::refusal(oldest) {
        Some(words) => Seen::Ill(words),
        None if read_only == "on" => Seen::Ill("the database may only be read".into()),
        None => Seen::Well,
    })
}
