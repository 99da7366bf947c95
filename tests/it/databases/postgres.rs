//! Sessions that hold others up, and those that wait idly inside of a transaction, on a server of the test's own.

use std::time::Duration;

use quell::model::action::Action;
use quell::model::action::Postgres;
use quell::model::action::postgres::Activity;
use quell::model::probe::PostgresProbe;
use quell::model::probe::Probe;
use quell::model::run::Health;
use quell::model::run::Outcome;
use serde_json::Value;

use super::fixture::Client;
use super::fixture::blockers;
use super::fixture::denied;
use super::fixture::does;
use super::fixture::done;
use super::fixture::failed;
use super::fixture::failed_for_now;
use super::fixture::kill_idle;
use super::fixture::postgres_at;
use super::fixture::prepares;
use super::fixture::sees;
use super::fixture::terminate;
use crate::support::postgres::Server;
use crate::support::wait;

/// The first holds a table, the second waits for it, the third behind the second. Ends when `meanwhile` does.
async fn chain<T>(url: &str, meanwhile: impl AsyncFnOnce(i32, i32) -> T) -> (T, bool, bool) {
    let mut holder = Client::new(url, "report").await;
    let (mut second, mut third) = (Client::new(url, "shop").await, Client::new(url, "shop").await);
    holder.says("CREATE TABLE IF NOT EXISTS orders (id int)").await.unwrap();
    holder.says("BEGIN; LOCK TABLE orders; SELECT 'hush-password'").await.unwrap();
    let (pid, next) = (holder.pid, second.pid);
    let waiting = async {
        tokio::join!(
            second.says("BEGIN; LOCK TABLE orders; COMMIT"),
            third.says("SELECT count(*) FROM orders"),
        )
    };
    let (result, (second, third)) = tokio::join!(meanwhile(pid, next), waiting);
    (result, second.is_ok(), third.is_ok())
}

/// Asks for blockers until two wait.
async fn until_two_wait(url: &str, waiting_for: &str) -> (String, Value) {
    let targets = postgres_at(url);
    wait::until("two sessions wait", wait::PATIENCE, async || {
        let (summary, output) = done(does(blockers(waiting_for), &targets).await);
        if output["waiting"] == 2 { Ok((summary, output)) } else { Err(output) }
    })
    .await
}

#[tokio::test]
async fn who_blocks_a_chain_of_three_is_found_and_ended_and_nobody_else() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let ((backend, again), second, third) = chain(&url, async |pid, _| {
        let (summary, output) = until_two_wait(&url, "1s").await;
        let [backend] = output["blockers"].as_array().unwrap().as_slice() else {
            panic!("{output:#}")
        };
        let backend = backend.as_str().unwrap().to_owned();
        assert!(backend.starts_with(&format!("{pid}@")), "{pid}: {backend}");
        let [chain] = output["chains"].as_array().unwrap().as_slice() else { panic!("{output:#}") };
        assert_eq!(chain["application"], "report");
        assert_eq!(chain["state"], "idle in transaction");
        assert_eq!(chain["query"], "BEGIN; LOCK TABLE orders; SELECT '…'");
        assert!(!output.to_string().contains("hush"), "{output:#}");
        let behind = chain["behind"].as_array().unwrap();
        assert_eq!(behind.len(), 2, "{output:#}");
        let locks: Vec<&str> = behind.iter().map(|it| it["waits_for"].as_str().unwrap()).collect();
        assert!(locks.contains(&"AccessExclusiveLock on orders"), "{locks:?}");
        assert!(
            summary.contains("2 sessions of postgres `main` wait 1s for a lock, behind 1"),
            "{summary}"
        );
        let (summary, output) = done(does(terminate(&backend), &targets).await);
        assert_eq!(output["ended"], true, "{summary}");
        assert!(summary.contains("(report)"), "{summary}");
        let again = done(does(terminate(&backend), &targets).await);
        (backend, again)
    })
    .await;
    assert!(second && third, "those who waited have got what they waited for");
    assert_eq!(again.1["ended"], false, "{backend}: {again:?}");
    let (summary, output) = done(does(blockers("1s"), &targets).await);
    assert_eq!(output["blockers"], serde_json::json!([]), "{summary}");
    assert_eq!(summary, "nobody waits 1s for a lock of postgres `main`");
}

