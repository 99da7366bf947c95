//! What happened in the world, and what is promised of it.

use super::*;

/// What happened in the world, as far as the journal says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent memories, not a state")]
pub(super) struct Ghost {
    /// A step or an undo that was begun and not ended.
    in_flight: bool,
    /// What happened and was not taken back, in order.
    done: Vec<Spot>,
    /// What happened, ever.
    ever_done: Vec<Spot>,
    /// Between two waves: the item for which it was seen to be healthy.
    cleared: Option<usize>,
    /// A person said no, or the run was stopped.
    stopped: bool,
    /// For another reason than that the alert resolved.
    abandoned: bool,
    /// An undo failed, or nobody knows whether it happened.
    undo_failed: bool,
    /// The first undo was begun.
    undoing: bool,
    /// Who said yes, each once.
    yeses: Vec<String>,
    /// Somebody broke the glass.
    lifted: bool,
    /// It is known what must not get worse.
    measured: bool,
    /// What the last look at it said, since the last crash and the last effect.
    harm: Option<Health>,
}

impl Ghost {
    /// Takes note of an event that the machine accepted, and checks that it might happen.
    #[expect(clippy::too_many_lines, reason = "one list of promises, an event each")]
    pub(super) fn after(
        mut self,
        plan: &Plan,
        before: &State,
        event: &Event,
        after: &State,
    ) -> Self {
        let can_undo = |spot: &&Spot| plan.playbook.steps[spot.step].undo.is_some();
        match event {
            Event::DryRun { .. } => assert_eq!(before.phase, Phase::Observing),
            Event::StepStarted { step, item, .. } => {
                let spot = Spot { step: *step, item: *item };
                assert!(!self.in_flight, "two effects in flight");
                assert!(!self.stopped, "a step after a stop or a refusal");
                assert!(!self.undoing, "a step after an undo");
                let enough = self.yeses.len() >= usize::from(plan.approvals) || self.lifted;
                assert!(plan.mode != Mode::Approve || enough, "n-1 people are not n");
                assert!(self.measured || !is_guarded(plan), "a step without a baseline");
                assert_ne!(self.harm, Some(Health::Unhealthy), "a step after harm");
                assert!(!self.ever_done.contains(&spot), "what was done is begun again");
                assert!(!matches!(
                    before.phase,
                    Phase::AwaitingApproval | Phase::Observing | Phase::Asking { .. }
                ));
                let waits = matches!(plan.playbook.steps[*step].what, What::Wait(_));
                let each = plan.playbook.steps[*step].each.as_ref();
                if let (Some(each), Some(item)) = (each, item) {
                    let ends = wave_ends(&each.waves, ITEMS.len());
                    if (each.between.is_some() || is_guarded(plan)) && ends.contains(item) {
                        assert_eq!(self.cleared, Some(*item), "a wave that nothing cleared");
                    }
                }
                // waiting is no effect: it may be stopped at any time
                self.in_flight = !waits;
                self.harm = None;
            }
            Event::Baseline { .. } => {
                assert!(!self.measured && !before.acted, "measured after the first step");
                self.measured = true;
            }
            Event::Compared { seen } => {
                self.harm = Some(seen.health);
                let undoes =
                    matches!(after.phase, Phase::Undoing { .. } | Phase::Final(RunState::Failed));
                assert_eq!(
                    undoes,
                    seen.health == Health::Unhealthy,
                    "harm alone is undone at once"
                );
            }
            Event::Listed { step, .. } => {
                assert!(!before.lists.contains_key(step), "listed twice");
            }
            Event::Looked { item, outcome, .. } => match outcome {
                Outcome::Done { .. } => {
                    assert!(
                        self.harm == Some(Health::Healthy) || !is_guarded(plan),
                        "a wave while nobody knows"
                    );
                    self.cleared = Some(*item);
                }
                Outcome::Failed { .. } | Outcome::Denied { .. } | Outcome::Unknown { .. } => {
                    assert!(
                        matches!(
                            after.phase,
                            Phase::Undoing { .. } | Phase::Final(RunState::Failed)
                        ),
                        "it goes on when something is worse"
                    );
                }
            },
            Event::UndoStarted { step, item, .. } => {
                assert!(!self.in_flight, "two effects in flight");
                assert!(!self.abandoned, "an undo after a stop or a refusal");
                let last = self.done.iter().rev().find(can_undo);
                let spot = Spot { step: *step, item: *item };
                assert_eq!(last, Some(&spot), "undone in another order than the reverse");
                (self.in_flight, self.undoing) = (true, true);
            }
            Event::StepEnded { step, item, outcome, .. } => {
                self.in_flight = false;
                if matches!(outcome, Outcome::Done { .. }) {
                    self.happened(Spot { step: *step, item: *item });
                }
            }
            Event::UndoEnded { step, item, outcome } => {
                self.in_flight = false;
                let spot = Spot { step: *step, item: *item };
                match outcome {
                    Outcome::Done { .. } => self.done.retain(|done| *done != spot),
                    Outcome::Failed { .. } | Outcome::Denied { .. } | Outcome::Unknown { .. } => {
                        self.undo_failed = true;
                    }
                }
            }
            Event::Interrupted => {
                self.in_flight = false;
                self.harm = None;
                if let Phase::UndoInFlight { spot, .. } = &before.phase {
                    let repeats = plan.playbook.steps[spot.step].on_unknown == OnUnknown::Retry;
                    self.undo_failed = !repeats;
                }
            }
            Event::Answered { .. } => {
                assert!(!self.stopped && !self.in_flight, "an answer that nobody waits for");
            }
            Event::ReadBack { seen } if seen.health == Health::Healthy => self.doubtless(before),
            Event::Verified { seen } if seen.health == Health::Unknown => {
                assert!(!matches!(after.phase, Phase::Undoing { .. }), "an undo on no evidence");
            }
            Event::Settled { happened: true, .. } => self.doubtless(before),
            Event::Stopped { why } => {
                self.stopped = true;
                self.abandoned |= *why != Stop::Resolved;
            }
            Event::Rejected { .. } | Event::Expired | Event::Observed => {
                (self.stopped, self.abandoned) = (true, true);
            }
            Event::Approved { by, digest } => {
                assert_eq!(digest, DIGEST, "a yes to another plan");
                assert!(!self.stopped, "a yes after a stop or a refusal");
                assert!(!self.yeses.contains(by), "one person counts twice");
                assert_ne!(*by, plan.proposed_by, "who asks for it approves it");
                self.yeses.push(by.clone());
            }
            Event::Lifted { .. } => self.lifted = true,
            Event::Sliced { .. } => self.in_flight = false,
            Event::Planned { .. }
            | Event::ClockSet { .. }
            | Event::Restored { .. }
            | Event::Asked { .. }
            | Event::StepSkipped { .. }
            | Event::ReadBack { .. }
            | Event::Settled { .. }
            | Event::VerifyStarted
            | Event::Verified { .. } => {}
        }
        self.check_end(plan, after);
        self
    }

