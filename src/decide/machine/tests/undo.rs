//! Undo: exactly what succeeded, the last first; what cannot be undone is stuck.

use super::*;

/// Undone steps in order, and how it ended.
fn check(steps: Vec<Step>, outcomes: &[Outcome], expected: &[usize]) {
    let mut run = Run::planned(plan(steps));
    for (step, outcome) in outcomes.iter().enumerate() {
        run = run.step(step, outcome.clone());
    }
    let mut undone = Vec::new();
    while let Effect::Undo { spot } = run.effect() {
        run = run.undo(spot.step, done());
        undone.push(spot.step);
    }
    assert_eq!(undone, expected);
    assert_eq!(run.state.phase, Phase::Final(RunState::Failed));
    for (step, record) in run.state.steps.iter().enumerate() {
        assert_eq!(*record == Record::Undone, expected.contains(&step), "step {step}: {record:?}");
    }
}

#[test]
fn what_succeeded_is_undone_in_reverse() {
    let abc = || vec![action("a"), action("b"), action("c")];
    check(abc(), &[done(), done(), failed()], &[1, 0]);
    check(abc(), &[done(), failed()], &[0]);
    check(abc(), &[failed()], &[]);
}

#[test]
fn what_has_no_undo_failed_or_was_skipped_is_left_out() {
    let goes_on = |step| Step { on_failure: OnFailure::Continue, ..step };
    check(
        vec![action("a"), without_undo(action("b")), action("c")],
        &[done(), done(), failed()],
        &[0],
    );
    check(
        vec![action("a"), goes_on(action("b")), action("c")],
        &[done(), failed(), failed()],
        &[0],
    );
    check(vec![action("a"), probe("b"), action("c")], &[done(), done(), failed()], &[0]);
    let run = Run::planned(plan(vec![action("a"), action("b"), action("c")]));
    let run = run.then(skipped(0)).step(1, done()).step(2, failed());
    assert_eq!(run.state.phase, Phase::Undoing { left: vec![of_step(1)] });
}

#[test]
fn what_did_not_help_is_undone() {
    let run = Run::planned(plan(vec![action("a"), action("b")])).step(0, done()).step(1, done());
    let run = run.then(Event::VerifyStarted).at(60).then(verified(Health::Unhealthy));
    let run = run.undo(1, done()).undo(0, done());
    run.ends(RunState::Failed, "did not help: looks unhealthy");
}

#[test]
fn what_a_person_says_happened_is_undone_as_well() {
    let run = Run::planned(plan(vec![action("a"), action("b")])).step(0, unknown());
    let run = run.then(settled(true)).step(1, failed()).undo(0, done());
    run.ends(RunState::Failed, "step 2 (b) failed: exit 1");
}

#[test]
fn an_undo_that_fails_is_stuck_and_nothing_more_is_undone() {
    for (outcome, why) in
        [(failed(), "exit 1"), (failed_for_now(), "exit 75"), (unknown(), "timed out")]
    {
        let run = Run::planned(plan(vec![action("a"), action("b"), action("c")]));
        let run = run.step(0, done()).step(1, done()).step(2, failed()).undo(1, outcome);
        run.ends(
            RunState::Stuck,
            &format!("step 3 (c) failed: exit 1; undoing step 2 failed: {why}"),
        );
        assert_eq!(run.state.steps[1], Record::UndoFailed { reason: why.into() });
        assert!(matches!(run.state.steps[0], Record::Done { .. }));
    }
}

#[test]
fn an_undo_that_cannot_be_rendered_is_stuck() {
    let run = Run::planned(plan(vec![action("a"), action("b")])).step(0, done()).step(1, failed());
    run.refuses(&undo_ended(0, done()));
    let run = run.then(undo_ended(0, failed()));
    run.ends(RunState::Stuck, "step 2 (b) failed: exit 1; undoing step 1 failed: exit 1");
}

#[test]
fn an_undo_in_flight_at_a_crash_is_repeated_only_if_that_changes_nothing() {
    let run = |on_unknown| {
        let steps = vec![Step { on_unknown, ..action("a") }, action("b"), action("c")];
        let run = Run::planned(plan(steps)).step(0, done()).step(1, done()).step(2, failed());
        run.undo(1, done()).then(undo_started(0)).crash()
    };
    run(OnUnknown::Retry).undo(0, done()).ends(RunState::Failed, "step 3 (c) failed: exit 1");
    for on_unknown in [OnUnknown::Ask, OnUnknown::Probe] {
        let reason = "step 3 (c) failed: exit 1; undoing step 1 failed: quell stopped while the undo was in flight";
        run(on_unknown).ends(RunState::Stuck, reason);
    }
}
