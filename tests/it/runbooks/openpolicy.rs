//! OpenPolicy, end to end.

use crate::rigs::openpolicy::Fault;
use crate::rigs::openpolicy::OpenPolicy;
use crate::support::wait;

/// Given a cache with wrong entries, when too many requests fail, then it is flushed, errors end, and nobody is woken.
#[tokio::test]
async fn a_poisoned_cache_is_flushed() {
    let openpolicy = OpenPolicy::start().await;
    let site = openpolicy.site().await;
    openpolicy.fault(Fault::PoisonedCache).await;
    site.until_run("openpolicy-flush-cache", "fixed").await;
    assert_eq!(openpolicy.cached().await, 0);
    site.told("HighErrorRate").await;
    site.until_it_is("HighErrorRate", "resolved").await;
    assert_eq!(openpolicy.effects(), [""; 0], "nothing was restarted");
    let pages = site.people.requests("/v2/enqueue");
    let woken = pages.iter().filter(|it| it.json().to_string().contains("HighErrorRate"));
    assert_eq!(woken.count(), 0);
    site.audit_holds().await;
}

/// Given a cache with wrong entries and a database that does as much as it can, when too many requests fail, then the cache is
/// not emptied onto it: the cache guard holds.
#[tokio::test]
async fn a_cache_is_not_flushed_onto_a_busy_database() {
    let openpolicy = OpenPolicy::start().await;
    let site = openpolicy.site().await;
    openpolicy.fault(Fault::BusyDatabase).await;
    openpolicy.fault(Fault::PoisonedCache).await;
    let whole = site.until_decided("HighErrorRate", "hold", "cache").await;
    let reason = whole["decisions"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("load") && reason.contains("180"), "{reason}");
    assert_eq!(whole["runs"].as_array().unwrap().len(), 0, "{whole:#}");
    assert_eq!(openpolicy.cached().await, 3);
    assert_eq!(openpolicy.effects(), [""; 0]);
    site.told("HighErrorRate").await;
}

/// Given pods that use more than 80 % of their CPU, then there are two more, and when it is over as many as before.
#[tokio::test]
async fn a_busy_openpolicy_gets_two_more_pods_until_it_is_over() {
    let openpolicy = OpenPolicy::start().await;
    let site = openpolicy.site().await;
    openpolicy.fault(Fault::Busy).await;
    site.until_run("openpolicy-scale-out", "fixed").await;
    assert_eq!(openpolicy.replicas(), 5);
    openpolicy.calm();
    site.until_it_is("HighCPUUsage", "resolved").await;
    wait::until("there are three again", wait::PATIENCE, async || match openpolicy.replicas() {
        3 => Ok(()),
        other => Err(other),
    })
    .await;
    let scale = "PUT /apis/apps/v1/namespaces/default/deployments/openpolicy/scale";
    assert_eq!(openpolicy.effects(), [scale, scale]);
    site.told("temporary measures taken back").await;
    site.audit_holds().await;
}

/// Given as many sessions idle in a transaction as the pool may hold, then they are ended, and people are paged, told and mailed,
/// since it is SEV1.
#[tokio::test]
async fn a_pool_that_idle_sessions_exhaust_gets_them_back() {
    let openpolicy = OpenPolicy::start().await;
    let site = openpolicy.site().await;
    openpolicy.fault(Fault::LeakedSessions).await;
    site.until_run("openpolicy-free-connections", "fixed").await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'api_user'";
    assert_eq!(openpolicy.database.number(left).await, 0);
    assert_eq!(openpolicy.effects(), [""; 0], "nothing was restarted");
    site.mailed("ConnectionPoolExhausted").await;
    site.told("ConnectionPoolExhausted").await;
    site.told("Next Update: In 15m").await;
    site.until_it_is("ConnectionPoolExhausted", "resolved").await;
    let update = site.told("Status: Resolved").await;
    assert!(update.contains("Affected Services:") && update.contains("Actions Taken:"), "{update}");
    site.audit_holds().await;
}

/// Given a session that waits for another, then a person is shown who blocks; after a yes that one is ended, and no other.
#[tokio::test]
async fn a_session_that_blocks_is_ended_when_a_person_says_so() {
    let openpolicy = OpenPolicy::start().await;
    let site = openpolicy.site().await;
    openpolicy.fault(Fault::Locks).await;
    let whole = site.until_run("openpolicy-end-blockers", "awaiting answer").await;
    assert_eq!(openpolicy.title().await, "C-11", "nobody was ended yet");
    let id = whole["run"]["id"].as_str().unwrap();
    let said = site.quell.cli(&["answer", id, "yes", "--by", "oncall"]).await;
    assert_eq!(said.code, 0, "{said:#?}");
    site.until_run("openpolicy-end-blockers", "fixed").await;
    assert_eq!(openpolicy.title().await, "after it", "who waited went on");
    site.until_it_is("DatabaseLocks", "resolved").await;
    site.audit_holds().await;
}
