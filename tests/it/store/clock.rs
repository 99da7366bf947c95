//! The clock that a store follows is set: what waits waits as long as it should, and nobody goes by the old time.

use quell::clock::boot_id;
use quell::clock::uptime;
use quell::decide::machine;
use quell::decide::surroundings::STORM;
use quell::model::change::Changed;
use quell::model::decision::Jump;
use quell::model::decision::Trip;
use quell::model::glass::Broken;
use quell::model::run::Outcome;
use quell::model::time::moved;
use quell::model::time::since;

use super::*;

on_each_engine!(
    what_waits_is_due_after_as_long_as_it_should_be,
    what_is_measured_from_is_as_long_ago_as_it_was,
    a_run_learns_of_each_jump_before_anything_else_is_written,
    a_lease_lasts_as_long_as_it_should,
    what_was_judged_before_is_judged_again,
    a_jump_is_accepted_once_and_whoever_has_not_heard_of_it_claims_nothing,
    a_run_that_has_not_heard_of_a_jump_is_not_put_off_by_the_old_time,
    a_clock_that_was_set_while_quell_was_down_is_noticed,
    whoever_stood_still_alone_moves_nothing,
    after_another_start_of_the_machine_only_a_clock_that_was_set_back_is_noticed,
);

const HOUR: i64 = 3_600;

/// Sets the clock by so many seconds.
async fn set(store: &Store, by: i64) {
    let at = moved(store.clock().now(), by * 1000);
    assert!(store.clock_was_set(Jump { at, by_ms: by * 1000 }).await.unwrap());
    assert_eq!(store.clock().now(), at);
}

async fn what_waits_is_due_after_as_long_as_it_should_be(db: Database) {
    let store = db.store().await;
    let within = Some(Duration::from_secs(100));
    let episode = fire(&store, "A").await;
    let new = incident("r", "A");
    let (unanswered, _) =
        store.incident_for(&new, episode, within, |_| false, |_| Vec::new()).await.unwrap();
    let new = Incident { held_until: Some(at(100)), ..incident("r", "B") };
    store.incident_for(&new, episode, None, |_| false, |_| Vec::new()).await.unwrap();
    store.tell(vec![owed(unanswered.id, "slack", "x")]).await.unwrap();
    let retry = store.claim_notification(LEASE).await.unwrap().unwrap();
    store.notification_retry(&retry, "timed out", at(100)).await.unwrap();
    for by in [HOUR, -2 * HOUR, HOUR] {
        set(&store, by).await;
        db.advance(33);
        assert!(store.claim_incident(LEASE).await.unwrap().is_none(), "early after {by}");
        assert!(store.claim_notification(LEASE).await.unwrap().is_none(), "early after {by}");
    }
    db.advance(1);
    let first = store.claim_incident(LEASE).await.unwrap().unwrap();
    let second = store.claim_incident(LEASE).await.unwrap().unwrap();
    assert_eq!((first.incident.held_until, second.incident.held_until), (None, Some(at(100))));
    assert_eq!(second.incident.opened_at, at(0));
    assert!(store.claim_notification(LEASE).await.unwrap().is_some());
}

