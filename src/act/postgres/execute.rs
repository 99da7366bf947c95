//! `postgres.execute`: one statement that stands in the playbook, with values bound as texts.
//!
//! In a transaction, nothing has happened until COMMIT is sent; while it is under way nobody knows, and with `once` the next try finds
//! out: the key of the intent is written to the target in the same transaction, so that the same key again does nothing.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::Either;
use sqlx::Executor as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Ask;
use super::Bounds;
use super::Server;
use crate::model::action::postgres::Execute;
use crate::model::run::Outcome;
use crate::net;
use crate::net::Kind;
use crate::net::Trouble;

/// Longest wait for a lock inside of a transaction: who waits for a strong lock makes everybody after it wait.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Most rows in the output, and most bytes of them.
const MAX_ROWS: usize = 50;
const MAX_BYTES: usize = 16 << 10;

const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS quell_effects (key text PRIMARY KEY, \
     at timestamptz NOT NULL DEFAULT now(), affected bigint)";

pub(super) async fn perform(execute: &Execute, ask: Ask<'_>) -> Result<Outcome, Outcome> {
    sane(execute).map_err(super::super::failed)?;
    let lock = if execute.transaction { LOCK_TIMEOUT } else { Duration::MAX };
    let bounds = Bounds { statement: execute.statement_timeout, lock };
    let mut server = Server::open(&execute.server, ask, bounds).await?;
    if !execute.transaction {
        return server.alone(execute).await;
    }
    if execute.once {
        server.effects().await?;
    }
    server.together(execute, &key(execute, ask.key)).await
}

/// What the statement may not be, beside what the server refuses.
fn sane(execute: &Execute) -> Result<(), String> {
    if execute.once && !execute.transaction {
        return Err("`once` needs a transaction: leave out `transaction: false`".into());
    }
    match keyword(&execute.sql).as_str() {
        "" => Err("`sql` holds no statement".into()),
        word @ ("begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
        | "release" | "prepare") => {
            Err(format!("`{word}`: quell begins and ends the transaction itself"))
        }
        "copy" => Err("`copy` needs a client that sends or takes a file".into()),
        "listen" | "declare" | "discard" | "set" => {
            Err("a statement that is about the session only does nothing: it ends with the step"
                .into())
        }
        _ => Ok(()),
    }
}

/// The statement's first word, in small letters.
fn keyword(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let after = if rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else if let Some(after) = rest.strip_prefix(['(', ';']) {
            after
        } else {
            break;
        };
        rest = after.trim_start();
    }
    rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// What stands in `quell_effects`: the key, and which statement it was for, so that no other takes it for its own.
fn key(execute: &Execute, key: &str) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&execute.sql).chain(&execute.parameters) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut short = [0; 8];
    for (to, from) in short.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    let digest = u64::from_be_bytes(short);
    format!("{key} {digest:016x}")
}

/// What a statement gave.
#[derive(Debug, Default)]
struct Given {
    rows: Vec<Value>,
    bytes: usize,
    count: u64,
    affected: u64,
}

impl Given {
    fn take(&mut self, row: &PgRow) {
        self.count += 1;
        if self.rows.len() >= MAX_ROWS || self.bytes >= MAX_BYTES {
            return;
        }
        let named = row.columns().iter().enumerate();
        let row: Map<String, Value> = named
            .map(|(at, column)| (column.name().to_owned(), net::postgres::value::json(row, at)))
            .collect();
        let row = Value::Object(row);
        let size = row.to_string().len();
        if self.bytes + size <= MAX_BYTES {
            self.rows.push(row);
        }
        self.bytes += size;
    }

    fn done(self, server: &Server) -> Outcome {
        let left_out = self.count - self.rows.len() as u64;
        Outcome::Done {
            summary: format!(
                "postgres `{}`: {} rows affected, {} rows given",
                server.name, self.affected, self.count
            ),
            output: json!({ "rows": self.rows, "affected": self.affected, "left_out": left_out }),
        }
    }
}

