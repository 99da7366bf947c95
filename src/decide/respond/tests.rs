//! What is asked when, and what people are told.

use super::*;
use crate::decide::guard::tests::subject;
use crate::decide::machine;
use crate::model::incident::EpisodeId;

fn ruling(guard: &str, verdict: Verdict) -> Ruling {
    Ruling {
        guard: guard.into(),
        verdict,
        reason: "why".into(),
        measured: String::new(),
        limit: String::new(),
        knob: String::new(),
    }
}

#[test]
fn outside_is_asked_only_when_nothing_known_is_against_it() {
    let hold = || Verdict::Hold { until: Timestamp::UNIX_EPOCH };
    for (rulings, expected) in [
        (vec![], true),
        (vec![ruling("mode", Verdict::Ask)], true),
        (vec![ruling(guard::STALE, hold())], true),
        (vec![ruling("cooldown", hold())], false),
        (vec![ruling(guard::STALE, hold()), ruling("settle", hold())], false),
        (vec![ruling("still firing", Verdict::Refuse)], false),
    ] {
        assert_eq!(worth_asking(&rulings), expected, "{rulings:?}");
    }
    assert!(worth_looking(&Standing::NotAsked) && worth_looking(&Standing::Active));
    assert!(!worth_looking(&Standing::Silenced { by: vec![] }));
}

#[test]
fn a_decision_is_news_when_its_verdict_guard_or_remedy_differs() {
    let decision = |rulings: Vec<Ruling>, playbook: &str| {
        let (verdict, reason) = guard::conclude(&rulings);
        Decision {
            episode: EpisodeId(1),
            incident: None,
            rule: "r".into(),
            playbook: playbook.into(),
            target: "t".into(),
            verdict,
            reason,
            rulings,
            at: Timestamp::UNIX_EPOCH,
        }
    };
    let until = |second| Verdict::Hold { until: Timestamp::from_second(second).unwrap() };
    let held = decision(vec![ruling("settle", until(1))], "restart");
    assert!(same(&held, &decision(vec![ruling("settle", until(9))], "restart")));
    assert!(!same(&held, &decision(vec![ruling("cooldown", until(1))], "restart")));
    assert!(!same(&held, &decision(vec![ruling("settle", Verdict::Refuse)], "restart")));
    assert!(!same(&held, &decision(vec![ruling("settle", until(1))], "rollback")));
}

#[test]
fn facts_look_back_twice_as_far_as_the_longest_window() {
    let mut subject = subject();
    subject.limits.cooldown.value = Duration::from_hours(9);
    let playbook = Arc::new(machine::tests::playbook(Vec::new()));
    let candidate = Candidate { subject, playbook, round: 0, policy: None };
    assert_eq!(candidate.look_back(), Duration::from_hours(18));
}
