//! Sessions of a server: who they are, and whether they may be ended.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::time::Instant;

use super::Server;
use super::literals;
use crate::model::run::Outcome;
use crate::net;

/// Time between two looks whether a session has ended.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// How the server writes when a session began, to the microsecond.
macro_rules! start {
    () => {
        "to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    };
}

/// What [`Session::read`] reads, of `pg_stat_activity a`.
macro_rules! columns {
    () => {
        concat!(
            "a.pid, ",
            $crate::act::postgres::session::start!(),
            " AS start, a.backend_type, a.usename::text AS usename, a.application_name, \
             a.datname::text AS datname, host(a.client_addr) AS client, a.state, \
             left(a.query, 4000) AS query, \
             extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_for, \
             extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_for, \
             a.pid = pg_backend_pid() AS own, \
             coalesce((SELECT r.rolsuper FROM pg_roles r WHERE r.oid = a.usesysid), false) \
             AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) AS beyond, \
             a.usesysid IS NOT NULL AND a.backend_start IS NULL AS hidden"
        )
    };
}

pub(super) use columns;
pub(super) use start;

/// A session that is meant, and no other that has its process id later: `PID@START`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: i32,
    /// As the server writes it.
    pub(super) start: String,
}

impl Backend {
    /// The error says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            let short: String = text.chars().take(60).collect();
            format!("expected a session as postgres.blockers gives it, PID@START, got `{short}`")
        };
        let (pid, start) = text.trim().split_once('@').ok_or_else(expected)?;
        let digits = !pid.is_empty() && pid.bytes().all(|c| c.is_ascii_digit());
        let pid = pid.parse().ok().filter(|pid| digits && *pid > 0).ok_or_else(expected)?;
        let start: Timestamp = start.parse().map_err(|_| expected())?;
        let start = format!("{start:.6}");
        Ok(Self { pid, start })
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.pid, self.start)
    }
}

/// A session as the server shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Session {
    pub(super) pid: i32,
    /// `None`: the user may not see it.
    pub(super) start: Option<String>,
    /// `client backend`, `walsender`, `autovacuum worker`, …
    pub(super) kind: String,
    pub(super) user: String,
    pub(super) application: String,
    pub(super) database: String,
    pub(super) client: String,
    /// `active`, `idle in transaction`, …
    pub(super) state: String,
    /// Without literal texts.
    pub(super) query: String,
    /// How old its transaction is, in seconds.
    pub(super) transaction_for: Option<f64>,
    /// How long it is in its state, in seconds.
    pub(super) state_for: Option<f64>,
    /// It is this connection.
    pub(super) own: bool,
    /// It belongs to a superuser, and who asks is none.
    pub(super) beyond: bool,
    /// Who asks may not see it.
    pub(super) hidden: bool,
}

impl Session {
    /// Of a row with `columns!`.
    pub(super) fn read(row: &PgRow) -> Self {
        let text = |name| row.try_get::<Option<String>, _>(name).ok().flatten().unwrap_or_default();
        let yes = |name| row.try_get::<Option<bool>, _>(name).ok().flatten().unwrap_or_default();
        let number = |name| row.try_get::<Option<f64>, _>(name).ok().flatten();
        Self {
            pid: row.try_get("pid").unwrap_or_default(),
            start: row.try_get("start").ok().flatten(),
            kind: text("backend_type"),
            user: text("usename"),
            application: text("application_name"),
            database: text("datname"),
            client: text("client"),
            state: text("state"),
            query: literals::hide(&text("query")),
            transaction_for: number("transaction_for"),
            state_for: number("state_for"),
            own: yes("own"),
            beyond: yes("beyond"),
            hidden: yes("hidden"),
        }
    }

    /// What it is called, if it may be seen.
    pub(super) fn backend(&self) -> Option<Backend> {
        Some(Backend { pid: self.pid, start: self.start.clone()? })
    }

    /// Why quell does not end it.
    pub(super) fn untouchable(&self) -> Option<String> {
        if self.own || self.application.starts_with("quell ") {
            return Some("it is quell's own".into());
        }
        if self.hidden {
            return Some("the user may not see it".into());
        }
        match self.kind.as_str() {
            "client backend" => {}
            "walsender" => return Some("it sends to a replica".into()),
            kind => return Some(format!("it is no client's session but {kind:?}")),
        }
        self.beyond.then(|| "it belongs to a superuser, and only another may end it".into())
    }