#[tokio::test]
async fn a_wait_that_is_short_is_no_reason() {
    let server = Server::start().await;
    let url = server.url();
    chain(&url, async |pid, _| {
        let (_, output) = until_two_wait(&url, "0s").await;
        assert_eq!(output["blockers"].as_array().unwrap().len(), 1);
        let targets = postgres_at(&url);
        let (_, output) = done(does(blockers("1h"), &targets).await);
        assert_eq!((&output["waiting"], &output["blockers"]), (&0.into(), &serde_json::json!([])));
        let (_, output) = until_two_wait(&url, "0s").await;
        let backend = output["blockers"][0].as_str().unwrap().to_owned();
        assert!(backend.starts_with(&pid.to_string()));
        done(does(terminate(&backend), &targets).await);
    })
    .await;
}

#[tokio::test]
async fn a_process_id_that_is_another_sessions_by_now_is_left_alone() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let mut client = Client::new(&url, "shop").await;
    let other = format!("{}@2020-01-05T10:00:00.000000Z", client.pid);
    let (summary, output) = done(does(terminate(&other), &targets).await);
    assert_eq!(output["ended"], false);
    assert!(summary.contains("is another session's by now, which is left alone"), "{summary}");
    assert!(client.lives().await);
    for wrong in ["", "17", "17@now", "1 OR true@2020-01-05T10:00:00Z"] {
        let reason = failed(does(terminate(wrong), &targets).await);
        assert!(reason.starts_with("expected a session as postgres.blockers gives it"), "{reason}");
    }
}

/// What `postgres.activity` shows of a session.
async fn shown(url: &str, pid: i32) -> Value {
    let activity = Activity { server: "main".into(), lines: 100.into() };
    let action = Action::Postgres(Postgres::Activity(activity));
    let (_, output) = done(does(action, &postgres_at(url)).await);
    let sessions = output["sessions"].as_array().unwrap();
    sessions.iter().find(|it| it["pid"] == pid).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn quells_own_sessions_and_those_of_no_client_are_never_ended() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let mut own = Client::new(&url, "quell r-7/1").await;
    let backend = shown(&url, own.pid).await["backend"].as_str().unwrap().to_owned();
    let reason = failed(does(terminate(&backend), &targets).await);
    assert!(reason.ends_with("it is quell's own"), "{reason}");
    assert!(own.lives().await);
    let checkpointer = server
        .number("SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        .await;
    let mut looking = Client::new(&url, "test").await;
    let start: String = sqlx::query_scalar(
        "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
         FROM pg_stat_activity WHERE backend_type = 'checkpointer'",
    )
    .fetch_one(&mut looking.connection)
    .await
    .unwrap();
    let reason = failed(does(terminate(&format!("{checkpointer}@{start}")), &targets).await);
    assert!(reason.ends_with("it is no client's session but \"checkpointer\""), "{reason}");
}

#[tokio::test]
async fn only_the_longest_idle_in_a_transaction_are_ended() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = Client::new(&url, "shop").await;
        client.says("BEGIN; SELECT 1").await.unwrap();
        idle.push(client);
    }
    let mut aborted = Client::new(&url, "shop").await;
    aborted.says("BEGIN").await.unwrap();
    aborted.says("SELECT 1/0").await.unwrap_err();
    let mut other = Client::new(&url, "report").await;
    other.says("BEGIN; SELECT 1").await.unwrap();
    let mut resting = Client::new(&url, "shop").await;

    let never = Action::Postgres(Postgres::KillIdle(kill_idle("1h", 10, None)));
    let (summary, _) = done(does(never, &targets).await);
    assert_eq!(summary, "nobody is idle in a transaction of postgres `main` for 1h");
    let everybody = kill_idle("0s", 10, Some(" "));
    let reason = failed(does(Action::Postgres(Postgres::KillIdle(everybody)), &targets).await);
    assert!(reason.starts_with("`application` is empty"), "{reason}");

    let three = kill_idle("1s", 3, Some("shop"));
    let action = Action::Postgres(Postgres::KillIdle(three));
    let ended = wait::until("three have been idle for a second", wait::PATIENCE, async || {
        let (_, output) = done(does(action.clone(), &targets).await);
        let ended = output["ended"].as_array().unwrap().len();
        if ended == 0 { Err(output) } else { Ok(ended) }
    })
    .await;
    assert!(ended <= 3);
    assert!(!idle[0].lives().await, "the longest idle is gone");
    assert!(other.lives().await && resting.lives().await);
    // the rest of them, in as many times as it takes
    wait::until("nobody of them is left", wait::PATIENCE, async || {
        let (_, output) = done(does(action.clone(), &targets).await);
        let left = server
            .number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop' AND state <> 'idle'")
            .await;
        if left == 0 { Ok(()) } else { Err(output) }
    })
    .await;
    for client in idle.iter_mut().chain([&mut aborted]) {
        assert!(!client.lives().await);
    }
    assert!(other.lives().await && resting.lives().await);
}

