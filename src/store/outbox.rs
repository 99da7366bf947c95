//! Notifications owed: written with what caused them, sent in order, delivered or visibly dead.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::channels::Trouble;
use crate::model::incident::IncidentId;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::time::after;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::flag;
use crate::store::incidents::release_page;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::json;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::number;
use crate::store::plain;
use crate::store::text;
use crate::store::to_json;

/// A notification as stored.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Notification {
    /// Grows with time.
    pub id: i64,
    /// Name of the channel.
    pub channel: String,
    /// Recipient, or empty.
    pub recipient: String,
    /// `pending`, `sent` or `dead`.
    pub state: String,
    /// Tries so far.
    pub tries: u32,
    /// Why the last try failed.
    pub error: String,
    /// When it became due first.
    pub created_at: Timestamp,
    /// When it was sent or given up.
    pub ended_at: Option<Timestamp>,
    /// What it says.
    pub notice: Notice,
    /// The first notification of the same notice, on whatever channel.
    pub origin: i64,
    /// Fences what is written back.
    #[serde(skip)]
    pub attempt: i64,
}

/// Writes notices owed into the transaction that caused them. One that needs a person ends the hold of the page.
pub(super) async fn owe(tx: &mut Transaction, owed: Vec<Owed>, now: Timestamp) -> Result<()> {
    if owed.is_empty() {
        return Ok(());
    }
    // before the ids are taken: whoever changes an incident takes its row first, or two might wait for each other
    for (at, it) in owed.iter().enumerate() {
        let seen = owed.iter().take(at).any(|other| other.notice.incident == it.notice.incident);
        if it.notice.kind == NoticeKind::NeedsYou && !seen {
            release_page(tx, it.notice.incident, now).await?;
        }
    }
    let first = next_ids(tx, "outbox", owed.len()).await?;
    let origins: Vec<i64> = (first..)
        .zip(&owed)
        .map(|(id, it)| {
            let same = (first..).zip(&owed).find(|(_, other)| other.notice == it.notice);
            same.map_or(id, |(id, _)| id)
        })
        .collect();
    write(tx, first, owed.into_iter().zip(origins), now).await
}