impl Server {
    /// Makes the table of keys, where there is none. Two who make it at once are one too many: it is there then.
    async fn effects(&mut self) -> Result<(), Outcome> {
        let there = sqlx::query("SELECT to_regclass('quell_effects') IS NOT NULL AS there");
        let rows = self.look("looking for the table quell_effects", there).await?;
        if rows.first().is_some_and(|row| row.try_get("there").unwrap_or(false)) {
            return Ok(());
        }
        match tokio::time::timeout_at(self.deadline, (&mut self.connection).execute(EFFECTS)).await
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let trouble = net::postgres::trouble(&error);
                match trouble.code.as_deref() {
                    // its name, its type or the row of its type is there already: which of them is a matter of moments
                    Some("23505" | "42710" | "42P07") => Ok(()),
                    _ => Err(self.refused("making the table quell_effects", &trouble)),
                }
            }
            Err(_) => {
                Err(super::super::failed_for_now(self.late("making the table quell_effects")))
            }
        }
    }

    /// Runs the statement, and commits it.
    async fn together(&mut self, execute: &Execute, key: &str) -> Result<Outcome, Outcome> {
        self.step("beginning a transaction", "BEGIN").await?;
        if execute.once
            && let Some(done) = self.claim(key).await?
        {
            return Ok(done);
        }
        let given = match tokio::time::timeout_at(self.deadline, self.run(execute)).await {
            Ok(Ok(given)) => given,
            Ok(Err(trouble)) => return Err(self.refused(DOING, &trouble)),
            Err(_) => {
                let late = self.late(DOING);
                let taken_back = "it is taken back, since nothing was committed";
                return Err(super::super::failed_for_now(format!("{late}; {taken_back}")));
            }
        };
        if execute.once {
            let affected = i64::try_from(given.affected).unwrap_or(i64::MAX);
            let note = sqlx::query("UPDATE quell_effects SET affected = $1 WHERE key = $2")
                .bind(affected)
                .bind(key);
            self.look("writing the key of the step", note).await?;
        }
        self.commit(execute.once).await?;
        Ok(given.done(self))
    }

    /// Takes the key; the outcome, if it was taken before. Who holds it and has not committed yet is waited for.
    async fn claim(&mut self, key: &str) -> Result<Option<Outcome>, Outcome> {
        let claim = sqlx::query(
            "INSERT INTO quell_effects (key) VALUES ($1) ON CONFLICT (key) DO NOTHING RETURNING key",
        );
        let rows = self.look("writing the key of the step", claim.bind(key)).await?;
        if !rows.is_empty() {
            return Ok(None);
        }
        let when = sqlx::query("SELECT at::text AS at, affected FROM quell_effects WHERE key = $1");
        let rows = self.look("reading when it was done", when.bind(key)).await?;
        let at: Option<String> = rows.first().and_then(|row| row.try_get("at").ok());
        let affected: Option<i64> =
            rows.first().and_then(|row| row.try_get("affected").ok().flatten());
        let at = at.unwrap_or_default();
        Ok(Some(Outcome::Done {
            summary: format!(
                "postgres `{}`: this step was done at {at}; nothing was done again",
                self.name
            ),
            output: json!({ "rows": [], "affected": affected, "left_out": 0, "done_before": at }),
        }))
    }

    async fn step(&mut self, what: &str, sql: &'static str) -> Result<(), Outcome> {
        let answer = sqlx::raw_sql(sql).execute(&mut self.connection);
        match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.refused(what, &net::postgres::trouble(&error))),
            Err(_) => Err(super::super::failed_for_now(self.late(what))),
        }
    }

    /// From here on a lost answer leaves open whether it happened.
    async fn commit(&mut self, once: bool) -> Result<(), Outcome> {
        let answer = sqlx::raw_sql("COMMIT").execute(&mut self.connection);
        let why = match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => {
                let trouble = net::postgres::trouble(&error);
                if !net::postgres::is_final(&error) {
                    return Err(self.refused("committing", &trouble));
                }
                format!("postgres `{}`, committing: {}", self.name, trouble.reason)
            }
            Err(_) => self.late("committing"),
        };
        let next = if once { "trying it again finds out" } else { "look at what it changes" };
        Err(super::super::unknown(format!("{why}; nobody knows whether it happened; {next}")))
    }

    /// Runs the statement outside of a transaction.
    async fn alone(&mut self, execute: &Execute) -> Result<Outcome, Outcome> {
        match tokio::time::timeout_at(self.deadline, self.run(execute)).await {
            Ok(Ok(given)) => Ok(given.done(self)),
            Ok(Err(trouble)) => {
                let outcome = self.in_doubt(DOING, &trouble);
                Err(parts(execute, outcome))
            }
            Err(_) => {
                let late = self.late(DOING);
                Err(super::super::unknown(format!("{late}; nobody knows whether it happened")))
            }
        }
    }

    async fn run(&mut self, execute: &Execute) -> Result<Given, Trouble> {
        let mut given = Given::default();
        // the text stands in the playbook, and holds no template: `library` refuses one
        let mut query = sqlx::query(AssertSqlSafe(execute.sql.as_str())).persistent(false);
        for parameter in &execute.parameters {
            query = query.bind(parameter.as_str());
        }
        let mut stream = (&mut self.connection).fetch_many(query);
        loop {
            match stream.try_next().await {
                Ok(Some(Either::Left(result))) => given.affected += result.rows_affected(),
                Ok(Some(Either::Right(row))) => given.take(&row),
                Ok(None) => return Ok(given),
                Err(error) => {
                    let mut trouble = net::postgres::trouble(&error);
                    // a session that ends while it works answers, and what it did is as open as without an answer
                    if net::postgres::is_final(&error) && !execute.transaction {
                        trouble.kind = Kind::Lost;
                    }
                    return Err(trouble);
                }
            }
        }
    }
}

