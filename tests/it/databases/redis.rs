//! Redis with users, with TLS, as a replica and as a member of a cluster.

use quell::model::action::Action;
use quell::model::action::RedisConfigSet;
use quell::model::action::RedisDelete;
use quell::model::action::RedisFlush;
use quell::model::probe::Probe;
use quell::model::probe::RedisProbe;
use quell::model::run::Health;
use tempfile::TempDir;

use super::fixture::denied;
use super::fixture::does;
use super::fixture::done;
use super::fixture::failed;
use super::fixture::failed_for_now;
use super::fixture::prepares;
use super::fixture::redis_at;
use super::fixture::sees;
use crate::support::certificates::Certificates;
use crate::support::process;
use crate::support::process::Process;
use crate::support::redis::Redis;

fn set(setting: &str, value: &str, before: Option<&str>) -> Action {
    let before = before.map(str::to_owned);
    let (setting, value) = (setting.to_owned(), value.to_owned());
    Action::RedisConfigSet(RedisConfigSet { server: "cache".into(), setting, value, before })
}

fn delete(pattern: &str) -> Action {
    Action::RedisDelete(RedisDelete {
        server: "cache".into(),
        database: None,
        keys: Vec::new(),
        pattern: Some(pattern.into()),
        slices: None,
    })
}

fn flush() -> Action {
    Action::RedisFlush(RedisFlush { server: "cache".into(), database: None, slices: None })
}

fn probe(command: &[&str], field: Option<&str>, healthy: Option<&str>) -> Probe {
    Probe::Redis(RedisProbe {
        server: "cache".into(),
        command: command.iter().map(ToString::to_string).collect(),
        field: field.map(str::to_owned),
        healthy: healthy.map(str::to_owned),
    })
}

/// A server with these settings beside those that keep it quiet.
async fn server(settings: &[&str]) -> (u16, Process, TempDir) {
    let folder = TempDir::new().unwrap();
    let port = process::port();
    let (text, place) = (port.to_string(), folder.path().to_str().unwrap());
    let plain = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", place];
    let line = plain.iter().copied().chain(settings.iter().copied().map(|it| match it {
        "PORT" => text.as_str(),
        other => other,
    }));
    let mut process = Process::start(line, &[], &folder.path().join("log"));
    process
        .ready(async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .map(drop)
                .map_err(|it| it.to_string())
        })
        .await;
    (port, process, folder)
}

#[tokio::test]
async fn a_setting_is_changed_from_what_it_was_and_from_nothing_else() {
    let redis = Redis::start().await;
    let targets = redis_at(redis.url(), None);
    let prepared = prepares(set("maxmemory", "64mb", None), &targets).await;
    assert_eq!(prepared.action, set("maxmemory", "64mb", Some("0")));
    assert_eq!(prepared.previous, Some(set("maxmemory", "0", None)));
    assert_eq!(prepares(set("maxmemory", "0kb", None), &targets).await.previous, None);
    let (summary, output) = done(does(set("maxmemory", "64mb", Some("0")), &targets).await);
    assert_eq!(summary, "`maxmemory` of redis `cache`: 0 → 67108864");
    assert_eq!(output, serde_json::json!({ "before": "0", "after": "67108864" }));
    // the same again, as after a crash
    let (summary, _) = done(does(set("maxmemory", "64mb", Some("0")), &targets).await);
    assert_eq!(summary, "`maxmemory` of redis `cache` is 64mb already");
    let reason = failed(does(set("maxmemory", "32mb", Some("0")), &targets).await);
    assert!(reason.ends_with("somebody else changed it"), "{reason}");
    let reason = failed(does(set("maxmemory", "many", None), &targets).await);
    assert!(reason.contains("refused CONFIG SET"), "{reason}");
    let reason = failed(does(set("no-such-setting", "1", None), &targets).await);
    assert_eq!(reason, "redis `cache` has no setting `no-such-setting`");
    let reason = failed(does(set("requirepass", "hush", None), &targets).await);
    assert!(reason.starts_with("`requirepass` holds a credential"), "{reason}");
    assert_eq!(redis.executed("config|set").await, 2, "one of which the server refused");
}

