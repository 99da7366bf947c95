//! The escrow job platform, end to end.

use crate::rigs::escrow::BAD;
use crate::rigs::escrow::Escrow;
use crate::rigs::escrow::GOOD;
use crate::rigs::site::Site;
use crate::support::wait;

/// Half an hour of the runbook is half a minute here, and as long a version must have run to be one that was there before.
async fn was_there_before(site: &Site) {
    let seen = r#"count(escrow_build_info{job="escrow-api"} offset 30s) and on () sum(rate(http_requests_total{job="escrow-api"}[60s] offset 30s)) > 0"#;
    wait::until("the version has run for long enough", wait::PATIENCE * 2, async || {
        let found = site.prometheus.query(seen).await;
        if found.is_empty() { Err(found) } else { Ok(()) }
    })
    .await;
}

/// 2. Given a release that fails its requests, when the version before was well, is still there, and nothing migrated, then it is
/// redeployed by itself.
#[tokio::test]
async fn escrow_on_postgres_returns_from_a_bad_release() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().start().await;
    was_there_before(&site).await;
    escrow.deploy(BAD);
    site.until_run("escrow-rollback-app", "fixed").await;
    assert_eq!(escrow.runs(), (GOOD.to_owned(), 2));
    site.until_it_is("EscrowBadRelease", "resolved").await;
    site.told("EscrowBadRelease").await;
    site.mailed("EscrowBadRelease").await;
    site.audit_holds().await;
}

/// The same release with a migration: it is left alone, the guard is named, and people are told.
#[tokio::test]
async fn escrow_on_postgres_does_not_return_over_a_migration() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().start().await;
    was_there_before(&site).await;
    escrow.migrated().await;
    escrow.deploy(BAD);
    site.until_decided("EscrowBadRelease", "refuse", "schema unchanged").await;
    assert_eq!(escrow.runs(), (BAD.to_owned(), 2));
    site.told("EscrowBadRelease").await;
}

/// 8. Given pods that use more than 70 % of their CPU for ten minutes, when there is one more, then that is enough, and it goes
/// again a while after the load went.
#[tokio::test]
async fn escrow_on_postgres_runs_a_pod_more_while_the_cpu_is_high() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().start().await;
    escrow.load(1.7);
    site.until_run("escrow-scale-up", "fixed").await;
    assert_eq!(escrow.runs().1, 3);
    site.mailed("EscrowHighCpu").await;
    site.until_it_is("EscrowHighCpu", "resolved").await;
    assert_eq!(escrow.runs().1, 3, "it goes later");
    wait::until("the pod is gone again", wait::PATIENCE * 2, async || match escrow.runs().1 {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
}

/// Given settings that only observe, when the CPU is high, then the cluster is asked what it would say to a pod more, and there is none.
#[tokio::test]
async fn escrow_on_postgres_only_observes_and_asks_the_cluster() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().replacing("mode: auto", "mode: observe").start().await;
    escrow.load(1.7);
    let run = site.until_run("escrow-scale-up", "observed").await;
    assert!(run["run"]["outcome"].as_str().unwrap().contains("dry runs were accepted"), "{run:#}");
    let said = &run["journal"][1]["event"]["dry_run"]["outcome"]["done"]["output"];
    assert_eq!(*said, serde_json::json!({ "before": 2, "after": 3 }), "{run:#}");
    assert_eq!(escrow.runs().1, 2);
    site.mailed("dry runs were accepted").await;
}

/// 7. Given an escrow that stays pending, when it is sent again and the chain takes it, then that was all.
#[tokio::test]
async fn escrow_on_postgres_sends_a_stuck_escrow_again() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().start().await;
    escrow.pending("job-7").await;
    site.until_run("escrow-retry", "fixed").await;
    assert_eq!(escrow.effects().all(), ["retry job-7"]);
    assert_eq!(escrow.flags("job-7").await, (false, true));
    site.until_it_is("EscrowStuck", "resolved").await;
    assert_eq!(escrow.events().await, [""; 0]);
}

/// 7. Given a chain that takes it not, then rolling it back is proposed; nothing of it happens before a person of tier 3 says yes,
/// and then each part once.
#[tokio::test]
async fn escrow_on_postgres_is_rolled_back_once_when_people_say_so() {
    let escrow = Escrow::start().await;
    let site = escrow.plan().start().await;
    escrow.chain_is_stuck();
    escrow.pending("job-7").await;
    site.until_run("escrow-rollback-escrow", "awaiting approval").await;
    assert_eq!(escrow.effects().all(), ["retry job-7"]);
    assert_eq!(escrow.flags("job-7").await, (true, false));
    site.approve("escrow-rollback-escrow", "lead").await;
    site.until_run("escrow-rollback-escrow", "fixed").await;
    assert_eq!(escrow.effects().all(), ["retry job-7", "rollback job-7"]);
    assert_eq!(escrow.flags("job-7").await, (false, false));
    assert_eq!(escrow.events().await, [r#"escrow.rollback {"by": "quell", "job": "job-7"}"#]);
    site.told("EscrowStuck").await;
}