async fn what_is_measured_from_is_as_long_ago_as_it_was(db: Database) {
    let store = db.store().await;
    let episode = fire(&store, "A").await;
    store.note_trouble(episode, "r", "host/a").await.unwrap();
    store.mark("watchdog", at(0)).await.unwrap();
    let trip = Trip { since: at(0), calm_since: Some(at(0)) };
    store.change_trip(STORM, None, Some(&trip), "").await.unwrap();
    let change =
        Changed { target: "host/a".into(), by: "ada".into(), reason: "disk".into(), at: at(0) };
    store.add_change(&change).await.unwrap();
    let broken = Broken {
        id: 0,
        scope: "all".into(),
        by: "ada".into(),
        reason: "outage".into(),
        at: at(0),
        until: at(100),
        incident: IncidentId(0),
        ended_at: None,
        ended_by: String::new(),
    };
    store.break_glass(&broken, |it| (incident("", &it.id.to_string()), Vec::new())).await.unwrap();
    let run = create_for(&store, 7).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let done = Event::Stopped { why: quell::model::run::Stop::Resolved };
    append(&store, &mut claim, done, RunState::Superseded).await.unwrap();
    // what is in the log already, and what will be
    let sealed = log::seal(&store).await;
    assert!(sealed > 0);
    for by in [HOUR, -2 * HOUR] {
        db.advance(30);
        set(&store, by).await;
        let now = store.clock().now();
        let all = store.past(Timestamp::MIN, IncidentId(0)).await.unwrap().1;
        let past = all.iter().next_back().unwrap();
        let episode = store.episode(episode).await.unwrap().unwrap();
        let trip = store.trip(STORM).await.unwrap().unwrap();
        let ages = [
            past.started_at,
            past.ended_at.unwrap(),
            store.run(run).await.unwrap().unwrap().started_at,
            episode.opened_at,
            episode.seen_at,
            trip.since,
            trip.calm_since.unwrap(),
            store.marked("watchdog").await.unwrap().unwrap(),
            store.changes_since(moved(now, -61_000)).await.unwrap().pop().unwrap().at,
            store.glass_in_force().await.unwrap().pop().unwrap().at,
        ];
        let age = Duration::from_secs(if by == HOUR { 30 } else { 60 });
        assert_eq!(ages.map(|it| since(now, it)), [age; 10], "after {by}");
        assert_eq!(store.troubled_targets(moved(now, -61_000)).await.unwrap(), 1);
        assert_eq!(store.troubled_targets(moved(now, -30_000)).await.unwrap(), 0);
        assert_eq!(episode.starts_at, at(0), "by the clock of its source");
    }
    // in force for as long as it was asked for
    for (later, left) in [(39, 1), (1, 0)] {
        db.advance(later);
        assert_eq!(store.glass_in_force().await.unwrap().len(), left, "{later}");
    }
    let journal = store.journal(run).await.unwrap();
    assert!(journal.iter().all(|entry| entry.at == at(0)), "history stays as written");
    log::seal(&store).await;
    assert_eq!(log::findings(&store).await, []);
    assert_eq!(store.audit(None).await.unwrap().broken, []);
}

/// The plan of [`create_for`], with a step that waits.
fn waiting(seconds: u64) -> Plan {
    let mut plan = plan("t", IncidentId(7), EpisodeId(7));
    plan.playbook.steps[0].what = What::Wait(Duration::from_secs(seconds));
    plan.playbook.steps[0].undo = None;
    plan
}

async fn a_run_learns_of_each_jump_before_anything_else_is_written(db: Database) {
    let store = db.store().await;
    let plan = waiting(100);
    create(&store, &plan).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let intent = quell::model::run::Intent {
        action: None,
        previous: None,
        timeout: Duration::from_mins(1),
        key: "r-1/1".into(),
    };
    let begun = Event::StepStarted { step: 0, item: None, attempt: 1, intent };
    append(&store, &mut claim, begun, RunState::Running).await.unwrap();
    store.release_run(&claim, Some(at(100))).await.unwrap();
    for by in [HOUR, -2 * HOUR, HOUR] {
        set(&store, by).await;
    }
    db.advance(40);
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let mut state = machine::fold(&plan, &claim.entries).unwrap();
    store.tell_run_of_jumps(&mut claim, &mut state, LEASE).await.unwrap();
    let sleeps = machine::Effect::Sleep { until: at(100) };
    assert_eq!(machine::next(&plan, &state, store.clock().now()), sleeps);
    assert_eq!(machine::fold(&plan, &claim.entries).unwrap(), state);
    let told: Vec<i64> = claim
        .entries
        .iter()
        .filter_map(
            |it| if let Event::ClockSet { by_ms, .. } = it.event { Some(by_ms) } else { None },
        )
        .collect();
    assert_eq!(told, [HOUR * 1000, -2 * HOUR * 1000, HOUR * 1000]);
    store.tell_run_of_jumps(&mut claim, &mut state, LEASE).await.unwrap();
    assert_eq!(store.journal(claim.run).await.unwrap().len(), 5, "once");
    store.release_run(&claim, Some(at(100))).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
    db.advance(60);
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let outcome = Outcome::Done { summary: "waited".into(), output: serde_json::Value::Null };
    let over = Event::StepEnded { step: 0, item: None, outcome, jitter: 0 };
    append(&store, &mut claim, over, RunState::Fixed).await.unwrap();
    assert_eq!(store.audit(None).await.unwrap().broken, []);
}

