//! Where the records are whose leaves make up the log, and the bytes of each.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::audit::record::Id;
use crate::decide::audit::record::Kind;
use crate::decide::audit::record::Writer;
use crate::store::Result;
use crate::store::text;

/// The statements for one kind of record.
pub(super) struct Source {
    pub(super) kind: Kind,
    /// Those that no leaf is made of yet: up to `$1`.
    pub(super) unlogged: &'static str,
    /// How many those are.
    pub(super) waiting: &'static str,
    /// Sets the leaf of each record of this kind, `$2`, that has one from `$1` on.
    pub(super) mark: &'static str,
    /// Those of the leaves from `$1` to before `$2`.
    pub(super) behind: &'static str,
    /// Those that say they are in the log, behind its `$1` pruned leaves, and have no leaf; up to `$2`.
    pub(super) stray: &'static str,
}

macro_rules! source {
    ($kind:expr, $table:literal, $id:literal, $seq:literal, $order:literal, $columns:literal) => {
        Source {
            kind: $kind,
            unlogged: concat!(
                "SELECT ",
                $id,
                " AS id, ",
                $seq,
                " AS seq, t.at AS at, ",
                $columns,
                " FROM ",
                $table,
                " t WHERE t.logged = 0 ORDER BY ",
                $order,
                " LIMIT $1"
            ),
            waiting: concat!("SELECT COUNT(*) FROM ", $table, " WHERE logged = 0"),
            mark: concat!(
                "UPDATE ",
                $table,
                " AS t SET logged = l.leaf + 1 FROM log_leaves l WHERE l.leaf >= $1 AND l.kind = $2 AND l.id = ",
                $id,
                " AND l.seq = ",
                $seq,
                " AND t.logged = 0"
            ),
            behind: concat!(
                "SELECT l.leaf AS leaf, ",
                $id,
                " AS id, ",
                $seq,
                " AS seq, t.at AS at, ",
                $columns,
                " FROM ",
                $table,
                " t JOIN log_leaves l ON l.id = ",
                $id,
                " AND l.seq = ",
                $seq,
                " WHERE l.leaf >= $1 AND l.leaf < $2 AND l.kind = $3"
            ),
            stray: concat!(
                "SELECT ",
                $id,
                " AS id, ",
                $seq,
                " AS seq FROM ",
                $table,
                " t WHERE t.logged > $1 AND NOT EXISTS",
                " (SELECT 1 FROM log_leaves l WHERE l.kind = $2 AND l.id = ",
                $id,
                " AND l.seq = ",
                $seq,
                ") ORDER BY 1, 2 LIMIT $3"
            ),
        }
    };
    ($kind:expr, $table:literal, $columns:literal) => {
        source!($kind, $table, "t.id", "CAST(0 AS BIGINT)", "1", $columns)
    };
}

/// All kinds that have rows, in the order in which they are sealed.
pub(super) const SOURCES: [Source; 6] = [
    source!(Kind::Event, "run_events", "t.run", "t.seq", "1, 2", "t.hash AS hash, t.body AS body"),
    source!(
        Kind::Decision,
        "decisions",
        "t.episode AS episode, t.rule AS rule, t.verdict AS verdict, t.reason AS reason, t.body AS body"
    ),
    source!(
        Kind::Trust,
        "trust",
        "t.rule AS rule, t.mode AS mode, t.why AS why, t.by_whom AS by_whom"
    ),
    source!(
        Kind::Glass,
        "glass",
        "t.scope AS scope, t.by_whom AS by_whom, t.reason AS reason, t.until_at AS until_at, t.incident AS incident"
    ),
    source!(
        Kind::Change,
        "changes",
        "t.target AS target, t.by_whom AS by_whom, t.reason AS reason"
    ),
    // from and until change when it is ended early
    source!(
        Kind::Window,
        "windows",
        "t.name AS name, t.effect AS effect, t.matchers AS matchers, t.by_whom AS by_whom, t.reason AS reason"
    ),
];

/// A record: which, when, and the data of its leaf.
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) at: i64,
    pub(super) data: String,
}

impl Source {
    /// The record of a row that one of the statements found.
    pub(super) fn record(&self, row: &AnyRow) -> Result<Record> {
        let id = Id { kind: self.kind, id: row.try_get("id")?, seq: row.try_get("seq")? };
        let at = row.try_get("at")?;
        let new = Writer::new(id, at);
        let data = match self.kind {
            Kind::Event => new.text("hash", &text(row, "hash")?).json("body", &text(row, "body")?),
            Kind::Decision => new
                .number("episode", row.try_get("episode")?)
                .text("rule", &text(row, "rule")?)
                .text("verdict", &text(row, "verdict")?)
                .text("reason", &text(row, "reason")?)
                .json("body", &text(row, "body")?),
            Kind::Trust => new
                .text("rule", &text(row, "rule")?)
                .text("mode", &text(row, "mode")?)
                .text("why", &text(row, "why")?)
                .text("by", &text(row, "by_whom")?)
                .end(),
            Kind::Glass => new
                .text("scope", &text(row, "scope")?)
                .text("by", &text(row, "by_whom")?)
                .text("reason", &text(row, "reason")?)
                .number("until", row.try_get("until_at")?)
                .number("incident", row.try_get("incident")?)
                .end(),
            Kind::Change => new
                .text("target", &text(row, "target")?)
                .text("by", &text(row, "by_whom")?)
                .text("reason", &text(row, "reason")?)
                .end(),
            Kind::Window => new
                .text("name", &text(row, "name")?)
                .text("effect", &text(row, "effect")?)
                .text("by", &text(row, "by_whom")?)
                .text("reason", &text(row, "reason")?)
                .json("matchers", &text(row, "matchers")?),
            // written by `add_key`, which has no row
            Kind::Key => new.end(),
        };
        Ok(Record { id, at, data })
    }
}