/// Writes rows, each with its origin. What was owed to the recipient already is not owed again.
async fn write(
    tx: &mut Transaction,
    first: i64,
    owed: impl Iterator<Item = (Owed, i64)>,
    now: Timestamp,
) -> Result<()> {
    for (id, (owed, origin)) in (first..).zip(owed) {
        sqlx::query(
            "INSERT INTO outbox (id, origin, incident, kind, channel, recipient, body, state, tries, error,
               created_at, ended_at, due_at, attempt)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, '', $8, 0, $9, 0) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(origin)
        .bind(owed.notice.incident.0)
        .bind(kind_word(owed.notice.kind))
        .bind(owed.channel.as_str())
        .bind(owed.recipient.as_str())
        .bind(to_json(&owed.notice)?)
        .bind(micros(now))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Writes notices that no other change carries.
    pub async fn tell(&self, owed: Vec<Owed>) -> Result<()> {
        let mut tx = self.begin().await?;
        owe(&mut tx, owed, self.now()).await?;
        commit(tx).await?;
        Ok(())
    }

    /// Claims the notification that has been due longest and has none before it: per incident and recipient they
    /// are sent in order, so that a resolution never overtakes its trigger.
    pub async fn claim_notification(&self, lease: Duration) -> Result<Option<Notification>> {
        let (now, era) = self.now_and_era();
        let row = sqlx::query(
            "UPDATE outbox SET attempt = attempt + 1, tries = tries + 1, leased = 1, due_at = $1
             WHERE id = (SELECT o.id FROM outbox o WHERE o.due_at <= $2 AND o.state = 'pending'
                AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.incident = o.incident
                  AND b.channel = o.channel AND b.recipient = o.recipient AND b.state = 'pending' AND b.id < o.id)
                ORDER BY o.due_at, o.id LIMIT 1)
               AND due_at <= $3 AND state = 'pending'
               AND (SELECT value FROM counters WHERE name = 'era') = $4
             RETURNING *",
        )
        .bind(micros(after(now, lease)))
        .bind(micros(now))
        .bind(micros(now))
        .bind(era)
        .fetch_optional(&self.writer)
        .await?;
        row.as_ref().map(notification).transpose()
    }

    /// It arrived.
    pub async fn notification_sent(&self, sent: &Notification) -> Result<()> {
        let mut tx = self.begin().await?;
        if self.end_notification(&mut tx, sent, "sent", "").await? {
            sqlx::query("DELETE FROM channel_troubles WHERE channel = $1 AND recipient = $2")
                .bind(sent.channel.as_str())
                .bind(sent.recipient.as_str())
                .execute(&mut *tx)
                .await?;
        }
        commit(tx).await
    }

    /// It failed; try again then.
    pub async fn notification_retry(
        &self,
        failed: &Notification,
        error: &str,
        at: Timestamp,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let held = sqlx::query(
            "UPDATE outbox SET error = $1, due_at = $2, leased = 0
             WHERE id = $3 AND attempt = $4 AND state = 'pending'",
        )
        .bind(plain(error))
        .bind(micros(at))
        .bind(failed.id)
        .bind(failed.attempt)
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() == 1 {
            trouble(&mut tx, failed, error, false, self.now()).await?;
        }
        commit(tx).await
    }

    /// It is given up: visibly dead, and the next channel is owed instead, unless it was already.
    pub async fn notification_dead(
        &self,
        dead: &Notification,
        error: &str,
        instead: Vec<Owed>,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        if self.end_notification(&mut tx, dead, "dead", error).await? {
            trouble(&mut tx, dead, error, true, self.now()).await?;
            fall_back(&mut tx, dead, instead, self.now()).await?;
        }
        commit(tx).await
    }

    /// It is late: the next channel is owed too, once; says whether it was not before.
    pub async fn notification_late(&self, late: &Notification, instead: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let first = fall_back(&mut tx, late, instead, self.now()).await?;
        commit(tx).await?;
        Ok(first)
    }

    /// Notifications of a channel that must arrive, have not since `before`, and for which no other channel was told; the
    /// oldest first. That an incident opened need not arrive once somebody has it, or it is over.
    pub async fn late_notifications(
        &self,
        channel: &str,
        before: Timestamp,
    ) -> Result<Vec<Notification>> {
        let rows = sqlx::query(
            "SELECT * FROM outbox o WHERE o.state = 'pending' AND o.channel = $1
               AND o.created_at <= $2 AND (o.kind = 'needs you' OR o.kind = 'opened'
                 AND EXISTS (SELECT 1 FROM incidents i WHERE i.id = o.incident AND i.status = 'open'))
               AND NOT EXISTS (SELECT 1 FROM outbox b WHERE b.origin = o.origin
                 AND b.channel = o.channel AND b.fell_back = 1)
             ORDER BY o.id LIMIT 100",
        )
        .bind(channel)
        .bind(micros(before))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(notification).collect()
    }

    /// Channels that were ever owed this notice.
    pub async fn channels_of_notice(&self, origin: i64) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT DISTINCT channel FROM outbox WHERE origin = $1")
            .bind(origin)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| text(row, "channel")).collect()
    }

    /// Recipients that the last delivery did not reach.
    pub async fn channel_troubles(&self) -> Result<Vec<Trouble>> {
        let rows = sqlx::query("SELECT * FROM channel_troubles ORDER BY channel, recipient")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Trouble {
                    channel: text(row, "channel")?,
                    recipient: text(row, "recipient")?,
                    reason: text(row, "reason")?,
                    since: instant(row, "since")?,
                    gave_up: flag(row, "gave_up")?,
                })
            })
            .collect()
    }

    /// Ends a claimed notification; says whether it was still held.
    async fn end_notification(
        &self,
        tx: &mut Transaction,
        notification: &Notification,
        state: &str,
        error: &str,
    ) -> Result<bool> {
        let held = sqlx::query(
            "UPDATE outbox SET state = $1, error = $2, due_at = $3, ended_at = $4
             WHERE id = $5 AND attempt = $6 AND state = 'pending'",
        )
        .bind(state)
        .bind(plain(error))
        .bind(NEVER)
        .bind(micros(self.now()))
        .bind(notification.id)
        .bind(notification.attempt)
        .execute(&mut **tx)
        .await?;
        Ok(held.rows_affected() == 1)
    }

    /// Channels that were ever told of an incident.
    pub async fn channels_told(&self, incident: IncidentId) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT DISTINCT channel FROM outbox WHERE incident = $1")
            .bind(incident.0)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| text(row, "channel")).collect()
    }

    /// Notifications of an incident, oldest first.
    pub async fn notifications_of(&self, incident: IncidentId) -> Result<Vec<Notification>> {
        let rows = sqlx::query("SELECT * FROM outbox WHERE incident = $1 ORDER BY id")
            .bind(incident.0)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(notification).collect()
    }

    /// Notifications in a state, the newest first.
    pub async fn notifications(&self, state: &str, limit: u32) -> Result<Vec<Notification>> {
        let rows = sqlx::query("SELECT * FROM outbox WHERE state = $1 ORDER BY id DESC LIMIT $2")
            .bind(state)
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(notification).collect()
    }

    /// How many notifications have each state.
    pub async fn notification_counts(&self) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS count FROM outbox GROUP BY state")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((text(row, "state")?, row.try_get("count")?))).collect()
    }
}

