//! The actions `redis.flush` and `redis.delete`.

use std::future::Future;
use std::time::Duration;

use ::redis::RedisError;
use ::redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::time::Instant;

use crate::model::action::RedisDelete;
use crate::model::action::RedisFlush;
use crate::model::action::Slices;
use crate::model::action::TargetKind;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::model::time::show_duration;
use crate::net;
use crate::net::Kind;
use crate::net::Trouble;

pub(super) mod config;

/// A command that changes nothing.
const CONFIG_GET: &str = "CONFIG GET";

/// How many keys one SCAN looks at, and one UNLINK takes: enough to be quick, few enough not to hold up the
/// server's other clients.
const SLICE: usize = 500;

/// Empties a database, in the background of the server.
pub(super) async fn flush(flush: &RedisFlush, timeout: Duration, targets: &Targets) -> Outcome {
    match Session::open(&flush.server, flush.database, timeout, targets).await {
        Ok(session) => {
            let flushed = session.flush(flush.slices.as_ref()).await;
            flushed.unwrap_or_else(|outcome| outcome)
        }
        Err(outcome) => outcome,
    }
}

/// Deletes keys, by name or by a pattern.
pub(super) async fn delete(delete: &RedisDelete, timeout: Duration, targets: &Targets) -> Outcome {
    if let Err(reason) = sane(delete) {
        return super::failed(reason);
    }
    match Session::open(&delete.server, delete.database, timeout, targets).await {
        Ok(session) => session.delete(delete).await.unwrap_or_else(|outcome| outcome),
        Err(outcome) => outcome,
    }
}

/// An empty selection must not mean everything (G4).
fn sane(delete: &RedisDelete) -> Result<(), &'static str> {
    match &delete.pattern {
        Some(_) if !delete.keys.is_empty() => Err("give either keys or a pattern, not both"),
        Some(pattern) if pattern.trim().is_empty() => {
            Err("the pattern is empty; to empty a database use redis.flush")
        }
        Some(pattern) if pattern.contains('*') && pattern.trim_matches(['*', '?']).is_empty() => {
            Err("the pattern matches keys of every name; to empty a database use redis.flush")
        }
        None if delete.keys.is_empty() => {
            Err("there is nothing to delete: neither keys nor a pattern")
        }
        None if delete.keys.iter().any(String::is_empty) => Err("one of the keys is empty"),
        Some(_) | None => Ok(()),
    }
}

/// A connection for one action, and the time it has.
struct Session {
    connection: MultiplexedConnection,
    server: String,
    database: i64,
    timeout: Duration,
    deadline: Instant,
}

impl Session {
    async fn open(
        name: &str,
        database: Option<i64>,
        timeout: Duration,
        targets: &Targets,
    ) -> Result<Self, Outcome> {
        let deadline = Instant::now() + timeout;
        let Some(target) = targets.redis.get(name) else {
            let names = targets.names(TargetKind::Redis);
            return Err(super::failed(super::no_target("redis", name, &names)));
        };
        let place = net::redis::Place {
            url: target.url.reveal(),
            ca_file: target.ca_file.as_deref(),
            database,
            timeout,
        };
        match net::redis::connect(&place).await {
            Ok((connection, database)) => {
                Ok(Self { connection, server: name.to_owned(), database, timeout, deadline })
            }
            Err(trouble) => {
                let reason = format!("could not reach redis `{name}`: {}", trouble.reason);
                let see = format!("see targets.redis.{name} of quell.yml");
                Err(match trouble.kind {
                    Kind::Later | Kind::Lost => super::failed_for_now(reason),
                    Kind::Credential => super::denied(format!("{reason}; {see}")),
                    Kind::Never => super::failed(format!("{reason}; {see}")),
                })
            }
        }
    }

    async fn flush(&self, slices: Option<&Slices>) -> Result<Outcome, Outcome> {
        // for people; a credential may lack the right to it
        let before: Option<u64> = self
            .within(::redis::cmd("DBSIZE").query_async(&mut self.connection.clone()))
            .await
            .ok();
        // what one slice takes, or nobody asked to slice, goes at once; an unknown size is not a small one
        let small = |slices: &Slices| before.is_some_and(|keys| keys <= u64::from(slices.keys));
        if let Some(slices) = slices.filter(|it| it.cursor != 0 || !small(it)) {
            return self.slice(None, slices).await;
        }
        let mut command = ::redis::cmd("FLUSHDB");
        command.arg("ASYNC");
        self.ask::<()>(&command, "FLUSHDB", 0).await?;
        let keys = before.map_or_else(String::new, |keys| format!(" ({keys} keys)"));
        Ok(Outcome::Done {
            summary: format!("emptied database {} of redis `{}`{keys}", self.database, self.server),
            output: json!({ "database": self.database, "keys_before": before }),
        })
    }

