//! What the store does with runs, as far as claims, leases and fences go: `store/runs.rs` and `store/people.rs` in small.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

use jiff::Timestamp;

use crate::decide::machine;
use crate::decide::machine::Phase;
use crate::decide::machine::Record;
use crate::decide::machine::State;
use crate::decide::stepping;
use crate::model::playbook::OnUnknown;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::model::run::RunState;

/// A state of the machine with a number: the same for states that the same may follow from. Copies are cheap.
#[derive(Debug, Clone)]
pub(super) struct Known(Rc<(State, i64)>);

thread_local! {
    static NUMBERS: RefCell<HashMap<String, i64>> = RefCell::default();
}

impl Known {
    fn new(state: State, plan: &Plan) -> Self {
        let number = NUMBERS.with_borrow_mut(|numbers| {
            let next = i64::try_from(numbers.len()).unwrap();
            *numbers.entry(without_words(&state, plan)).or_insert(next)
        });
        Self(Rc::new((state, number)))
    }

    pub(super) fn number(&self) -> i64 {
        self.0.1
    }
}

impl Deref for Known {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0.0
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Known {}

/// Without texts and counts that no later decision needs.
fn without_words(state: &State, plan: &Plan) -> String {
    let mut state = state.clone();
    state.seq = 0;
    state.reason.clear();
    // beyond these, one more try changes nothing that may follow
    let counts = plan.playbook.steps.iter().any(|step| step.on_unknown == OnUnknown::Retry);
    let most = |attempt: u32| attempt.min(if counts { 5 } else { 1 });
    state.phase = match state.phase {
        Phase::Ready { step, item, attempt, at } => {
            Phase::Ready { step, item, attempt: most(attempt), at }
        }
        Phase::InFlight { step, item, attempt } => {
            Phase::InFlight { step, item, attempt: most(attempt) }
        }
        Phase::InDoubt { step, item, attempt } => {
            Phase::InDoubt { step, item, attempt: most(attempt) }
        }
        other => other,
    };
    for record in &mut state.steps {
        match record {
            Record::Done { summary, .. } => summary.clear(),
            Record::Failed { reason }
            | Record::Skipped { reason }
            | Record::UndoFailed { reason } => reason.clear(),
            Record::Pending | Record::Undone => {}
        }
    }
    format!("{state:?}")
}

/// Instants, in whatever unit.
pub(super) type Tick = i64;
/// `due_at` of what waits for nothing.
pub(super) const NEVER: Tick = Tick::MAX;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) plan: usize,
    pub(super) attempt: i64,
    /// Who holds it; empty for nobody.
    pub(super) owner: String,
    pub(super) due: Tick,
    pub(super) cancelled: bool,
    pub(super) state: Known,
}

impl Row {
    pub(super) fn is_final(&self) -> bool {
        self.state.summary().is_final()
    }
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) run: usize,
    pub(super) attempt: i64,
    pub(super) state: Known,
}

/// As the store's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Fenced,
    Changed,
    Conflict,
}

