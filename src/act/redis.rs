//! The actions `redis.flush` and `redis.delete`.

use std::future::Future;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use ::redis::Client;
use ::redis::ErrorKind;
use ::redis::IntoConnectionInfo;
use ::redis::RedisError;
use ::redis::ServerErrorKind;
use ::redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::time::Instant;

use crate::model::action::RedisDelete;
use crate::model::action::RedisFlush;
use crate::model::action::Slices;
use crate::model::action::TargetKind;
use crate::model::config::Server;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::model::time::show_duration;

/// Longest time for a connection, TLS and login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
        let Some(Server { url, .. }) = targets.redis.get(name) else {
            let names = targets.names(TargetKind::Redis);
            return Err(super::failed(super::no_target("redis", name, &names)));
        };
        // the error is dropped: it may hold a part of the URL
        let info = url.reveal().into_connection_info().map_err(|_| {
            super::failed(format!(
                "targets.redis.{name} of quell.yml: expected redis://host:port or rediss://host:port"
            ))
        })?;
        let database = database.unwrap_or_else(|| info.redis_settings().db());
        let settings = info.redis_settings().clone().set_db(database);
        let client = Client::open(info.set_redis_settings(settings)).map_err(|error| {
            super::failed(format!("redis `{name}`: {}", words(&error, CONNECT_TIMEOUT)))
        })?;
        let connect = CONNECT_TIMEOUT.min(timeout);
        // the default response timeout is 500 ms; here the deadline bounds every answer
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        match tokio::time::timeout(connect, connecting).await {
            Ok(Ok(connection)) => {
                Ok(Self { connection, server: name.to_owned(), database, timeout, deadline })
            }
            Ok(Err(error)) => {
                let reason = format!("could not reach redis `{name}`: {}", words(&error, connect));
                let see = format!("see targets.redis.{name} of quell.yml");
                Err(if retryable(&error) {
                    super::failed_for_now(reason)
                } else if denied(&error) {
                    super::denied(format!("{reason}; {see}"))
                } else {
                    super::failed(format!("{reason}; {see}"))
                })
            }
            Err(_) => Err(super::failed_for_now(format!(
                "could not reach redis `{name}`: no connection within {}",
                show_duration(connect)
            ))),
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
        let lost = match &error {
            None => format!(
                "no answer of redis `{server}` to {name} within {}",
                show_duration(self.timeout)
            ),
            Some(error) if error.is_io_error() => format!(
                "connection to redis `{server}` lost during {name}: {}",
                words(error, self.timeout)
            ),
            Some(error) => {
                let why = words(error, self.timeout);
                let reason = format!("redis `{server}` refused {name}: {why}{so_far}");
                return Err(if retryable(error) {
                    super::failed_for_now(reason)
                } else if denied(error) {
                    super::denied(reason)
                } else {
                    super::failed(reason)
                });
            }
        };
        // looking for keys changes nothing
        Err(if name == "SCAN" {
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

/// Whether the server refuses the user, the password, or this command to this user (G19).
fn denied(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        // the client gives its own code to what is refused while it chooses the database
        || error.detail().is_some_and(|detail| detail.contains("uthentication required"))
}

/// Whether the same may go well later: a server that is away, starting or failing over. A refused
/// credential, a missing right and a wrong command stay what they are (G19).
fn retryable(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
        ),
        // a script holds the server up, or its disk does
        _ => matches!(error.code(), Some("BUSY" | "MISCONF")),
    }
}

/// Why, without any part of the URL.
fn words(error: &RedisError, timeout: Duration) -> String {
    if error.is_connection_refusal() {
        return "connection refused".into();
    }
    if error.is_timeout() {
        return format!("no answer within {}", show_duration(timeout));
    }
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "it refuses the user or the password".into();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