#[tokio::test]
async fn g19_a_user_who_may_only_what_the_action_needs() {
    let redis = Redis::start().await;
    let mut connection = redis.connect().await;
    for (name, rights) in [
        ("flusher", &["+flushdb", "+dbsize", "+select", "~*"][..]),
        ("cleaner", &["+scan", "+unlink", "+select", "~cache:*"]),
        ("tuner", &["+config|get", "+config|set"]),
        ("probe", &["+ping", "+llen", "+info", "~jobs"]),
    ] {
        let password = format!(">hush-{name}");
        let rights = ["on", &password, "-@all"].into_iter().chain(rights.iter().copied());
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(name).arg(rights.collect::<Vec<_>>());
        let _: () = command.query_async(&mut connection).await.unwrap();
    }
    let place = redis.url().rsplit_once('@').unwrap().1.to_owned();
    let by = |name: &str| redis_at(&format!("redis://{name}:hush-{name}@{place}"), None);
    let fill = redis::cmd("MSET").arg(&["cache:a", "1", "cache:b", "2", "jobs2", "3"]).clone();
    let _: () = fill.query_async(&mut connection).await.unwrap();
    let _: () =
        redis::cmd("RPUSH").arg(&["jobs", "1", "2"]).query_async(&mut connection).await.unwrap();

    assert_eq!(done(does(delete("cache:*"), &by("cleaner")).await).1["deleted"], 2);
    let reason = denied(does(delete("jobs*"), &by("cleaner")).await);
    assert!(reason.contains("NOPERM"), "{reason}");
    denied(does(flush(), &by("cleaner")).await);
    denied(does(set("maxmemory", "1mb", None), &by("cleaner")).await);
    done(does(set("maxmemory", "1gb", Some("0")), &by("tuner")).await);
    denied(does(flush(), &by("tuner")).await);

    let few = Some("value < 5.0");
    let seen = sees(probe(&["LLEN", "jobs"], None, few), &by("probe")).await;
    assert_eq!(
        (seen.health, seen.measured.as_str()),
        (Health::Healthy, "2 (healthy: value < 5.0)")
    );
    let seen = sees(
        probe(&["info", "clients"], Some("connected_clients"), Some("value > 99.0")),
        &by("probe"),
    )
    .await;
    assert_eq!(seen.health, Health::Unhealthy, "{}", seen.measured);
    let seen = sees(probe(&[], None, None), &by("probe")).await;
    assert_eq!(
        (seen.health, seen.measured.as_str()),
        (Health::Healthy, "redis `cache` answered PONG")
    );
    for (name, command) in
        [("probe", &["LLEN", "cache:a"][..]), ("cleaner", &["PING"]), ("nobody", &["PING"])]
    {
        let seen = sees(probe(command, None, None), &by(name)).await;
        assert_eq!(
            (seen.health, seen.denied),
            (Health::Unknown, true),
            "{name}: {}",
            seen.measured
        );
        assert!(!seen.measured.contains("hush"), "{}", seen.measured);
    }
    let seen = sees(probe(&["FLUSHALL"], None, None), &redis_at(redis.url(), None)).await;
    assert_eq!(seen.health, Health::Unknown);
    assert!(seen.measured.starts_with("`FLUSHALL` is no command of a probe"), "{}", seen.measured);

    done(does(flush(), &by("flusher")).await);
    let left: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn tls_needs_the_authority_and_the_name() {
    let folder = TempDir::new().unwrap();
    let made = Certificates::make(folder.path());
    let path = |it: &std::path::Path| it.to_str().unwrap().to_owned();
    let (certificate, key, authority) =
        (path(&made.certificate), path(&made.key), path(&made.authority));
    let (port, _process, _folder) = server(&[
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "hush-tls",
    ])
    .await;
    let url = format!("rediss://:hush-tls@localhost:{port}");
    let trusted = redis_at(&url, Some(made.authority.clone()));
    done(does(set("maxmemory", "1mb", Some("0")), &trusted).await);
    done(does(flush(), &trusted).await);
    let seen = sees(probe(&["DBSIZE"], None, Some("value == 0.0")), &trusted).await;
    assert_eq!(seen.health, Health::Healthy, "{}", seen.measured);

    let reason = failed(does(flush(), &redis_at(&url, None)).await);
    assert!(reason.contains("no secure connection"), "{reason}");
    let plain = redis_at(&url.replace("rediss:", "redis:"), Some(made.authority.clone()));
    assert!(
        failed(does(flush(), &plain).await)
            .contains("ca_file needs a URL that begins with rediss://")
    );
    let missing = redis_at(&url, Some("/no/such.pem".into()));
    assert!(failed(does(flush(), &missing).await).contains("ca_file /no/such.pem"));
    let wrong = redis_at(&url.replace("hush-tls", "hush-wrong"), Some(made.authority));
    denied(does(flush(), &wrong).await);
}

#[tokio::test]
async fn a_replica_and_a_member_of_a_cluster_say_what_they_are() {
    let main = Redis::start().await;
    let port = main.url().rsplit_once(':').unwrap().1.to_owned();
    let (replica, _process, _folder) = server(&[
        "--port",
        "PORT",
        "--replicaof",
        "127.0.0.1",
        &port,
        "--masterauth",
        "hush-redis",
    ])
    .await;
    let targets = redis_at(&format!("redis://127.0.0.1:{replica}"), None);
    let reason = failed_for_now(does(flush(), &targets).await);
    assert!(reason.contains("this server only reads: is it a replica?"), "{reason}");

    let (port, _member, _folder) = server(&["--port", "PORT", "--cluster-enabled", "yes"]).await;
    let url = format!("redis://127.0.0.1:{port}");
    let database =
        Action::RedisFlush(RedisFlush { server: "cache".into(), database: Some(1), slices: None });
    let reason = failed(does(database, &redis_at(&url, None)).await);
    assert!(reason.contains("SELECT is not allowed in cluster mode"), "{reason}");
}
