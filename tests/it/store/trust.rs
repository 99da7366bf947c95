//! The trust ladder as stored: lowered in the transaction that ends a run, raised by people alone.

use futures_util::future::join_all;
use quell::decide::trust;
use quell::decide::trust::Policy;
use quell::decide::trust::evidence::evidence;
use quell::model::playbook::Rate;
use quell::model::rule::Set;
use quell::model::run::Stop;
use quell::model::trust::Trust;
use quell::store::runs::Follows;
use quell::store::trust::Ending;

use super::*;

on_each_engine!(
    the_third_run_in_vain_lowers_the_trust_with_its_end_and_people_are_told_once,
    of_runs_that_end_at_once_on_replicas_one_lowers_the_trust,
    a_demotion_by_old_facts_is_made_again,
    a_promotion_makes_open_episodes_due_and_the_count_begins_anew,
    of_two_who_promote_at_once_one_is_heard,
    runs_are_found_by_rule_with_who_stopped_them,
);

fn policy() -> Policy {
    let three = Rate { count: 3, per: Duration::from_hours(24) };
    Policy { rule: "r".into(), limits: vec![Set::default_of(three)], ceiling: Mode::Auto }
}

/// Creates a run of rule `r`, and ends it as failed.
async fn fail(store: &Store, number: i64) -> Result<(), StoreError> {
    create_for(store, number).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    end(store, claim, RunState::Failed).await
}

async fn end(store: &Store, mut claim: Claim, state: RunState) -> Result<(), StoreError> {
    let told = |trust: &Trust| vec![owed(IncidentId(1), "slack", &trust.why)];
    let policy = policy();
    let ending = Some(Ending { policy: &policy, told: &told });
    let entry = entry(&claim, store.clock().now(), Event::Stopped { why: Stop::Resolved });
    let follows = Follows::of(&[], ending);
    store.append_with(&mut claim, entry, &row(state), Vec::new(), follows).await
}

async fn told(store: &Store) -> Vec<String> {
    let told = store.notifications_of(IncidentId(1)).await.unwrap();
    told.into_iter().map(|it| it.notice.headline).collect()
}

async fn the_third_run_in_vain_lowers_the_trust_with_its_end_and_people_are_told_once(
    db: Database,
) {
    let store = db.store().await;
    for number in 1..3 {
        fail(&store, number).await.unwrap();
        db.advance(60);
        assert_eq!(store.trust("r").await.unwrap(), None);
    }
    fail(&store, 3).await.unwrap();
    let why = "3 of 3 runs in the last 1d did not help (demote_after 3 per 1d, default)";
    let expected = Trust {
        rule: "r".into(),
        mode: Mode::Approve,
        why: why.into(),
        at: at(120),
        by: trust::BY.into(),
    };
    assert_eq!(store.trust("r").await.unwrap().as_ref(), Some(&expected));
    assert_eq!(store.trusts().await.unwrap(), [("r".to_owned(), expected)].into());
    assert_eq!(told(&store).await, [why]);
    // after as many again, the next rung; and below observe there is none
    for number in 4..20 {
        db.advance(60);
        fail(&store, number).await.unwrap();
    }
    assert_eq!(store.trust("r").await.unwrap().unwrap().mode, Mode::Observe);
    assert_eq!(told(&store).await.len(), 2);
}

async fn of_runs_that_end_at_once_on_replicas_one_lowers_the_trust(db: Database) {
    let stores = [db.store().await, db.store().await];
    let mut claims = Vec::new();
    for number in 1..6 {
        create_for(&stores[0], number).await;
        claims.push(stores[0].claim_run("worker", LEASE).await.unwrap().unwrap());
    }
    db.advance(60);
    let ends =
        claims.into_iter().zip(0..).map(|(claim, n)| end(&stores[n % 2], claim, RunState::Failed));
    for ended in join_all(ends).await {
        ended.unwrap();
    }
    // the two that were left began before the word that holds now
    assert_eq!(stores[0].trust("r").await.unwrap().unwrap().mode, Mode::Approve);
    assert_eq!(told(&stores[1]).await.len(), 1);
}

