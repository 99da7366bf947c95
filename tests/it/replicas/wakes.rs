//! What one replica learns wakes the others.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::experiments::rig;
use crate::replicas::post_until_taken;
use crate::replicas::said;
use crate::replicas::says;
use crate::support::postgres::Server;
use crate::support::wait;

#[tokio::test]
async fn a_webhook_taken_by_one_replica_wakes_the_loops_of_the_others() {
    let mut server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let quell = rig.serve().await;
    let other = rig.serve().await;
    let mut ear = PgListener::connect(&server.url()).await.unwrap();
    ear.listen("quell_wakes").await.unwrap();
    rig.plant.sicken("a");
    rig::post(&quell, "firing", "a").await;
    let heard = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            let notice = ear.recv().await.unwrap();
            if notice.payload().contains(" intake") {
                return notice.payload().to_owned();
            }
        }
    });
    let heard = heard.await.expect("nobody was told");
    assert_eq!(heard.split(' ').next().unwrap().split('-').count(), 2, "{heard}");
    rig::until_runs(&other, &["r-1 restart fixed"]).await;

    // the ear is cut off, and only the ear: work goes on, and it listens again
    let deafen =
        ["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"];
    server.sql(&deafen).await;
    let words = "wake-ups of other replicas are not heard";
    says(&other, words).await;
    rig.plant.sicken("b");
    post_until_taken(&quell, "b").await;
    rig::until_runs(&other, &["r-1 restart fixed", "r-2 restart fixed"]).await;
    says(&other, "wake-ups of other replicas are heard again").await;
    assert_eq!(said(&other, words), 1);
    wait::until("both listen again", wait::PATIENCE, async || {
        let ears =
            server.number("SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'").await;
        if ears == 2 { Ok(()) } else { Err(ears) }
    })
    .await;
    server.stop().await;
}
