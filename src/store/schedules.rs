//! Schedules: the next slot of each. A slot is begun once over all replicas: whoever begins it holds a lease, and the slot
//! moves on only when its episode is stored, so that a process that dies in between loses nothing.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::time::after;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::number;
use crate::store::text;

/// A schedule as stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// Its next slot.
    pub slot: Timestamp,
    /// Whether that slot waits for the run of the one before.
    pub waits: bool,
    /// When the slot begins: later by its jitter.
    pub due_at: Timestamp,
    /// The last slot that began.
    pub last_slot: Option<Timestamp>,
    /// Slots that were left out.
    pub skipped: u64,
    /// Why the last one was left out.
    pub note: String,
    /// Fences what is written back.
    #[serde(skip)]
    pub attempt: i64,
}

/// The slot after one that is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextSlot {
    /// The slot.
    pub slot: Timestamp,
    /// When it begins.
    pub due_at: Timestamp,
}

impl Store {
    /// Makes sure that a schedule is known, with its first slot; one whose `cron` (with its zone) changed begins anew.
    /// A slot that came while nobody looked stays: it was missed.
    pub async fn know_schedule(&self, name: &str, cron: &str, first: NextSlot) -> Result<()> {
        sqlx::query(
            "INSERT INTO schedules (name, cron, slot, waits, due_at, attempt, last_slot, skipped, note)
             VALUES ($1, $2, $3, 0, $4, 0, 0, 0, '') ON CONFLICT (name) DO UPDATE SET
               cron = excluded.cron, slot = excluded.slot, waits = 0, due_at = excluded.due_at,
               attempt = schedules.attempt + 1, leased = 0
             WHERE schedules.cron <> excluded.cron",
        )
        .bind(name)
        .bind(cron)
        .bind(micros(first.slot))
        .bind(micros(first.due_at))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Claims a schedule whose slot is due, for `lease`. `None` when another replica has it.
    pub async fn claim_schedule(
        &self,
        name: &str,
        lease: Duration,
    ) -> Result<Option<ScheduleState>> {
        let (now, era) = self.now_and_era();
        let row = sqlx::query(
            "UPDATE schedules SET due_at = $1, leased = 1, attempt = attempt + 1
             WHERE name = $2 AND due_at <= $3
               AND (SELECT value FROM counters WHERE name = 'era') = $4 RETURNING *",
        )
        .bind(micros(after(now, lease)))
        .bind(name)
        .bind(micros(now))
        .bind(era)
        .fetch_optional(&self.writer)
        .await?;
        row.as_ref().map(schedule).transpose()
    }

    /// The claimed slot began: the next is `next` (`None`: it never comes), and `skipped` were left out between the two.
    pub async fn slot_began(
        &self,
        claimed: &ScheduleState,
        next: Option<NextSlot>,
        skipped: u64,
    ) -> Result<()> {
        let slot = next.map_or(claimed.slot, |next| next.slot);
        sqlx::query(
            "UPDATE schedules SET last_slot = slot, slot = $1, due_at = $2, waits = 0, leased = 0,
               skipped = skipped + $3
             WHERE name = $4 AND attempt = $5",
        )
        .bind(micros(slot))
        .bind(next.map_or(NEVER, |next| micros(next.due_at)))
        .bind(i64::try_from(skipped).unwrap_or(i64::MAX))
        .bind(claimed.name.as_str())
        .bind(claimed.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The claimed slot is left out, `skipped` slots with it, for this reason.
    pub async fn slot_skipped(
        &self,
        claimed: &ScheduleState,
        next: Option<NextSlot>,
        skipped: u64,
        note: &str,
    ) -> Result<()> {
        let slot = next.map_or(claimed.slot, |next| next.slot);
        sqlx::query(
            "UPDATE schedules SET slot = $1, due_at = $2, waits = 0, leased = 0, skipped = skipped + $3,
               note = $4
             WHERE name = $5 AND attempt = $6",
        )
        .bind(micros(slot))
        .bind(next.map_or(NEVER, |next| micros(next.due_at)))
        .bind(i64::try_from(skipped).unwrap_or(i64::MAX))
        .bind(note)
        .bind(claimed.name.as_str())
        .bind(claimed.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The claimed slot waits for the run of the one before; look again at `again`.
    pub async fn slot_waits(&self, claimed: &ScheduleState, again: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE schedules SET waits = 1, due_at = $1, leased = 0 WHERE name = $2 AND attempt = $3",
        )
        .bind(micros(again))
        .bind(claimed.name.as_str())
        .bind(claimed.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// All schedules that were ever known, by name.
    pub async fn schedules(&self) -> Result<Vec<ScheduleState>> {
        let rows =
            sqlx::query("SELECT * FROM schedules ORDER BY name").fetch_all(&self.reader).await?;
        rows.iter().map(schedule).collect()
    }
}

fn schedule(row: &AnyRow) -> Result<ScheduleState> {
    let due: i64 = row.try_get("due_at")?;
    let due_at = if due == NEVER { Timestamp::MAX } else { instant(row, "due_at")? };
    Ok(ScheduleState {
        name: text(row, "name")?,
        slot: instant(row, "slot")?,
        waits: flag(row, "waits")?,
        due_at,
        last_slot: instant_or_none(row, "last_slot")?,
        skipped: number(row, "skipped")?,
        note: text(row, "note")?,
        attempt: row.try_get("attempt")?,
    })
}
