//! Intake: what deliveries do to episodes, commits shared by many, and the bound on what waits.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use quell::decide::episode::Change;
use quell::decide::episode::Heard;
use quell::decide::episode::change;
use quell::model::incident::Episode;
use sqlx::AnyConnection;
use sqlx::Connection as _;

use super::*;

on_each_engine!(
    deliveries_open_resend_close_and_reopen,
    an_episode_is_stored_as_it_was_sent,
    text_of_any_kind_is_kept,
    a_repeat_writes_nothing,
    a_repeat_is_the_same_for_the_database_and_for_the_judge,
    a_repeat_after_something_new_writes_nothing,
    a_repeat_after_a_minute_is_seen_but_makes_nothing_due,
    news_are_written_and_only_some_make_it_due,
    one_delivery_may_say_two_things_of_one_alert,
    alerts_of_one_delivery_are_as_one_after_another,
    waiting_deliveries_are_committed_together,
    an_intake_that_is_full_keeps_nothing_of_what_it_refuses,
    an_idle_intake_takes_a_delivery_of_any_size,
    two_thousand_alerts_in_one_delivery,
    two_replicas_open_one_episode,
    a_stopped_writer_says_so,
    an_empty_delivery_is_accepted,
);

fn counts(
    opened: usize,
    reopened: usize,
    updated: usize,
    closed: usize,
    unchanged: usize,
) -> Accepted {
    Accepted { opened, reopened, updated, closed, unchanged }
}

async fn latest(store: &Store, name: &str) -> Episode {
    store.latest_episode(&labels(name).fingerprint()).await.unwrap().unwrap()
}

async fn deliveries_open_resend_close_and_reopen(db: Database) {
    let store = db.store().await;
    let (opened, reopened, closed, unchanged) = (
        counts(1, 0, 0, 0, 0),
        counts(0, 1, 0, 0, 0),
        counts(0, 0, 0, 1, 0),
        counts(0, 0, 0, 0, 1),
    );
    for (name, alert, expected, episodes, open, times) in [
        ("first", firing("A", -10), opened, 1, true, 0),
        ("resent", firing("A", -10), unchanged, 1, true, 0),
        ("resolved", resolved("A", -10, 20), closed, 1, false, 0),
        ("resolved again", resolved("A", -10, 20), unchanged, 1, false, 0),
        ("said again late", firing("A", -10), reopened, 1, true, 1),
        ("resolved a third time", resolved("A", -10, 30), closed, 1, false, 1),
        ("fires anew", firing("A", 40), opened, 2, true, 0),
        ("an old resolution", resolved("A", -10, 20), unchanged, 2, true, 0),
    ] {
        let accepted = accept(&store, delivery(vec![alert])).await.unwrap();
        assert_eq!(accepted, expected, "{name}");
        let episode = latest(&store, "A").await;
        assert_eq!((episode.open, episode.reopened), (open, times), "{name}");
        assert_eq!(store.episodes(false, None, 10).await.unwrap().len(), episodes, "{name}");
        db.advance(10);
    }
    let ended = store.episode(EpisodeId(1)).await.unwrap().unwrap().ended_at;
    assert_eq!(ended, Some(at(30)));
    assert_eq!(store.episodes(true, None, 10).await.unwrap().len(), 1);
}

async fn an_episode_is_stored_as_it_was_sent(db: Database) {
    let store = db.store().await;
    let annotations: Labels = [("summary", "disk is full")].into_iter().collect();
    let alert = Alert { annotations: annotations.clone(), ..firing("A", -100) };
    accept(&store, Delivery { truncated: 3, ..delivery(vec![alert]) }).await.unwrap();
    let expected = Episode {
        id: EpisodeId(1),
        fingerprint: labels("A").fingerprint(),
        source: "am".into(),
        labels: labels("A"),
        annotations,
        open: true,
        starts_at: at(-100),
        opened_at: at(0),
        seen_at: at(0),
        ended_at: None,
        reopened: 0,
        truncated: 3,
        generator_url: "http://prometheus/graph".into(),
    };
    assert_eq!(latest(&store, "A").await, expected);
}

async fn text_of_any_kind_is_kept(db: Database) {
    let store = db.store().await;
    for text in ["it's \"quoted\" \\ $1 ?", "line\nbreak\ttab", "größer 🔥 \u{202e}", "a\0b"] {
        let alert = Alert {
            labels: [("alertname", text)].into_iter().collect(),
            annotations: [("summary", text)].into_iter().collect(),
            generator_url: format!("http://prometheus/graph?{text}"),
            ..firing("A", 0)
        };
        accept(&store, delivery(vec![alert.clone()])).await.unwrap();
        let stored = store.latest_episode(&alert.labels.fingerprint()).await.unwrap().unwrap();
        assert_eq!((&stored.labels, &stored.annotations), (&alert.labels, &alert.annotations));
        // PostgreSQL has no NUL in texts
        assert_eq!(stored.generator_url, alert.generator_url.replace('\0', "\u{fffd}"));
    }
}

