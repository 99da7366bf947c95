//! Incidents: what people see. Every change carries the notices it owes, in the same transaction.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::Owed;
use crate::model::playbook::Rate;
use crate::model::time::after;
use crate::model::time::before;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::json;
use crate::store::links::UsedLink;
use crate::store::links::use_up;
use crate::store::micros;
use crate::store::micros_or_none;
use crate::store::next_ids;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::text;
use crate::store::to_json;

/// An incident whose acknowledgement is overdue.
#[derive(Debug, Clone)]
pub struct DueIncident {
    /// The incident.
    pub incident: Incident,
    /// Fences what is written back.
    pub attempt: i64,
}

impl Store {
    /// The open incident of a rule and group, with this episode in it; opened if there is none, then with the
    /// notices that `owed` makes of it. Says whether it was opened.
    ///
    /// With `held_until` its page is held: the incident is due then, and `ack_within` counts from the page. Trouble that
    /// joins an incident which was fixed before its page was sent holds the page once more. Trouble that is louder than the
    /// incident it joins makes that as loud as itself, and is told as if it had opened one.
    pub async fn incident_for(
        &self,
        new: &Incident,
        episode: EpisodeId,
        ack_within: Option<Duration>,
        is_louder: impl Fn(&Incident) -> bool,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Result<(Incident, bool)> {
        if let Some(found) = self.open_incident(&new.rule, &new.group_key).await?
            && self.has_episode(found.id, episode).await?
        {
            return Ok((found, false));
        }
        let mut tx = self.begin().await?;
        let id = next_ids(&mut tx, "incident", 1).await?;
        // written, not only read: it waits for a replica that is resolving the incident, and one that wants to waits
        let row = sqlx::query(
            "UPDATE incidents SET attempt = attempt
             WHERE rule = $1 AND group_key = $2 AND status <> 'resolved' RETURNING *",
        )
        .bind(new.rule.as_str())
        .bind(plain(&new.group_key))
        .fetch_optional(&mut *tx)
        .await?;
        let (found, opened) = match row {
            Some(row) => (incident(&row)?, false),
            None => (Incident { id: IncidentId(id), ..new.clone() }, true),
        };
        let raises = !opened && is_louder(&found);
        let mut found = if raises { raise(&mut tx, found, new, ack_within).await? } else { found };
        if opened {
            insert_incident(&mut tx, &found, ack_within, due_of(new, ack_within)).await?;
        }
        if opened || raises {
            let told = Incident { labels: new.labels.clone(), ..found.clone() };
            owe(&mut tx, owed(&told), self.now()).await?;
        }
        if !opened && let Some(until) = new.held_until.filter(|until| *until > new.opened_at) {
            let held = sqlx::query(
                "UPDATE incidents SET held_until = $1, due_at = $2
                 WHERE id = $3 AND held_until <> 0 AND due_at = $4 AND status = 'open'",
            )
            .bind(micros(until))
            .bind(micros(until))
            .bind(found.id.0)
            .bind(NEVER)
            .execute(&mut *tx)
            .await?;
            if held.rows_affected() > 0 {
                // who judges must not take the page for one whose time is over
                found.held_until = Some(until);
            }
        }
        sqlx::query(
            "INSERT INTO incident_episodes (incident, episode) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(found.id.0)
        .bind(episode.0)
        .execute(&mut *tx)
        .await?;
        commit(tx).await?;
        Ok((found, opened))
    }

    /// Opens the last incident of a rule and group again instead of another one, when as many as `limit` were opened within its
    /// span: what flaps is one incident (G5). The notices that `owed` makes of it are owed with that; says whether it did.
    pub async fn flaps(
        &self,
        new: &Incident,
        limit: Rate,
        ack_within: Option<Duration>,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Result<bool> {
        let from = before(new.opened_at, limit.per);
        let row = sqlx::query(
            "SELECT COUNT(*) AS count FROM incidents WHERE rule = $1 AND group_key = $2 AND opened_at > $3",
        )
        .bind(new.rule.as_str())
        .bind(plain(&new.group_key))
        .bind(micros(from))
        .fetch_one(&self.reader)
        .await?;
        let count: i64 = row.try_get("count")?;
        if count < i64::from(limit.count.max(1)) {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        // only the last one, and only while it is over
        let row = sqlx::query(
            "UPDATE incidents SET flapping = 1, escalated = 0, resolved_at = 0, held_until = $1, due_at = $2,
               attempt = attempt + 1, status = CASE WHEN acked_by = '' THEN 'open' ELSE 'acknowledged' END
             WHERE status = 'resolved' AND id = (SELECT MAX(id) FROM incidents WHERE rule = $3 AND group_key = $4)
             RETURNING *",
        )
        .bind(micros_or_none(new.held_until))
        .bind(due_of(new, ack_within))
        .bind(new.rule.as_str())
        .bind(plain(&new.group_key))
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = &row {
            owe(&mut tx, owed(&incident(row)?), self.now()).await?;
        }
        commit(tx).await?;
        Ok(row.is_some())
    }

    /// When the last episode of an incident that flaps ended; `None` when it does not flap, or one is open.
    pub async fn flapped(&self, id: IncidentId) -> Result<Option<Timestamp>> {
        let row = sqlx::query(
            "SELECT MAX(e.ended_at) AS last FROM incidents n
             JOIN incident_episodes i ON i.incident = n.id JOIN episodes e ON e.id = i.episode
             WHERE n.id = $1 AND n.flapping = 1",
        )
        .bind(id.0)
        .fetch_one(&self.reader)
        .await?;
        let last: Option<i64> = row.try_get("last")?;
        Ok(last.filter(|it| *it > 0).and_then(|it| Timestamp::from_microsecond(it).ok()))
    }

    /// The open incident of a rule and group.
    pub async fn open_incident(&self, rule: &str, group_key: &str) -> Result<Option<Incident>> {
        let row = sqlx::query(
            "SELECT * FROM incidents WHERE rule = $1 AND group_key = $2 AND status <> 'resolved'",
        )
        .bind(rule)
        .bind(plain(group_key))
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(incident).transpose()
    }

    async fn has_episode(&self, incident: IncidentId, episode: EpisodeId) -> Result<bool> {
        let row =
            sqlx::query("SELECT 1 FROM incident_episodes WHERE incident = $1 AND episode = $2")
                .bind(incident.0)
                .bind(episode.0)
                .fetch_optional(&self.reader)
                .await?;
        Ok(row.is_some())
    }

    /// Resolves an incident if all its episodes are closed; says whether it did so now.
    pub async fn resolve_incident(&self, id: IncidentId, owed: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        // a replica may be adding an episode: wait for it, so that the next statement sees what it added
        sqlx::query("UPDATE incidents SET attempt = attempt WHERE id = $1")
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        let done = sqlx::query(
            "UPDATE incidents SET status = 'resolved', resolved_at = $1, due_at = $2
             WHERE id = $3 AND status <> 'resolved' AND NOT EXISTS
               (SELECT 1 FROM incident_episodes i JOIN episodes e ON e.id = i.episode
                WHERE i.incident = $4 AND e.is_open = 1)",
        )
        .bind(micros(self.now()))
        .bind(NEVER)
        .bind(id.0)
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let resolved = done.rows_affected() == 1;
        if resolved {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(resolved)
    }

    /// Sends the page of an incident that is still held, with the notices it owes; says whether it was held.
    pub async fn page_incident(&self, id: IncidentId, owed: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let paged = release_page(&mut tx, id, self.now()).await?;
        if paged {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(paged)
    }

    /// The deadline of a held page has come, and the incident was verified fixed in time: nobody is paged unless
    /// something else happens.
    pub async fn spare_page(&self, due: &DueIncident) -> Result<()> {
        sqlx::query("UPDATE incidents SET due_at = $1, leased = 0 WHERE id = $2 AND attempt = $3")
            .bind(NEVER)
            .bind(due.incident.id.0)
            .bind(due.attempt)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The deadline of a held page has come, and something else explains the trouble: it is held for longer.
    pub async fn hold_page(&self, due: &DueIncident, until: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE incidents SET held_until = $1, due_at = $2, leased = 0 WHERE id = $3 AND attempt = $4",
        )
        .bind(micros(until))
        .bind(micros(until))
        .bind(due.incident.id.0)
        .bind(due.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Marks an incident as given to people, once; says whether it was this time.
    pub async fn escalate_incident(&self, id: IncidentId, owed: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE incidents SET escalated = 1 WHERE id = $1 AND escalated = 0 AND status <> 'resolved'",
        )
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let escalated = done.rows_affected() == 1;
        if escalated {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(escalated)
    }

    /// Acknowledges; stops escalation. Returns the incident as it is now, and whether this call did it: a second
    /// acknowledgement changes nothing.
    pub async fn acknowledge(
        &self,
        id: IncidentId,
        by: &str,
        link: Option<&str>,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Result<(Incident, bool)> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE incidents SET status = 'acknowledged', acked_by = $1, acked_at = $2, due_at = $3
             WHERE id = $4 AND status = 'open'",
        )
        .bind(by)
        .bind(micros(now))
        .bind(NEVER)
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT * FROM incidents WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| StoreError::Missing(format!("there is no incident {id}")))?;
        let incident = incident(&row)?;
        let acked = done.rows_affected() == 1;
        if acked {
            if let Some(digest) = link {
                use_up(&mut tx, UsedLink { digest, by }, now).await?;
            }
            owe(&mut tx, owed(&incident), now).await?;
        }
        commit(tx).await?;
        Ok((incident, acked))
    }

    /// Claims an open incident that nobody has acknowledged in time, or whose held page is to be sent.
    pub async fn claim_incident(&self, lease: Duration) -> Result<Option<DueIncident>> {
        let (now, era) = self.now_and_era();
        let row = sqlx::query(
            "UPDATE incidents SET attempt = attempt + 1, leased = 1, due_at = $1
             WHERE id = (SELECT id FROM incidents WHERE due_at <= $2 ORDER BY due_at, id LIMIT 1)
               AND due_at <= $3
               AND (SELECT value FROM counters WHERE name = 'era') = $4
             RETURNING *",
        )
        .bind(micros(after(now, lease)))
        .bind(micros(now))
        .bind(micros(now))
        .bind(era)
        .fetch_optional(&self.writer)
        .await?;
        row.map(|row| {
            Ok(DueIncident { incident: incident(&row)?, attempt: row.try_get("attempt")? })
        })
        .transpose()
    }

    /// Tells that nobody answered, unless somebody just did; it is told once.
    pub async fn tell_unanswered(&self, due: &DueIncident, owed: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE incidents SET due_at = $1, leased = 0 WHERE id = $2 AND attempt = $3 AND status = 'open'",
        )
        .bind(NEVER)
        .bind(due.incident.id.0)
        .bind(due.attempt)
        .execute(&mut *tx)
        .await?;
        let told = done.rows_affected() == 1;
        if told {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(told)
    }

    /// One incident.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<Incident>> {
        let row = sqlx::query("SELECT * FROM incidents WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(incident).transpose()
    }

    /// The newest first, those before `cursor` if given; only those with `status` if given.
    pub async fn incidents(
        &self,
        status: Option<IncidentStatus>,
        cursor: Option<IncidentId>,
        limit: u32,
    ) -> Result<Vec<Incident>> {
        let status = status.map_or("", IncidentStatus::as_str);
        let rows = sqlx::query(
            "SELECT * FROM incidents WHERE id < $1 AND ($2 = '' OR status = $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(cursor.map_or(i64::MAX, |id| id.0))
        .bind(status)
        .bind(status)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(incident).collect()
    }

    /// Incidents that an episode belongs to.
    pub async fn incidents_of(&self, episode: &Episode) -> Result<Vec<Incident>> {
        let rows = sqlx::query(
            "SELECT i.* FROM incidents i JOIN incident_episodes e ON e.incident = i.id
             WHERE e.episode = $1 ORDER BY i.id",
        )
        .bind(episode.id.0)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(incident).collect()
    }

    /// How many incidents have each status that is not resolved.
    pub async fn open_incident_counts(&self) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query(
            "SELECT status, COUNT(*) AS count FROM incidents WHERE status <> 'resolved' GROUP BY status",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((text(row, "status")?, row.try_get("count")?))).collect()
    }
}

/// When an incident that opens is due: its page that is held, or the time for an acknowledgement.
fn due_of(new: &Incident, ack_within: Option<Duration>) -> i64 {
    match new.held_until {
        Some(until) if until > new.opened_at => micros(until),
        Some(_) => NEVER,
        None => answer_due(new, ack_within),
    }
}

/// When somebody must have acknowledged an incident of which everybody is told at once.
fn answer_due(new: &Incident, ack_within: Option<Duration>) -> i64 {
    ack_within.map_or(NEVER, |within| micros(after(new.opened_at, within)))
}

/// The time for an acknowledgement as its column has it: zero is none.
fn span_or_none(ack_within: Option<Duration>) -> i64 {
    let span = ack_within.map_or(0, |within| within.as_micros());
    i64::try_from(span).unwrap_or(i64::MAX)
}

/// Makes an open incident as loud as trouble that joins it: somebody must answer in its time from now on, unless somebody has.
async fn raise(
    tx: &mut Transaction,
    found: Incident,
    new: &Incident,
    ack_within: Option<Duration>,
) -> Result<Incident> {
    let (severity, title) = (plain(&new.severity), plain(&new.title));
    let due = answer_due(new, ack_within);
    sqlx::query(
        "UPDATE incidents SET severity = $1, title = $2, ack_within = $3,
           due_at = CASE WHEN status = 'open' AND held_until = 0 AND due_at > $4 THEN $5 ELSE due_at END
         WHERE id = $6",
    )
    .bind(severity.as_str())
    .bind(title.as_str())
    .bind(span_or_none(ack_within))
    .bind(due)
    .bind(due)
    .bind(found.id.0)
    .execute(&mut **tx)
    .await?;
    Ok(Incident { title, severity, ..found })
}

/// Writes a new incident, which is due then.
pub(super) async fn insert_incident(
    tx: &mut Transaction,
    new: &Incident,
    ack_within: Option<Duration>,
    due: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO incidents (id, rule, group_key, title, severity, labels, status, escalated,
           opened_at, resolved_at, acked_by, acked_at, held_until, ack_within, due_at, attempt)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, '', 0, $10, $11, $12, 0)",
    )
    .bind(new.id.0)
    .bind(new.rule.as_str())
    .bind(plain(&new.group_key))
    .bind(plain(&new.title))
    .bind(plain(&new.severity))
    .bind(to_json(&new.labels)?)
    .bind(new.status.as_str())
    .bind(micros(new.opened_at))
    .bind(micros_or_none(new.resolved_at))
    .bind(micros_or_none(new.held_until))
    .bind(span_or_none(ack_within))
    .bind(due)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends the hold of a page, if there is one: from now on somebody must acknowledge within the time of the severity. Called
/// with everything that needs a person, in the transaction that says so.
pub(super) async fn release_page(
    tx: &mut Transaction,
    id: IncidentId,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE incidents SET held_until = 0, leased = 0, attempt = attempt + 1, due_at = CASE
           WHEN status <> 'open' OR ack_within = 0 THEN $1 ELSE $2 + ack_within END
         WHERE id = $3 AND held_until <> 0",
    )
    .bind(NEVER)
    .bind(micros(now))
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) fn incident(row: &AnyRow) -> Result<Incident> {
    let status = match text(row, "status")?.as_str() {
        "open" => IncidentStatus::Open,
        "acknowledged" => IncidentStatus::Acknowledged,
        "resolved" => IncidentStatus::Resolved,
        other => return Err(StoreError::Corrupt(format!("incident status `{other}`"))),
    };
    Ok(Incident {
        id: IncidentId(row.try_get("id")?),
        rule: text(row, "rule")?,
        group_key: text(row, "group_key")?,
        title: text(row, "title")?,
        severity: text(row, "severity")?,
        labels: json(row, "labels")?,
        status,
        escalated: flag(row, "escalated")?,
        opened_at: instant(row, "opened_at")?,
        resolved_at: instant_or_none(row, "resolved_at")?,
        acked_by: text(row, "acked_by")?,
        acked_at: instant_or_none(row, "acked_at")?,
        taken_by: text(row, "taken_by")?,
        taken_at: instant_or_none(row, "taken_at")?,
        given_back_at: instant_or_none(row, "given_back_at")?,
        held_until: instant_or_none(row, "held_until")?,
    })
}