/// Owes a notice to the channel that is told instead, once a notice and channel; says whether this was the first time.
async fn fall_back(
    tx: &mut Transaction,
    failed: &Notification,
    instead: Vec<Owed>,
    now: Timestamp,
) -> Result<bool> {
    // one row stands for all recipients, so that two of them never wait for each other
    let first = sqlx::query(
        "UPDATE outbox SET fell_back = 1 WHERE fell_back = 0 AND id =
           (SELECT MIN(id) FROM outbox WHERE origin = $1 AND channel = $2)",
    )
    .bind(failed.origin)
    .bind(failed.channel.as_str())
    .execute(&mut **tx)
    .await?;
    let first = first.rows_affected() == 1;
    if !first || instead.is_empty() {
        return Ok(first);
    }
    let id = next_ids(tx, "outbox", instead.len()).await?;
    write(tx, id, instead.into_iter().map(|owed| (owed, failed.origin)), now).await?;
    Ok(true)
}

/// Notes that a recipient was not reached.
async fn trouble(
    tx: &mut Transaction,
    failed: &Notification,
    reason: &str,
    gave_up: bool,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO channel_troubles (channel, recipient, reason, since, gave_up)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (channel, recipient) DO UPDATE
           SET reason = $6, gave_up = channel_troubles.gave_up + $7",
    )
    .bind(failed.channel.as_str())
    .bind(failed.recipient.as_str())
    .bind(plain(reason))
    .bind(micros(now))
    .bind(i64::from(gave_up))
    .bind(plain(reason))
    .bind(i64::from(gave_up))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn kind_word(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Opened => "opened",
        NoticeKind::Progress => "progress",
        NoticeKind::NeedsYou => "needs you",
        NoticeKind::Acknowledged => "acknowledged",
        NoticeKind::Resolved => "resolved",
    }
}

fn notification(row: &AnyRow) -> Result<Notification> {
    Ok(Notification {
        id: row.try_get("id")?,
        channel: text(row, "channel")?,
        recipient: text(row, "recipient")?,
        state: text(row, "state")?,
        tries: number(row, "tries")?,
        error: text(row, "error")?,
        created_at: instant(row, "created_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
        notice: json(row, "body")?,
        origin: row.try_get("origin")?,
        attempt: row.try_get("attempt")?,
    })
}