/// Changes whenever anything is written.
async fn version(db: &Database, on: &mut AnyConnection) -> String {
    let sql = if db.is_sqlite {
        "SELECT CAST(data_version AS TEXT) FROM pragma_data_version"
    } else {
        "SELECT string_agg(it, ' ' ORDER BY it) FROM
           (SELECT 'e' || ctid || xmin AS it FROM episodes UNION ALL SELECT 'c' || ctid || xmin FROM counters) a"
    };
    sqlx::query_scalar(sql).fetch_one(on).await.unwrap()
}

async fn a_repeat_writes_nothing(db: Database) {
    let store = db.store().await;
    let raw = db.raw().await;
    let mut on = raw.acquire().await.unwrap().detach();
    let both = || delivery(vec![firing("A", 0), firing("B", 0)]);
    accept(&store, both()).await.unwrap();
    let before = version(&db, &mut on).await;
    db.advance(59);
    for _ in 0..3 {
        assert_eq!(accept(&store, both()).await.unwrap(), counts(0, 0, 0, 0, 2));
    }
    assert_eq!(version(&db, &mut on).await, before);
    accept(&store, delivery(vec![resolved("A", 0, 59)])).await.unwrap();
    assert_ne!(version(&db, &mut on).await, before, "a change would have shown");
    on.close().await.unwrap();
}

/// Repeats are counted by the database, and what they are is said by `change`.
async fn a_repeat_is_the_same_for_the_database_and_for_the_judge(db: Database) {
    let store = db.store().await;
    let says = |summary: &str| -> Labels { [("summary", summary)].into_iter().collect() };
    let without_start = |alert: Alert| Alert { starts_at: None, ..alert };
    let mut repeats = 0;
    let all = (0..6)
        .flat_map(|starts| ["it's \"full\" 🔥", "worse"].map(|summary| (starts, summary)))
        .flat_map(|it| [1, 2].map(|truncated| (it, truncated)))
        .flat_map(|it| [0, 59, 60].map(|seconds| (it, seconds)));
    for (index, (((starts, summary), truncated), seconds)) in all.enumerate() {
        let name = format!("V{index}");
        let first = Alert { annotations: says("it's \"full\" 🔥"), ..firing(&name, 3) };
        accept(&store, Delivery { truncated: 1, ..delivery(vec![first]) }).await.unwrap();
        db.advance(seconds);
        let alert = Alert { annotations: says(summary), ..firing(&name, starts) };
        let alert = if starts == 5 { without_start(alert) } else { alert };
        let heard = Heard::from(&latest(&store, &name).await);
        let judged = change(Some(&heard), &alert, truncated, db.clock.now());
        let accepted =
            accept(&store, Delivery { truncated, ..delivery(vec![alert]) }).await.unwrap();
        let nothing = judged == Change::Nothing;
        assert_eq!(accepted.unchanged == 1, nothing, "{starts} {summary} {truncated} {seconds}");
        repeats += usize::from(nothing);
    }
    assert!(repeats > 4, "{repeats}");
    let many = |news: &str| {
        let alerts =
            (0..300).map(|it| Alert { annotations: says(news), ..firing(&format!("M{it}"), 0) });
        delivery(alerts.collect())
    };
    assert_eq!(accept(&store, many("a")).await.unwrap(), counts(300, 0, 0, 0, 0));
    assert_eq!(accept(&store, many("a")).await.unwrap(), counts(0, 0, 0, 0, 300));
    let mut one = many("a");
    one.alerts[299].annotations = says("b");
    assert_eq!(accept(&store, one).await.unwrap(), counts(0, 0, 1, 0, 299));
}

