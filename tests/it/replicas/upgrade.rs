//! Two versions on one database: the older one is at work while the newer one changes the tables, both work, the older one stops.

use std::collections::BTreeSet;

use crate::experiments::rig;
use crate::replicas::post_until_taken;
use crate::support::postgres::Server;
use crate::support::quell::Quell;
use crate::support::wait;

/// Waits until so many runs are fixed: for longer than the lease of one that stumbled.
async fn are_fixed(server: &Server, expected: i64) {
    wait::until("the runs are fixed", 3 * wait::PATIENCE, async || {
        let fixed = server.number("SELECT COUNT(*) FROM runs WHERE state = 'fixed'").await;
        if fixed == expected { Ok(()) } else { Err(fixed) }
    })
    .await;
}

#[tokio::test]
#[ignore = "builds an older version: tests/run compat"]
async fn two_versions_work_on_one_database_and_nothing_is_lost_or_done_twice() {
    let older =
        std::env::var("QUELL_TEST_OLDER").expect("export QUELL_TEST_OLDER=$(tests/older.sh)");
    let server = Server::start().await;
    let mut rig = super::rig(&server.url(), "5s").await;
    // whatever the older one stumbles over, nobody has to be asked
    rig.playbooks[0].1 = rig.playbooks[0].1.replace("on_unknown: ask", "on_unknown: probe");
    let mut old = rig.quell().by(&older);
    old.serve().await;
    let mut units = 0;
    let mut each = async |quell: &Quell| {
        let unit = format!("u{units}");
        units += 1;
        rig.plant.sicken(&unit);
        post_until_taken(quell, &unit).await;
        are_fixed(&server, units).await;
    };
    each(&old).await;
    // changes the tables under the hands of the older one
    let new = rig.serve().await;
    assert!(server.number("SELECT COUNT(*) FROM _sqlx_migrations").await > 1);
    for _ in 0..3 {
        each(&old).await;
        each(&new).await;
    }
    for (quell, which) in [(&old, "older"), (&new, "newer")] {
        let log = quell.log();
        assert!(log.contains("performed"), "the {which} one did nothing: {log}");
        // statements that were prepared before are refused once
        let known = |line: &&str| which == "older" && line.contains("has changed the tables");
        let errors: Vec<_> =
            log.lines().filter(|it| it.contains("ERROR")).filter(|it| !known(it)).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    rig::audit_holds(&new).await;
    // in the middle of a step
    rig.plant.gate().shut();
    rig.plant.sicken("last");
    post_until_taken(&old, "last").await;
    rig.plant.affected(8).await;
    let (status, ()) = tokio::join!(old.stop(), async { rig.plant.gate().open() });
    assert!(status.success(), "{status}");
    are_fixed(&server, 8).await;
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
    are_fixed(&server, 2).await;
    // and from now on as if nothing had been
    let errors = |log: String| log.lines().filter(|it| it.contains("ERROR")).count();
    let before = errors(quell.log());
    rig.plant.sicken("c");
    rig::post(&quell, "firing", "c").await;
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed", "r-3 restart fixed"]).await;
    assert_eq!(errors(quell.log()), before);
    assert_eq!(rig.plant.keys().values().sum::<usize>(), 3);
}
