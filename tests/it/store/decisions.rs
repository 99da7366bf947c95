//! Decisions are stored when they say something new; pauses stay until a person clears them.

use std::collections::BTreeSet;

use quell::model::decision::Decision;
use quell::model::decision::Ruling;
use quell::model::decision::Verdict;

use super::*;

on_each_engine!(
    a_decision_is_stored_when_it_says_something_new,
    of_many_who_judge_at_once_one_writes_it_down,
    first_decisions_are_stored_together_but_for_what_was_touched,
    who_waits_is_woken_by_name,
    decisions_are_listed_the_newest_first,
    a_pause_stays_as_it_was_first_said,
);

fn ruling(guard: &str, verdict: Verdict) -> Ruling {
    Ruling {
        guard: guard.into(),
        verdict,
        reason: "because".into(),
        measured: "3 runs".into(),
        limit: "3 per 1h".into(),
        knob: "rate (rules/api.yml:27)".into(),
    }
}

fn decision(guard: &str, verdict: Verdict) -> Decision {
    Decision {
        episode: EpisodeId(1),
        incident: Some(IncidentId(1)),
        rule: "r".into(),
        playbook: "restart".into(),
        target: "t".into(),
        verdict: verdict.clone(),
        reason: format!("{guard}: because\0"),
        rulings: vec![ruling("firing", Verdict::Proceed), ruling(guard, verdict)],
        at: at(0),
    }
}

async fn first_decisions_are_stored_together_but_for_what_was_touched(db: Database) {
    let store = db.store().await;
    for number in 0..40 {
        fire(&store, &format!("A{number}")).await;
    }
    let due = store.claim_episodes(LEASE, 100).await.unwrap();
    assert_eq!(due.len(), 40);
    accept(&store, delivery(vec![resolved("A7", 0, 5)])).await.unwrap();
    let decisions: Vec<Decision> = due
        .iter()
        .map(|it| Decision {
            episode: it.episode.id,
            rule: String::new(),
            ..decision("none", Verdict::Refuse)
        })
        .collect();
    let done = store.decide_first(&decisions).await.unwrap();
    let touched = store.latest_episode(&labels("A7").fingerprint()).await.unwrap().unwrap().id;
    let all: BTreeSet<EpisodeId> = due.iter().map(|it| it.episode.id).collect();
    let missing: Vec<_> = all.difference(&done).collect();
    assert_eq!((done.len(), missing), (39, vec![&touched]));
    for decision in &decisions {
        let last = store.last_decision(decision.episode, "").await.unwrap();
        assert_eq!(last.is_some(), decision.episode != touched);
    }
    let ids: BTreeSet<i64> =
        store.decisions(None, None, 100).await.unwrap().iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 39);
    let again: Vec<_> = store.claim_episodes(LEASE, 100).await.unwrap();
    let again: Vec<_> = again.iter().map(|it| it.episode.id).collect();
    assert_eq!(again, [touched], "the others wait for something to happen");
}

async fn who_waits_is_woken_by_name(db: Database) {
    let store = db.store().await;
    let (first, second) = (fire(&store, "A").await, fire(&store, "B").await);
    for due in store.claim_episodes(LEASE, 2).await.unwrap() {
        store.episode_due(&due, Some(at(15))).await.unwrap();
    }
    accept(&store, delivery(vec![resolved("B", 0, 5)])).await.unwrap();
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    store.wake_episodes(&[first, second]).await.unwrap();
    let due = store.claim_episodes(LEASE, 2).await.unwrap();
    let due: Vec<_> = due.iter().map(|it| it.episode.id).collect();
    assert_eq!(due, [first], "what is over is not judged again");
}

async fn a_decision_is_stored_when_it_says_something_new(db: Database) {
    let store = db.store().await;
    let hold = |until| decision("rate", Verdict::Hold { until: at(until) });
    for (name, decision, is_news) in [
        ("first", hold(60), true),
        ("same guard and verdict, later", hold(120), false),
        ("another guard", decision("cooldown", Verdict::Hold { until: at(120) }), true),
        ("another verdict", decision("cooldown", Verdict::Refuse), true),
        (
            "another playbook",
            Decision { playbook: "flush".into(), ..decision("cooldown", Verdict::Refuse) },
            true,
        ),
        ("another rule", Decision { rule: "s".into(), ..hold(60) }, true),
        ("another episode", Decision { episode: EpisodeId(2), ..hold(60) }, true),
        ("no incident", Decision { episode: EpisodeId(3), incident: None, ..hold(60) }, true),
    ] {
        assert_eq!(store.decide(&decision).await.unwrap(), is_news, "{name}");
        let last = store.last_decision(decision.episode, &decision.rule).await.unwrap().unwrap();
        assert_eq!(last == decision, is_news, "{name}");
    }
    assert_eq!(store.last_decision(EpisodeId(9), "r").await.unwrap(), None);
}

async fn of_many_who_judge_at_once_one_writes_it_down(db: Database) {
    let (one, two) = (db.store().await, db.store().await);
    for round in 0..20 {
        let decision = Decision { episode: EpisodeId(round + 1), ..decision("rate", Verdict::Ask) };
        let both = [&one, &two, &one, &two].map(|store| store.decide(&decision));
        let news = futures_util::future::join_all(both).await;
        let news = news.into_iter().filter(|it| *it.as_ref().unwrap()).count();
        assert_eq!(news, 1, "round {round}");
    }
}

async fn decisions_are_listed_the_newest_first(db: Database) {
    let store = db.store().await;
    for episode in [1, 2, 1] {
        let verdict = if episode == 1 { Verdict::Ask } else { Verdict::Proceed };
        let rule = format!("r{}", store.decisions(None, None, 10).await.unwrap().len());
        let decision = Decision { episode: EpisodeId(episode), rule, ..decision("g", verdict) };
        store.decide(&decision).await.unwrap();
    }
    for (episode, cursor, limit, expected) in [
        (None, None, 10, vec![3, 2, 1]),
        (None, None, 2, vec![3, 2]),
        (None, Some(3), 10, vec![2, 1]),
        (Some(EpisodeId(1)), None, 10, vec![3, 1]),
    ] {
        let found = store.decisions(episode, cursor, limit).await.unwrap();
        assert_eq!(found.iter().map(|it| it.id).collect::<Vec<_>>(), expected);
    }
}

async fn a_pause_stays_as_it_was_first_said(db: Database) {
    let store = db.store().await;
    assert!(!store.resume("all").await.unwrap());
    assert!(store.pause("all", "ada", "release").await.unwrap());
    db.advance(5);
    assert!(!store.pause("all", "bob", "another").await.unwrap());
    assert!(store.pause("rule:r", "bob", "noisy").await.unwrap());
    let pauses = store.pauses().await.unwrap();
    let found: Vec<_> = pauses
        .iter()
        .map(|it| (it.scope.as_str(), it.by.as_str(), it.reason.as_str(), it.at))
        .collect();
    assert_eq!(found, [("all", "ada", "release", at(0)), ("rule:r", "bob", "noisy", at(5))]);
    assert!(store.resume("all").await.unwrap());
    assert_eq!(store.pauses().await.unwrap().len(), 1);
}
