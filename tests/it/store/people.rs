//! What people say about runs: approve, reject, settle, cancel; and what they are told when they cannot.

use futures_util::future::join_all;
use quell::model::playbook::Ask;
use quell::model::run::Intent;
use quell::model::run::Outcome;
use quell::model::run::Stop;
use quell::store::people::Speaker;
use quell::store::people::Word;
use quell::store::runs::RunRow;

use super::*;

on_each_engine!(
    an_approval_starts_the_run_at_once,
    an_approval_of_another_plan_is_refused,
    a_rejection_ends_the_run,
    of_two_who_speak_at_once_one_is_heard,
    of_two_who_answer_at_once_neither_answers_the_next_question,
    a_doubt_is_settled_either_way,
    a_word_that_nobody_waits_for_is_refused_and_fences_nobody,
    a_word_that_comes_too_late_fences_nobody,
    a_cancelled_proposal_is_due_at_once,
    a_run_that_waits_for_its_time_is_cancelled_at_once,
    a_cancel_does_not_take_a_run_from_its_worker,
    a_cancel_while_a_worker_lets_go_is_not_lost,
    a_resolution_while_a_worker_lets_go_is_not_lost,
    a_run_that_has_ended_cannot_be_cancelled,
    g11_n_minus_one_approvals_wait_and_the_nth_begins,
    g11_the_same_person_the_one_who_asked_and_a_lower_tier_do_not_count,
    g11_of_two_who_approve_at_once_both_count,
    g11_one_person_who_approves_from_many_places_counts_once,
    g11_a_link_is_used_up_by_what_it_did_and_by_nothing_else,
    g11_a_rejection_needs_a_reason,
);

fn speaker(name: &str) -> Speaker<'_> {
    Speaker { name, tier: 2, link: None }
}

/// Says it, and tells nobody.
async fn say(
    store: &Store,
    run: RunId,
    speaker: Speaker<'_>,
    word: Word,
) -> Result<RunRow, StoreError> {
    store.say(run, speaker, word, |_| Vec::new()).await
}

fn approve(row: &RunRow) -> Word {
    Word::Approve { digest: row.digest.clone() }
}

fn reject() -> Word {
    Word::Reject { reason: "not now".into() }
}

/// A run that waits for approval, as the worker leaves it.
async fn proposal(store: &Store) -> RunRow {
    let plan = Plan { mode: Mode::Approve, ..plan("t", IncidentId(1), EpisodeId(1)) };
    let run = create(store, &plan).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, None).await.unwrap();
    store.run(run).await.unwrap().unwrap()
}

fn started() -> Event {
    let intent = Intent { action: None, previous: None, timeout: LEASE, key: "r-1/1".into() };
    Event::StepStarted { step: 0, item: None, attempt: 1, intent }
}

/// A run whose only step is in doubt, as the worker leaves it.
async fn in_doubt(store: &Store, number: i64) -> RunRow {
    let run = create_for(store, number).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let outcome = Outcome::Unknown { reason: "timed out".into() };
    let ended = Event::StepEnded { step: 0, item: None, outcome, jitter: 0 };
    append(store, &mut claim, started(), RunState::Running).await.unwrap();
    append(store, &mut claim, ended, RunState::InDoubt).await.unwrap();
    store.release_run(&claim, None).await.unwrap();
    store.run(run).await.unwrap().unwrap()
}

fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    match result {
        Err(StoreError::Conflict(found)) => assert_eq!(found, words),
        other => panic!("{other:?} is no conflict: {words}"),
    }
}

async fn an_approval_starts_the_run_at_once(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    assert_eq!(waits.state, RunState::AwaitingApproval);
    let row = say(&store, waits.id, speaker("ada"), approve(&waits)).await.unwrap();
    assert_eq!(row.state, RunState::Running);
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let expected = Event::Approved { by: "ada".into(), digest: waits.digest };
    assert_eq!(claim.entries.last().unwrap().event, expected);
    assert_eq!(store.audit(None).await.unwrap().broken, []);
}

