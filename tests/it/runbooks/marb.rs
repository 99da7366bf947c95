//! mARB 2.0, end to end.

use serde_json::json;

use crate::rigs::marb::API;
use crate::rigs::marb::CELERY;
use crate::rigs::marb::Fault;
use crate::rigs::marb::Marb;
use crate::rigs::site::Site;
use crate::support::wait;

/// Issue 1. Given an API whose unit failed, when PostgreSQL answers, then it is started, that is verified, and people are told.
#[tokio::test]
async fn marb_on_postgres_starts_a_unit_that_failed() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Crashed);
    site.until_run("marb-start", "fixed").await;
    assert_eq!(marb.effects().all(), [format!("StartUnit {API}")]);
    site.until_it_is("MarbServiceFailed", "resolved").await;
    site.mailed("MarbServiceFailed").await;
    site.audit_holds().await;
}

/// Issue 4. Given a worker that takes no tasks, when they have waited, then it is restarted, works them off, and nothing is purged.
#[tokio::test]
async fn marb_on_postgres_restarts_a_worker_that_stands() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Standing);
    marb.enqueue(30).await;
    site.until_run("marb-restart-celery", "fixed").await;
    assert_eq!(marb.effects().all(), [format!("RestartUnit {CELERY}")]);
    site.until_it_is("MarbCeleryStuck", "resolved").await;
    wait::until("all is worked off", wait::PATIENCE, async || match marb.queued().await {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
    site.mailed("MarbCeleryStuck").await;
}

/// Issue 5. Given an API that runs and answers nobody, when nginx says 502, then it is restarted.
#[tokio::test]
async fn marb_on_postgres_restarts_an_api_that_hangs() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Hung);
    site.until_run("marb-restart-api", "fixed").await;
    assert_eq!(marb.effects().all(), [format!("RestartUnit {API}")]);
    site.until_it_is("MarbBadGateway", "resolved").await;
    site.mailed("MarbBadGateway").await;
}

/// Issue 3. Given workers that need all memory, when it is short, then there are fewer of them, and all again when it was
/// enough for a while.
#[tokio::test]
async fn marb_on_postgres_has_fewer_workers_while_memory_is_short() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Hungry);
    site.until_run("marb-fewer-workers", "fixed").await;
    assert_eq!(marb.workers(), 2);
    site.until_it_is("MarbHighMemory", "resolved").await;
    assert_eq!(marb.workers(), 2, "they come back later");
    wait::until("all workers are back", wait::PATIENCE * 2, async || match marb.workers() {
        4 => Ok(()),
        other => Err((other, site.incidents().await.len())),
    })
    .await;
    let restart = format!("RestartUnit {API}");
    assert_eq!(marb.effects().all(), [restart.clone(), restart]);
}

/// P0. Given a release that answers 503, when restarting everything did not help, then the last good version is proposed, and
/// checked out when a person says yes.
#[tokio::test]
async fn marb_on_postgres_returns_to_the_last_good_version_when_people_say_so() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Broken);
    site.until_run("marb-restart-all", "failed").await;
    assert_eq!(marb.version(), "v2.1.0");
    site.told("proposes marb-rollback").await;
    site.approve("marb-rollback", "primary").await;
    site.until_run("marb-rollback", "fixed").await;
    assert_eq!(marb.version(), "v2.0.0");
    site.until_it_is("MarbDown", "resolved").await;
}

/// The same with a migration between the two versions: nothing is proposed, and the guard is named.
#[tokio::test]
async fn marb_on_postgres_is_not_rolled_back_over_a_migration() {
    let marb = Marb::start(true).await;
    let site = marb.plan().start().await;
    marb.fault(Fault::Broken);
    site.until_run("marb-restart-all", "failed").await;
    site.until_decided("MarbDown", "refuse", "schema unchanged").await;
    assert_eq!(marb.version(), "v2.1.0");
    site.told("MarbDown").await;
}

/// Given maintenance that a person began, when its stopped units raise an alert, then nothing starts them before people are done.
#[tokio::test]
async fn marb_on_postgres_starts_nothing_that_people_stopped() {
    let marb = Marb::start(false).await;
    let site = marb.plan().start().await;
    let request = json!([{
        "labels": { "alertname": "MarbMaintenance", "service": "marb", "severity": "warning" },
        "startsAt": quell::clock::Clock::System.now(),
        "endsAt": "2100-01-01T00:00:00Z",
    }]);
    site.alertmanager.post(&request).await;
    site.approve("marb-maintenance", "secondary").await;
    marb.effects().until(&format!("StopUnit {CELERY}")).await;
    site.until_decided("MarbServiceFailed", "hold", "target free").await;
    let stopped = ["backup".to_owned(), format!("StopUnit {API}"), format!("StopUnit {CELERY}")];
    assert_eq!(marb.effects().all(), stopped);
    answer(&site, "marb-maintenance", "secondary").await;
    marb.effects().until(&format!("StartUnit {CELERY}")).await;
    site.until_it_is("MarbServiceFailed", "resolved").await;
    let starts = [format!("StartUnit {API}"), format!("StartUnit {CELERY}")];
    assert_eq!(marb.effects().all(), [&stopped[..], &starts[..]].concat());
}

/// A person says yes to what the run of this playbook asks.
async fn answer(site: &Site, playbook: &str, by: &str) {
    let whole = site.until_run(playbook, "awaiting answer").await;
    let id = whole["run"]["id"].as_str().unwrap();
    let said = site.quell.cli(&["answer", id, "yes", "--by", by]).await;
    assert_eq!(said.code, 0, "{said:#?}");
}
