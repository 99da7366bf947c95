//! What people do at incidents: take over, give back, break the glass.

use futures_util::future::join_all;
use quell::decide::glass;
use quell::decide::glass::Asked;
use quell::model::config::Channel;
use quell::model::config::Config;
use quell::model::config::Secret;
use quell::model::glass::Broken;
use quell::model::run::Stop;

use super::*;

on_each_engine!(
    g15_a_take_over_acknowledges_stops_runs_and_voids_judgements,
    g15_of_many_who_take_one_has_it,
    g15_what_is_given_back_is_judged_again_and_its_acknowledgement_is_forgotten,
    g15_a_resolved_incident_cannot_be_taken,
    g15_a_take_over_of_one_incident_leaves_the_others,
    g11_glass_is_broken_told_and_over_at_its_time,
    g11_glass_is_ended_before_its_time_once,
    g11_breaking_the_glass_voids_judgements_and_wakes_what_waits,
);

/// A run of an incident that a worker holds.
async fn at_work(store: &Store, target: &str, incident: IncidentId, episode: EpisodeId) -> Claim {
    create(store, &plan(target, incident, episode)).await;
    store.claim_run("worker", LEASE).await.unwrap().unwrap()
}

async fn take(store: &Store, id: IncidentId, by: &str) -> (Incident, bool) {
    store.take_incident(id, by, None, |it| vec![owed(it.id, "chat", "taken")]).await.unwrap()
}

async fn g15_a_take_over_acknowledges_stops_runs_and_voids_judgements(db: Database) {
    let store = db.store().await;
    let (incident, episode) = open_incident(&store, "a").await;
    let claim = at_work(&store, "t", incident.id, episode).await;
    let before = store.facts_version().await.unwrap();
    db.advance(9);
    let (taken, done) = take(&store, incident.id, "ada").await;
    assert!(done);
    assert_eq!((taken.taken_by.as_str(), taken.taken_at), ("ada", Some(at(9))));
    assert_eq!((taken.acked_by.as_str(), taken.acked_at), ("ada", Some(at(9))));
    assert_eq!(taken.status, IncidentStatus::Acknowledged);
    let stop = Stop::TakenOver { by: "ada".into() };
    assert_eq!(store.stop_requested(claim.run).await.unwrap(), Some(stop));
    let other = plan("u", incident.id, EpisodeId(77));
    let stale = store.create_run(before, &other, 0, |_| Vec::new()).await;
    assert!(matches!(stale, Err(StoreError::Changed)), "judged before it was taken: {stale:?}");
    // what the worker lets go of is due at once, so that it stops
    store.release_run(&claim, None).await.unwrap();
    assert_eq!(store.claim_run("worker", LEASE).await.unwrap().unwrap().run, claim.run);
    assert_eq!(store.notifications_of(incident.id).await.unwrap().len(), 1);
    let again = take(&store, incident.id, "bob").await;
    assert_eq!((again.0.taken_by.as_str(), again.1), ("ada", false), "the first has it");
}

async fn g15_of_many_who_take_one_has_it(db: Database) {
    let stores = [db.store().await, db.store().await];
    let (incident, _) = open_incident(&stores[0], "a").await;
    let names = ["ada", "bob", "cem", "dan"];
    let all = names.iter().zip(stores.iter().cycle());
    let all = join_all(all.map(|(by, store)| take(store, incident.id, by))).await;
    assert_eq!(all.iter().filter(|(_, done)| *done).count(), 1);
    assert_eq!(stores[0].notifications_of(incident.id).await.unwrap().len(), 1, "told once");
}

async fn g15_what_is_given_back_is_judged_again_and_its_acknowledgement_is_forgotten(db: Database) {
    let store = db.store().await;
    let (incident, episode) = open_incident(&store, "a").await;
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    take(&store, incident.id, "ada").await;
    // it is judged, so that it says who has it
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    db.advance(60);
    let (back, done) = store.give_back_incident(incident.id, |_| Vec::new()).await.unwrap();
    assert!(done && back.taken_by.is_empty());
    assert_eq!(quell::decide::hands::at_incident(&back), None, "as if nobody were at it");
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    assert_eq!(due.episode.id, episode);
    let again = store.give_back_incident(incident.id, |_| Vec::new()).await.unwrap();
    assert!(!again.1, "nobody had it");
}

async fn g15_a_resolved_incident_cannot_be_taken(db: Database) {
    let store = db.store().await;
    let (incident, _) = open_incident(&store, "a").await;
    resolve(&store, "a").await;
    assert!(store.resolve_incident(incident.id, Vec::new()).await.unwrap());
    let (found, done) = take(&store, incident.id, "ada").await;
    assert_eq!((found.status, done), (IncidentStatus::Resolved, false));
    let missing = store.take_incident(IncidentId(99), "ada", None, |_| Vec::new()).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
}

