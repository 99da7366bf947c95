//! Decisions: every verdict with its reason. Stored when it says something new.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sqlx::Row as _;

use crate::decide::respond;
use crate::model::decision::Decision;
use crate::model::incident::EpisodeId;
use crate::model::incident::Owed;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::episodes::lock_episodes;
use crate::store::json;
use crate::store::many::Many;
use crate::store::many::filled;
use crate::store::many::list;
use crate::store::many::places;
use crate::store::many::powers;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::to_json;

/// The latest of an episode and a rule.
const LAST: &str =
    "SELECT body FROM decisions WHERE episode = $1 AND rule = $2 ORDER BY id DESC LIMIT 1";

/// The most rows of one statement, a power of two.
const TOGETHER: usize = 32;

/// Inserts decisions, by powers of two.
static INSERT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(TOGETHER, |count| {
        let rows = list(count, |row| places(row, 8, 0));
        format!(
            "INSERT INTO decisions (id, episode, incident, rule, verdict, reason, body, at) VALUES {rows}"
        )
    })
});

/// Lets go of episodes that were claimed for the first time and not touched since, by powers of two.
static LET_GO: LazyLock<Many> = LazyLock::new(|| {
    Many::new(TOGETHER, |count| {
        let ids = list(count, |at| format!("${}", at + 1));
        format!(
            "UPDATE episodes SET due_at = $1, leased = 0 WHERE id IN ({ids}) AND attempt = 1 RETURNING id"
        )
    })
});

/// A stored decision, with its place in the list.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Stored {
    /// Grows with time; the cursor of the list.
    pub id: i64,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Store {
    /// Stores a decision unless it says the same as the last one for its episode and rule: same guard, same
    /// verdict. Returns whether it is news, which is when people are told.
    pub async fn decide(&self, decision: &Decision) -> Result<bool> {
        self.decide_and_tell(decision, Vec::new()).await
    }

    /// As [`Store::decide`], with the notices that it owes when it is news, in the same transaction.
    pub async fn decide_and_tell(&self, decision: &Decision, owed: Vec<Owed>) -> Result<bool> {
        let last = self.last_decision(decision.episode, &decision.rule).await?;
        if last.is_some_and(|last| respond::same(&last, decision)) {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        if !decide(&mut tx, decision, owed).await? {
            tx.leave().await?;
            return Ok(false);
        }
        commit(tx).await?;
        Ok(true)
    }

    /// Stores decisions on episodes that were claimed for the first time, so that there is none before them, and that owe nothing;
    /// these are judged again when something happens. Returns those that nobody has touched since they were claimed: the
    /// others are as they were.
    pub async fn decide_first(&self, all: &[Decision]) -> Result<BTreeSet<EpisodeId>> {
        let mut tx = self.begin().await?;
        lock_episodes(&mut tx).await?;
        let mut held = BTreeSet::new();
        for some in all.chunks(TOGETHER) {
            let ids: Vec<i64> = some.iter().map(|it| it.episode.0).collect();
            let ids = filled(&ids);
            let mut query = sqlx::query(LET_GO.of(ids.len())?).bind(NEVER);
            for id in ids {
                query = query.bind(id);
            }
            for row in query.fetch_all(&mut *tx).await? {
                held.insert(EpisodeId(row.try_get("id")?));
            }
        }
        let held_of = |it: &&Decision| held.contains(&it.episode);
        let decisions: Vec<&Decision> = all.iter().filter(held_of).collect();
        let first = next_ids(&mut tx, "decision", decisions.len()).await?;
        insert(&mut tx, first, &decisions).await?;
        commit(tx).await?;
        Ok(held)
    }

    /// The latest decision for an episode and a rule.
    pub async fn last_decision(&self, episode: EpisodeId, rule: &str) -> Result<Option<Decision>> {
        let row = sqlx::query(LAST).bind(episode.0).bind(rule).fetch_optional(&self.reader).await?;
        row.map(|row| json(&row, "body")).transpose()
    }

    /// The newest first, those before `cursor` if given; of one episode if given.
    pub async fn decisions(
        &self,
        episode: Option<EpisodeId>,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Stored>> {
        let episode = episode.map_or(0, |id| id.0);
        let rows = sqlx::query(
            "SELECT id, body FROM decisions WHERE id < $1 AND ($2 = 0 OR episode = $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(cursor.unwrap_or(i64::MAX))
        .bind(episode)
        .bind(episode)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok(Stored { id: row.try_get("id")?, decision: json(row, "body")? }))
            .collect()
    }
}

/// Stores a decision with the notices that it owes, unless it says the same as the last one; returns whether it is news.
pub(super) async fn decide(
    tx: &mut Transaction,
    decision: &Decision,
    owed: Vec<Owed>,
) -> Result<bool> {
    // whoever else judges the same episode at this instant has written before this, or waits here
    let id = next_ids(tx, "decision", 1).await?;
    let row = sqlx::query(LAST)
        .bind(decision.episode.0)
        .bind(decision.rule.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    let last: Option<Decision> = row.map(|row| json(&row, "body")).transpose()?;
    if last.is_some_and(|last| respond::same(&last, decision)) {
        return Ok(false);
    }
    insert(tx, id, &[decision]).await?;
    owe(tx, owed, decision.at).await?;
    Ok(true)
}

/// Inserts decisions with ids from `first` on, in as few statements as their number has binary digits.
async fn insert(tx: &mut Transaction, first: i64, decisions: &[&Decision]) -> Result<()> {
    let mut id = first;
    for rows in powers(decisions, TOGETHER) {
        let mut query = sqlx::query(INSERT.of(rows.len())?);
        for decision in rows {
            query = query
                .bind(id)
                .bind(decision.episode.0)
                .bind(decision.incident.map_or(0, |id| id.0))
                .bind(decision.rule.as_str())
                .bind(decision.verdict.as_str())
                .bind(plain(&decision.reason))
                .bind(to_json(decision)?)
                .bind(micros(decision.at));
            id += 1;
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}
