//! How far rules are trusted, and the runs that speak for or against it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::trust;
use crate::decide::trust::Policy;
use crate::decide::trust::evidence::Judged;
use crate::model::decision::Runs;
use crate::model::decision::Version;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::playbook::Mode;
use crate::model::run::RunState;
use crate::model::time::before;
use crate::model::trust::Trust;
use crate::model::trust::Trusts;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::episodes::lock_episodes;
use crate::store::facts::facts_changed;
use crate::store::facts::others_changed;
use crate::store::facts::past_run;
use crate::store::facts::past_runs;
use crate::store::facts::runs_changed;
use crate::store::instant;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::text;

/// What the end of a run may mean for the trust in its rule.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// What may lower it.
    pub policy: &'a Policy,
    /// What people are told when it is lowered.
    pub told: &'a (dyn Fn(&Trust) -> Vec<Owed> + Send + Sync),
}

impl std::fmt::Debug for Ending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ending").field("policy", self.policy).finish_non_exhaustive()
    }
}

impl Store {
    /// The last word on each rule that there is one on.
    pub async fn trusts(&self) -> Result<Trusts> {
        let rows = sqlx::query(
            "SELECT * FROM trust WHERE id IN (SELECT MAX(id) FROM trust GROUP BY rule)",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| read(row).map(|it| (it.rule.clone(), it))).collect()
    }

    /// The last word on one rule.
    pub async fn trust(&self, rule: &str) -> Result<Option<Trust>> {
        let row = sqlx::query(LAST).bind(rule).fetch_optional(&self.reader).await?;
        row.as_ref().map(read).transpose()
    }

    /// Lowers the trust in a rule, with the notices that it owes, if no fact has changed since `version`:
    /// [`StoreError::Changed`] means judge again.
    pub async fn demote(&self, version: Version, trust: &Trust, owed: Vec<Owed>) -> Result<()> {
        let mut tx = self.begin().await?;
        if runs_changed(&mut tx).await? != version.runs + 1 {
            return Err(StoreError::Changed);
        }
        others_changed(&mut tx).await?;
        write(&mut tx, trust).await?;
        owe(&mut tx, owed, trust.at).await?;
        commit(tx).await
    }

    /// Raises the trust in a rule; open episodes are judged again by it. [`StoreError::Conflict`] when the word that held
    /// when it was decided, `last`, no longer does.
    pub async fn promote(&self, last: Option<&Trust>, trust: &Trust) -> Result<()> {
        let mut tx = self.begin().await?;
        facts_changed(&mut tx).await?;
        let row = sqlx::query(LAST).bind(trust.rule.as_str()).fetch_optional(&mut *tx).await?;
        let found = row.as_ref().map(read).transpose()?;
        if found.as_ref() != last {
            let rule = &trust.rule;
            return Err(StoreError::Conflict(format!(
                "the trust in {rule} has changed meanwhile: look again"
            )));
        }
        write(&mut tx, trust).await?;
        lock_episodes(&mut tx).await?;
        sqlx::query("UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE is_open = 1")
            .bind(micros(trust.at))
            .execute(&mut *tx)
            .await?;
        commit(tx).await
    }

    /// Runs that started at or after `from` and those at work, by rule, in order of start.
    pub async fn runs_by_rule(&self, from: Timestamp) -> Result<BTreeMap<String, Vec<Judged>>> {
        let rows = sqlx::query(past_runs!("is_final = 0 OR started_at >= $1"))
            .bind(micros(from))
            .fetch_all(&self.reader)
            .await?;
        let mut rules: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
        for row in &rows {
            let run = past_run(row)?;
            let stopped = !text(row, "cancelled_by")?.is_empty();
            rules.entry(run.rule.clone()).or_default().push(Judged { run, stopped });
        }
        Ok(rules)
    }
}

const LAST: &str = "SELECT * FROM trust WHERE rule = $1 ORDER BY id DESC LIMIT 1";

/// Lowers the trust in the rule of a run that has just ended in this transaction, if its runs say so. Ends of runs come one
/// after the other, by the version of the facts.
pub(super) async fn at_end(
    tx: &mut Transaction,
    ending: Ending<'_>,
    (run, target): (RunId, &str),
    state: RunState,
    now: Timestamp,
) -> Result<()> {
    let Ending { policy, told } = ending;
    let from = micros(before(now, policy.look_back()));
    // a fix says something of those before it on the same target, and of nothing else
    if state == RunState::Fixed {
        let others = sqlx::query(
            "SELECT 1 FROM runs WHERE target = $1 AND started_at >= $2 AND rule = $3 AND id <> $4 LIMIT 1",
        )
        .bind(plain(target))
        .bind(from)
        .bind(policy.rule.as_str())
        .bind(run.0)
        .fetch_optional(&mut **tx)
        .await?;
        if others.is_none() {
            return Ok(());
        }
    }
    let row = sqlx::query(LAST).bind(policy.rule.as_str()).fetch_optional(&mut **tx).await?;
    let last = row.as_ref().map(read).transpose()?;
    let rows = sqlx::query(past_runs!("rule = $1 AND started_at >= $2"))
        .bind(policy.rule.as_str())
        .bind(from)
        .fetch_all(&mut **tx)
        .await?;
    let runs: Runs = rows.iter().map(past_run).collect::<Result<_>>()?;
    let Some(trust) = trust::demotion(policy, last.as_ref(), &runs, None, now) else {
        return Ok(());
    };
    others_changed(tx).await?;
    write(tx, &trust).await?;
    owe(tx, told(&trust), now).await
}

async fn write(tx: &mut Transaction, trust: &Trust) -> Result<()> {
    let id = next_ids(tx, "trust", 1).await?;
    sqlx::query(
        "INSERT INTO trust (id, rule, mode, why, by_whom, at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(trust.rule.as_str())
    .bind(trust.mode.as_str())
    .bind(plain(&trust.why))
    .bind(plain(&trust.by))
    .bind(micros(trust.at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Trust> {
    let word: String = row.try_get("mode")?;
    let mode = Mode::from_word(&word)
        .ok_or_else(|| StoreError::Corrupt(format!("mode `{word}` of a rule")))?;
    Ok(Trust {
        rule: text(row, "rule")?,
        mode,
        why: text(row, "why")?,
        at: instant(row, "at")?,
        by: text(row, "by_whom")?,
    })
}
