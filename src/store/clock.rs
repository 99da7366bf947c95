//! Time that goes on whatever the wall clock does.
//!
//! A store goes by a steady clock. `SQLite`'s follows the wall clock of this host; `PostgreSQL`'s follows that of the database
//! server, so that replicas agree, and one whose own host is set notices nothing. When the clock that is followed *jumps*, that is
//! accepted once: one transaction numbers the jump (the next *era*), and moves by as much every instant in the tables by which
//! something waits, is held, or is too recent. Only then does the clock of the process follow. So nothing ends early or late by it,
//! and between two instants that are stored there is as much time as there was.
//!
//! What is moved and what is not:
//!
//! - Rows are read as "so long ago" or "so long from now", by guards as by people, so their instants are those of the clock now in
//!   force: "an hour ago" stays that. A clock that is set wrong and right again leaves them as they were.
//! - Journals, decisions, the log of trust and whatever else the audit's log covers are evidence, and stay as written; where such a row
//!   is also measured from, it says beside them by how much it is to be moved. A run's journal gets an entry
//!   that says how the clock was set, before anything else is written to it (`Store::tell_run_of_jumps`): its state is still the fold
//!   of its journal alone.
//! - Slots of schedules and checks, windows, and the times that sources of alerts give are times of the wall clock, and stay.
//! - What waits in `episodes` and `runs` waits for one or the other; both find out again when they are due, so they are due at once.
//!
//! Claims are fenced by the era: a replica that has not heard of a jump claims nothing by its old time.
//!
//! A jump while no server runs is told from the time that passed by the time since the machine was started, if that is the same
//! start. After another start a clock that was set back is noticed, and one that was set forward cannot be told from a long sleep.

mod moves;

use std::io::ErrorKind;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;

use crate::clock;
use crate::clock::Clock;
use crate::clock::Reading;
use crate::decide::machine;
use crate::decide::machine::State;
use crate::decide::stepping;
use crate::decide::surroundings;
use crate::model::decision::Jump;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::time::after;
use crate::model::time::before;
use crate::store::Engine;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::commit;
use crate::store::facts::facts_changed;
use crate::store::instant;
use crate::store::micros;
use crate::store::number;
use crate::store::runs::Claim;
use crate::store::runs::Row;
use crate::store::text;

/// Rows older than limits look back keep their instants.
const MOVED: Duration = Duration::from_hours(15 * 24);

/// Tries after the first to learn what time it is.
const READ_TRIES: usize = 5;
/// Replicas write down the time every ten seconds.
const LATELY: Duration = Duration::from_secs(20);

/// What the clock is compared with.
struct Look {
    /// Jumps that were accepted.
    era: i64,
    /// What the clock that is followed showed; `None` when that took too long.
    reading: Option<Reading>,
}

impl Store {
    /// The clock of a store that is opened: goes on from what was written down in the same start of this machine; else from what
    /// the clock that is followed shows, but not from before what was written down. A difference between the two is a jump,
    /// which [`Store::keep_time`] then finds.
    pub(super) async fn steady(&self) -> Result<Clock> {
        let mut look = self.read_time().await?;
        if matches!(self.clock, Clock::Manual(_)) {
            self.clock.follow(0, look.era);
            return Ok(self.clock.clone());
        }
        for _ in 0..READ_TRIES {
            if look.reading.is_none() {
                look = self.read_time().await?;
            }
        }
        let Look { era, reading: Some(mut from) } = look else {
            let late = std::io::Error::new(
                ErrorKind::TimedOut,
                "it takes too long to say what time it is",
            );
            return Err(StoreError::Database(sqlx::Error::Io(late)));
        };
        let rows = sqlx::query("SELECT * FROM clock").fetch_all(&self.reader).await?;
        let boot = clock::boot_id();
        let mut noted = None;
        for row in &rows {
            let at = instant(row, "at")?;
            if !boot.is_empty() && text(row, "boot")? == boot {
                let since_boot = Duration::from_micros(number(row, "since_boot")?);
                noted = Some(after(at, from.since_boot.saturating_sub(since_boot)));
                break;
            }
            from.at = from.at.max(at);
        }
        from.at = noted.unwrap_or(from.at);
        Ok(Clock::steady(from, era))
    }

    /// Compares the clock with the one that it follows, and hears of jumps that others accepted. Returns a jump that was
    /// accepted here.
    pub async fn keep_time(&self) -> Result<Option<Jump>> {
        if !matches!(self.clock, Clock::Steady(_)) {
            return Ok(None);
        }
        let Look { era, reading } = self.read_time().await?;
        self.hear(era).await?;
        let Some(reading) = reading else { return Ok(None) };
        match surroundings::jumped(self.clock.at(reading), reading.at) {
            None => {
                self.clock.correct(reading);
                Ok(None)
            }
            Some(jump) if self.others_agree(reading.at).await? => {
                // this machine stood still, and its time since boot with it: nobody else saw a jump
                self.clock.follow(jump.by_ms.saturating_mul(1000), era);
                Ok(None)
            }
            Some(jump) => Ok(self.clock_was_set(jump).await?.then_some(jump)),
        }
    }

