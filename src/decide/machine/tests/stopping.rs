//! Approval, rejection, expiry; and what stops a run between steps.

use super::*;

fn proposal() -> Plan {
    in_mode(Mode::Approve, plan(vec![action("a"), action("b")]))
}

#[test]
fn an_approval_is_bound_to_the_plan_that_was_looked_at() {
    let run = Run::planned(proposal());
    assert_eq!(run.effect(), Effect::AskPerson);
    for digest in ["", "d16e5", "D16E57", "another"] {
        run.refuses(&approved(digest));
    }
    let run = run.then(approved(DIGEST));
    assert_eq!(run.state.approved_by, ["ada"]);
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 1 });
    run.refuses(&approved(DIGEST));
    run.refuses(&rejected());
    run.refuses(&Event::Expired);
}

#[test]
fn a_rejection_says_who_and_why() {
    Run::planned(proposal()).then(rejected()).ends(RunState::Rejected, "rejected by ada: not now");
}

#[test]
fn a_proposal_expires_at_its_time() {
    let plan = Plan { approve_until: Some(at(900)), ..proposal() };
    let run = Run::planned(plan).at(899);
    assert_eq!(run.effect(), Effect::Sleep { until: at(900) });
    let run = run.at(900);
    assert_eq!(run.effect(), Effect::Write(Event::Expired));
    run.then(Event::Expired).ends(RunState::Expired, "nobody approved in time");
}

#[test]
fn in_mode_observe_nothing_is_done() {
    let run = Run::planned(in_mode(Mode::Observe, plan(vec![action("a")])));
    assert_eq!(run.effect(), Effect::Write(Event::Observed));
    assert_eq!(run.state.summary(), RunState::Planned);
    run.then(Event::Observed).ends(RunState::Observed, "mode observe: it would have run");
}

#[test]
fn before_anything_was_done_every_stop_is_free() {
    let waiting = |plan| Run::planned(plan);
    let ready = || Run::planned(plan(vec![action("a")]));
    let in_wait = || Run::planned(plan(vec![wait("a", seconds(60)), action("b")])).begin(0, 1);
    for run in [waiting(proposal()), ready(), in_wait()] {
        for (why, state, reason) in [
            (Stop::Resolved, RunState::Superseded, "the alert resolved"),
            (already_healthy(), RunState::Superseded, "nothing to remedy: 0.01"),
            (refused(), RunState::Superseded, "silence: silenced by bob"),
            (
                changed(),
                RunState::Superseded,
                "no longer what was proposed: playbook a was changed",
            ),
            (taken_over(), RunState::Superseded, "taken over by ada"),
            (cancelled(), RunState::Cancelled, "cancelled by ada"),
        ] {
            run.clone().then(stopped(why)).ends(state, reason);
        }
    }
}

#[test]
fn after_acting_a_resolution_lets_the_verification_have_the_last_word() {
    let acted = Run::planned(plan(vec![action("a"), action("b")])).step(0, done());
    let in_doubt = Run::planned(plan(vec![action("a")])).step(0, unknown());
    for run in [acted, in_doubt] {
        let run = run.then(stopped(Stop::Resolved));
        assert_eq!(run.effect(), Effect::Write(Event::VerifyStarted));
    }
    let acted = Run::planned(unverified(plan(vec![action("a"), action("b")]))).step(0, done());
    acted.then(stopped(Stop::Resolved)).ends(RunState::Cancelled, "the alert resolved");
}

#[test]
fn after_acting_every_other_stop_leaves_things_as_they_are() {
    let acted = || Run::planned(plan(vec![action("a"), action("b")])).step(0, done());
    let verifying = || acted().step(1, done()).then(Event::VerifyStarted);
    for run in [acted(), verifying()] {
        for (why, reason) in [
            (already_healthy(), "nothing to remedy: 0.01"),
            (refused(), "silence: silenced by bob"),
            (cancelled(), "cancelled by ada"),
            (taken_over(), "taken over by ada"),
        ] {
            let run = run.clone().then(stopped(why));
            run.ends(RunState::Cancelled, reason);
            assert!(matches!(run.state.steps[0], Record::Done { .. }), "nothing was undone");
        }
    }
}

#[test]
fn a_resolution_while_it_is_watched_changes_nothing() {
    let run = Run::planned(plan(vec![action("a")])).step(0, done());
    assert_eq!(run.clone().then(stopped(Stop::Resolved)).state.phase, Phase::ToVerify);
    let run = run.then(Event::VerifyStarted).then(verified(Health::Healthy));
    let before = run.state.phase.clone();
    assert_eq!(run.then(stopped(Stop::Resolved)).state.phase, before);
}

#[test]
fn nothing_stops_what_is_in_flight_or_being_undone() {
    let in_flight = Run::planned(plan(vec![action("a")])).begin(0, 1);
    let undoing =
        Run::planned(plan(vec![action("a"), action("b")])).step(0, done()).step(1, failed());
    let undo_in_flight = undoing.clone().then(undo_started(0));
    for run in [in_flight, undoing, undo_in_flight] {
        for why in
            [Stop::Resolved, already_healthy(), refused(), cancelled(), taken_over(), changed()]
        {
            run.refuses(&stopped(why));
        }
    }
}
