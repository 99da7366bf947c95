//! What people say about runs. Written to the journal as any event; the engine does what follows.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::decide::answer;
use crate::decide::approval;
use crate::decide::approval::Refused;
use crate::decide::machine;
use crate::decide::machine::State;
use crate::decide::stepping;
use crate::model::config::Config;
use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::run::Stop;
use crate::model::time::after;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::links::UsedLink;
use crate::store::links::used;
use crate::store::micros;
use crate::store::runs::Follows;
use crate::store::runs::Row;
use crate::store::runs::RunRow;
use crate::store::text;

/// The claim of a person's word: it takes no time, so it is due at once afterwards.
const LEASE: Duration = Duration::from_secs(10);

/// How often a word is tried that somebody else's came before.
const TRIES: usize = 5;

/// Who speaks.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// Name, as it is kept.
    pub name: &'a str,
    /// Tier of the operator; 0 for a person who is none.
    pub tier: u8,
    /// Digest of the link by which the word comes, which is used up by it.
    pub link: Option<&'a str>,
}

/// What a person's word made of a run: what people are told of it follows from this.
#[derive(Debug)]
pub struct Spoken<'a> {
    /// The run's incident.
    pub incident: &'a Incident,
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: &'a Plan,
    /// Before the word, and after it.
    pub states: (&'a State, &'a State),
    /// When.
    pub now: Timestamp,
}

/// What a person says about a run that waits for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Yes, to the plan with this digest.
    Approve {
        /// Digest of the plan that the person saw.
        digest: String,
    },
    /// No.
    Reject {
        /// Why.
        reason: String,
    },
    /// The step in doubt happened, or it did not.
    Settle {
        /// Whether it happened.
        happened: bool,
    },
    /// Answers to what a step asks, by name, as they were written.
    Answer {
        /// Name of the step that asks; may be left out when no other does.
        step: Option<String>,
        /// Texts or typed values.
        answers: BTreeMap<String, Value>,
    },
}

impl Spoken<'_> {
    /// What people are told of it.
    pub fn owed(&self, config: &Config) -> Vec<Owed> {
        let Self { incident, run, plan, states, now } = self;
        stepping::said(config, incident, &run.to_string(), plan, *states, *now)
    }
}

impl Word {
    /// The state of the runs that wait for it.
    fn waits_for(&self) -> RunState {
        match self {
            Self::Approve { .. } | Self::Reject { .. } => RunState::AwaitingApproval,
            Self::Settle { .. } => RunState::InDoubt,
            Self::Answer { .. } => RunState::AwaitingAnswer,
        }
    }

    /// The entry that it is worth, if this person may say it to this plan and it fits.
    fn into_event(
        self,
        run: RunId,
        digest: &str,
        speaker: Speaker<'_>,
        plan: &Plan,
        state: &State,
    ) -> Result<Event> {
        let by = speaker.name.to_owned();
        let may = |needs| {
            answer::may(&run.to_string(), speaker.name, speaker.tier, needs)
                .map_err(StoreError::Forbidden)
        };
        Ok(match self {
            Self::Approve { digest: seen } => {
                approval::may(&run.to_string(), plan, state, speaker.name, speaker.tier).map_err(
                    |refused| match refused {
                        Refused::Forbidden(words) => StoreError::Forbidden(words),
                        Refused::Conflict(words) => StoreError::Conflict(words),
                    },
                )?;
                if seen != digest {
                    return Err(StoreError::Conflict(format!(
                        "the plan of {run} is not the one that was looked at; look again"
                    )));
                }
                Event::Approved { by, digest: seen }
            }
            Self::Reject { reason } if reason.trim().is_empty() => {
                return Err(StoreError::Invalid(format!(
                    "say why {run} is rejected: people are told the reason"
                )));
            }
            Self::Reject { reason } => Event::Rejected { by, reason },
            Self::Settle { happened } => Event::Settled { by, happened },
            Self::Answer { step, answers } => {
                let Some(question) = answer::question(plan, state) else {
                    return Err(StoreError::Conflict(format!("{run} asks nothing")));
                };
                question.meant(&run.to_string(), step.as_deref()).map_err(StoreError::Conflict)?;
                let ask = question.ask;
                may(ask.tier)?;
                let answers = answer::check(ask, &answers)
                    .map_err(|wrong| StoreError::Invalid(format!("{run}: {}", wrong.join("; "))))?;
                Event::Answered { by, answers }
            }
        })
    }
}

