//! Windows that operators add, and changes that they tell of.

use std::time::Duration;

use quell::decide::changed;
use quell::decide::window::one_off;
use quell::model::window::Effect;
use quell::model::window::OneOff;
use quell::model::window::Span;

use super::*;

on_each_engine!(
    a_window_is_kept_as_it_was_added,
    of_a_name_there_is_one_window_that_is_not_over,
    a_window_that_is_ended_is_over_from_then_on_and_what_waited_is_due,
    a_window_that_had_not_begun_never_does,
    a_run_that_is_at_work_is_not_taken_from_its_worker_by_the_end_of_a_window,
    a_run_whose_worker_still_knew_of_a_window_is_due_as_soon_as_it_is_let_go_of,
    what_has_been_over_for_a_month_is_forgotten,
    changes_are_told_once_and_forgotten_after_a_month,
);

fn added(store: &Store, name: &str, minutes: u64) -> OneOff {
    let request = one_off::Request {
        name: name.into(),
        lasts: Some(Duration::from_mins(minutes)),
        from: None,
        until: None,
        effect: Effect::Refuse,
        matchers: vec!["service=~\"shop|api\", env!=dev".into()],
        reason: "deploy \"41\"\0".into(),
        by: "dana".into(),
    };
    one_off::one_off(&[], request, store.clock().now()).unwrap()
}

async fn a_window_is_kept_as_it_was_added(db: Database) {
    let store = db.store().await;
    let window = added(&store, "deploy", 60);
    store.add_window(&window).await.unwrap();
    let expected = OneOff { reason: "deploy \"41\"\u{fffd}".into(), ..window };
    // as another process reads it
    assert_eq!(db.store().await.windows().await.unwrap(), [expected]);
}

async fn of_a_name_there_is_one_window_that_is_not_over(db: Database) {
    let stores = [db.store().await, db.store().await];
    let window = added(&stores[0], "deploy", 60);
    let all = (0..6).map(|n| stores[n % 2].add_window(&window));
    let done = futures_util::future::join_all(all).await;
    assert_eq!(done.iter().filter(|it| it.is_ok()).count(), 1, "{done:?}");
    let words = "there is a window deploy until 2026-01-05T11:00:00Z: end it, or take another name";
    for refused in done.into_iter().filter_map(Result::err) {
        assert!(matches!(&refused, StoreError::Conflict(it) if it == words), "{refused:?}");
    }
    db.advance(3600);
    stores[0].add_window(&added(&stores[0], "deploy", 5)).await.unwrap();
    assert_eq!(stores[1].windows().await.unwrap().len(), 2, "the one before is remembered");
}

async fn a_window_that_is_ended_is_over_from_then_on_and_what_waited_is_due(db: Database) {
    let store = db.store().await;
    store.add_window(&added(&store, "deploy", 60)).await.unwrap();
    fire(&store, "A").await;
    let judged = store.claim_episode(LEASE).await.unwrap().unwrap();
    let run = create_for(&store, 9).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, Some(at(3600))).await.unwrap();
    db.advance(600);
    store.end_window("deploy", "kim").await.unwrap();
    let ended = store.windows().await.unwrap().remove(0);
    assert_eq!((ended.from, ended.until, ended.ended_by.as_deref()), (at(0), at(600), Some("kim")));
    // whoever was judging by the window then is too late to put it off
    store.episode_due(&judged, Some(at(3600))).await.unwrap();
    let again = store.claim_episode(LEASE).await.unwrap().unwrap();
    assert_eq!(again.episode.id, judged.episode.id);
    assert_eq!(store.claim_run("worker", LEASE).await.unwrap().unwrap().run, run);
    let twice = store.end_window("deploy", "kim").await.unwrap_err();
    let words = "there is no window deploy that was added and is not over";
    assert!(matches!(&twice, StoreError::Missing(it) if it == words), "{twice:?}");
}

async fn a_window_that_had_not_begun_never_does(db: Database) {
    let store = db.store().await;
    let window = OneOff { from: at(1800), ..added(&store, "deploy", 60) };
    store.add_window(&window).await.unwrap();
    store.end_window("deploy", "dana").await.unwrap();
    let ended = store.windows().await.unwrap().remove(0).window();
    assert_eq!(ended.span, Span::Once { from: at(0), until: at(0) });
}

async fn a_run_that_is_at_work_is_not_taken_from_its_worker_by_the_end_of_a_window(db: Database) {
    let store = db.store().await;
    store.add_window(&added(&store, "deploy", 60)).await.unwrap();
    create_for(&store, 9).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.end_window("deploy", "dana").await.unwrap();
    assert!(store.claim_run("other", LEASE).await.unwrap().is_none());
    let why = quell::model::run::Stop::Resolved;
    append(&store, &mut claim, Event::Stopped { why }, RunState::Superseded).await.unwrap();
}

async fn a_run_whose_worker_still_knew_of_a_window_is_due_as_soon_as_it_is_let_go_of(db: Database) {
    let store = db.store().await;
    store.add_window(&added(&store, "deploy", 60)).await.unwrap();
    create_for(&store, 9).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.end_window("deploy", "dana").await.unwrap();
    store.release_run(&claim, Some(at(3600))).await.unwrap();
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    // nothing has ended since
    store.release_run(&claim, Some(at(3600))).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
}

async fn what_has_been_over_for_a_month_is_forgotten(db: Database) {
    let store = db.store().await;
    store.add_window(&added(&store, "old", 60)).await.unwrap();
    db.advance(3600 + 30 * 24 * 3600);
    store.add_window(&added(&store, "new", 60)).await.unwrap();
    assert_eq!(store.windows().await.unwrap().len(), 2, "a month to the second");
    db.advance(1);
    store.add_window(&added(&store, "newer", 60)).await.unwrap();
    let names: Vec<String> = store.windows().await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["new", "newer"]);
}

async fn changes_are_told_once_and_forgotten_after_a_month(db: Database) {
    let store = db.store().await;
    let told = |target: &str| changed::told(target, "dana", "deploy 41", store.clock().now());
    let first = told("kubernetes/prod").unwrap();
    store.add_change(&first).await.unwrap();
    db.advance(60);
    let second = told("service/shop").unwrap();
    store.add_change(&second).await.unwrap();
    assert_eq!(store.changes(10).await.unwrap(), [second.clone(), first]);
    let newest = std::slice::from_ref(&second);
    assert_eq!(store.changes(1).await.unwrap(), newest);
    assert_eq!(store.changes_since(at(1)).await.unwrap(), newest);
    assert_eq!(store.changes_since(at(61)).await.unwrap(), []);
    db.advance(30 * 24 * 3600);
    let third = told("service/web").unwrap();
    store.add_change(&third).await.unwrap();
    assert_eq!(store.changes(10).await.unwrap(), [third, second], "a month to the second");
}