fn lowered(mode: Mode, at: Timestamp) -> Trust {
    Trust { rule: "r".into(), mode, why: "w".into(), at, by: trust::BY.into() }
}

async fn a_demotion_by_old_facts_is_made_again(db: Database) {
    let store = db.store().await;
    let version = store.facts_version().await.unwrap();
    create_for(&store, 1).await;
    let old = store.demote(version, &lowered(Mode::Approve, at(0)), Vec::new()).await;
    assert!(matches!(old, Err(StoreError::Changed)), "{old:?}");
    assert_eq!(store.trust("r").await.unwrap(), None);
    let version = store.facts_version().await.unwrap();
    store.demote(version, &lowered(Mode::Approve, at(0)), Vec::new()).await.unwrap();
    // whoever judged a remedy before it does so again
    let plan = plan("t", IncidentId(9), EpisodeId(9));
    let created = store.create_run(version, &plan, 0, |_| Vec::new()).await;
    assert!(matches!(created, Err(StoreError::Changed)), "{created:?}");
}

async fn a_promotion_makes_open_episodes_due_and_the_count_begins_anew(db: Database) {
    let store = db.store().await;
    for number in 1..4 {
        fail(&store, number).await.unwrap();
    }
    let last = store.trust("r").await.unwrap().unwrap();
    fire(&store, "A").await;
    let judged = store.claim_episode(LEASE).await.unwrap().unwrap();
    store.episode_due(&judged, None).await.unwrap();
    db.advance(60);
    let raised = Trust { by: "dana".into(), ..lowered(Mode::Auto, at(60)) };
    store.promote(Some(&last), &raised).await.unwrap();
    assert!(store.claim_episode(LEASE).await.unwrap().is_some());
    db.advance(60);
    fail(&store, 4).await.unwrap();
    fail(&store, 5).await.unwrap();
    assert_eq!(store.trust("r").await.unwrap(), Some(raised));
    fail(&store, 6).await.unwrap();
    assert_eq!(store.trust("r").await.unwrap().unwrap().mode, Mode::Approve);
}

async fn of_two_who_promote_at_once_one_is_heard(db: Database) {
    let stores = [db.store().await, db.store().await];
    let version = stores[0].facts_version().await.unwrap();
    stores[0].demote(version, &lowered(Mode::Observe, at(0)), Vec::new()).await.unwrap();
    let last = stores[0].trust("r").await.unwrap();
    let raised: Vec<Trust> =
        ["dana", "kim"].map(|by| Trust { by: by.into(), ..lowered(Mode::Approve, at(0)) }).into();
    let both = raised.iter().zip(&stores).map(|(it, store)| store.promote(last.as_ref(), it));
    let done = join_all(both).await;
    assert_eq!(done.iter().filter(|it| it.is_ok()).count(), 1, "{done:?}");
    let refused = done.into_iter().find_map(Result::err).unwrap();
    let words = "the trust in r has changed meanwhile: look again";
    assert!(matches!(&refused, StoreError::Conflict(it) if it == words), "{refused:?}");
}

async fn runs_are_found_by_rule_with_who_stopped_them(db: Database) {
    let store = db.store().await;
    fail(&store, 1).await.unwrap();
    db.advance(60);
    let run = create_for(&store, 2).await;
    let claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    store.cancel_run(run, "dana").await.unwrap();
    end(&store, claim, RunState::Cancelled).await.unwrap();
    let runs = store.runs_by_rule(at(0)).await.unwrap();
    let found = evidence(&runs["r"]);
    assert_eq!((found.runs, found.failed, found.disagreed, found.success), (2, 1, 1, Some(0)));
    assert_eq!(found.last_at, Some(at(60)));
    assert_eq!(store.runs_by_rule(at(60)).await.unwrap()["r"].len(), 1);
    assert!(store.runs_by_rule(at(61)).await.unwrap().is_empty());
}
