//! Runs: creation under unchanged facts, claims fenced by `attempt`, and the hash-chained journal.

use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::Digest as _;
use sha2::Sha256;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::machine;
use crate::decide::plan;
use crate::decide::tell;
use crate::decide::tell::Try;
use crate::model::decision::Decision;
use crate::model::decision::Runs;
use crate::model::decision::Version;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::credentials::Refusal;
use crate::store::credentials::deny;
use crate::store::decisions::decide;
use crate::store::episodes::lock_episodes;
use crate::store::facts::facts_changed;
use crate::store::facts::run_state;
use crate::store::facts::runs_changed;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::json;
use crate::store::links::UsedLink;
use crate::store::links::use_up;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::number;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::text;
use crate::store::to_json;
use crate::store::trust;
use crate::store::trust::Ending;

/// A run as listed: its row, without the journal.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// Its incident.
    pub incident: IncidentId,
    /// The episode that asked for it.
    pub episode: EpisodeId,
    /// Its rule.
    pub rule: String,
    /// Its playbook.
    pub playbook: String,
    /// What it acts on.
    pub target: String,
    /// Which remedy, from 1; 0 takes temporary measures back.
    pub remedy: u32,
    /// Where it stands.
    #[serde(serialize_with = "state_word")]
    pub state: RunState,
    /// In words, once it has ended or waits for a person.
    pub outcome: String,
    /// Digest of the plan, which approvals are bound to.
    pub digest: String,
    /// When it was created.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl RunRow {
    /// As far as people are told of it.
    pub fn as_try(&self) -> Try<'_> {
        Try {
            run: self.id,
            playbook: &self.playbook,
            target: &self.target,
            remedy: self.remedy,
            state: self.state,
            outcome: &self.outcome,
            started_at: self.started_at,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn state_word<S: serde::Serializer>(
    state: &RunState,
    to: S,
) -> std::result::Result<S::Ok, S::Error> {
    to.serialize_str(state.as_str())
}

/// A run that a worker holds: `attempt` and `seq` fence its writes.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: Plan,
    /// Its journal.
    pub entries: Vec<Entry>,
    /// The fencing token.
    pub attempt: i64,
    /// The last jump of the clock that its journal knows of.
    pub era: i64,
    pub(super) head: String,
}

/// What follows from an entry of a journal, beside what it leaves in the run's row.
#[derive(Debug, Default)]
pub struct Follows<'a> {
    /// Credentials that were refused.
    pub refusals: &'a [Refusal],
    /// For an entry that ends the run: how the trust in its rule is judged.
    pub ending: Option<Ending<'a>>,
    /// The link by which a person's word came, which is used up by it.
    pub(super) link: Option<UsedLink<'a>>,
}

impl<'a> Follows<'a> {
    /// What follows from an entry that no person wrote.
    pub fn of(refusals: &'a [Refusal], ending: Option<Ending<'a>>) -> Self {
        Self { refusals, ending, link: None }
    }
}

/// What an append leaves in the run's row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it stands.
    pub state: RunState,
    /// In words, when it has ended or waits for a person.
    pub outcome: String,
    /// It failed because its verification could not see.
    pub inconclusive: bool,
    /// When somebody should look at it again; `None` for never.
    pub due_at: Option<Timestamp>,
}

/// What a run is created by.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Of the facts.
    pub version: Version,
    /// How far back runs were looked at.
    pub from: Timestamp,
    /// What was decided.
    pub decision: &'a Decision,
    /// Owed with the decision, if it is news.
    pub tells: Vec<Owed>,
}

impl Store {
    /// Creates a run with its first entry and the notices it owes, if no fact has changed since `version` and no
    /// active run holds the target. [`StoreError::Changed`] means: judge again.
    pub async fn create_run(
        &self,
        version: Version,
        plan: &Plan,
        round: u32,
        owed: impl FnOnce(RunId) -> Vec<Owed>,
    ) -> Result<RunId> {
        let mut tx = self.begin().await?;
        if runs_changed(&mut tx).await? != version.runs + 1 {
            return Err(StoreError::Changed);
        }
        self.create(tx, plan, round, owed).await
    }

