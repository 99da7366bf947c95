//! What a simulation asks of the store beside what the engine does: to begin anew, and to look.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;

use crate::model::incident::RunId;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::micros;
use crate::store::text;

/// A run's row, as far as claims and fences go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) attempt: i64,
    pub(crate) owner: String,
    pub(crate) due_at: i64,
    pub(crate) target: String,
    pub(crate) seq: i64,
    pub(crate) state: String,
    pub(crate) is_final: bool,
    pub(crate) outcome: String,
}

/// What is due now, what later, and what is left.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Of [`LOOPS`].
    pub(crate) due: Vec<&'static str>,
    pub(crate) next: Option<Timestamp>,
    /// Runs that are not over.
    pub(crate) runs: i64,
    /// Those that take nothing back.
    pub(crate) remedies: i64,
    /// Runs that ask a person.
    pub(crate) asks: i64,
    /// Notifications that are neither sent nor dead.
    pub(crate) owed: i64,
}

/// What may become due, by table.
pub(crate) const LOOPS: [&str; 4] = ["episodes", "runs", "outbox", "incidents"];

impl Store {
    /// Writes down how the tables are now, for [`Store::empty`].
    pub(crate) async fn keep(&self) -> Result<()> {
        for table in self.tables().await? {
            let sql = format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}");
            sqlx::query(AssertSqlSafe(sql)).execute(&self.writer.connections()).await?;
        }
        Ok(())
    }

    /// Makes the tables what they were at [`Store::keep`].
    pub(crate) async fn empty(&self) -> Result<()> {
        let mut sql = String::from("BEGIN IMMEDIATE;");
        let tables = self.tables().await?;
        // what refers to others goes first
        for table in tables.iter().rev() {
            sql.extend(["DELETE FROM ", table, ";"]);
        }
        for table in &tables {
            sql.extend(["INSERT INTO ", table, " SELECT * FROM kept_", table, ";"]);
        }
        sqlx::raw_sql(AssertSqlSafe(sql + "COMMIT;")).execute(&self.writer.connections()).await?;
        self.past.clear();
        self.counted.clear();
        Ok(())
    }

    /// Names of quell's tables, in the order in which they were made.
    async fn tables(&self) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'kept_%'
               AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations' ORDER BY rowid",
        )
        .fetch_all(&self.writer.connections())
        .await?;
        rows.iter().map(|row| text(row, "name")).collect()
    }

    /// How a run is held now.
    pub(crate) async fn held(&self, run: RunId) -> Result<Option<Held>> {
        let row = sqlx::query("SELECT * FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_optional(&self.writer.connections())
            .await?;
        row.map(|row| {
            Ok(Held {
                attempt: row.try_get("attempt")?,
                owner: text(&row, "owner")?,
                due_at: row.try_get("due_at")?,
                target: text(&row, "target")?,
                seq: row.try_get("seq")?,
                state: text(&row, "state")?,
                is_final: row.try_get::<i64, _>("is_final")? != 0,
                outcome: text(&row, "outcome")?,
            })
        })
        .transpose()
    }

    /// The most runs on one target that are not over.
    pub(crate) async fn most_on_one_target(&self) -> Result<i64> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM runs WHERE is_final = 0 GROUP BY target ORDER BY 1 DESC LIMIT 1",
        )
        .fetch_optional(&self.writer.connections())
        .await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// What is due and what is left.
    pub(crate) async fn survey(&self, now: Timestamp) -> Result<Look> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM episodes WHERE due_at <= $1) AS a,
                    (SELECT COUNT(*) FROM runs WHERE is_final = 0 AND due_at <= $1) AS b,
                    (SELECT COUNT(*) FROM outbox WHERE state = 'pending' AND due_at <= $1) AS c,
                    (SELECT COUNT(*) FROM incidents WHERE due_at <= $1) AS d,
                    (SELECT MIN(due_at) FROM (
                       SELECT due_at FROM episodes UNION ALL SELECT due_at FROM runs WHERE is_final = 0
                       UNION ALL SELECT due_at FROM outbox WHERE state = 'pending'
                       UNION ALL SELECT due_at FROM incidents) WHERE due_at > $1 AND due_at < $2) AS next,
                    (SELECT COUNT(*) FROM runs WHERE is_final = 0) AS runs,
                    (SELECT COUNT(*) FROM runs WHERE is_final = 0 AND remedy > 0) AS remedies,
                    (SELECT COUNT(*) FROM runs WHERE state IN ('awaiting approval', 'in doubt')) AS asks,
                    (SELECT COUNT(*) FROM outbox WHERE state NOT IN ('sent', 'dead')) AS owed",
        )
        .bind(micros(now))
        .bind(NEVER)
        .fetch_one(&self.writer.connections())
        .await?;
        let mut due = Vec::new();
        for (at, name) in LOOPS.into_iter().enumerate() {
            if row.try_get::<i64, _>(at)? > 0 {
                due.push(name);
            }
        }
        let next: Option<i64> = row.try_get("next")?;
        Ok(Look {
            due,
            next: next.and_then(|it| Timestamp::from_microsecond(it).ok()),
            runs: row.try_get("runs")?,
            remedies: row.try_get("remedies")?,
            asks: row.try_get("asks")?,
            owed: row.try_get("owed")?,
        })
    }
}