impl Store {
    /// Writes a person's word into the journal of a run that waits for it, with the notices that `owed` makes of it.
    /// Returns the run as it is now. A word that this person may not say, or that does not fit, changes nothing, and uses
    /// up no link. Of two yeses or noes said at once, the later is heard after the first.
    pub async fn say(
        &self,
        run: RunId,
        speaker: Speaker<'_>,
        word: Word,
        owed: impl Fn(&Spoken<'_>) -> Vec<Owed>,
    ) -> Result<RunRow> {
        let again = matches!(word, Word::Approve { .. } | Word::Reject { .. });
        let mut tries = 0;
        loop {
            tries += 1;
            match self.say_once(run, speaker, word.clone(), &owed).await {
                Err(StoreError::Fenced | StoreError::Changed) if again && tries < TRIES => {}
                Err(StoreError::Changed) => {
                    return Err(StoreError::Conflict(format!(
                        "{run} has gone on meanwhile; look again"
                    )));
                }
                done => return done,
            }
        }
    }

    async fn say_once(
        &self,
        run: RunId,
        speaker: Speaker<'_>,
        word: Word,
        owed: impl Fn(&Spoken<'_>) -> Vec<Owed>,
    ) -> Result<RunRow> {
        let Some(row) = self.run(run).await? else {
            return Err(StoreError::Missing(format!("there is no run {run}")));
        };
        let Some(plan) = self.plan(run).await? else {
            return Err(StoreError::Corrupt(format!("{run} has no plan")));
        };
        self.unused(speaker.link).await?;
        let waits_for = word.waits_for();
        if row.state != waits_for {
            return Err(StoreError::Conflict(format!(
                "{run} is {}, not {}",
                row.state.as_str(),
                waits_for.as_str()
            )));
        }
        let corrupt =
            |illegal: Box<machine::IllegalEvent>| StoreError::Conflict(illegal.to_string());
        // judged before the run is taken, so that a wrong word leaves it as it is
        let seen = machine::fold(&plan, &self.journal(run).await?).map_err(corrupt)?;
        let event = word.into_event(run, &row.digest, speaker, &plan, &seen)?;
        let incident = self.incident(row.incident).await?;
        let mut claim = self.take_run(run, waits_for, LEASE).await?;
        let mut before = machine::fold(&claim.plan, &claim.entries).map_err(corrupt)?;
        if before.seq != seen.seq {
            self.release_run(&claim, Some(self.now())).await?;
            return Err(StoreError::Changed);
        }
        self.tell_run_of_jumps(&mut claim, &mut before, LEASE).await?;
        let now = self.now();
        let entry = Entry { seq: before.seq + 1, at: now, event };
        let state = machine::apply(&claim.plan, before.clone(), &entry).map_err(corrupt)?;
        let summary = state.summary();
        let left = Row {
            state: summary,
            outcome: stepping::outcome(&claim.plan, &state),
            inconclusive: state.inconclusive,
            due_at: (!summary.is_final()).then_some(now),
        };
        let owed = incident.as_ref().map_or_else(Vec::new, |incident| {
            owed(&Spoken { incident, run, plan: &claim.plan, states: (&before, &state), now })
        });
        let link = speaker.link.map(|digest| UsedLink { digest, by: speaker.name });
        let follows = Follows { link, ..Follows::default() };
        self.append_with(&mut claim, entry, &left, owed, follows).await?;
        self.run(run).await?.ok_or_else(|| StoreError::Missing(format!("there is no run {run}")))
    }

    /// Refuses a link that was used.
    async fn unused(&self, link: Option<&str>) -> Result<()> {
        let Some(digest) = link else { return Ok(()) };
        match self.link_used(digest).await? {
            None => Ok(()),
            Some((by, at)) => Err(used(&by, at)),
        }
    }

    /// Asks that a run stop before its next step, at once when nobody works on it. What is in flight ends first; undos
    /// are not begun.
    pub async fn cancel_run(&self, run: RunId, by: &str) -> Result<RunRow> {
        let done = sqlx::query(
            "UPDATE runs SET cancelled_by = $1,
               due_at = CASE WHEN owner = '' THEN $2 ELSE due_at END
             WHERE id = $3 AND is_final = 0 AND cancelled_by = ''",
        )
        .bind(by)
        .bind(micros(after(self.now(), Duration::ZERO)))
        .bind(run.0)
        .execute(&self.writer)
        .await?;
        let row = self.run(run).await?;
        match row {
            None => Err(StoreError::Missing(format!("there is no run {run}"))),
            Some(row) if done.rows_affected() == 0 && row.state.is_final() => {
                Err(StoreError::Conflict(format!("{run} has ended: {}", row.state.as_str())))
            }
            Some(row) => Ok(row),
        }
    }

    /// Why a run is asked to stop, if it is: a person cancelled it, or took its incident over.
    pub async fn stop_requested(&self, run: RunId) -> Result<Option<Stop>> {
        let row = sqlx::query(
            "SELECT r.cancelled_by, COALESCE(i.taken_by, '') AS taken_by FROM runs r
             LEFT JOIN incidents i ON i.id = r.incident AND i.status <> 'resolved' WHERE r.id = $1",
        )
        .bind(run.0)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (by, taken_by) = (text(&row, "cancelled_by")?, text(&row, "taken_by")?);
        Ok(match (by, taken_by) {
            (by, _) if by.is_empty() => None,
            (by, taken_by) if by == taken_by => Some(Stop::TakenOver { by }),
            (by, _) => Some(Stop::Cancelled { by }),
        })
    }
}