    /// The same, with the decision that led to it, if that is news; and runs may have changed meanwhile as long as `again`,
    /// which is given those of now, still comes to the same. Returns whether the decision was news, too.
    pub async fn create_run_decided(
        &self,
        judged: Judged<'_>,
        plan: &Plan,
        round: u32,
        again: impl FnOnce(Runs) -> bool,
        owed: impl FnOnce(RunId) -> Vec<Owed>,
    ) -> Result<(RunId, bool)> {
        let Judged { version, from, decision, tells } = judged;
        let mut tx = self.begin().await?;
        if runs_changed(&mut tx).await? != version.runs + 1 {
            let others = sqlx::query("SELECT version FROM scopes WHERE name = 'facts'")
                .fetch_one(&mut *tx)
                .await?;
            if others.try_get::<i64, _>(0)? != version.others {
                return Err(StoreError::Changed);
            }
            let runs = self.past_now(&mut tx, from, plan.incident).await?;
            if !again(runs) {
                return Err(StoreError::Changed);
            }
        }
        let news = decide(&mut tx, decision, tells).await?;
        Ok((self.create(tx, plan, round, owed).await?, news))
    }

    async fn create(
        &self,
        mut tx: Transaction,
        plan: &Plan,
        round: u32,
        owed: impl FnOnce(RunId) -> Vec<Owed>,
    ) -> Result<RunId> {
        let (now, era) = self.now_and_era();
        let body = to_json(plan)?;
        let digest = hex(&Sha256::digest(body.as_bytes()));
        let id = RunId(next_ids(&mut tx, "run", 1).await?);
        let first = Entry { seq: 1, at: now, event: Event::Planned { digest: digest.clone() } };
        let (event, head) = chained(id, "", &first)?;
        let state = machine::fold(plan, std::slice::from_ref(&first))
            .map_err(|illegal| StoreError::Corrupt(illegal.to_string()))?;
        let created = sqlx::query(
            "INSERT INTO runs (id, incident, episode, rule, playbook, target, remedy, round, state, is_final,
               inconclusive, outcome, plan, digest, seq, head, cancelled_by, owner, attempt, due_at, started_at, ended_at,
               service, redundancy_group, left_version, era)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, '', $10, $11, 1, $12, '', '', 0, $13, $14, 0, $15, $16, $17, $18)
             ON CONFLICT DO NOTHING",
        )
        .bind(id.0)
        .bind(plan.incident.0)
        .bind(plan.episode.0)
        .bind(plan.rule.as_str())
        .bind(plan.playbook.name.as_str())
        .bind(plain(&plan.target))
        .bind(i64::from(plan.remedy))
        .bind(i64::from(round))
        .bind(state.summary().as_str())
        .bind(body)
        .bind(digest)
        .bind(head.as_str())
        .bind(micros(now))
        .bind(micros(now))
        .bind(plain(plan.labels.get(plan::SERVICE)))
        .bind(plain(&plan.group))
        .bind(plain(&plan.left_version))
        .bind(era)
        .execute(&mut *tx)
        .await?;
        if created.rows_affected() != 1 {
            return Err(StoreError::Changed);
        }
        write_event(&mut tx, id, &first, &event, &head).await?;
        owe(&mut tx, owed(id), now).await?;
        commit(tx).await?;
        Ok(id)
    }

    /// Appends an entry to the journal of a claimed run, with what it leaves in the row and the notices it owes,
    /// in one transaction. [`StoreError::Fenced`] when another worker holds the run.
    pub async fn append(
        &self,
        claim: &mut Claim,
        entry: Entry,
        row: &Row,
        owed: Vec<Owed>,
    ) -> Result<()> {
        self.append_with(claim, entry, row, owed, Follows::default()).await
    }

    /// The same for the entry of a call whose credentials were refused: from then on they count as that.
    pub async fn append_denied(
        &self,
        claim: &mut Claim,
        entry: Entry,
        row: &Row,
        owed: Vec<Owed>,
        refusals: &[Refusal],
    ) -> Result<()> {
        self.append_with(claim, entry, row, owed, Follows { refusals, ..Follows::default() }).await
    }

    /// As [`Store::append`], with what follows from the entry, in the same transaction.
    pub async fn append_with(
        &self,
        claim: &mut Claim,
        entry: Entry,
        row: &Row,
        owed: Vec<Owed>,
        follows: Follows<'_>,
    ) -> Result<()> {
        let Follows { refusals, ending, link } = follows;
        let (body, head) = chained(claim.run, &claim.head, &entry)?;
        let mut tx = self.begin().await?;
        let ended = row.state.is_final();
        let era = if let Event::ClockSet { era, .. } = entry.event { era } else { claim.era };
        if ended {
            // in the order of `create_run` and intake, or they and this might wait for each other in PostgreSQL
            runs_changed(&mut tx).await?;
        }
        if !refusals.is_empty() {
            // a run that was judged without knowing of them must not be created
            facts_changed(&mut tx).await?;
        }
        if ended {
            lock_episodes(&mut tx).await?;
        }
        let held = sqlx::query(
            "UPDATE runs SET seq = seq + 1, head = $1, state = $2, is_final = $3, outcome = $4,
               inconclusive = $5, era = $6, ended_at = $7, due_at = CASE WHEN $8 = $9 THEN $8 ELSE $8 + 1000 *
                 (SELECT CAST(COALESCE(SUM(j.by_ms), 0) AS BIGINT) FROM jumps j WHERE j.era > $6) END
             WHERE id = $10 AND attempt = $11 AND seq = $12 AND is_final = 0",
        )
        .bind(head.as_str())
        .bind(row.state.as_str())
        .bind(i64::from(ended))
        .bind(plain(&row.outcome))
        .bind(i64::from(row.inconclusive))
        .bind(era)
        .bind(if ended { micros(entry.at) } else { 0 })
        .bind(row.due_at.map_or(NEVER, micros))
        .bind(NEVER)
        .bind(claim.run.0)
        .bind(claim.attempt)
        .bind(entry.seq - 1)
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() != 1 {
            return Err(StoreError::Fenced);
        }
        write_event(&mut tx, claim.run, &entry, &body, &head).await?;
        deny(&mut tx, claim.run, &claim.plan.playbook.name, refusals, entry.at).await?;
        if let Some(link) = link {
            use_up(&mut tx, link, entry.at).await?;
        }
        if ended {
            // whoever waits for the end of this run: the episodes of its incident are judged again
            sqlx::query(
                "UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE id IN
                   (SELECT episode FROM incident_episodes WHERE incident = $2)",
            )
            .bind(micros(entry.at))
            .bind(claim.plan.incident.0)
            .execute(&mut *tx)
            .await?;
        }
        owe(&mut tx, owed, entry.at).await?;
        if let Some(ending) = ending.filter(|_| ended) {
            let of = (claim.run, claim.plan.target.as_str());
            trust::at_end(&mut tx, ending, of, row.state, entry.at).await?;
        }
        commit(tx).await?;
        (claim.head, claim.era) = (head, era);
        claim.entries.push(entry);
        Ok(())
    }

    /// The journal of a run.
    pub async fn journal(&self, run: RunId) -> Result<Vec<Entry>> {
        let rows = sqlx::query("SELECT seq, at, body FROM run_events WHERE run = $1 ORDER BY seq")
            .bind(run.0)
            .fetch_all(&self.writer)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Entry {
                    seq: row.try_get("seq")?,
                    at: instant(row, "at")?,
                    event: json(row, "body")?,
                })
            })
            .collect()
    }

    /// The plan of a run.
    pub async fn plan(&self, run: RunId) -> Result<Option<Plan>> {
        let row = sqlx::query("SELECT plan FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| json(&row, "plan")).transpose()
    }

    /// One run.
    pub async fn run(&self, id: RunId) -> Result<Option<RunRow>> {
        let row = sqlx::query("SELECT * FROM runs WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(run_row).transpose()
    }

    /// The newest first, those before `cursor` if given; of one incident if given.
    pub async fn runs(
        &self,
        incident: Option<IncidentId>,
        cursor: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<RunRow>> {
        let incident = incident.map_or(0, |id| id.0);
        let rows = sqlx::query(
            "SELECT * FROM runs WHERE id < $1 AND ($2 = 0 OR incident = $3) ORDER BY id DESC LIMIT $4",
        )
        .bind(cursor.map_or(i64::MAX, |id| id.0))
        .bind(incident)
        .bind(incident)
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(run_row).collect()
    }

    /// What was tried for an incident, one line a run, and the playbook that was verified to help, if one was.
    pub async fn tried(&self, incident: IncidentId) -> Result<(Vec<String>, Option<String>)> {
        let mut rows = self.runs(Some(incident), None, 1000).await?;
        rows.reverse();
        Ok(tell::tried(rows.iter().map(RunRow::as_try)))
    }

    /// Runs of the incident whose temporary measures are taken back, or are about to be.
    pub async fn taken_back(&self, incident: IncidentId) -> Result<Vec<RunId>> {
        let rows = sqlx::query("SELECT round FROM runs WHERE incident = $1 AND remedy = 0")
            .bind(incident.0)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok(RunId(row.try_get("round")?))).collect()
    }

    /// Whether a run of the incident is at work, or waits for a person.
    pub async fn is_at_work(&self, incident: IncidentId) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM runs WHERE incident = $1 AND is_final = 0 LIMIT 1")
            .bind(incident.0)
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.is_some())
    }

    /// How many runs have each state.
    pub async fn run_counts(&self) -> Result<Vec<(String, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS count FROM runs GROUP BY state")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((text(row, "state")?, row.try_get("count")?))).collect()
    }
}

