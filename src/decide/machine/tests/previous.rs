//! `undo: previous`: what a step was made to before it began is what it is repeated as and taken back by.

use super::*;
use crate::decide::stepping;
use crate::decide::stepping::Begin;
use crate::model::action::Kubernetes;
use crate::model::config::Config;

fn scale(from: Option<u32>, to: Option<u32>) -> Action {
    let mut scale = serde_json::json!({
        "cluster": "prod", "namespace": "shop", "workload": { "kind": "deployment", "name": "api" }, "by": 2,
    });
    scale["from"] = from.into();
    scale["to"] = to.into();
    serde_json::from_value(serde_json::json!({ "kubernetes.scale": scale })).unwrap()
}

/// A step that scales by two, and is tried again when nobody knows.
fn scaling() -> Step {
    Step {
        what: What::Action(scale(None, None)),
        undo: Some(Undo::Previous),
        on_unknown: OnUnknown::Retry,
        retry: Retry { times: 3, backoff: Duration::ZERO },
        ..action("scale")
    }
}

/// Begun as a look at the target made it.
fn prepared(attempt: u32, from: u32, to: u32) -> Event {
    let action = scale(Some(from), Some(to));
    let previous = action.reverse("r-1/1").map(Box::new);
    let intent = Intent { action: Some(action), previous, ..intent(0) };
    Event::StepStarted { step: 0, item: None, attempt, intent }
}

fn begins(run: &Run, attempt: u32) -> Begin {
    let limits = Config::default().limits;
    stepping::begin(&run.plan, "r-1", &run.state, (of_step(0), attempt), &limits).unwrap()
}

fn numbers(intent: &Intent) -> (Option<u32>, Option<u32>) {
    let Some(Action::Kubernetes(Kubernetes::Scale(it))) = &intent.action else { panic!() };
    (it.from, it.to)
}

#[test]
fn a_step_that_may_have_happened_is_repeated_as_it_was() {
    let run = Run::planned(plan(vec![scaling()]));
    assert!(matches!(begins(&run, 1), Begin::Prepare(_)), "its target is looked at first");
    let begun = run.then(prepared(1, 3, 5));
    for run in [begun.clone().crash(), begun.clone().then(ended(0, unknown()))] {
        let Begin::Act(again) = begins(&run, 2) else { panic!("looked at anew, it would be 7") };
        assert_eq!(numbers(&again), (Some(3), Some(5)));
        // a later try that fails for sure says nothing of the first
        let run = run.then(prepared(2, 3, 5)).then(ended(0, failed_for_now()));
        let Begin::Act(again) = begins(&run, 3) else { panic!("looked at anew, it would be 7") };
        assert_eq!(numbers(&again), (Some(3), Some(5)));
    }
    let run = begun.then(ended(0, failed_for_now()));
    assert!(matches!(begins(&run, 2), Begin::Prepare(_)), "it did not happen");
}

#[test]
fn what_a_person_says_did_not_happen_is_looked_at_anew() {
    let step = Step { on_unknown: OnUnknown::Ask, ..scaling() };
    let run = Run::planned(plan(vec![step])).then(prepared(1, 3, 5)).crash().then(settled(false));
    assert!(matches!(begins(&run, 2), Begin::Prepare(_)));
}

#[test]
fn what_was_there_before_is_restored() {
    let run = Run::planned(plan(vec![scaling(), action("b")]));
    let run = run.then(prepared(1, 3, 5)).then(ended(0, done())).step(1, failed());
    let spot = of_step(0);
    assert_eq!(run.effect(), Effect::Undo { spot });
    let Begin::Act(undo) = stepping::begin_undo(&run.plan, "r-1", &run.state, spot).unwrap() else {
        panic!()
    };
    assert_eq!(numbers(&undo), (Some(5), Some(3)));
    assert_eq!(undo.key, "r-1/1/undo");
    run.undo(0, done()).ends(RunState::Failed, "step 2 (b) failed: exit 1");
}

#[test]
fn what_changed_nothing_has_nothing_to_restore() {
    let run = Run::planned(plan(vec![scaling(), action("b")]));
    let run = run.then(prepared(1, 5, 5)).then(ended(0, done())).step(1, failed());
    run.ends(RunState::Failed, "step 2 (b) failed: exit 1");
}

#[test]
fn a_target_that_cannot_be_looked_at_fails_the_try_and_nothing_began() {
    let run = Run::planned(plan(vec![scaling()]));
    let run = run.then(ended(0, failed_for_now()));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 2 });
    assert!(!run.state.acted);
    let run = run.then(ended(0, denied()));
    assert!(matches!(run.state.phase, Phase::Final(RunState::Failed)), "{:?}", run.state.phase);
    let run = Run::planned(plan(vec![scaling()]));
    run.refuses(&ended(0, unknown()));
}
