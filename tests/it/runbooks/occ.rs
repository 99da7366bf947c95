//! The Operator Control Center, end to end.

use serde_json::json;

use crate::rigs::occ::Fault;
use crate::rigs::occ::Occ;
use crate::rigs::site::Site;

/// Given an OCC that answers nobody, when its health has failed three times, then it is restarted, that is verified, and people
/// are told.
#[tokio::test]
async fn occ_that_hangs_is_restarted() {
    let occ = Occ::start().await;
    let site = occ.plan().start().await;
    site.shows("occ_audit_chain_valid", 1).await;
    occ.fault(Fault::Hung);
    site.until_run("occ-restart", "fixed").await;
    assert_eq!(occ.effects().all(), ["systemctl restart occ.service"]);
    site.told("occ_down").await;
    site.mailed("occ_down").await;
    site.until_it_is("occ_down", "resolved").await;
    site.audit_holds().await;
}

/// Given that people work on it and silenced it, when it does not answer, then it is left alone until the silence ends; in mode
/// approve a person is asked first.
#[tokio::test]
async fn occ_that_people_silenced_is_left_alone() {
    let occ = Occ::start().await;
    // its own check would see it too, and a silence of Alertmanager is not about that
    let plan = occ.plan().replacing("consecutive: 3", "consecutive: 1000");
    let site = plan.replacing("mode: auto", "mode: approve").start().await;
    site.shows("occ_audit_chain_valid", 1).await;
    let silence = site.alertmanager.silence(&[("service", "occ")]).await;
    occ.fault(Fault::Hung);
    site.prometheus_fires("occ_down").await;
    assert_eq!(of_occ(&site).await, 0);
    site.alertmanager.unsilence(&silence).await;
    site.until_decided("occ_down", "ask", "mode").await;
    assert_eq!(occ.effects().all(), [""; 0]);
    site.approve("occ-restart", "on-call").await;
    occ.effects().until("systemctl restart occ.service").await;
}

/// Given a kill switch that somebody activated, when OCC hangs, then it is not restarted, which would clear the switch.
#[tokio::test]
async fn occ_is_not_restarted_over_its_kill_switch() {
    let occ = Occ::start().await;
    let site = occ.plan().start().await;
    site.shows("occ_audit_chain_valid", 1).await;
    occ.fault(Fault::KilledAndHung);
    let whole = site.until_run("occ-restart", "failed").await;
    let outcome = whole["run"]["outcome"].as_str().unwrap();
    assert!(outcome.contains("kill switch was off"), "{outcome}");
    site.told("kill switch was off").await;
    assert_eq!(occ.effects().all(), [""; 0]);
}

/// A site whose update to a bad release was some seconds ago.
async fn badly_updated(occ: &Occ) -> Site {
    let site = occ.plan().replacing("[7d:1m]) >= 30", "[7d:1m]) >= 3").start().await;
    site.shows("count_over_time(occ:error_ratio:rate5m[60s])", 6).await;
    occ.update();
    site.shows(r#"occ_build_info{version="v1.2.0"}"#, 1).await;
    occ.fault(Fault::BadRelease);
    site
}

/// Given a release with which 12 % of requests fail, when a person of tier 3 says yes, then the release before it runs, the error
/// rate is verified, and people are told.
#[tokio::test]
async fn occ_returns_from_a_bad_release_after_a_yes() {
    let occ = Occ::before_the_update().await;
    let site = badly_updated(&occ).await;
    site.approve("occ-rollback", "on-call").await;
    site.until_run("occ-rollback", "fixed").await;
    let previous =
        ["systemctl stop occ.service", "pip freeze", "pip install", "systemctl start occ.service"];
    assert_eq!(occ.effects().all(), previous);
    site.shows(r#"occ_build_info{version="v1.1.0"}"#, 1).await;
    site.mailed("occ_rollback_error_rate").await;
    site.until_it_is("occ_rollback_error_rate", "resolved").await;
    site.audit_holds().await;
}

/// Given that the bad release changed the schema, when its requests fail, then no rollback is proposed, for the reason that is
/// named, and people are told.
#[tokio::test]
async fn occ_does_not_return_over_a_change_of_the_schema() {
    let occ = Occ::before_the_update().await;
    occ.changed_the_schema();
    let site = badly_updated(&occ).await;
    let whole = site.until_decided("occ_rollback_error_rate", "refuse", "rollback proof").await;
    let reason = whole["decisions"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("schema unchanged"), "{reason}");
    site.mailed("occ_rollback_error_rate").await;
    assert_eq!(occ.effects().all(), [""; 0]);
}

/// Given a long queue, when it has one worker more, then it is short again, and the worker is taken back.
#[tokio::test]
async fn occ_has_a_worker_more_while_its_queue_is_long() {
    let occ = Occ::start().await;
    let site = occ.plan().start().await;
    site.shows("occ_audit_chain_valid", 1).await;
    occ.fault(Fault::LongQueue);
    site.until_run("occ-add-worker", "fixed").await;
    let less = "systemctl kill --kill-whom=main --signal=SIGTTOU occ.service";
    let all = occ.effects().until(less).await;
    assert_eq!(all, ["systemctl kill --kill-whom=main --signal=SIGTTIN occ.service", less]);
    site.told("queue_depth").await;
    site.until_it_is("queue_depth", "resolved").await;
}

/// Given a version that a person asks for, when a deployer of tier 2 says yes, then it is tested, OCC is drained, and the version
/// runs; an operator of tier 2 is enough.
#[tokio::test]
async fn occ_is_updated_to_the_version_that_is_asked_for() {
    let occ = Occ::start().await;
    occ.releases("v1.3.0");
    let site = occ.plan().start().await;
    site.shows("occ_audit_chain_valid", 1).await;
    let labels =
        json!({ "alertname": "occ_update_requested", "service": "occ", "version": "v1.3.0" });
    site.alertmanager.post(&json!([{ "labels": labels }])).await;
    site.approve("occ-update", "deployer").await;
    site.until_run("occ-update", "fixed").await;
    assert_eq!(
        occ.effects().all(),
        [
            "pytest -q",
            "POST /admin/drain",
            "systemctl stop occ.service",
            "pip freeze",
            "pip install",
            "systemctl start occ.service"
        ]
    );
    site.shows(r#"occ_build_info{version="v1.3.0"}"#, 1).await;
    site.audit_holds().await;
}

/// How many incidents there are of alerts that Prometheus raises about OCC.
async fn of_occ(site: &Site) -> usize {
    let all = site.incidents().await;
    all.iter().filter(|it| it["incident"]["labels"]["alertname"] == "occ_down").count()
}