async fn a_repeat_after_something_new_writes_nothing(db: Database) {
    let store = db.store().await;
    let raw = db.raw().await;
    let mut on = raw.acquire().await.unwrap().detach();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let (intake, writer) = Intake::new(store.clone(), 1_000, move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let sends = async move {
        intake.accept(delivery(vec![firing("A", 0)])).await.unwrap();
        let before = version(&db, &mut on).await;
        for _ in 0..3 {
            let repeat = intake.accept(delivery(vec![firing("A", 0)])).await.unwrap();
            assert_eq!(repeat, counts(0, 0, 0, 0, 1));
        }
        assert_eq!(version(&db, &mut on).await, before);
        on.close().await.unwrap();
    };
    tokio::join!(sends, writer);
    assert_eq!(commits.load(Ordering::Relaxed), 1);
}

async fn a_repeat_after_a_minute_is_seen_but_makes_nothing_due(db: Database) {
    let store = db.store().await;
    fire(&store, "A").await;
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    db.advance(60);
    let accepted = accept(&store, delivery(vec![firing("A", 0)])).await.unwrap();
    assert_eq!(accepted, counts(0, 0, 1, 0, 0));
    assert_eq!(latest(&store, "A").await.seen_at, at(60));
    assert!(store.claim_episode(LEASE).await.unwrap().is_none());
}

async fn news_are_written_and_only_some_make_it_due(db: Database) {
    let store = db.store().await;
    let summary = [("summary", "worse")].into_iter().collect();
    for (name, truncated, alert, makes_due) in [
        ("opens", 0, firing("A", 0), true),
        ("annotation", 0, Alert { annotations: summary, ..firing("A", 0) }, false),
        ("annotation gone, earlier start", 0, firing("A", -30), false),
        ("cut off", 2, firing("A", -30), true),
        ("whole again", 0, firing("A", -30), true),
        ("closes", 0, resolved("A", -30, 5), true),
        ("reopens", 0, firing("A", -30), true),
    ] {
        let delivery = Delivery { truncated, ..delivery(vec![alert.clone()]) };
        assert!(accept(&store, delivery).await.unwrap().changed(), "{name}");
        let due = store.claim_episode(LEASE).await.unwrap();
        assert_eq!(due.is_some(), makes_due, "{name}");
        if let Some(due) = due {
            store.episode_due(&due, None).await.unwrap();
        }
        let episode = latest(&store, "A").await;
        assert_eq!(episode.truncated, truncated, "{name}");
        if episode.open {
            assert_eq!(episode.annotations, alert.annotations, "{name}");
            assert_eq!(Some(episode.starts_at), alert.starts_at, "{name}");
            assert_eq!(episode.ended_at, None, "{name}");
        }
    }
}

async fn one_delivery_may_say_two_things_of_one_alert(db: Database) {
    let store = db.store().await;
    let alerts = vec![firing("A", 0), firing("A", 0), resolved("A", 0, 5), firing("A", 10)];
    let accepted = accept(&store, delivery(alerts)).await.unwrap();
    assert_eq!(accepted, counts(2, 0, 0, 1, 1));
    let episodes = store.episodes(false, None, 10).await.unwrap();
    let found: Vec<_> = episodes.iter().map(|episode| (episode.id.0, episode.open)).collect();
    assert_eq!(found, [(2, true), (1, false)]);
}

/// Alerts that are written by few statements leave what they would leave each by itself.
async fn alerts_of_one_delivery_are_as_one_after_another(db: Database) {
    let store = db.store().await;
    let mut seed = 7_u64;
    let mut dice = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..12 {
        let rolled: Vec<_> = (0..25).map(|_| (dice(6), dice(3), dice(3), dice(2))).collect();
        let alerts = |kind: &str| -> Vec<Alert> {
            let alert = |(name, starts, status, summary): &(u64, u64, u64, u64)| {
                let name = format!("{kind}{name}");
                let starts = i64::try_from(*starts).unwrap() * 10 - 10;
                let alert = if *status == 0 {
                    resolved(&name, starts, starts + 5 + round)
                } else {
                    firing(&name, starts)
                };
                // the database keeps microseconds
                let fine = alert.starts_at.map(|at| at + Duration::from_nanos(1_500));
                let annotations = [("summary", format!("{summary}"))].into_iter().collect();
                Alert { annotations, starts_at: fine, ..alert }
            };
            rolled.iter().map(alert).collect()
        };
        let together = accept(&store, delivery(alerts("together"))).await.unwrap();
        let mut each = Accepted::default();
        for alert in alerts("alone") {
            let one = accept(&store, delivery(vec![alert])).await.unwrap();
            each.opened += one.opened;
            each.reopened += one.reopened;
            each.updated += one.updated;
            each.closed += one.closed;
            each.unchanged += one.unchanged;
        }
        assert_eq!(together, each, "{round}");
        db.advance(25);
    }
    let episodes = store.episodes(false, None, 1_000).await.unwrap();
    let of = |kind: &str| -> Vec<Episode> {
        let mut of: Vec<_> =
            episodes.iter().filter(|it| it.labels.get("alertname").starts_with(kind)).collect();
        of.sort_by_key(|it| (it.labels.get("alertname").to_owned(), it.id.0));
        let same = |it: &&Episode| Episode {
            id: EpisodeId(0),
            fingerprint: String::new(),
            labels: Labels::default(),
            ..(*it).clone()
        };
        of.iter().map(same).collect()
    };
    assert!(of("alone").len() > 6, "too little happened");
    assert_eq!(of("together"), of("alone"));
}

async fn waiting_deliveries_are_committed_together(db: Database) {
    let store = db.store().await;
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let (intake, writer) = Intake::new(store.clone(), 1_000, move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    // all wait before the writer is polled for the first time
    let all = async move {
        let deliveries = (0..100).map(|number| delivery(vec![firing(&format!("A{number}"), 0)]));
        let answers = join_all(deliveries.map(|it| intake.accept(it))).await;
        (answers, intake.waiting())
    };
    let ((answers, _), ()) = tokio::join!(all, writer);
    for answer in answers {
        assert_eq!(answer.unwrap(), counts(1, 0, 0, 0, 0));
    }
    assert_eq!(commits.load(Ordering::Relaxed), 1);
    let episodes = store.episodes(true, None, 1_000).await.unwrap();
    let ids: BTreeSet<i64> = episodes.iter().map(|episode| episode.id.0).collect();
    assert_eq!((episodes.len(), ids.len()), (100, 100));
}

async fn an_intake_that_is_full_keeps_nothing_of_what_it_refuses(db: Database) {
    let store = db.store().await;
    let (intake, writer) = Intake::new(store.clone(), 10, || {});
    let many = |prefix: &str, count: usize| {
        delivery((0..count).map(|number| firing(&format!("{prefix}{number}"), 0)).collect())
    };
    let mut first = pin!(intake.accept(many("A", 8)));
    assert!(futures_util::poll!(&mut first).is_pending());
    let refused = intake.accept(many("B", 3)).await;
    assert!(
        matches!(refused, Err(NotAccepted::Overloaded { waiting: 8, limit: 10 })),
        "{refused:?}"
    );
    let mut second = pin!(intake.accept(many("C", 2)));
    assert!(futures_util::poll!(&mut second).is_pending(), "what fits is taken");
    assert_eq!(intake.waiting(), 10);
    let mut writer = pin!(writer);
    assert!(futures_util::poll!(&mut writer).is_pending());
    let answers = async { (first.await.unwrap().opened, second.await.unwrap().opened) };
    let both = tokio::select! {
        both = answers => both,
        () = &mut writer => panic!("the writer ended"),
    };
    assert_eq!(both, (8, 2));
    assert_eq!(store.episodes(false, None, 100).await.unwrap().len(), 10);
}

async fn an_idle_intake_takes_a_delivery_of_any_size(db: Database) {
    let store = db.store().await;
    let (intake, writer) = Intake::new(store, 2, || {});
    let alerts = (0..5).map(|number| firing(&format!("A{number}"), 0)).collect();
    let one = async move { intake.accept(delivery(alerts)).await.unwrap() };
    let (accepted, ()) = tokio::join!(one, writer);
    assert_eq!(accepted.opened, 5);
}

async fn two_thousand_alerts_in_one_delivery(db: Database) {
    let store = db.store().await;
    let all = || delivery((0..2_000).map(|number| firing(&format!("A{number}"), 0)).collect());
    assert_eq!(accept(&store, all()).await.unwrap(), counts(2_000, 0, 0, 0, 0));
    assert_eq!(accept(&store, all()).await.unwrap(), counts(0, 0, 0, 0, 2_000));
    assert_eq!(store.episodes(true, None, 5_000).await.unwrap().len(), 2_000);
}

async fn two_replicas_open_one_episode(db: Database) {
    let stores = [db.store().await, db.store().await];
    let each = stores.iter().flat_map(|store| {
        (0..10).map(move |number| {
            let mut alerts = vec![firing("A", number), firing("B", number), firing("C", number)];
            // every second one the other way round, as two groups of one Alertmanager might be
            if number % 2 == 0 {
                alerts.reverse();
            }
            accept(store, delivery(alerts))
        })
    });
    let answers: Vec<Accepted> =
        join_all(each).await.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(answers.iter().map(|accepted| accepted.opened).sum::<usize>(), 3);
    assert_eq!(stores[0].episodes(false, None, 100).await.unwrap().len(), 3);
}

async fn a_stopped_writer_says_so(db: Database) {
    let store = db.store().await;
    let (intake, writer) = Intake::new(store.clone(), 10, || {});
    let mut waits = pin!(intake.accept(delivery(vec![firing("A", 0)])));
    assert!(futures_util::poll!(&mut waits).is_pending());
    drop(writer);
    assert!(matches!(waits.await, Err(NotAccepted::Stopping)));
    let late = intake.accept(delivery(vec![firing("A", 0)])).await;
    assert!(matches!(late, Err(NotAccepted::Stopping)));
    assert!(store.episodes(false, None, 10).await.unwrap().is_empty());
}

async fn an_empty_delivery_is_accepted(db: Database) {
    let store = db.store().await;
    assert_eq!(accept(&store, delivery(Vec::new())).await.unwrap(), Accepted::default());
}
