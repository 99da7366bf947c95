//! What `postgres.*` does. Fields that say *prepared* are absent in a playbook, and absolute in an intent.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::text::Span;
use super::text::Template;
use super::text::Whole;

/// An action against a server of `targets.postgres`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Postgres {
    /// Ends one connection.
    #[serde(rename = "postgres.terminate")]
    Terminate(Terminate),
    /// Ends connections that sit in a transaction and do nothing.
    #[serde(rename = "postgres.kill_idle")]
    KillIdle(KillIdle),
    /// Reads who makes others wait.
    #[serde(rename = "postgres.blockers")]
    Blockers(Blockers),
    /// Reads what connections do.
    #[serde(rename = "postgres.activity")]
    Activity(Activity),
    /// Runs one statement.
    #[serde(rename = "postgres.execute")]
    Execute(Execute),
}

/// `postgres.terminate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminate {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// `PID@BACKEND_START`, as `postgres.blockers` gives it: a process identifier alone may be another's by now.
    pub backend: Template,
}

/// `postgres.kill_idle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillIdle {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// Idle in a transaction for at least this long.
    pub idle_for: Span,
    /// At most so many, the longest idle first.
    pub most: Whole,
    /// Of this user only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Template>,
    /// Of this database only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Template>,
    /// Of this `application_name` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Template>,
    /// Prepared: the connections that will be ended, as `PID@BACKEND_START`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backends: Option<Vec<String>>,
}

/// `postgres.blockers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blockers {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// Those that made others wait for at least this long.
    pub waiting_for: Span,
    /// At most so many.
    pub lines: Whole,
}

/// `postgres.activity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// At most so many, the longest first.
    pub lines: Whole,
}

/// `postgres.execute`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execute {
    /// Name of an entry of `targets.postgres`.
    pub server: Template,
    /// The statement; fixed text, never a template.
    pub sql: String,
    /// Values of `$1` and so on, bound as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Template>,
    /// Whether it runs in a transaction; some statements cannot.
    pub transaction: bool,
    /// Whether the target keeps the key of the intent, so that the same one again does nothing.
    pub once: bool,
    /// Longest time of the statement on the server; `None` is the step's timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_timeout: Option<Duration>,
}

impl Postgres {
    /// The word people write.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Terminate(_) => "postgres.terminate",
            Self::KillIdle(_) => "postgres.kill_idle",
            Self::Blockers(_) => "postgres.blockers",
            Self::Activity(_) => "postgres.activity",
            Self::Execute(_) => "postgres.execute",
        }
    }

    /// Name of the entry of `targets.postgres`.
    pub fn server(&self) -> &Template {
        match self {
            Self::Terminate(it) => &it.server,
            Self::KillIdle(it) => &it.server,
            Self::Blockers(it) => &it.server,
            Self::Activity(it) => &it.server,
            Self::Execute(it) => &it.server,
        }
    }
}
