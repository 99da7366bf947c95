//! G11: a plan begins when enough different people said yes, and none of them asked for it.

use super::*;

fn needs(approvals: u8) -> Run {
    let plan = in_mode(Mode::Approve, plan(vec![action("a")]));
    Run::planned(Plan { approvals, approve_until: Some(at(900)), ..plan })
}

/// Given a plan that n people must approve, when n-1 did, then it waits; when the n-th does, it begins.
#[test]
fn g11_n_minus_one_approvals_wait_and_n_begin() {
    let people = ["ada", "bob", "cem", "dan", "eve"];
    for n in 1..=5_u8 {
        let mut run = needs(n);
        for by in &people[..usize::from(n) - 1] {
            run = run.then(approved_by(by));
            assert_eq!(run.state.phase, Phase::AwaitingApproval, "{by} of {n}");
            assert_eq!(run.effect(), Effect::Sleep { until: at(900) });
            assert_eq!(run.state.summary(), RunState::AwaitingApproval);
        }
        let run = run.then(approved_by(people[usize::from(n) - 1]));
        assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 1 }, "{n}");
        assert_eq!(run.state.summary(), RunState::Running);
        assert_eq!(run.state.approved_by, people[..usize::from(n)]);
    }
}

#[test]
fn g11_the_same_person_and_the_one_who_asked_do_not_count() {
    let run = needs(2).then(approved_by("ada"));
    run.refuses(&approved_by("ada"));
    let asked = Plan { proposed_by: "ada".into(), ..needs(1).plan };
    let run = Run::planned(asked);
    run.refuses(&approved_by("ada"));
    run.then(approved_by("bob")).begin(0, 1);
}

#[test]
fn g11_too_few_in_time_are_none() {
    let run = needs(2).then(approved_by("ada")).at(899);
    assert_eq!(run.effect(), Effect::Sleep { until: at(900) });
    let run = run.at(900);
    assert_eq!(run.effect(), Effect::Write(Event::Expired));
    run.then(Event::Expired).ends(RunState::Expired, "only 1 of 2 people approved in time");
}

#[test]
fn g11_one_no_outweighs_any_number_of_yeses() {
    needs(3)
        .then(approved_by("bob"))
        .then(approved_by("cem"))
        .then(rejected())
        .ends(RunState::Rejected, "rejected by ada: not now");
}

#[test]
fn g11_broken_glass_begins_what_waits_and_says_who_broke_it() {
    let run = needs(2).then(approved_by("ada")).then(lifted());
    assert_eq!(run.state.lifted_by.as_deref(), Some("eve"));
    run.begin(0, 1).refuses(&lifted());
    needs(1).then(approved_by("ada")).refuses(&lifted());
}

#[test]
fn g11_what_was_approved_and_is_no_longer_what_would_be_done_is_superseded() {
    let run = needs(1).then(approved_by("ada")).then(stopped(changed()));
    assert!(run.state.withdrawn);
    run.ends(RunState::Superseded, "no longer what was proposed: playbook a was changed");
}
