//! A backup: every table as it was at one moment, in one file that either engine can be restored from.
//!
//! The file is lines of JSON: what it is, each table with its columns and one line a row, and at the end how many rows there
//! are and the SHA-256 of all bytes before. It is made in one read-only transaction, beside whoever reads and writes.

use std::io::Write;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;
use sqlx::Any;
use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::Connection as _;
use sqlx::Executor;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use sqlx::any::AnyTypeInfoKind;

use crate::store::Engine;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::first_connection;
use crate::store::runs::hex;
use crate::store::text;

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format of the file.
    pub quell_backup: u32,
    /// The version of quell that made it.
    pub quell: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The migrations that its tables come from.
    pub migrations: Vec<i64>,
}

/// A table, before its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) rows: u64,
    pub(super) sha256: String,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of quell that made it.
    pub quell: String,
    /// Tables.
    pub tables: usize,
    /// Rows in all.
    pub rows: u64,
    /// SHA-256 of everything but its last line.
    pub sha256: String,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NotBackedUp {
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("{0}")]
    File(#[from] std::io::Error),
}

impl From<sqlx::Error> for NotBackedUp {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Writes lines, and counts their bytes into the digest.
struct Lines<'a, W> {
    to: &'a mut W,
    digest: Sha256,
}

impl<W: Write> Lines<'_, W> {
    fn line(&mut self, value: &impl Serialize) -> std::result::Result<(), NotBackedUp> {
        let mut line = super::to_json(value)?;
        line.push('\n');
        self.digest.update(line.as_bytes());
        Ok(self.to.write_all(line.as_bytes())?)
    }
}

impl Store {
    /// Writes a backup of this moment. What is written meanwhile is not in it.
    pub async fn backup(&self, to: &mut impl Write) -> std::result::Result<Held, NotBackedUp> {
        // a connection of its own: a large table takes longer than any other question may
        let mut on = first_connection(&self.url.0, self.engine).await?;
        let mut tx = on.begin().await?;
        if self.engine == Engine::Postgres {
            // SQLite reads one moment from the first SELECT on
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .execute(&mut *tx)
                .await?;
        }
        let header = Header {
            quell_backup: FORMAT,
            quell: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: self.now(),
            migrations: applied(&mut *tx).await?,
        };
        let mut lines = Lines { to, digest: Sha256::new() };
        lines.line(&header)?;
        let tables = tables(&mut *tx, self.engine).await?;
        let mut rows = 0;
        for table in &tables {
            lines.line(table)?;
            let sql = format!("SELECT {} FROM {}", table.columns.join(", "), table.table);
            let mut found = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *tx);
            while let Some(row) = found.try_next().await? {
                lines.line(&values(&row)?)?;
                rows += 1;
            }
        }
        tx.rollback().await?;
        on.close().await?;
        let Lines { to, digest } = lines;
        let sha256 = hex(&digest.finalize());
        let mut end = super::to_json(&End { rows, sha256: sha256.clone() })?;
        end.push('\n');
        to.write_all(end.as_bytes())?;
        let Header { made_at, quell, .. } = header;
        Ok(Held { made_at, quell, tables: tables.len(), rows, sha256 })
    }
}

/// Migrations that made the tables of a database.
pub(super) async fn applied<'c>(on: impl Executor<'c, Database = Any>) -> Result<Vec<i64>> {
    let versions = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version");
    Ok(versions.fetch_all(on).await?)
}

/// All tables but that of the migrations, in order of name. Engines keep their lists in their own way, so this is the one
/// question that has two texts.
pub(super) async fn tables<'c>(
    on: impl Executor<'c, Database = Any>,
    engine: Engine,
) -> Result<Vec<Table>> {
    let sql = match engine {
        Engine::Sqlite => {
            "SELECT m.name AS of_table, p.name AS of_column FROM sqlite_master m JOIN pragma_table_info(m.name) p
             WHERE m.type = 'table' AND m.name <> '_sqlx_migrations' AND m.name NOT LIKE 'sqlite%'
             ORDER BY m.name, p.cid"
        }
        Engine::Postgres => {
            "SELECT CAST(c.table_name AS TEXT) AS of_table, CAST(c.column_name AS TEXT) AS of_column
             FROM information_schema.columns c JOIN information_schema.tables t
               ON t.table_schema = c.table_schema AND t.table_name = c.table_name
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
               AND c.table_name <> '_sqlx_migrations'
             ORDER BY c.table_name, c.ordinal_position"
        }
    };
    let mut tables: Vec<Table> = Vec::new();
    for row in sqlx::query(sql).fetch_all(on).await? {
        let (table, column) = (text(&row, "of_table")?, text(&row, "of_column")?);
        if !is_name(&table) || !is_name(&column) {
            return Err(StoreError::Corrupt(format!(
                "there is a table `{table}` that is not quell's"
            )));
        }
        match tables.last_mut() {
            Some(last) if last.table == table => last.columns.push(column),
            _ => tables.push(Table { table, columns: vec![column] }),
        }
    }
    Ok(tables)
}

/// Whether this is a name as migrations give them: it goes into SQL.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
}

pub(super) fn values(row: &AnyRow) -> Result<Vec<Value>> {
    let value = |index: usize| {
        let kind = row.column(index).type_info().kind();
        match kind {
            AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
                Ok(Value::from(row.try_get::<Option<i64>, _>(index)?))
            }
            AnyTypeInfoKind::Text => Ok(Value::from(row.try_get::<Option<String>, _>(index)?)),
            AnyTypeInfoKind::Null => Ok(Value::Null),
            other => {
                let column = row.column(index).name();
                Err(StoreError::Corrupt(format!("column {column} holds {other:?}")))
            }
        }
    };
    (0..row.len()).map(value).collect()
}
