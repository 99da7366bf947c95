//! `postgres.*`, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::library::field::Field;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::SpanText;
use crate::library::raw::TemplateText;
use crate::library::raw::WholeText;

/// Ends one connection, and no other that has got its process identifier since.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres.terminate`")]
pub(crate) struct RawTerminate {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// The connection, as `PID@BACKEND_START`: what `postgres.blockers` gives.
    #[schemars(extend("examples" = ["{{ item }}"]))]
    pub(crate) backend: Field<TemplateText>,
}

/// Ends connections that sit in a transaction and do nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres.kill_idle`")]
pub(crate) struct RawKillIdle {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// Idle in a transaction for at least this long.
    #[schemars(extend("examples" = ["10m"]))]
    pub(crate) idle_for: Field<SpanText>,
    /// At most so many, the longest idle first. 10 when silent.
    #[schemars(extend("examples" = [5]))]
    pub(crate) most: Opt<WholeText>,
    /// Only those of this user.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) user: Opt<TemplateText>,
    /// Only those of this database.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) database: Opt<TemplateText>,
    /// Only those of this `application_name`.
    #[schemars(extend("examples" = ["worker"]))]
    pub(crate) application: Opt<TemplateText>,
}

/// Reads who makes others wait. `for_each: steps.NAME.output.blockers` hands them to `postgres.terminate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres.blockers`")]
pub(crate) struct RawBlockers {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// Only those for whom others have waited at least this long. `0s` when silent.
    #[schemars(extend("examples" = ["1m"]))]
    pub(crate) waiting_for: Opt<SpanText>,
    /// At most so many. 20 when silent.
    #[schemars(extend("examples" = [5]))]
    pub(crate) lines: Opt<WholeText>,
}

/// Reads what connections do, the longest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres.activity`")]
pub(crate) struct RawActivity {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// At most so many. 20 when silent.
    #[schemars(extend("examples" = [5]))]
    pub(crate) lines: Opt<WholeText>,
}

/// Runs one statement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`postgres.execute`")]
pub(crate) struct RawExecute {
    /// Name of a server under `targets.postgres` in quell.yml.
    #[schemars(extend("examples" = ["main"]))]
    pub(crate) server: Field<TemplateText>,
    /// The statement: fixed text, without templates. Pass values through `parameters` and write `$1`.
    #[schemars(extend("examples" = ["update jobs set state = 'ready' where queue = $1"]))]
    pub(crate) sql: Field<String>,
    /// Values of `$1`, `$2` and so on; sent apart from the statement, as text: write `$1::int` where a number is meant.
    #[schemars(extend("examples" = [["{{ labels.queue }}"]]))]
    pub(crate) parameters: Opt<List<TemplateText>>,
    /// Whether it runs in a transaction. `false` for `VACUUM` or `REINDEX CONCURRENTLY`, which cannot.
    #[schemars(extend("default" = true))]
    pub(crate) transaction: Opt<bool>,
    /// Whether the same intent again does nothing: its key is kept in a table `quell_effects` of the target, in the same
    /// transaction. Then it may be repeated when nobody knows whether it happened.
    #[schemars(extend("default" = false))]
    pub(crate) once: Opt<bool>,
    /// Longest time of the statement on the server. The `timeout` of the step when silent.
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) statement_timeout: Opt<DurationText>,
}