    fn happened(&mut self, spot: Spot) {
        self.done.push(spot);
        self.ever_done.push(spot);
    }

    /// What is in doubt happened.
    fn doubtless(&mut self, before: &State) {
        if let Phase::InDoubt { step, item, .. } | Phase::ReadingBack { step, item, .. } =
            &before.phase
        {
            self.happened(Spot { step: *step, item: *item });
        }
    }

    fn check_end(&self, plan: &Plan, after: &State) {
        let Phase::Final(end) = &after.phase else { return };
        assert!(!self.in_flight, "ended with an effect in flight");
        assert_eq!(
            *end == RunState::Stuck,
            self.undo_failed,
            "stuck if and only if an undo failed"
        );
        let undoable = self.done.iter().any(|it| plan.playbook.steps[it.step].undo.is_some());
        match end {
            RunState::Failed if after.inconclusive => {
                assert!(!self.undoing, "undone on no evidence");
            }
            RunState::Failed => assert!(!undoable, "failed, and not all was undone"),
            RunState::Superseded | RunState::Observed | RunState::Rejected | RunState::Expired => {
                assert!(!after.acted, "{end:?} after acting");
            }
            RunState::Fixed | RunState::Cancelled => {
                assert!(!self.undoing, "{end:?} after an undo");
                assert!(
                    *end == RunState::Cancelled
                        || !is_guarded(plan)
                        || self.harm == Some(Health::Healthy),
                    "fixed while nobody knows whether it did harm"
                );
            }
            RunState::Stuck => {}
            RunState::Planned
            | RunState::AwaitingApproval
            | RunState::Running
            | RunState::AwaitingAnswer
            | RunState::InDoubt
            | RunState::Verifying
            | RunState::Undoing => panic!("{end:?} is no end"),
        }
    }
}
