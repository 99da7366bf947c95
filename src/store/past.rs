//! Runs as guards need to know of them, kept from one judgement to the next: what has ended never changes, so that only what
//! is new and what was at work is read again. What is judged by is what the database says, each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use sqlx::Any;
use sqlx::Executor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::decision::PastRun;
use crate::model::decision::Runs;
use crate::model::decision::Version;
use crate::model::incident::IncidentId;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::facts::past_run;
use crate::store::facts::runs_where;
use crate::store::many::Many;
use crate::store::many::filled;
use crate::store::many::list;
use crate::store::micros;

/// The most runs that are asked for by name at once. Fewer are filled up to a power of two, so that few statements are prepared.
const ASKED: usize = 64;

/// Runs by their names, by powers of two.
static NAMED: LazyLock<Many> = LazyLock::new(|| {
    Many::new(ASKED, |count| {
        runs_where!("id IN (?)").replace('?', &list(count, |at| format!("${at}")))
    })
});

/// Shared by all who judge by one store.
#[derive(Debug, Default)]
pub(super) struct Past(ArcSwap<Known>);

#[cfg(test)]
impl Past {
    /// For who makes the tables other than they were.
    pub(super) fn clear(&self) {
        self.0.store(Arc::default());
    }
}

/// Runs as they were when last looked.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Not later than what was read.
    version: Version,
    /// How often the clock was set: rows are moved then.
    era: i64,
    /// All that started since are here, in microseconds, and all at work.
    from: i64,
    /// The longest time that anybody has looked back, in microseconds.
    longest: i64,
    runs: BTreeMap<i64, Arc<PastRun>>,
}

/// What was read again, by its name.
type Fresh = BTreeMap<i64, Arc<PastRun>>;

impl Known {
    /// The last run.
    fn last(&self) -> i64 {
        self.runs.keys().next_back().copied().unwrap_or(0)
    }

    /// Lets go of what nobody looks back to any more, now and then.
    fn forget(&mut self, now: i64) {
        let from = now.saturating_sub(self.longest);
        if from.saturating_sub(self.from) > self.longest / 8 {
            self.runs.retain(|_, run| !run.state.is_final() || micros(run.started_at) >= from);
            self.from = from;
        }
    }

    fn at_work(&self) -> Vec<i64> {
        let at_work = self.runs.iter().filter(|(_, run)| !run.state.is_final());
        at_work.map(|(id, _)| *id).collect()
    }

    /// Those at work, those that started since, and those of an incident, with what was read again; in order of start.
    fn runs(&self, fresh: &Fresh, from: i64, incident: IncidentId) -> Runs {
        let old = self.runs.iter().filter(|(id, _)| !fresh.contains_key(id));
        let wanted = |run: &Arc<PastRun>| {
            !run.state.is_final() || micros(run.started_at) >= from || run.incident == incident
        };
        let mut runs: Vec<(i64, Arc<PastRun>)> = old
            .chain(fresh)
            .filter(|(_, run)| wanted(run))
            .map(|(id, run)| (*id, Arc::clone(run)))
            .collect();
        runs.sort_by_key(|(id, run)| (run.started_at, *id));
        runs.into_iter().map(|(_, run)| run).collect()
    }
}

impl Store {
    /// Runs that are at work, those that started at or after `from`, and all of `incident`, in order of start; and what
    /// version of the facts they are not older than.
    pub async fn past(&self, from: Timestamp, incident: IncidentId) -> Result<(Version, Runs)> {
        self.glance().await?.past(from, incident).await
    }

    /// The same for who knows what version and era it is.
    pub(super) async fn past_at(
        &self,
        of: (Version, i64),
        from: Timestamp,
        incident: IncidentId,
    ) -> Result<(Version, Runs)> {
        let known = self.known(of, micros(from)).await?;
        let mut older = Fresh::new();
        of_incident(&self.reader, incident, known.from, &mut older).await?;
        Ok((known.version, known.runs(&older, micros(from), incident)))
    }

