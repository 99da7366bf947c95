//! The Operator Control Center, end to end.

use crate::rigs::occ::Fault;
use crate::rigs::occ::Occ;

/// Given an OCC that answers nobody, when its health has failed three times, then it is restarted, that is verified, and people
/// are told.
#[tokio::test]
async fn occ_that_hangs_is_restarted() {
    let occ = Occ::start().await;
    let site = occ.plan().start().await;
    occ.fault(Fault::Hung);
    site.until_run("occ-restart", "fixed").await;
    assert_eq!(occ.effects().all(), ["systemctl restart occ.service"]);
    site.told("occ_down").await;
    site.mailed("occ_down").await;
    site.until_it_is("occ_down", "resolved").await;
    site.audit_holds().await;
}

/// Given that people work on it and silenced it, when it does not answer, then it is left alone until the silence ends.
#[tokio::test]
async fn occ_that_people_silenced_is_left_alone() {
    let occ = Occ::start().await;
    let site = occ.plan().replacing("mode: auto", "mode: approve").start().await;
    let silence = site.alertmanager.silence(&[("service", "occ")]).await;
    occ.fault(Fault::Hung);
    site.prometheus_fires("occ_down").await;
    assert_eq!(site.incidents().await.len(), 0);
    site.alertmanager.unsilence(&silence).await;
    site.until_decided("occ_down", "ask", "mode").await;
    assert_eq!(occ.effects().all(), [""; 0]);
    site.approve("occ-restart", "dana").await;
    occ.effects().until("systemctl restart occ.service").await;
}