#[tokio::test]
async fn who_did_something_between_the_look_and_the_act_is_spared() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let mut client = Client::new(&url, "shop").await;
    client.says("BEGIN; SELECT 1").await.unwrap();
    let backend = shown(&url, client.pid).await["backend"].as_str().unwrap().to_owned();
    let asked = Action::Postgres(Postgres::KillIdle(kill_idle("0s", 3, None)));
    let prepared = prepares(asked, &targets).await;
    assert_eq!(prepared.previous, None);
    let Action::Postgres(Postgres::KillIdle(mut prepared)) = prepared.action else { panic!() };
    assert_eq!(prepared.backends, Some(vec![backend.clone()]));
    client.says("COMMIT").await.unwrap();
    let action = Action::Postgres(Postgres::KillIdle(prepared.clone()));
    let (summary, output) = done(does(action, &targets).await);
    assert_eq!(output, serde_json::json!({ "ended": [], "spared": [backend] }), "{summary}");
    assert!(client.lives().await);
    client.says("BEGIN").await.unwrap();
    prepared.idle_for.0 = "1h".into();
    done(does(Action::Postgres(Postgres::KillIdle(prepared)), &targets).await);
    assert!(client.lives().await, "it is idle again, and not for an hour");
}

#[tokio::test]
async fn g19_rights_that_are_missing_refuse_the_credential_and_least_rights_are_enough() {
    let server = Server::start().await;
    server
        .sql(&[
            "CREATE ROLE shop LOGIN",
            "CREATE ROLE weak LOGIN",
            "CREATE ROLE medic LOGIN",
            "GRANT pg_read_all_stats, pg_signal_backend TO medic",
        ])
        .await;
    let by = |user: &str| server.url().replace("quell@", &format!("{user}@"));
    let (weak, medic) = (postgres_at(&by("weak")), postgres_at(&by("medic")));
    let mut client = Client::new(&by("shop"), "shop").await;
    let mut root = Client::new(&server.url(), "dba").await;
    let reason = denied(does(blockers("1s"), &weak).await);
    assert!(reason.ends_with("grant pg_read_all_stats to it"), "{reason}");
    let backend =
        async |pid| shown(&server.url(), pid).await["backend"].as_str().unwrap().to_owned();
    let (shop, dba) = (backend(client.pid).await, backend(root.pid).await);
    denied(does(terminate(&shop), &weak).await);
    server.sql(&["GRANT pg_read_all_stats TO weak"]).await;
    done(does(blockers("1s"), &weak).await);
    let reason = denied(does(terminate(&shop), &weak).await);
    assert!(reason.contains("(42501)"), "{reason}");
    assert!(client.lives().await);
    let reason = failed(does(terminate(&dba), &medic).await);
    assert!(reason.ends_with("it belongs to a superuser, and only another may end it"), "{reason}");
    assert!(root.lives().await);
    assert_eq!(done(does(terminate(&shop), &medic).await).1["ended"], true);
    assert!(!client.lives().await);
    let reason = denied(does(blockers("1s"), &postgres_at(&by("nobody"))).await);
    assert!(reason.contains("(28000)") && reason.contains("see targets.postgres.main"), "{reason}");
}

#[tokio::test]
async fn a_server_that_is_away_or_full_fails_for_now() {
    let mut server = Server::start().await;
    let url = server.url();
    server.sql(&["CREATE ROLE shop LOGIN CONNECTION LIMIT 1"]).await;
    let shop = url.replace("quell@", "shop@");
    let _only = Client::new(&shop, "shop").await;
    let reason = failed_for_now(does(blockers("1s"), &postgres_at(&shop)).await);
    assert!(reason.contains("(53300)"), "{reason}");
    server.stop().await;
    let reason = failed_for_now(does(blockers("1s"), &postgres_at(&url)).await);
    assert_eq!(reason, "could not reach postgres `main`: connection refused");
    let outcome = does(blockers("1s"), &quell::model::config::Targets::default()).await;
    assert!(failed(outcome).starts_with("no server `main` in targets.postgres of quell.yml"));
}