    /// Deletes one slice of all keys, or of those that match. The output's `cursor` says where the next one begins; it has none when
    /// nothing is left.
    async fn slice(&self, pattern: Option<&String>, slices: &Slices) -> Result<Outcome, Outcome> {
        let wanted = u64::from(slices.keys);
        let (mut cursor, mut deleted) = (slices.cursor, 0_u64);
        loop {
            let mut scan = ::redis::cmd("SCAN");
            scan.arg(cursor);
            if let Some(pattern) = pattern {
                scan.arg("MATCH").arg(pattern);
            }
            scan.arg("COUNT").arg(wanted.saturating_sub(deleted).clamp(1, SLICE as u64));
            let (next, keys): (u64, Vec<Vec<u8>>) = self.ask(&scan, "SCAN", deleted).await?;
            for keys in keys.chunks(SLICE) {
                deleted += self.unlink(keys, deleted).await?;
            }
            cursor = next;
            if cursor == 0 || deleted >= wanted {
                break;
            }
        }
        let (database, server) = (self.database, &self.server);
        let mut output = json!({ "database": database, "deleted": deleted });
        if let Some(map) = output.as_object_mut().filter(|_| cursor != 0) {
            map.insert("cursor".into(), cursor.into());
        }
        let summary = format!("deleted {deleted} keys of database {database} of redis `{server}`");
        Ok(Outcome::Done { summary, output })
    }

    async fn delete(&self, delete: &RedisDelete) -> Result<Outcome, Outcome> {
        if let (Some(pattern), Some(slices)) = (&delete.pattern, &delete.slices) {
            return self.slice(Some(pattern), slices).await;
        }
        let mut deleted = 0;
        match &delete.pattern {
            None => {
                for keys in delete.keys.chunks(SLICE) {
                    deleted += self.unlink(keys, deleted).await?;
                }
            }
            Some(pattern) => {
                let mut cursor = 0_u64;
                loop {
                    let mut scan = ::redis::cmd("SCAN");
                    scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SLICE);
                    let (next, keys): (u64, Vec<Vec<u8>>) =
                        self.ask(&scan, "SCAN", deleted).await?;
                    for keys in keys.chunks(SLICE) {
                        deleted += self.unlink(keys, deleted).await?;
                    }
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
            }
        }
        Ok(Outcome::Done {
            summary: format!(
                "deleted {deleted} keys of database {} of redis `{}`",
                self.database, self.server
            ),
            output: json!({ "database": self.database, "deleted": deleted }),
        })
    }

    /// Takes keys away; their memory is freed in the background of the server.
    async fn unlink<K: ::redis::ToRedisArgs>(
        &self,
        keys: &[K],
        deleted: u64,
    ) -> Result<u64, Outcome> {
        let mut command = ::redis::cmd("UNLINK");
        command.arg(keys);
        self.ask(&command, "UNLINK", deleted).await
    }

    /// Sends a command, after `deleted` keys were deleted.
    async fn ask<T: ::redis::FromRedisValue>(
        &self,
        command: &::redis::Cmd,
        name: &str,
        deleted: u64,
    ) -> Result<T, Outcome> {
        let server = &self.server;
        let mut connection = self.connection.clone();
        let error = match self.within(command.query_async(&mut connection)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let so_far = match deleted {
            0 => String::new(),
            deleted => format!("; {deleted} keys were deleted before"),
        };
        let lost = match error.map(|error| net::redis::trouble(&error, self.timeout)) {
            None => format!(
                "no answer of redis `{server}` to {name} within {}",
                show_duration(self.timeout)
            ),
            Some(Trouble { kind: Kind::Lost, reason, .. }) => {
                format!("connection to redis `{server}` lost during {name}: {reason}")
            }
            Some(Trouble { kind, reason, .. }) => {
                let reason = format!("redis `{server}` refused {name}: {reason}{so_far}");
                return Err(match kind {
                    Kind::Later => super::failed_for_now(reason),
                    Kind::Credential => super::denied(reason),
                    Kind::Never | Kind::Lost => super::failed(reason),
                });
            }
        };
        // looking changes nothing
        Err(if matches!(name, "SCAN" | CONFIG_GET) {
            super::failed_for_now(format!("{lost}{so_far}"))
        } else {
            super::unknown(format!("{lost}; nobody knows whether it happened{so_far}"))
        })
    }

    /// Waits until the deadline; `None` when it is over.
    async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Option<RedisError>> {
        match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(answer) => answer.map_err(Some),
            Err(_) => Err(None),
        }
    }
}

#[cfg(test)]
mod tests;
