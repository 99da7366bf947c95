//! Windows that operators added. They join those of quell.yml wherever these count, and outlive a restart.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::model::time::before;
use crate::model::window::Effect;
use crate::model::window::OneOff;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::episodes::lock_episodes;
use crate::store::instant;
use crate::store::json;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::plain;
use crate::store::text;
use crate::store::to_json;

/// A window that is over is kept this long: what was observed inside is judged again because of it.
const KEPT: Duration = Duration::from_hours(24 * 30);

impl Store {
    /// Adds a window; what waits is judged again, by it too. [`StoreError::Conflict`] while another one of its name is
    /// not over.
    pub async fn add_window(&self, window: &OneOff) -> Result<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let id = next_ids(&mut tx, "window", 1).await?;
        sqlx::query("DELETE FROM windows WHERE until_at < $1")
            .bind(micros(before(now, KEPT)))
            .execute(&mut *tx)
            .await?;
        let there = sqlx::query("SELECT until_at FROM windows WHERE name = $1 AND until_at > $2")
            .bind(window.name.as_str())
            .bind(micros(now))
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(row) = there {
            let until = instant(&row, "until_at")?;
            let name = &window.name;
            return Err(StoreError::Conflict(format!(
                "there is a window {name} until {until:.0}: end it, or take another name"
            )));
        }
        sqlx::query(
            "INSERT INTO windows (id, name, effect, matchers, reason, by_whom, at, from_at, until_at, ended_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '')",
        )
        .bind(id)
        .bind(plain(&window.name))
        .bind(window.effect.as_str())
        .bind(to_json(&window.matchers)?)
        .bind(plain(&window.reason))
        .bind(plain(&window.by))
        .bind(micros(window.at))
        .bind(micros(window.from))
        .bind(micros(window.until))
        .execute(&mut *tx)
        .await?;
        judge_again(&mut tx, now).await?;
        commit(tx).await
    }

    /// Ends a window now, also one that has not begun; what waited for its end is judged again.
    pub async fn end_window(&self, name: &str, by: &str) -> Result<()> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE windows SET ended_by = $1, until_at = $2,
               from_at = CASE WHEN from_at > $3 THEN $4 ELSE from_at END
             WHERE name = $5 AND until_at > $6",
        )
        .bind(plain(by))
        .bind(micros(now))
        .bind(micros(now))
        .bind(micros(now))
        .bind(name)
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 0 {
            return Err(StoreError::Missing(format!(
                "there is no window {name} that was added and is not over"
            )));
        }
        judge_again(&mut tx, now).await?;
        commit(tx).await
    }

    /// Those that were added, in that order; what has been over for a month is forgotten.
    pub async fn windows(&self) -> Result<Vec<OneOff>> {
        let rows = sqlx::query("SELECT * FROM windows ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(one_off).collect()
    }
}

/// Makes what may wait for a window due: open episodes, and runs, those that are worked on as soon as they are let go of.
async fn judge_again(tx: &mut Transaction, now: Timestamp) -> Result<()> {
    lock_episodes(tx).await?;
    sqlx::query(
        "UPDATE runs SET woken = 1, due_at = CASE WHEN owner = '' AND due_at > $1 THEN $2 ELSE due_at END
         WHERE is_final = 0",
    )
        .bind(micros(now))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    sqlx::query("UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE is_open = 1")
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn one_off(row: &AnyRow) -> Result<OneOff> {
    let word = text(row, "effect")?;
    let effect = Effect::from_word(&word)
        .ok_or_else(|| StoreError::Corrupt(format!("window effect `{word}`")))?;
    Ok(OneOff {
        name: text(row, "name")?,
        effect,
        matchers: json(row, "matchers")?,
        reason: text(row, "reason")?,
        by: text(row, "by_whom")?,
        at: instant(row, "at")?,
        from: instant(row, "from_at")?,
        until: instant(row, "until_at")?,
        ended_by: Some(text(row, "ended_by")?).filter(|by| !by.is_empty()),
    })
}