async fn an_approval_of_another_plan_is_refused(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    let said =
        say(&store, waits.id, speaker("ada"), Word::Approve { digest: "another".into() }).await;
    assert_conflict(said, "the plan of r-1 is not the one that was looked at; look again");
    assert_eq!(store.journal(waits.id).await.unwrap().len(), 1);
    say(&store, waits.id, speaker("ada"), approve(&waits)).await.unwrap();
}

async fn a_rejection_ends_the_run(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    db.advance(8);
    let row = say(&store, waits.id, speaker("ada"), reject()).await.unwrap();
    assert_eq!((row.state, row.ended_at), (RunState::Rejected, Some(at(8))));
    assert!(row.outcome.contains("rejected by ada: not now"), "{}", row.outcome);
    assert_conflict(
        say(&store, waits.id, speaker("bob"), approve(&waits)).await,
        "r-1 is rejected, not awaiting approval",
    );
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
    create(&store, &plan("t", IncidentId(2), EpisodeId(2))).await;
}

async fn of_two_who_speak_at_once_one_is_heard(db: Database) {
    let stores = [db.store().await, db.store().await];
    let waits = proposal(&stores[0]).await;
    let all = (0..6).map(|number| {
        let word = if number % 2 == 0 { approve(&waits) } else { reject() };
        say(&stores[number % 2], waits.id, speaker("ada"), word)
    });
    let said = join_all(all).await;
    assert_eq!(said.iter().filter(|it| it.is_ok()).count(), 1, "{said:?}");
    for refused in said.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, StoreError::Conflict(_) | StoreError::Fenced), "{refused:?}");
    }
    assert_eq!(stores[0].journal(waits.id).await.unwrap().len(), 2);
}

/// A run of two yes-or-no questions that asks the first, as the worker leaves it.
async fn asking(store: &Store) -> RunId {
    let mut plan = plan("t", IncidentId(1), EpisodeId(1));
    let ask = |name: &str| Step {
        name: name.into(),
        what: What::Ask(Ask {
            question: format!("{name}?"),
            answers: BTreeMap::new(),
            tier: 2,
            within: Duration::from_hours(1),
        }),
        undo: None,
        ..plan.playbook.steps[0].clone()
    };
    plan.playbook.steps = vec![ask("first"), ask("second")];
    let run = create(store, &plan).await;
    asks(store, 0).await;
    run
}

/// The worker asks the question of this step.
async fn asks(store: &Store, step: usize) {
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let asked = Event::Asked { step, question: "?".into() };
    append(store, &mut claim, asked, RunState::AwaitingAnswer).await.unwrap();
    store.release_run(&claim, None).await.unwrap();
}

async fn of_two_who_answer_at_once_neither_answers_the_next_question(db: Database) {
    let stores = [db.store().await, db.store().await];
    let run = asking(&stores[0]).await;
    let yes = |step: &str| Word::Answer {
        step: Some(step.into()),
        answers: BTreeMap::from([("answer".into(), true.into())]),
    };
    let all = stores.iter().map(|store| say(store, run, speaker("ada"), yes("first")));
    let said = join_all(all).await;
    assert_eq!(said.iter().filter(|it| it.is_ok()).count(), 1, "{said:?}");
    assert_eq!(stores[0].journal(run).await.unwrap().len(), 3);
    asks(&stores[0], 1).await;
    let late = say(&stores[1], run, speaker("bob"), yes("first")).await;
    assert_conflict(late, "r-1 asks `second` now, not `first`; look again");
    let row = say(&stores[1], run, speaker("bob"), yes("second")).await.unwrap();
    assert_eq!(row.state, RunState::Fixed);
}

async fn a_doubt_is_settled_either_way(db: Database) {
    let store = db.store().await;
    let waits = in_doubt(&store, 1).await;
    assert_conflict(
        say(&store, waits.id, speaker("ada"), approve(&waits)).await,
        "r-1 is in doubt, not awaiting approval",
    );
    let row = say(&store, waits.id, speaker("ada"), Word::Settle { happened: true }).await.unwrap();
    assert_eq!((row.state, row.ended_at), (RunState::Fixed, Some(at(0))));

    let waits = in_doubt(&store, 2).await;
    let row =
        say(&store, waits.id, speaker("ada"), Word::Settle { happened: false }).await.unwrap();
    assert_eq!((row.state, row.ended_at), (RunState::Running, None));
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some());
}

