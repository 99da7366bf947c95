//! `PostgreSQL` is stopped, killed, made read-only, or fails over, while quell works: 503, no effect, and then on without a
//! restart.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use crate::experiments::rig;
use crate::replicas::post_until_taken;
use crate::replicas::said;
use crate::replicas::says;
use crate::replicas::try_post;
use crate::support::postgres::Server;
use crate::support::proxy::Proxy;
use crate::support::quell::Quell;
use crate::support::wait;

/// Far below what Alertmanager waits for an answer.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Waits until readiness says no, and gives back what it says.
async fn unready(quell: &Quell) -> String {
    wait::until("it is not ready", wait::PATIENCE, async || {
        let reply = quell.request(Method::GET, "/health/ready").send().await.unwrap();
        let (status, body) = (reply.status(), reply.text().await.unwrap());
        if status == 503 { Ok(body) } else { Err((status, body)) }
    })
    .await
}

/// Waits until it is ready again.
async fn ready(quell: &Quell) {
    wait::until("it is ready", wait::PATIENCE, async || {
        let reply = quell.request(Method::GET, "/health/ready").send().await.unwrap();
        let (status, body) = (reply.status(), reply.text().await.unwrap());
        if status == 200 { Ok(()) } else { Err((status, body)) }
    })
    .await;
}

/// An alert is refused, quickly and in plain words.
async fn refuses(quell: &Quell, unit: &str, words: &str) {
    let began = Instant::now();
    let (status, body) = try_post(quell, unit).await;
    assert_eq!(status, 503, "{body:#}");
    assert!(began.elapsed() < AT_ONCE, "it took {:?} to say so", began.elapsed());
    assert!(body["detail"].as_str().unwrap().contains(words), "{body:#}");
}

#[tokio::test]
async fn while_the_database_is_down_alerts_are_refused_and_nothing_acts_and_then_all_goes_on() {
    let mut server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let quell = rig.serve().await;
    for unit in ["a", "b", "c"] {
        rig.plant.sicken(unit);
    }
    rig::post(&quell, "firing", "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;

    server.stop().await;
    let why = unready(&quell).await;
    assert!(why.contains("the store does not answer: "), "{why}");
    says(&quell, "the database cannot be used: ").await;
    for unit in ["b", "c"] {
        refuses(&quell, unit, "send it again").await;
    }
    let live = quell.request(Method::GET, "/health/live").send().await.unwrap();
    assert_eq!(live.status(), 200, "a restart would not help");
    // long enough for every loop to try several times
    let quiet = quell.log().lines().count();
    let begun = Instant::now();
    wait::until("it has been down for a while", wait::PATIENCE, async || {
        if begun.elapsed() > Duration::from_secs(3) { Ok(()) } else { Err(()) }
    })
    .await;
    let log = quell.log();
    let more = log.lines().skip(quiet).filter(|it| it.contains("ERROR")).count();
    assert_eq!(more, 0, "it says it again and again: {log}");
    assert_eq!(rig.plant.effects().len(), 1, "it acted without a journal");

    server.serve().await;
    says(&quell, "the database can be used again").await;
    ready(&quell).await;
    for unit in ["b", "c"] {
        post_until_taken(&quell, unit).await;
    }
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed", "r-3 restart fixed"]).await;
    assert_eq!(rig.plant.keys().values().copied().collect::<BTreeSet<_>>(), [1].into());
    assert_eq!(said(&quell, "the database cannot be used: "), 1);
    rig::audit_holds(&quell).await;
}

#[tokio::test]
async fn a_restart_of_the_database_in_the_middle_of_a_step_loses_no_outcome() {
    for killed in [false, true] {
        let mut server = Server::start().await;
        let rig = super::rig(&server.url(), "20s").await;
        let quell = rig.serve().await;
        rig.plant.sicken("a");
        rig.plant.gate().shut();
        rig::post(&quell, "firing", "a").await;
        rig.plant.affected(1).await;
        if killed {
            server.kill9();
        } else {
            server.stop().await;
        }
        unready(&quell).await;
        // the answer comes while nobody can write it down
        rig.plant.gate().open();
        says(&quell, "performed").await;
        server.serve().await;
        ready(&quell).await;
        rig::until_runs(&quell, &["r-1 restart fixed"]).await;
        assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into(), "killed: {killed}");
        rig::audit_holds(&quell).await;
    }
}