/// The entry as stored, and the head of the chain with it: SHA-256 over the head before, the run, the number,
/// the instant and the event, each ended by a newline.
pub(super) fn chained(run: RunId, head: &str, entry: &Entry) -> Result<(String, String)> {
    let body = to_json(&entry.event)?;
    let hash = link(head, run, entry.seq, micros(entry.at), &body);
    Ok((body, hash))
}

/// One link of the chain.
pub(super) fn link(head: &str, run: RunId, seq: i64, at: i64, body: &str) -> String {
    hex(&Sha256::digest(format!("{head}\n{run}\n{seq}\n{at}\n{body}\n").as_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing to a String cannot fail
        let _always = write!(text, "{byte:02x}");
        text
    })
}

pub(super) async fn write_event(
    tx: &mut Transaction,
    run: RunId,
    entry: &Entry,
    body: &str,
    hash: &str,
) -> Result<()> {
    sqlx::query("INSERT INTO run_events (run, seq, at, body, hash) VALUES ($1, $2, $3, $4, $5)")
        .bind(run.0)
        .bind(entry.seq)
        .bind(micros(entry.at))
        .bind(body)
        .bind(hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn run_row(row: &AnyRow) -> Result<RunRow> {
    Ok(RunRow {
        id: RunId(row.try_get("id")?),
        incident: IncidentId(row.try_get("incident")?),
        episode: EpisodeId(row.try_get("episode")?),
        rule: text(row, "rule")?,
        playbook: text(row, "playbook")?,
        target: text(row, "target")?,
        remedy: number(row, "remedy")?,
        state: run_state(row)?,
        outcome: text(row, "outcome")?,
        digest: text(row, "digest")?,
        started_at: instant(row, "started_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
    })
}