    /// What is known, after a look at what is new.
    async fn known(&self, (version, era): (Version, i64), from: i64) -> Result<Arc<Known>> {
        let known = self.past.0.load_full();
        let same = version.others == known.version.others && era == known.era;
        if !same || from < known.from || known.version == Version::default() {
            return self.read_all(version, era, from).await;
        }
        if version.runs == known.version.runs {
            return Ok(known);
        }
        let mut fresh = Fresh::new();
        let (at_work, last) = (known.at_work(), known.last());
        news(&self.reader, last, &mut fresh).await?;
        for ids in unread(&at_work, &fresh).chunks(ASKED) {
            named(&self.reader, ids, &mut fresh).await?;
        }
        let mut next = Known::clone(&known);
        next.version = version;
        next.runs.append(&mut fresh);
        next.longest = next.longest.max(micros(self.now()).saturating_sub(from));
        next.forget(micros(self.now()));
        Ok(self.knows(next))
    }

    async fn read_all(&self, version: Version, era: i64, from: i64) -> Result<Arc<Known>> {
        let mut runs = Fresh::new();
        let all = sqlx::query(concat!(
            runs_where!("is_final = 0"),
            " UNION ALL ",
            runs_where!("started_at >= $1 AND is_final <> 0"),
        ));
        add(&all.bind(from).fetch_all(&self.reader).await?, &mut runs)?;
        let longest = micros(self.now()).saturating_sub(from);
        Ok(self.knows(Known { version, era, from, longest, runs }))
    }

    /// Who looks at the same time finds the same, or what is newer.
    fn knows(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        self.past.0.rcu(|other| {
            let newer = other.era == known.era && other.version.runs > known.version.runs;
            Arc::clone(if newer && other.from <= known.from { other } else { &known })
        });
        known
    }

    /// The same runs as [`Store::past`] gave, as a transaction sees them that others wait for.
    pub(super) async fn past_now(
        &self,
        tx: &mut Transaction,
        from: Timestamp,
        incident: IncidentId,
    ) -> Result<Runs> {
        let known = self.past.0.load_full();
        let mut fresh = Fresh::new();
        news(&mut **tx, known.last(), &mut fresh).await?;
        for ids in unread(&known.at_work(), &fresh).chunks(ASKED) {
            named(&mut **tx, ids, &mut fresh).await?;
        }
        of_incident(&mut **tx, incident, known.from, &mut fresh).await?;
        Ok(known.runs(&fresh, micros(from), incident))
    }
}

/// Those that were at work and have not been read again: they have ended.
fn unread(at_work: &[i64], fresh: &Fresh) -> Vec<i64> {
    at_work.iter().copied().filter(|id| !fresh.contains_key(id)).collect()
}

/// Runs after `last`, and all at work.
async fn news(on: impl Executor<'_, Database = Any>, last: i64, into: &mut Fresh) -> Result<()> {
    // an OR would look through all runs in SQLite
    let news = sqlx::query(concat!(
        runs_where!("is_final = 0"),
        " UNION ALL ",
        runs_where!("id > $1 AND is_final <> 0"),
    ));
    add(&news.bind(last).fetch_all(on).await?, into)
}

/// Runs of an incident that began before all that is kept.
async fn of_incident(
    on: impl Executor<'_, Database = Any>,
    incident: IncidentId,
    from: i64,
    into: &mut Fresh,
) -> Result<()> {
    let rows = sqlx::query(runs_where!("incident = $1 AND started_at < $2"))
        .bind(incident.0)
        .bind(from)
        .fetch_all(on)
        .await?;
    add(&rows, into)
}

async fn named(on: impl Executor<'_, Database = Any>, ids: &[i64], into: &mut Fresh) -> Result<()> {
    let asked = filled(ids);
    let mut query = sqlx::query(NAMED.of(asked.len())?);
    for id in asked {
        query = query.bind(id);
    }
    add(&query.fetch_all(on).await?, into)
}

fn add(rows: &[AnyRow], into: &mut Fresh) -> Result<()> {
    for row in rows {
        into.insert(row.try_get("id")?, Arc::new(past_run(row)?));
    }
    Ok(())
}
