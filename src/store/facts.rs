//! What guards judge by, with the version that makes the judgement hold when the run is created.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::decision::PastRun;
use crate::model::incident::IncidentId;
use crate::model::run::RunState;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::number;
use crate::store::text;

impl Store {
    /// Grows with every run that is created or ends. Read it before the facts.
    pub async fn facts_version(&self) -> Result<i64> {
        let row = sqlx::query("SELECT version FROM scopes WHERE name = 'runs'")
            .fetch_one(&self.reader)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Runs that are at work, and those that started at or after `from`, in order of start; and all of `incident`.
    pub async fn past_runs(&self, from: Timestamp, incident: IncidentId) -> Result<Vec<PastRun>> {
        let rows = sqlx::query(
            "SELECT rule, playbook, target, incident, remedy, state, inconclusive, service, redundancy_group,
               left_version, started_at, ended_at
             FROM runs WHERE is_final = 0 OR started_at >= $1 OR incident = $2 ORDER BY started_at, id",
        )
        .bind(micros(from))
        .bind(incident.0)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(past_run).collect()
    }
}

fn past_run(row: &AnyRow) -> Result<PastRun> {
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