    /// For outputs; what is unknown is left out.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({ "pid": self.pid });
        let texts = [
            ("backend", self.backend().map(|it| it.to_string()).unwrap_or_default()),
            ("user", self.user.clone()),
            ("application", self.application.clone()),
            ("database", self.database.clone()),
            ("client", self.client.clone()),
            ("state", self.state.clone()),
            ("query", self.query.clone()),
        ];
        let spans = [
            ("transaction_for", self.transaction_for.map(whole)),
            ("state_for", self.state_for.map(whole)),
        ];
        if let Some(map) = shown.as_object_mut() {
            for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
                map.insert(name.into(), text.into());
            }
            for (name, span) in spans {
                if let Some(seconds) = span {
                    map.insert(name.into(), seconds.into());
                }
            }
        }
        shown
    }
}

/// Whole seconds; what is below zero by the difference of two clocks is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above zero")]
pub(super) fn whole(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

impl Server {
    /// The session with this process id, whoever it is.
    pub(super) async fn session(&mut self, pid: i32) -> Result<Option<Session>, Outcome> {
        const SQL: &str =
            concat!("SELECT ", columns!(), " FROM pg_stat_activity a WHERE a.pid = $1");
        let rows = self.look("looking for the session", sqlx::query(SQL).bind(pid)).await?;
        Ok(rows.first().map(Session::read))
    }

    /// Waits until none of these is there. The outcome is *unknown* where that cannot be seen: they were told to end.
    pub(super) async fn until_gone(&mut self, told: &[Backend]) -> Result<(), Outcome> {
        const SQL: &str = concat!(
            "SELECT a.pid FROM pg_stat_activity a WHERE a.pid::text || '@' || ",
            start!(),
            " = ANY($1)"
        );
        let names: Vec<String> = told.iter().map(ToString::to_string).collect();
        while !names.is_empty() {
            let query = sqlx::query(SQL).bind(&names).fetch_all(&mut self.connection);
            let doubt = |why: String| {
                Err(super::super::unknown(format!("{} told to end; {why}", names.join(", "))))
            };
            match tokio::time::timeout_at(self.deadline, query).await {
                Ok(Ok(rows)) if rows.is_empty() => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return doubt(net::postgres::trouble(&error).reason),
                Err(_) => return doubt(self.late("waiting for that")),
            }
            let next = Instant::now() + LOOKS_EVERY;
            if next >= self.deadline {
                return doubt(self.late("waiting for that"));
            }
            tokio::time::sleep_until(next).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_process_id_and_when_it_began() {
        let fine = Backend::parse(" 4711@2026-01-05T10:00:00.12Z ").unwrap();
        assert_eq!(fine.to_string(), "4711@2026-01-05T10:00:00.120000Z");
        let exact = "4711@2026-01-05T10:00:00.123456Z";
        assert_eq!(Backend::parse(exact).unwrap().to_string(), exact);
        for wrong in ["", "4711", "4711@", "@2026-01-05T10:00:00Z", "0@2026-01-05T10:00:00Z"] {
            Backend::parse(wrong).unwrap_err();
        }
        for wrong in ["-1@2026-01-05T10:00:00Z", "+1@2026-01-05T10:00:00Z", "1@now", "1@1; x"] {
            let error = Backend::parse(wrong).unwrap_err();
            assert!(error.starts_with("expected a session as postgres.blockers"), "{error}");
        }
    }

    #[test]
    fn only_sessions_of_clients_may_be_ended() {
        let client = Session { kind: "client backend".into(), ..Session::default() };
        assert_eq!(client.untouchable(), None);
        for (session, why) in [
            (Session { own: true, ..client.clone() }, "it is quell's own"),
            (Session { application: "quell r-1/2".into(), ..client.clone() }, "it is quell's own"),
            (Session { kind: "walsender".into(), ..client.clone() }, "it sends to a replica"),
            (Session { beyond: true, ..client.clone() }, "it belongs to a superuser"),
            (Session { hidden: true, ..client.clone() }, "the user may not see it"),
            (
                Session { kind: "autovacuum worker".into(), ..client.clone() },
                "it is no client's session but \"autovacuum worker\"",
            ),
        ] {
            let reason = session.untouchable().unwrap();
            assert!(reason.starts_with(why), "{reason}");
        }
    }
}