#[tokio::test]
async fn while_the_database_may_only_be_read_nothing_acts() {
    let server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let quell = rig.serve().await;
    rig.plant.sicken("a");
    server
        .sql(&["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"])
        .await;
    let why = unready(&quell).await;
    assert!(why.contains("the database may only be read"), "{why}");
    refuses(&quell, "a", "the database may only be read").await;
    says(&quell, "the database cannot be used: the database may only be read").await;
    assert_eq!(rig.plant.effects(), []);
    let free = ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"];
    server.sql(&free).await;
    ready(&quell).await;
    post_until_taken(&quell, "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into());
    assert_eq!(said(&quell, "the database cannot be used: "), 1);
}

#[tokio::test]
async fn a_quell_that_has_become_too_old_for_the_database_stops_acting() {
    let server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let mut quell = rig.serve().await;
    server.sql(&["UPDATE compat SET value = 9999 WHERE name = 'oldest'"]).await;
    let why = unready(&quell).await;
    assert!(why.contains("the database belongs to a newer quell"), "{why}");
    refuses(&quell, "a", "only those that know migration 9999 may use it").await;
    assert!(quell.stop().await.success());
    let (status, log) = quell.refuses_to_serve().await;
    assert_eq!(status.code(), Some(2));
    assert!(log.contains("error[Q0403]: the database belongs to a newer quell"), "{log}");
    assert_eq!(rig.plant.effects(), []);
}

#[tokio::test]
async fn after_a_failover_connections_to_the_old_server_are_thrown_away() {
    let old = Server::start().await;
    let new = old.standby().await;
    // what is committed is on both
    let both = ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"];
    old.sql(&both).await;
    let proxy = Proxy::start(old.port()).await;
    let rig = super::rig(&old.url_at("127.0.0.1", proxy.port()), "5s").await;
    let quell = rig.serve().await;
    for unit in ["a", "b"] {
        rig.plant.sicken(unit);
    }
    rig::post(&quell, "firing", "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;

    // the old one goes on answering, to those who are connected to it
    old.sql(&["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"])
        .await;
    proxy.leads_to(new.port());
    new.sql(&["SELECT pg_promote()"]).await;
    post_until_taken(&quell, "b").await;
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed"]).await;
    assert_eq!(new.number("SELECT COUNT(*) FROM runs WHERE state = 'fixed'").await, 2);
    assert_eq!(old.number("SELECT COUNT(*) FROM runs").await, 1, "it wrote to the old one");
    assert_eq!(rig.plant.keys().values().sum::<usize>(), 2);
    rig::audit_holds(&quell).await;
}

#[tokio::test]
async fn a_replica_that_is_stopped_in_a_transaction_keeps_nobody_out_for_long() {
    let server = Server::start().await;
    let rig = super::rig(&server.url(), "5s").await;
    let quell = rig.serve().await;
    // holds the row that every delivery takes, and says nothing more
    let mut stopped =
        <sqlx::PgConnection as sqlx::Connection>::connect(&server.url()).await.unwrap();
    for statement in [
        "SET idle_in_transaction_session_timeout = '3s'",
        "BEGIN",
        "UPDATE counters SET value = value WHERE name = 'episode'",
    ] {
        sqlx::query(statement).execute(&mut stopped).await.unwrap();
    }
    rig.plant.sicken("a");
    post_until_taken(&quell, "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    let bounded = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = 'postgres'";
    assert!(server.number(bounded).await > 1);
}