/// The tables.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) now: Tick,
    pub(super) version: i64,
    pub(super) rows: Vec<Row>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { now: 0, version: 0, rows: Vec::new() }
    }

    /// `create_run` of a plan, if nothing changed since `version`, no run of the same remedy was made for the same episode,
    /// and none that is active holds the target.
    pub(super) fn create(
        &mut self,
        plans: &[Plan],
        version: i64,
        plan: usize,
        (digest, at): (&str, Timestamp),
    ) -> Result<usize, Refused> {
        let of = |row: &Row| &plans[row.plan];
        let new = &plans[plan];
        let once = |row: &Row| {
            (of(row).episode, &of(row).rule, of(row).remedy) == (new.episode, &new.rule, new.remedy)
        };
        let taken = |row: &Row| !row.is_final() && of(row).target == new.target;
        if version != self.version || self.rows.iter().any(|row| once(row) || taken(row)) {
            return Err(Refused::Changed);
        }
        self.version += 1;
        let first = Entry { seq: 1, at, event: Event::Planned { digest: digest.to_owned() } };
        let state = machine::fold(new, std::slice::from_ref(&first)).unwrap();
        let owner = String::new();
        let state = Known::new(state, new);
        self.rows.push(Row { plan, attempt: 0, owner, due: self.now, cancelled: false, state });
        Ok(self.rows.len() - 1)
    }

    /// `claim_run`.
    pub(super) fn claim(&mut self, owner: &str, lease: Tick) -> Option<Claim> {
        let due = |row: &Row| row.due <= self.now && !row.is_final();
        let due = self.rows.iter().enumerate().filter(|(_, row)| due(row));
        let run = due.min_by_key(|(run, row)| (row.due, *run))?.0;
        let row = &mut self.rows[run];
        row.attempt += 1;
        row.due = self.now + lease;
        owner.clone_into(&mut row.owner);
        Some(Claim { run, attempt: row.attempt, state: row.state.clone() })
    }

    fn held(&mut self, claim: &Claim) -> Result<&mut Row, Refused> {
        let row = &mut self.rows[claim.run];
        if row.attempt == claim.attempt && !row.is_final() { Ok(row) } else { Err(Refused::Fenced) }
    }

    /// `append`, of an event that the claim's state allows.
    pub(super) fn append(
        &mut self,
        plans: &[Plan],
        claim: &mut Claim,
        (event, at): (Event, Timestamp),
        lease: Tick,
    ) -> Result<(), Refused> {
        let now = self.now;
        let entry = Entry { seq: claim.state.seq + 1, at, event };
        let row = self.held(claim)?;
        if row.state.seq != claim.state.seq {
            return Err(Refused::Fenced);
        }
        let state = machine::apply(&plans[row.plan], (*claim.state).clone(), &entry).unwrap();
        let state = Known::new(state, &plans[row.plan]);
        row.due = if state.summary().is_final() { NEVER } else { now + lease };
        row.state = state.clone();
        claim.state = state;
        if row.is_final() {
            self.version += 1;
        }
        Ok(())
    }

    /// `release_run`.
    pub(super) fn release(&mut self, claim: &Claim, due: Option<Tick>) {
        let now = self.now;
        if let Ok(row) = self.held(claim) {
            row.owner.clear();
            row.due = if row.cancelled { now } else { due.unwrap_or(NEVER) };
        }
    }

    /// `renew_run`.
    pub(super) fn renew(&mut self, claim: &Claim, lease: Tick) -> Result<(), Refused> {
        let now = self.now;
        self.held(claim)?.due = now + lease;
        Ok(())
    }

    /// `take_run`.
    pub(super) fn take(
        &mut self,
        run: usize,
        waits: RunState,
        lease: Tick,
    ) -> Result<Claim, Refused> {
        let now = self.now;
        let row = &mut self.rows[run];
        if row.state.summary() != waits {
            return Err(Refused::Conflict);
        }
        row.attempt += 1;
        "person".clone_into(&mut row.owner);
        row.due = now + lease;
        Ok(Claim { run, attempt: row.attempt, state: row.state.clone() })
    }

    /// `cancel_run`.
    pub(super) fn cancel(&mut self, run: usize) -> Result<(), Refused> {
        let now = self.now;
        let row = &mut self.rows[run];
        match (row.is_final(), row.cancelled) {
            (true, _) => return Err(Refused::Conflict),
            (false, true) => {}
            (false, false) => {
                row.cancelled = true;
                if row.owner.is_empty() {
                    row.due = now;
                }
            }
        }
        Ok(())
    }

    /// `wake_waiting_runs`.
    pub(super) fn wake_waiting(&mut self, plans: &[Plan], episode: i64) {
        for row in &mut self.rows {
            let waits = matches!(
                row.state.summary(),
                RunState::AwaitingApproval | RunState::AwaitingAnswer | RunState::InDoubt
            );
            if waits && plans[row.plan].episode.0 == episode {
                row.due = self.now;
                row.attempt += 1;
            }
        }
    }

    /// What `outcome` would be in the row.
    pub(super) fn outcome(&self, plans: &[Plan], run: usize) -> String {
        let row = &self.rows[run];
        stepping::outcome(&plans[row.plan], &row.state)
    }
}