async fn a_lease_lasts_as_long_as_it_should(db: Database) {
    let store = db.store().await;
    create_for(&store, 7).await;
    let held = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    for by in [HOUR, -2 * HOUR] {
        set(&store, by).await;
        db.advance(14);
        assert!(store.claim_run("other", LEASE).await.unwrap().is_none(), "stolen after {by}");
    }
    // by a worker whose claim is of before the jumps
    store.renew_run(&held, LEASE).await.unwrap();
    db.advance(29);
    assert!(store.claim_run("other", LEASE).await.unwrap().is_none());
    db.advance(1);
    assert!(store.claim_run("other", LEASE).await.unwrap().is_some());
}

async fn what_was_judged_before_is_judged_again(db: Database) {
    let store = db.store().await;
    let version = store.facts_version().await.unwrap();
    let episode = fire(&store, "A").await;
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    set(&store, -HOUR).await;
    store.episode_due(&due, Some(at(100))).await.unwrap();
    let plan = plan("t", IncidentId(7), episode);
    let judged = store.create_run(version, &plan, 0, |_| Vec::new()).await;
    assert!(matches!(judged, Err(StoreError::Changed)), "{judged:?}");
    assert!(store.claim_episode(LEASE).await.unwrap().is_some(), "not in an hour");
}

async fn a_jump_is_accepted_once_and_whoever_has_not_heard_of_it_claims_nothing(db: Database) {
    let store = db.store().await;
    let other = Store::open(&db.url, Clock::manual(at(0))).await.unwrap();
    create_for(&store, 7).await;
    let (incident, _) = open_incident(&store, "A").await;
    store.tell(vec![owed(incident.id, "slack", "x")]).await.unwrap();
    set(&store, -HOUR).await;
    let jump = Jump { at: at(-HOUR), by_ms: -HOUR * 1000 };
    assert!(!other.clock_was_set(jump).await.unwrap(), "a second time");
    assert_eq!(other.clock().now(), at(0));
    assert!(other.claim_run("old", LEASE).await.unwrap().is_none());
    assert!(other.claim_episode(LEASE).await.unwrap().is_none());
    assert!(other.claim_notification(LEASE).await.unwrap().is_none());
    let heard = Store::open(&db.url, Clock::manual(at(-HOUR))).await.unwrap();
    assert!(heard.claim_run("new", LEASE).await.unwrap().is_some());
    assert!(heard.claim_episode(LEASE).await.unwrap().is_some());
    assert!(heard.claim_notification(LEASE).await.unwrap().is_some());
}

async fn a_run_that_has_not_heard_of_a_jump_is_not_put_off_by_the_old_time(db: Database) {
    let store = db.store().await;
    create_for(&store, 7).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    set(&store, -HOUR).await;
    store.release_run(&claim, Some(at(100))).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_some(), "not in an hour");
}

/// What an earlier process wrote down: what its clock showed, in which start of the machine, and how long after it.
async fn noted(db: &Database, at: Timestamp, boot: &str, after_boot: Duration) {
    let written = sqlx::query("INSERT INTO clock (at, boot, since_boot) VALUES ($1, $2, $3)")
        .bind(at.as_microsecond())
        .bind(boot)
        .bind(i64::try_from(after_boot.as_micros()).unwrap())
        .execute(&db.raw().await)
        .await;
    assert_eq!(written.unwrap().rows_affected(), 1);
}