async fn g15_a_take_over_of_one_incident_leaves_the_others(db: Database) {
    let store = db.store().await;
    let (first, episode) = open_incident(&store, "a").await;
    let (second, other) = open_incident(&store, "b").await;
    at_work(&store, "t", first.id, episode).await;
    let going_on = at_work(&store, "u", second.id, other).await;
    take(&store, first.id, "ada").await;
    assert_eq!(store.stop_requested(going_on.run).await.unwrap(), None);
    let found = store.incident(second.id).await.unwrap().unwrap();
    assert_eq!((found.taken_by.as_str(), found.status), ("", IncidentStatus::Open));
}

fn config() -> Config {
    let chat = Channel::Webhook { url: Secret::new("http://chat"), headers: BTreeMap::new() };
    let pager = Channel::Slack { webhook_url: Secret::new("http://pager") };
    Config {
        channels: [("chat".to_owned(), chat), ("pager".to_owned(), pager)].into(),
        paging: ["pager".to_owned()].into(),
        ..Config::default()
    }
}

/// `ada` breaks it for a target, for so many seconds.
async fn smash(store: &Store, seconds: u64) -> Broken {
    let lasts = Duration::from_secs(seconds);
    let asked = Asked { scope: "target:t", by: ("ada", 4), reason: "outage", lasts };
    let new = glass::ask(&config(), asked, store.clock().now()).unwrap();
    let make = |it: &Broken| (glass::incident(it), glass::told(&config(), it));
    store.break_glass(&new, make).await.unwrap()
}

async fn g11_glass_is_broken_told_and_over_at_its_time(db: Database) {
    let store = db.store().await;
    let broken = smash(&store, 60).await;
    let told = store.notifications_of(broken.incident).await.unwrap();
    let told: Vec<_> = told.iter().map(|it| (it.channel.as_str(), it.notice.kind)).collect();
    assert_eq!(told, [("pager", NoticeKind::NeedsYou)], "whoever is paged, at once");
    db.advance(59);
    let in_force = async |rule, target, incident| {
        let all = store.glass_in_force().await.unwrap();
        let now = store.clock().now();
        glass::in_force(&all, rule, target, incident, now).map(|it| it.by)
    };
    assert_eq!(in_force("r", "t", IncidentId(7)).await.as_deref(), Some("ada"));
    assert_eq!(in_force("r", "u", IncidentId(7)).await, None, "another target");
    assert_eq!(store.glass_to_end().await.unwrap(), []);
    db.advance(1);
    assert_eq!(in_force("r", "t", IncidentId(7)).await, None, "its time is over");
    let ended = store.glass_to_end().await.unwrap();
    assert_eq!(ended, std::slice::from_ref(&broken));
    let owed = || glass::told_over(&config(), &broken, store.clock().now());
    let stores = [db.store().await, db.store().await];
    let all = join_all(stores.iter().map(|store| store.end_glass(&broken, owed()))).await;
    assert_eq!(all.iter().filter(|it| *it.as_ref().unwrap()).count(), 1, "told once");
    assert_eq!(store.notifications_of(broken.incident).await.unwrap().len(), 2);
    let incident = store.incident(broken.incident).await.unwrap().unwrap();
    assert_eq!(incident.status, IncidentStatus::Resolved);
    assert_eq!(store.glass_to_end().await.unwrap(), []);
    assert_eq!(store.glass(10).await.unwrap(), [broken], "it is kept");
}

async fn g11_glass_is_ended_before_its_time_once(db: Database) {
    let store = db.store().await;
    let broken = smash(&store, 600).await;
    db.advance(9);
    let ended = store.revoke_glass(broken.id, "bob").await.unwrap();
    assert_eq!((ended.ended_at, ended.ended_by.as_str()), (Some(at(9)), "bob"));
    assert_eq!(store.glass_in_force().await.unwrap(), []);
    assert_eq!(store.glass_to_end().await.unwrap(), [ended]);
    match store.revoke_glass(broken.id, "cem").await {
        Err(StoreError::Conflict(words)) => {
            assert_eq!(words, "break-glass 1 is over since 2026-01-05T10:00:09Z");
        }
        other => panic!("{other:?}"),
    }
    let missing = store.revoke_glass(99, "bob").await;
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
}

async fn g11_breaking_the_glass_voids_judgements_and_wakes_what_waits(db: Database) {
    let store = db.store().await;
    let (incident, episode) = open_incident(&store, "a").await;
    let due = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&due, None).await.unwrap();
    let waits = Plan { mode: Mode::Approve, ..plan("t", incident.id, episode) };
    let run = create(&store, &waits).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.release_run(&claim, None).await.unwrap();
    assert!(store.claim_run("worker", LEASE).await.unwrap().is_none());
    let before = store.facts_version().await.unwrap();
    smash(&store, 60).await;
    assert_ne!(store.facts_version().await.unwrap(), before);
    assert_eq!(store.claim_run("worker", LEASE).await.unwrap().unwrap().run, run);
    assert_eq!(store.claim_episode(LEASE).await.unwrap().unwrap().episode.id, episode);
}