async fn a_word_that_nobody_waits_for_is_refused_and_fences_nobody(db: Database) {
    let store = db.store().await;
    let run = create_for(&store, 1).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    append(&store, &mut claim, started(), RunState::Running).await.unwrap();
    for word in [reject(), Word::Settle { happened: true }] {
        let refused = say(&store, run, speaker("ada"), word).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    store.renew_run(&claim, LEASE).await.unwrap();
    let nobody = say(&store, RunId(99), speaker("ada"), reject()).await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
}

/// Between looking and taking over, a worker may have begun: what it does must not be fenced.
async fn a_word_that_comes_too_late_fences_nobody(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    say(&store, waits.id, speaker("ada"), approve(&waits)).await.unwrap();
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    append(&store, &mut claim, started(), RunState::Running).await.unwrap();
    assert_conflict(
        store.take_run(waits.id, RunState::AwaitingApproval, LEASE).await,
        "r-1 is running, not awaiting approval",
    );
    store.renew_run(&claim, LEASE).await.unwrap();
}

async fn a_cancelled_proposal_is_due_at_once(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    assert_eq!(store.stop_requested(waits.id).await.unwrap(), None);
    store.cancel_run(waits.id, "ada").await.unwrap();
    store.cancel_run(waits.id, "bob").await.unwrap();
    let stop = Stop::Cancelled { by: "ada".into() };
    assert_eq!(store.stop_requested(waits.id).await.unwrap(), Some(stop));
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some());
}

async fn a_run_that_waits_for_its_time_is_cancelled_at_once(db: Database) {
    let store = db.store().await;
    let run = create_for(&store, 1).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, Some(at(3_600))).await.unwrap();
    store.cancel_run(run, "ada").await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some(), "not in an hour");
}

async fn a_cancel_does_not_take_a_run_from_its_worker(db: Database) {
    let store = db.store().await;
    let run = create_for(&store, 1).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    append(&store, &mut claim, started(), RunState::Running).await.unwrap();
    store.cancel_run(run, "ada").await.unwrap();
    assert!(store.claim_run("other", LEASE).await.unwrap().is_none());
    store.renew_run(&claim, LEASE).await.unwrap();
}

async fn a_cancel_while_a_worker_lets_go_is_not_lost(db: Database) {
    let store = db.store().await;
    let plan = Plan { mode: Mode::Approve, ..plan("t", IncidentId(1), EpisodeId(1)) };
    let run = create(&store, &plan).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.cancel_run(run, "ada").await.unwrap();
    store.release_run(&claim, None).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some());
}

async fn a_resolution_while_a_worker_lets_go_is_not_lost(db: Database) {
    let store = db.store().await;
    let plan = Plan { mode: Mode::Approve, ..plan("t", IncidentId(1), EpisodeId(1)) };
    create(&store, &plan).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.wake_waiting_runs(EpisodeId(1)).await.unwrap();
    store.release_run(&claim, None).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some());
}

async fn a_run_that_has_ended_cannot_be_cancelled(db: Database) {
    let store = db.store().await;
    let waits = proposal(&store).await;
    say(&store, waits.id, speaker("ada"), reject()).await.unwrap();
    assert_conflict(store.cancel_run(waits.id, "ada").await, "r-1 has ended: rejected");
    let nobody = store.cancel_run(RunId(99), "ada").await;
    assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
}

/// A run that so many people must approve, as the worker leaves it.
async fn proposal_for(store: &Store, approvals: u8, proposed_by: &str) -> RunRow {
    let asked = plan("t", IncidentId(1), EpisodeId(1));
    let proposed_by = proposed_by.to_owned();
    let plan = Plan { mode: Mode::Approve, approvals, proposed_by, ..asked };
    let run = create(store, &plan).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, None).await.unwrap();
    store.run(run).await.unwrap().unwrap()
}

