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
        // the older one does not know yet what to do about statements that were prepared before
        let known = |line: &&str| which == "older" && line.contains("cached plan must not change");
        let errors: Vec<_> =
            log.lines().filter(|it| it.contains("ERROR")).filter(|it| !known(it)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
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

#[tokio::test]
async fn columns_that_are_added_under_the_hands_of_a_replica_do_not_stop_it() {
    let server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    // what stumbles over it in the middle is taken up again when its lease ends
    let mut quell = rig.quell().with_env("QUELL_LEASE_MARGIN_MS", "4000");
    quell.serve().await;
    rig.plant.sicken("a");
    rig::post(&quell, "firing", "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    server
        .sql(&[
            "ALTER TABLE episodes ADD COLUMN later TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE incidents ADD COLUMN later TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE runs ADD COLUMN later TEXT NOT NULL DEFAULT ''",
        ])
        .await;
    rig.plant.sicken("b");
    post_until_taken(&quell, "b").await;
    wait::until("it works on", wait::PATIENCE, async || {
        let fixed = server.number("SELECT COUNT(*) FROM runs WHERE state = 'fixed'").await;
        if fixed == 2 { Ok(()) } else { Err(fixed) }
    })
    .await;
    // and from now on as if nothing had been
    let errors = |log: String| log.lines().filter(|it| it.contains("ERROR")).count();
    let before = errors(quell.log());
    rig.plant.sicken("c");
    rig::post(&quell, "firing", "c").await;
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed", "r-3 restart fixed"]).await;
    assert_eq!(errors(quell.log()), before);
    assert_eq!(rig.plant.keys().values().sum::<usize>(), 3);
}
