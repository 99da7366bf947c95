//! Runs: created only while the facts hold, and what their journal leaves in their row.

use futures_util::future::join_all;
use quell::decide::machine;
use quell::model::decision::Decision;
use quell::model::decision::Runs;
use quell::model::decision::Verdict;
use quell::model::decision::Version;
use quell::model::run::Stop;
use quell::model::trust::Trust;
use quell::store::runs::Judged;

use super::*;

on_each_engine!(
    a_run_is_created_with_its_plan_its_first_entry_and_what_it_owes,
    a_new_run_stands_where_its_journal_says,
    changed_facts_refuse_a_run,
    runs_that_changed_meanwhile_are_judged_again_where_the_run_is_created,
    what_else_changed_meanwhile_refuses_the_run,
    what_a_store_keeps_of_runs_is_what_the_database_says,
    a_busy_target_refuses_a_run_until_it_is_free,
    one_episode_gets_one_run_of_a_remedy_in_each_round,
    replicas_that_judge_at_once_create_one_run,
    g09_replicas_never_disrupt_two_members_of_one_redundancy_group_together,
    a_refused_run_leaves_nothing_behind,
    an_end_is_written_with_all_that_follows_from_it,
    nothing_is_appended_after_the_end,
    guards_see_the_runs_that_matter,
    runs_are_listed_the_newest_first,
);

fn stop() -> Event {
    Event::Stopped { why: Stop::Resolved }
}

/// Claims the only due run and ends it.
async fn end(store: &Store, state: RunState) {
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    append(store, &mut claim, stop(), state).await.unwrap();
}

async fn a_run_is_created_with_its_plan_its_first_entry_and_what_it_owes(db: Database) {
    let store = db.store().await;
    let plan = plan("t", IncidentId(7), EpisodeId(9));
    let version = store.facts_version().await.unwrap();
    let told = |run: RunId| vec![owed(IncidentId(7), "slack", &format!("{run} begins"))];
    let run = store.create_run(version, &plan, 0, told).await.unwrap();
    assert_eq!(store.facts_version().await.unwrap().runs, version.runs + 1);

    let row = store.run(run).await.unwrap().unwrap();
    assert_eq!((row.incident, row.episode, row.rule.as_str()), (IncidentId(7), EpisodeId(9), "r"));
    assert_eq!((row.playbook.as_str(), row.target.as_str(), row.remedy), ("restart", "t", 1));
    assert_eq!((row.started_at, row.ended_at, row.outcome.as_str()), (at(0), None, ""));
    assert_eq!(store.plan(run).await.unwrap().unwrap(), plan);
    let journal = store.journal(run).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].event, Event::Planned { digest: row.digest });
    let notices = store.notifications_of(IncidentId(7)).await.unwrap();
    assert_eq!(notices[0].notice.headline, format!("{run} begins"));

    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    assert_eq!((claim.run, claim.attempt, &claim.plan, &claim.entries), (run, 1, &plan, &journal));
}

/// The row is a copy of what the journal says: people find runs by it, and a proposal is approved by it, before any
/// worker has written to it.
async fn a_new_run_stands_where_its_journal_says(db: Database) {
    let store = db.store().await;
    for (number, mode, expected) in [
        (1, Mode::Observe, RunState::Planned),
        (2, Mode::Approve, RunState::AwaitingApproval),
        (3, Mode::Auto, RunState::Planned),
    ] {
        let plan =
            Plan { mode, ..plan(&format!("t-{number}"), IncidentId(number), EpisodeId(number)) };
        let run = create(&store, &plan).await;
        let state = machine::fold(&plan, &store.journal(run).await.unwrap()).unwrap().summary();
        assert_eq!(state, expected);
        assert_eq!(store.run(run).await.unwrap().unwrap().state, state, "{mode:?}");
    }
}