const DOING: &str = "running the statement";

/// What an error leaves behind of a statement outside of a transaction.
fn parts(execute: &Execute, outcome: Outcome) -> Outcome {
    let Outcome::Failed { reason, retryable } = outcome else { return outcome };
    match keyword(&execute.sql).as_str() {
        // these commit on their way
        "call" | "do" => super::super::unknown(format!("{reason}; a part of it may have happened")),
        "reindex" | "create" if execute.sql.to_ascii_lowercase().contains("concurrently") => {
            let left = "an index that is not valid may be left: drop it";
            Outcome::Failed { reason: format!("{reason}; {left}"), retryable }
        }
        _ => Outcome::Failed { reason, retryable },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execute(sql: &str) -> Execute {
        Execute {
            server: "main".into(),
            sql: sql.into(),
            parameters: Vec::new(),
            transaction: true,
            once: false,
            statement_timeout: None,
        }
    }

    #[test]
    fn quell_begins_and_ends_the_transaction() {
        for sql in ["COMMIT", " -- a\n /* b */ ; Rollback", "(((begin", "START TRANSACTION", "end"]
        {
            let reason = sane(&execute(sql)).unwrap_err();
            assert!(reason.ends_with("quell begins and ends the transaction itself"), "{reason}");
        }
        for sql in ["", "--", "/* SELECT 1", "COPY a FROM STDIN", "SET a = 1"] {
            sane(&execute(sql)).unwrap_err();
        }
        for sql in ["SELECT 1", "(SELECT 1)", "WITH a AS (SELECT 1) SELECT * FROM a", "vacuum a"] {
            sane(&execute(sql)).unwrap();
        }
        let once = Execute { once: true, transaction: false, ..execute("SELECT 1") };
        assert!(sane(&once).unwrap_err().contains("needs a transaction"));
    }

    #[test]
    fn another_statement_or_another_value_has_another_key() {
        let with = |sql: &str, parameters: &[&str]| {
            let parameters = parameters.iter().map(ToString::to_string).collect();
            key(&Execute { parameters, ..execute(sql) }, "r-1/2")
        };
        let keys = [
            with("a", &[]),
            with("b", &[]),
            with("a", &["b"]),
            with("a", &["b", ""]),
            with("a", &["", "b"]),
            with("ab", &[]),
        ];
        let different: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(keys[0], with("a", &[]));
        assert!(keys[0].starts_with("r-1/2 "), "{}", keys[0]);
    }
}
