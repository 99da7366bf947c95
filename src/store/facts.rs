//! What guards judge by, with the version that makes the judgement hold when the run is created.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::decision::PastRun;
use crate::model::decision::Runs;
use crate::model::decision::Version;
use crate::model::incident::IncidentId;
use crate::model::run::RunState;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::number;
use crate::store::text;

/// The query for runs as guards need to know of them.
macro_rules! runs_where {
    ($which:literal) => {
        concat!(
            "SELECT id, rule, playbook, target, incident, remedy, state, inconclusive, service,
               redundancy_group, left_version, started_at, ended_at, cancelled_by
             FROM runs WHERE ",
            $which
        )
    };
}
pub(super) use runs_where;

/// The same, in order of start.
macro_rules! past_runs {
    ($which:literal) => {
        concat!(crate::store::facts::runs_where!($which), " ORDER BY started_at, id")
    };
}
pub(super) use past_runs;

impl Store {
    /// Grows with every run that is created or ends. Read it before the facts.
    pub async fn facts_version(&self) -> Result<Version> {
        Ok(self.glance().await?.version)
    }

    /// All runs of an incident, in order of start.
    pub async fn runs_of(&self, incident: IncidentId) -> Result<Runs> {
        let rows = sqlx::query(past_runs!("incident = $1"));
        let rows = rows.bind(incident.0).fetch_all(&self.reader).await?;
        rows.iter().map(past_run).collect()
    }
}

impl Store {
    /// When runs of remedies failed or got stuck after `since`, in order.
    pub async fn failed_since(&self, since: Timestamp) -> Result<Vec<Timestamp>> {
        let rows = sqlx::query(
            "SELECT ended_at FROM runs WHERE ended_at > $1 AND state IN ('failed', 'stuck') AND remedy > 0
               AND rule NOT LIKE 'schedule:%' ORDER BY ended_at",
        )
        .bind(micros(since))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| instant(row, "ended_at")).collect()
    }
}

/// Runs have changed: judgements by those of before are void, unless they come to the same where their run is created. Whoever
/// calls this has the other's turn until the transaction ends.
pub(super) async fn runs_changed(tx: &mut Transaction) -> Result<i64> {
    let row = sqlx::query(
        "UPDATE scopes SET version = version + 1 WHERE name = 'runs' RETURNING version",
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.try_get(0)?)
}

/// Something else that guards judge by has changed: judgements by what was before are void.
pub(super) async fn facts_changed(tx: &mut Transaction) -> Result<()> {
    runs_changed(tx).await?;
    others_changed(tx).await
}

/// As [`facts_changed`], after [`runs_changed`]: always in this order, or two might wait for each other in `PostgreSQL`.
pub(super) async fn others_changed(tx: &mut Transaction) -> Result<()> {
    sqlx::query("UPDATE scopes SET version = version + 1 WHERE name = 'facts'")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) fn past_run(row: &AnyRow) -> Result<PastRun> {
    Ok(PastRun {
        rule: text(row, "rule")?,
        playbook: text(row, "playbook")?,
        target: text(row, "target")?,
        incident: IncidentId(row.try_get("incident")?),
        remedy: number(row, "remedy")?,
        state: run_state(row)?,
        inconclusive: flag(row, "inconclusive")?,
        service: text(row, "service")?,
        group: text(row, "redundancy_group")?,
        left_version: text(row, "left_version")?,
        started_at: instant(row, "started_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
    })
}

pub(super) fn run_state(row: &AnyRow) -> Result<RunState> {
    let word = text(row, "state")?;
    RunState::from_word(&word).ok_or_else(|| StoreError::Corrupt(format!("run state `{word}`")))
}