async fn changed_facts_refuse_a_run(db: Database) {
    let store = db.store().await;
    let version = store.facts_version().await.unwrap();
    create_for(&store, 1).await;
    let plan = plan("t", IncidentId(2), EpisodeId(2));
    let refused = store.create_run(version, &plan, 0, |_| Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let version = store.facts_version().await.unwrap();
    end(&store, RunState::Superseded).await;
    let refused = store.create_run(version, &plan, 0, |_| Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "an end changes the facts as well");
    create(&store, &plan).await;
}

fn decision(episode: EpisodeId) -> Decision {
    Decision {
        episode,
        incident: Some(IncidentId(1)),
        rule: "r".into(),
        playbook: "restart".into(),
        target: "t".into(),
        verdict: Verdict::Proceed,
        reason: "nothing against it".into(),
        rulings: Vec::new(),
        at: at(0),
    }
}

fn judged(version: Version, decision: &Decision) -> Judged<'_> {
    Judged { version, from: at(0), decision, tells: Vec::new() }
}

async fn runs_that_changed_meanwhile_are_judged_again_where_the_run_is_created(db: Database) {
    let store = db.store().await;
    let (version, before) = store.past(at(0), IncidentId(3)).await.unwrap();
    assert!(before.is_empty());
    create_for(&store, 1).await;
    create_for(&store, 2).await;
    end(&store, RunState::Fixed).await;
    let plan = plan("t", IncidentId(3), EpisodeId(3));
    let decision = decision(EpisodeId(3));
    let refuses = |seen: Runs| {
        let states: Vec<_> = seen.iter().map(|run| (run.target.clone(), run.state)).collect();
        let expected = [("t-1".to_owned(), RunState::Fixed), ("t-2".to_owned(), RunState::Planned)];
        assert_eq!(states, expected);
        false
    };
    let judge = |again: fn(Runs) -> bool| {
        store.create_run_decided(judged(version, &decision), &plan, 0, again, |_| Vec::new())
    };
    let refused = judge(refuses).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    assert_eq!(store.last_decision(EpisodeId(3), "r").await.unwrap(), None, "nothing was decided");
    let (run, news) = judge(|_| true).await.unwrap();
    assert!(news);
    assert_eq!(store.last_decision(EpisodeId(3), "r").await.unwrap().as_ref(), Some(&decision));
    assert_eq!(store.run(run).await.unwrap().unwrap().target, "t");
}