fn probe(sql: &str, healthy: Option<&str>) -> Probe {
    Probe::Postgres(PostgresProbe {
        server: "main".into(),
        sql: sql.into(),
        parameters: Vec::new(),
        healthy: healthy.map(str::to_owned),
    })
}

#[tokio::test]
async fn a_probe_judges_each_row_and_changes_nothing() {
    let mut server = Server::start().await;
    server
        .sql(&[
            "CREATE TABLE jobs (queue text, waiting int)",
            "INSERT INTO jobs VALUES ('mail', 3), ('pay', 40)",
        ])
        .await;
    let targets = postgres_at(&server.url());
    let few = Some("value < 10.0");
    for (sql, healthy, health, words) in [
        ("SELECT 1", None, Health::Healthy, "postgres `main` answered with 1 rows"),
        (
            "SELECT waiting FROM jobs WHERE queue = 'mail'",
            few,
            Health::Healthy,
            "3 (healthy: value < 10.0)",
        ),
        ("SELECT waiting, queue FROM jobs", few, Health::Unhealthy, "40 on 1 of 2 samples"),
        (
            "SELECT waiting, queue FROM jobs",
            Some("value < 10.0 || labels.queue == 'pay'"),
            Health::Healthy,
            "at worst of 2",
        ),
        ("SELECT 12.50::numeric", few, Health::Unhealthy, "12.5 (healthy"),
        ("SELECT interval '8 seconds'", few, Health::Healthy, "8 (healthy"),
        ("SELECT true", Some("value == 1.0"), Health::Healthy, "1 (healthy"),
        ("SELECT NULL::int", few, Health::Unknown, "the first column is NULL"),
        ("SELECT 1 WHERE false", few, Health::Unknown, "no sample"),
        ("SELECT 'NaN'::float8", few, Health::Unknown, "not a finite number"),
        ("SELECT 'many'", few, Health::Unknown, "the first column is no number but \"many\""),
        ("SELECT g FROM generate_series(1, 2000) g", few, Health::Unknown, "more than 1000 rows"),
        ("SELEC 1", None, Health::Unknown, "(42601)"),
        ("DELETE FROM jobs", None, Health::Unknown, "the query would change something"),
        ("SELECT 1; DELETE FROM jobs", None, Health::Unknown, "one statement a step"),
    ] {
        let seen = sees(probe(sql, healthy), &targets).await;
        assert_eq!(seen.health, health, "{sql}: {}", seen.measured);
        assert!(seen.measured.contains(words), "{sql}: {}", seen.measured);
    }
    assert_eq!(server.number("SELECT count(*) FROM jobs").await, 2);
    let nobody = postgres_at(&server.url().replace("quell@", "nobody@"));
    let seen = sees(probe("SELECT 1", None), &nobody).await;
    assert_eq!((seen.health, seen.denied), (Health::Unknown, true), "{}", seen.measured);
    server.stop().await;
    assert_eq!(sees(probe("SELECT 1", None), &targets).await.health, Health::Unhealthy);
    assert_eq!(sees(probe("SELECT 1", few), &targets).await.health, Health::Unknown);
}

/// An action that nobody waits for any longer ends on the server too.
#[tokio::test]
async fn what_is_dropped_ends_on_the_server() {
    let server = Server::start().await;
    let url = server.url();
    let targets = postgres_at(&url);
    let sleeping = super::fixture::execute("SELECT pg_sleep(600)", &[]);
    let action = Action::Postgres(Postgres::Execute(sleeping));
    let mut doing = Box::pin(does(action, &targets));
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quell r-1/2' AND state = 'active'";
    let began = wait::until("it sleeps", wait::PATIENCE, async || {
        tokio::select! {
            outcome = &mut doing => Err(Some(outcome)),
            count = server.number(sleeps) => if count == 1 { Ok(()) } else { Err(None::<Outcome>) },
        }
    });
    began.await;
    drop(doing);
    wait::until("the server notices", Duration::from_secs(20), async || {
        let count = server.number(sleeps).await;
        if count == 0 { Ok(()) } else { Err(count) }
    })
    .await;
}