    /// Whether a replica on another machine has written down lately what the clock of the database shows.
    async fn others_agree(&self, shown: Timestamp) -> Result<bool> {
        if self.engine == Engine::Sqlite {
            return Ok(false);
        }
        let row = sqlx::query(
            "SELECT COUNT(*) AS others FROM clock WHERE boot <> $1 AND at >= $2 AND at <= $3",
        )
        .bind(clock::boot_id())
        .bind(micros(before(shown, LATELY)))
        .bind(micros(after(shown, surroundings::JUMP)))
        .fetch_one(&self.reader)
        .await?;
        Ok(row.try_get::<i64, _>("others")? > 0)
    }

    /// Writes down what the clock shows, for whoever opens the store next.
    pub async fn mark_time(&self) -> Result<()> {
        let since_boot = clock::uptime();
        let at = self.clock.at(Reading { at: self.now(), since_boot });
        sqlx::query(
            "INSERT INTO clock (boot, at, since_boot) SELECT $1, $2, $3 WHERE
               $4 = (SELECT value FROM counters WHERE name = 'era')
             ON CONFLICT (boot) DO UPDATE SET at = excluded.at, since_boot = excluded.since_boot",
        )
        .bind(clock::boot_id())
        .bind(micros(at))
        .bind(i64::try_from(since_boot.as_micros()).unwrap_or(i64::MAX))
        .bind(self.clock.era())
        .execute(&self.writer)
        .await?;
        // machines that are gone
        sqlx::query("DELETE FROM clock WHERE at < $1")
            .bind(micros(before(at, MOVED)))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Accepts a jump: numbers it, moves what waits, and lets the clock follow. False when another replica was first: then it is
    /// heard of at the next look.
    pub async fn clock_was_set(&self, jump: Jump) -> Result<bool> {
        let era = self.clock.era();
        let by = jump.by_ms.saturating_mul(1000);
        let mut tx = self.begin().await?;
        let first =
            sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'era' AND value = $1")
                .bind(era)
                .execute(&mut *tx)
                .await?;
        if first.rows_affected() != 1 {
            tx.leave().await?;
            return Ok(false);
        }
        // what was judged before is judged again
        facts_changed(&mut tx).await?;
        moves::by(&mut tx, by, before(self.now(), MOVED), jump.at).await?;
        sqlx::query("INSERT INTO jumps (at, by_ms, era) VALUES ($1, $2, $3)")
            .bind(micros(jump.at))
            .bind(jump.by_ms)
            .bind(era + 1)
            .execute(&mut *tx)
            .await?;
        commit(tx).await?;
        self.clock.follow(by, era + 1);
        Ok(true)
    }

    /// Writes into a claimed run's journal how the clock was set since its last entry.
    pub async fn tell_run_of_jumps(
        &self,
        claim: &mut Claim,
        state: &mut State,
        lease: Duration,
    ) -> Result<()> {
        while claim.era < self.clock.era() && !state.summary().is_final() {
            let next =
                sqlx::query("SELECT by_ms, era FROM jumps WHERE era > $1 ORDER BY era LIMIT 1")
                    .bind(claim.era)
                    .fetch_optional(&self.reader)
                    .await?;
            let Some(next) = next else {
                return Err(StoreError::Corrupt(format!(
                    "jump {} of the clock is missing",
                    claim.era + 1
                )));
            };
            let (era, by_ms) = (next.try_get("era")?, next.try_get("by_ms")?);
            let now = self.now();
            let event = Event::ClockSet { era, by_ms };
            let entry = Entry { seq: state.seq + 1, at: now, event };
            let after_event = machine::apply(&claim.plan, state.clone(), &entry)
                .map_err(|illegal| StoreError::Corrupt(illegal.to_string()))?;
            let row = Row {
                state: after_event.summary(),
                outcome: stepping::outcome(&claim.plan, &after_event),
                inconclusive: after_event.inconclusive,
                due_at: Some(after(now, lease)),
            };
            self.append(claim, entry, &row, Vec::new()).await?;
            *state = after_event;
        }
        Ok(())
    }

    /// Follows jumps that others accepted.
    async fn hear(&self, era: i64) -> Result<()> {
        let mine = self.clock.era();
        if era <= mine {
            return Ok(());
        }
        let rows = sqlx::query("SELECT by_ms FROM jumps WHERE era > $1 AND era <= $2")
            .bind(mine)
            .bind(era)
            .fetch_all(&self.reader)
            .await?;
        let mut by_ms: i64 = 0;
        for row in rows {
            by_ms = by_ms.saturating_add(row.try_get("by_ms")?);
        }
        self.clock.follow(by_ms.saturating_mul(1000), era);
        Ok(())
    }

    /// Reads the clock that is followed, and the number of the last jump.
    async fn read_time(&self) -> Result<Look> {
        let sql = match self.engine {
            Engine::Sqlite => "SELECT value AS era, 0 AS now FROM counters WHERE name = 'era'",
            Engine::Postgres => {
                "SELECT value AS era, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now
                 FROM counters WHERE name = 'era'"
            }
        };
        let mut connection = self.reader.connections().acquire().await?;
        let asked = clock::uptime();
        let row = sqlx::query(sql).fetch_one(&mut *connection).await?;
        let answered = clock::uptime();
        let reading = match self.engine {
            Engine::Sqlite => clock::read_wall(),
            Engine::Postgres => Reading::between(asked, instant(&row, "now")?, answered),
        };
        Ok(Look { era: row.try_get("era")?, reading })
    }

    /// How far this host's wall clock is ahead of quell's clock, in seconds; negative when it is behind.
    pub fn clock_offset(&self) -> f64 {
        Clock::System.now().duration_since(self.now()).as_secs_f64()
    }
}