/// Two instants that are the same but for the time that a busy machine takes.
fn close(a: Timestamp, b: Timestamp) -> bool {
    a.duration_since(b).abs() < jiff::SignedDuration::from_secs(4)
}

async fn a_clock_that_was_set_while_quell_was_down_is_noticed(db: Database) {
    db.store().await.close().await;
    // an hour ago by the time since boot, and another one by the wall clock, ahead or back
    let wall = Clock::System.now();
    let Some(after_boot) = uptime().checked_sub(Duration::from_secs(1)) else { return };
    for by in [HOUR, -HOUR] {
        let shown = moved(moved(wall, -1000), -by * 1000);
        sqlx::query("DELETE FROM clock").execute(&db.raw().await).await.unwrap();
        noted(&db, shown, &boot_id(), after_boot).await;
        let store = Store::open(&db.url, Clock::System).await.unwrap();
        let expected = moved(Clock::System.now(), -by * 1000);
        assert!(close(store.clock().now(), expected), "it goes on: {}", store.clock().now());
        let other = Store::open(&db.url, Clock::System).await.unwrap();
        let jump = store.keep_time().await.unwrap().unwrap();
        assert_eq!(other.keep_time().await.unwrap(), None, "it only hears of it");
        assert!(close(other.clock().now(), Clock::System.now()));
        assert!((jump.by_ms - by * 1000).abs() < 4000, "{jump:?}");
        assert!(close(store.clock().now(), Clock::System.now()));
        assert_eq!(store.keep_time().await.unwrap(), None, "once");
        let crashed = Store::open(&db.url, Clock::System).await.unwrap();
        assert_eq!(crashed.keep_time().await.unwrap(), None, "the same jump again");
        store.mark_time().await.unwrap();
        let next = Store::open(&db.url, Clock::System).await.unwrap();
        assert_eq!(next.keep_time().await.unwrap(), None);
    }
}

async fn after_another_start_of_the_machine_only_a_clock_that_was_set_back_is_noticed(
    db: Database,
) {
    db.store().await.close().await;
    let now = Clock::System.now();
    noted(&db, moved(now, -HOUR * 1000), "another", Duration::from_secs(9)).await;
    let store = Store::open(&db.url, Clock::System).await.unwrap();
    assert_eq!(store.keep_time().await.unwrap(), None, "quell may have been down for an hour");
    assert!(close(store.clock().now(), now));
    sqlx::query("DELETE FROM clock").execute(&db.raw().await).await.unwrap();
    noted(&db, moved(now, HOUR * 1000), "another", Duration::from_secs(9)).await;
    let store = Store::open(&db.url, Clock::System).await.unwrap();
    let jump = store.keep_time().await.unwrap().unwrap();
    assert!((jump.by_ms + HOUR * 1000).abs() < 4000, "{jump:?}");
}

/// A machine that stood still, as a virtual one does while it is moved, is wrong alone.
async fn whoever_stood_still_alone_moves_nothing(db: Database) {
    db.store().await.close().await;
    let Some(after_boot) = uptime().checked_sub(Duration::from_secs(1)) else { return };
    let wall = Clock::System.now();
    noted(&db, moved(wall, -HOUR * 1000), &boot_id(), after_boot).await;
    noted(&db, wall, "another", Duration::from_secs(9)).await;
    let store = Store::open(&db.url, Clock::System).await.unwrap();
    let jump = store.keep_time().await.unwrap();
    // one process has a database of SQLite for itself: the other row is of an earlier start
    assert_eq!(jump.is_some(), db.is_sqlite, "{jump:?}");
    assert_eq!(store.jumps(Timestamp::MIN).await.unwrap().len(), usize::from(db.is_sqlite));
    assert!(close(store.clock().now(), Clock::System.now()));
}
