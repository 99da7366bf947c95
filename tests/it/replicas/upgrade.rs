//! Two versions on one database: the older one is at work while the newer one changes the tables, both work, the older one stops.

use std::collections::BTreeSet;

use crate::experiments::rig;
use crate::replicas::post_until_taken;
use crate::support::postgres::Server;
use crate::support::quell::Quell;
use crate::support::wait;

#[tokio::test]
#[ignore = "builds an older version: tests/run compat"]
async fn two_versions_work_on_one_database_and_nothing_is_lost_or_done_twice() {
    let older =
        std::env::var("QUELL_TEST_OLDER").expect("export QUELL_TEST_OLDER=$(tests/older.sh)");
    let server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let mut old = rig.quell().by(&older);
    old.serve().await;
    let mut expected: Vec<String> = Vec::new();
    let mut each = async |quell: &Quell, shown: &Quell| {
        let unit = format!("u{}", expected.len());
        rig.plant.sicken(&unit);
        post_until_taken(quell, &unit).await;
        expected.push(format!("r-{} restart fixed", expected.len() + 1));
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        rig::until_runs(shown, &expected).await;
    };
    each(&old, &old).await;
    // changes the tables under the hands of the older one
    let new = rig.serve().await;
    assert!(server.number("SELECT COUNT(*) FROM _sqlx_migrations").await > 1);
    for _ in 0..3 {
        each(&old, &new).await;
        each(&new, &old).await;
    }
    for (quell, which) in [(&old, "older"), (&new, "newer")] {
        let log = quell.log();
        assert!(log.contains("performed"), "the {which} one did nothing: {log}");
        assert!(!log.contains("ERROR"), "{log}");
    }
    rig::audit_holds(&new).await;
    rig::audit_holds(&old).await;
    // in the middle of a step
    rig.plant.gate().shut();
    rig.plant.sicken("last");
    post_until_taken(&old, "last").await;
    rig.plant.affected(8).await;
    let (status, ()) = tokio::join!(old.stop(), async { rig.plant.gate().open() });
    assert!(status.success(), "{status}");
    let fixed = "SELECT COUNT(*) FROM runs WHERE state = 'fixed'";
    wait::until("what was in the middle is over", wait::PATIENCE, async || {
        let fixed = server.number(fixed).await;
        if fixed == 8 { Ok(()) } else { Err(fixed) }
    })
    .await;
    let keys = rig.plant.keys();
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert_eq!(keys.values().copied().collect::<BTreeSet<_>>(), [1].into(), "{keys:?}");
    rig::audit_holds(&new).await;
}
