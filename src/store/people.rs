//! What people say about runs. Written to the journal as any event; the engine does what follows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sqlx::Row as _;

use crate::decide::answer;
use crate::decide::machine;
use crate::decide::machine::State;
use crate::decide::tell;
use crate::model::incident::RunId;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::micros;
use crate::store::runs::Row;
use crate::store::runs::RunRow;

/// The claim of a person's word: it takes no time, so it is due at once afterwards.
const LEASE: Duration = Duration::from_secs(10);

/// Who speaks.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// Name, as it is kept.
    pub name: &'a str,
    /// Tier of the operator; 0 for a person who is none.
    pub tier: u8,
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
                may(plan.tier)?;
                if seen != digest {
                    return Err(StoreError::Conflict(format!(
                        "the plan of {run} is not the one that was looked at; look again"
                    )));
                }
                Event::Approved { by, digest: seen }
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
    /// Writes a person's word into the journal of a run that waits for it. Returns the run as it is now. A word that
    /// this person may not say, or that does not fit, changes nothing.
    pub async fn say(&self, run: RunId, speaker: Speaker<'_>, word: Word) -> Result<RunRow> {
        let Some(row) = self.run(run).await? else {
            return Err(StoreError::Missing(format!("there is no run {run}")));
        };
        let Some(plan) = self.plan(run).await? else {
            return Err(StoreError::Corrupt(format!("{run} has no plan")));
        };
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
        let mut claim = self.take_run(run, waits_for, LEASE).await?;
        let state = machine::fold(&claim.plan, &claim.entries).map_err(corrupt)?;
        if state.seq != seen.seq {
            self.release_run(&claim, Some(self.now())).await?;
            return Err(StoreError::Conflict(format!("{run} has gone on meanwhile; look again")));
        }
        let entry = crate::model::run::Entry { seq: state.seq + 1, at: self.now(), event };
        let state = machine::apply(&claim.plan, state, &entry).map_err(corrupt)?;
        let summary = state.summary();
        let left = Row {
            state: summary,
            outcome: if summary.is_final() {
                tell::outcome_line(&claim.plan, &state)
            } else {
                String::new()
            },
            inconclusive: state.inconclusive,
            due_at: (!summary.is_final()).then(|| self.now()),
        };
        self.append(&mut claim, entry, &left, Vec::new()).await?;
        self.run(run).await?.ok_or_else(|| StoreError::Missing(format!("there is no run {run}")))
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

    /// Who asked that a run stop.
    pub async fn cancel_requested(&self, run: RunId) -> Result<Option<String>> {
        let row = sqlx::query("SELECT cancelled_by FROM runs WHERE id = $1")
            .bind(run.0)
            .fetch_optional(&self.reader)
            .await?;
        let by: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(by.filter(|by| !by.is_empty()))
    }
}
