//! `ask`: a question waits for its answer, and not for ever.

use super::*;

fn asking() -> Run {
    let steps = vec![action("a"), ask("q", seconds(60)), action("b")];
    Run::planned(plan(steps)).step(0, done()).then(asked(1))
}

#[test]
fn a_question_waits_for_a_person() {
    let run = asking();
    assert_eq!(run.state.summary(), RunState::AwaitingAnswer);
    assert_eq!(run.effect(), Effect::Sleep { until: at(60) });
    for event in [started(1, 1), ended(1, done()), ended(1, failed()), settled(true), asked(1)] {
        run.refuses(&event);
    }
    let run = run.at(3_000).then(answered(true));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(2), attempt: 1 });
    let Record::Done { summary, output } = &run.state.steps[1] else { panic!() };
    assert_eq!(summary, "ada said yes");
    assert_eq!(*output, serde_json::json!({ "answer": true }));
}

#[test]
fn no_fails_the_step() {
    let run = asking().then(answered(false)).undo(0, done());
    run.ends(RunState::Failed, "step 2 (q) failed: ada said no");
    let step = Step { on_failure: OnFailure::Continue, ..ask("q", seconds(60)) };
    let run = Run::planned(plan(vec![step, action("b")])).then(asked(0)).then(answered(false));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
    assert!(!run.state.acted);
}

#[test]
fn answers_that_were_declared_are_the_output() {
    let mut step = ask("q", seconds(60));
    let declared = crate::model::playbook::Parameter {
        kind: crate::model::playbook::ParameterKind::Integer,
        required: true,
        default: None,
        pattern: None,
        min: None,
        max: None,
        secret: false,
        description: String::new(),
    };
    if let What::Ask(ask) = &mut step.what {
        ask.answers.insert("replicas".into(), declared);
    }
    let run = Run::planned(plan(vec![step, action("b")])).then(asked(0));
    let answers = BTreeMap::from([("replicas".to_owned(), Value::from(3))]);
    let run = run.then(Event::Answered { by: "ada".into(), answers });
    let Record::Done { summary, output } = &run.state.steps[0] else { panic!() };
    assert_eq!(summary, "ada answered replicas=3");
    assert_eq!(*output, serde_json::json!({ "replicas": 3 }));
}

#[test]
fn nobody_answers_for_ever() {
    let run = asking().at(60);
    let Effect::Write(event) = run.effect() else { panic!("{:?}", run.effect()) };
    let run = run.then(event).undo(0, done());
    run.ends(RunState::Failed, "step 2 (q) failed: nobody answered within 1m");
}

#[test]
fn a_question_may_be_stopped() {
    let free = || Run::planned(plan(vec![ask("q", seconds(60)), action("b")])).then(asked(0));
    free().then(stopped(Stop::Resolved)).ends(RunState::Superseded, "the alert resolved");
    free().then(stopped(cancelled())).ends(RunState::Cancelled, "cancelled by ada");
    let run = asking().then(stopped(Stop::Resolved));
    assert_eq!(run.state.phase, Phase::ToVerify);
}

#[test]
fn only_an_ask_asks() {
    Run::planned(plan(vec![action("a")])).refuses(&asked(0));
    let run = Run::planned(plan(vec![ask("q", seconds(60))]));
    run.refuses(&started(0, 1));
    run.refuses(&asked(1));
}