async fn g11_n_minus_one_approvals_wait_and_the_nth_begins(db: Database) {
    let store = db.store().await;
    let waits = proposal_for(&store, 3, "").await;
    for (by, more) in [("ada", "2 more people"), ("bob", "one more person")] {
        let row = say(&store, waits.id, speaker(by), approve(&waits)).await.unwrap();
        assert_eq!(row.state, RunState::AwaitingApproval);
        assert!(row.outcome.contains(&format!("needs {more} of tier 2")), "{}", row.outcome);
        // the worker looks at it, and lets go of it again
        let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
        store.release_run(&claim, None).await.unwrap();
    }
    let row = say(&store, waits.id, speaker("cem"), approve(&waits)).await.unwrap();
    assert_eq!(row.state, RunState::Running);
    assert_eq!(store.audit(None).await.unwrap().broken, []);
}

async fn g11_the_same_person_the_one_who_asked_and_a_lower_tier_do_not_count(db: Database) {
    let store = db.store().await;
    let waits = proposal_for(&store, 2, "dan").await;
    say(&store, waits.id, speaker("ada"), approve(&waits)).await.unwrap();
    assert_conflict(
        say(&store, waits.id, speaker("ada"), approve(&waits)).await,
        "ada has approved already; it needs one more person of tier 2",
    );
    for (who, tier, words) in [
        ("dan", 4, "dan asked for r-1, so it needs one more person of tier 2 who did not"),
        ("eve", 1, "r-1 needs one more person of tier 2, and eve has tier 1"),
        ("eve", 0, "r-1 needs one more person of tier 2, and eve is no operator"),
    ] {
        let speaker = Speaker { name: who, tier, link: None };
        match say(&store, waits.id, speaker, approve(&waits)).await {
            Err(StoreError::Forbidden(found)) => assert_eq!(found, words),
            other => panic!("{other:?} is not forbidden: {words}"),
        }
    }
    assert_eq!(store.journal(waits.id).await.unwrap().len(), 2, "nothing else was written");
}

async fn g11_of_two_who_approve_at_once_both_count(db: Database) {
    let stores = [db.store().await, db.store().await];
    let waits = proposal_for(&stores[0], 2, "").await;
    let people = ["ada", "bob"];
    let all = stores.iter().zip(people);
    let all = all.map(|(store, by)| say(store, waits.id, speaker(by), approve(&waits)));
    for said in join_all(all).await {
        said.unwrap();
    }
    let row = stores[0].run(waits.id).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::Running);
    assert_eq!(stores[0].audit(None).await.unwrap().broken, []);
}

async fn g11_one_person_who_approves_from_many_places_counts_once(db: Database) {
    let stores = [db.store().await, db.store().await];
    let waits = proposal_for(&stores[0], 2, "").await;
    let all =
        (0..6).map(|number| say(&stores[number % 2], waits.id, speaker("ada"), approve(&waits)));
    let said = join_all(all).await;
    assert_eq!(said.iter().filter(|it| it.is_ok()).count(), 1, "{said:?}");
    let row = stores[0].run(waits.id).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::AwaitingApproval);
    assert_eq!(stores[0].journal(waits.id).await.unwrap().len(), 2);
}

async fn g11_a_link_is_used_up_by_what_it_did_and_by_nothing_else(db: Database) {
    let store = db.store().await;
    let waits = proposal_for(&store, 2, "").await;
    let by_link = |name| Speaker { name, tier: 2, link: Some("digest of a token") };
    let low = Speaker { tier: 1, ..by_link("eve") };
    say(&store, waits.id, low, approve(&waits)).await.unwrap_err();
    assert_eq!(store.link_used("digest of a token").await.unwrap(), None, "nothing was done");
    say(&store, waits.id, by_link("ada"), approve(&waits)).await.unwrap();
    assert_conflict(
        say(&store, waits.id, by_link("bob"), approve(&waits)).await,
        "this link was used by ada at 2026-01-05T10:00:00Z; each works once",
    );
    let row = store.run(waits.id).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::AwaitingApproval);
}

async fn g11_a_rejection_needs_a_reason(db: Database) {
    let store = db.store().await;
    let waits = proposal_for(&store, 2, "").await;
    for reason in ["", " \t"] {
        let word = Word::Reject { reason: reason.into() };
        match say(&store, waits.id, speaker("ada"), word).await {
            Err(StoreError::Invalid(words)) => {
                assert_eq!(words, "say why r-1 is rejected: people are told the reason");
            }
            other => panic!("{other:?}"),
        }
    }
}