async fn what_else_changed_meanwhile_refuses_the_run(db: Database) {
    let store = db.store().await;
    let (version, _) = store.past(at(0), IncidentId(1)).await.unwrap();
    let trust = Trust {
        rule: "r".into(),
        mode: Mode::Approve,
        why: "w".into(),
        at: at(0),
        by: "quell".into(),
    };
    store.demote(version, &trust, Vec::new()).await.unwrap();
    let plan = plan("t", IncidentId(1), EpisodeId(1));
    let decision = decision(EpisodeId(1));
    let again = |_| -> bool { panic!("not by runs alone") };
    let refused =
        store.create_run_decided(judged(version, &decision), &plan, 0, again, |_| Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
}

/// One store looks after each change, what others do among them; the other sees all for the first time.
async fn what_a_store_keeps_of_runs_is_what_the_database_says(db: Database) {
    let (store, other) = (db.store().await, db.store().await);
    for number in 1..=20 {
        let by = if number % 3 == 0 { &other } else { &store };
        match number % 5 {
            0 | 1 => drop(create_for(by, number).await),
            2 => end(by, if number % 2 == 0 { RunState::Failed } else { RunState::Fixed }).await,
            3 => db.advance(60),
            _ => {
                let version = by.facts_version().await.unwrap();
                let again = plan("again", IncidentId(7), EpisodeId(number));
                // refused while the last one of the target is at work
                drop(by.create_run(version, &again, 0, |_| Vec::new()).await);
            }
        }
        let fresh = db.store().await;
        for (from, incident) in [(0, 7), (60, 7), (120, 9), (240, 5), (30, 1)] {
            let kept = store.past(at(from), IncidentId(incident)).await.unwrap();
            let read = fresh.past(at(from), IncidentId(incident)).await.unwrap();
            assert_eq!(kept, read, "step {number}, from {from}");
        }
        if number % 5 == 4 {
            end(by, RunState::Fixed).await;
        }
    }
}

async fn a_busy_target_refuses_a_run_until_it_is_free(db: Database) {
    let store = db.store().await;
    create(&store, &plan("t", IncidentId(1), EpisodeId(1))).await;
    let other = plan("t", IncidentId(2), EpisodeId(2));
    let version = store.facts_version().await.unwrap();
    let refused = store.create_run(version, &other, 0, |_| Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    create(&store, &plan("T", IncidentId(3), EpisodeId(3))).await;
    end(&store, RunState::Superseded).await;
    create(&store, &other).await;
}

async fn one_episode_gets_one_run_of_a_remedy_in_each_round(db: Database) {
    let store = db.store().await;
    let first = plan("t", IncidentId(1), EpisodeId(1));
    create(&store, &first).await;
    end(&store, RunState::Superseded).await;
    let try_again = |plan: Plan, round| {
        let store = store.clone();
        async move {
            let version = store.facts_version().await.unwrap();
            store.create_run(version, &plan, round, |_| Vec::new()).await
        }
    };
    let refused = try_again(first.clone(), 0).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let elsewhere = Plan { target: "elsewhere".into(), ..first.clone() };
    assert!(matches!(try_again(elsewhere, 0).await, Err(StoreError::Changed)));
    for (plan, round) in [
        (first.clone(), 1),
        (Plan { remedy: 2, ..first.clone() }, 0),
        (Plan { rule: "other".into(), ..first.clone() }, 0),
        (Plan { episode: EpisodeId(2), ..first }, 0),
    ] {
        try_again(plan, round).await.unwrap();
        end(&store, RunState::Superseded).await;
    }
}

async fn replicas_that_judge_at_once_create_one_run(db: Database) {
    let stores = [db.store().await, db.store().await];
    let version = stores[0].facts_version().await.unwrap();
    let all = (1..=8).map(|number| {
        let plan = plan(&format!("t-{number}"), IncidentId(number), EpisodeId(number));
        let store = stores[usize::from(number % 2 == 0)].clone();
        async move { store.create_run(version, &plan, 0, |_| Vec::new()).await }
    });
    let (created, refused): (Vec<_>, Vec<_>) =
        join_all(all).await.into_iter().partition(Result::is_ok);
    assert_eq!((created.len(), refused.len()), (1, 7));
    assert!(refused.iter().all(|it| matches!(it, Err(StoreError::Changed))), "{refused:?}");
}

/// Two replicas judge two members of one redundancy group at the same time, and each sees nobody at work.
async fn g09_replicas_never_disrupt_two_members_of_one_redundancy_group_together(db: Database) {
    let stores = [db.store().await, db.store().await];
    let member = |number: i64| Plan {
        group: "shard-1".into(),
        ..plan(&format!("redis-{number}"), IncidentId(number), EpisodeId(number))
    };
    let mut seen = Vec::new();
    for store in &stores {
        let version = store.facts_version().await.unwrap();
        let runs = store.past(at(0), IncidentId(9)).await.unwrap().1;
        assert!(runs.iter().all(|run| run.group != "shard-1"), "nobody is at work yet");
        seen.push(version);
    }
    stores[0].create_run(seen[0], &member(1), 0, |_| Vec::new()).await.unwrap();
    let late = stores[1].create_run(seen[1], &member(2), 0, |_| Vec::new()).await;
    assert!(matches!(late, Err(StoreError::Changed)), "{late:?}");
    // judged again, it sees the other
    let runs = stores[1].past(at(0), IncidentId(9)).await.unwrap().1;
    let busy = runs.iter().find(|run| run.group == "shard-1" && !run.state.is_final()).unwrap();
    assert_eq!(busy.target, "redis-1");
}

async fn a_refused_run_leaves_nothing_behind(db: Database) {
    let store = db.store().await;
    create(&store, &plan("t", IncidentId(1), EpisodeId(1))).await;
    let version = store.facts_version().await.unwrap();
    let told = |_| vec![owed(IncidentId(2), "slack", "it begins")];
    let busy = plan("t", IncidentId(2), EpisodeId(2));
    store.create_run(version, &busy, 0, told).await.unwrap_err();
    assert_eq!(store.facts_version().await.unwrap(), version);
    assert!(store.notifications_of(IncidentId(2)).await.unwrap().is_empty());
    let raw = db.raw().await;
    assert_eq!(number(&raw, "SELECT COUNT(*) FROM run_events").await, 1);
    let next = create(&store, &plan("other", IncidentId(2), EpisodeId(2))).await;
    assert_eq!(next, RunId(2), "ids have no holes");
}

async fn an_end_is_written_with_all_that_follows_from_it(db: Database) {
    let store = db.store().await;
    let (incident, episode) = open_incident(&store, "A").await;
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    let run = create(&store, &plan("t", incident.id, episode)).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let version = store.facts_version().await.unwrap();
    db.advance(5);
    let left = Row {
        outcome: "it did\0not help".into(), // as a command may print it
        inconclusive: true,
        ..row(RunState::Failed)
    };
    let told = vec![owed(incident.id, "slack", "it did not help")];
    let stops = entry(&claim, at(4), stop());
    store.append(&mut claim, stops, &left, told).await.unwrap();
    assert_eq!(claim.entries[1].at, at(4), "the time by which it was judged");

    let row = store.run(run).await.unwrap().unwrap();
    assert_eq!((row.state, row.outcome.as_str()), (RunState::Failed, "it did\u{fffd}not help"));
    assert_eq!(row.ended_at, Some(at(4)));
    assert_eq!(store.facts_version().await.unwrap().runs, version.runs + 1);
    assert_eq!(store.notifications_of(incident.id).await.unwrap().len(), 1);
    let past = store.past(at(0), incident.id).await.unwrap().1;
    assert!(past.iter().next().unwrap().inconclusive);
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    assert_eq!(due.episode.id, episode);
}

async fn nothing_is_appended_after_the_end(db: Database) {
    let store = db.store().await;
    let run = create_for(&store, 1).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    append(&store, &mut claim, stop(), RunState::Superseded).await.unwrap();
    let more = append(&store, &mut claim, stop(), RunState::Running).await;
    assert!(matches!(more, Err(StoreError::Fenced)), "{more:?}");
    assert!(matches!(store.renew_run(&claim, LEASE).await, Err(StoreError::Fenced)));
    store.release_run(&claim, Some(at(0))).await.unwrap();
    db.advance(1_000);
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
    assert_eq!(store.journal(run).await.unwrap().len(), 2);
}

async fn guards_see_the_runs_that_matter(db: Database) {
    let store = db.store().await;
    for number in 1..=3 {
        create_for(&store, number).await;
        if number < 3 {
            end(&store, RunState::Fixed).await;
        }
        db.advance(100);
    }
    // of run 1 nobody asks, run 2 is of the incident, run 3 is at work, run 4 is young
    create_for(&store, 4).await;
    let past = store.past(at(300), IncidentId(2)).await.unwrap().1;
    let found: Vec<_> = past.iter().map(|run| (run.target.as_str(), run.state)).collect();
    assert_eq!(
        found,
        [("t-2", RunState::Fixed), ("t-3", RunState::Planned), ("t-4", RunState::Planned)]
    );
    let first = past.iter().next().unwrap();
    assert_eq!((first.started_at, first.ended_at), (at(100), Some(at(100))));
}

async fn runs_are_listed_the_newest_first(db: Database) {
    let store = db.store().await;
    for number in 1..=4 {
        let plan = plan(&format!("t-{number}"), IncidentId(number % 2), EpisodeId(number));
        create(&store, &plan).await;
    }
    let ids = |incident, cursor, limit| {
        let store = store.clone();
        async move {
            let rows = store.runs(incident, cursor, limit).await.unwrap();
            rows.iter().map(|row| row.id.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids(None, None, 10).await, [4, 3, 2, 1]);
    assert_eq!(ids(None, None, 2).await, [4, 3]);
    assert_eq!(ids(None, Some(RunId(3)), 10).await, [2, 1]);
    assert_eq!(ids(Some(IncidentId(1)), None, 10).await, [3, 1]);
    end(&store, RunState::Fixed).await;
    let mut counts = store.run_counts().await.unwrap();
    counts.sort();
    assert_eq!(counts, [("fixed".to_owned(), 1), ("planned".to_owned(), 3)]);
    assert!(store.run(RunId(99)).await.unwrap().is_none());
    assert!(store.plan(RunId(99)).await.unwrap().is_none());
}
