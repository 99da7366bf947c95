use std::collections::BTreeMap;
use std::path::Path;

use ::redis::Client;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::exec;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;
use crate::model::config;
use crate::model::config::Secret;

const LONG: Duration = Duration::from_secs(20);

/// A real server of its own, with the users `default` (no password), `reader` and `guest`.
struct Server {
    _process: Running,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        loop {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            if let Some(process) = Self::launch(port, directory.path()).await {
                return Self { _process: process, port, directory };
            }
        }
    }

    /// `None` when another process took the port meanwhile.
    async fn launch(port: u16, directory: &Path) -> Option<Running> {
        let socket = directory.join("socket");
        let text = format!(
            "bind 127.0.0.1\nport {port}\nunixsocket {}\ndir {}\nsave \"\"\nappendonly no\n\
             user reader on >s3cret-word ~* +@read +@connection\n\
             user guest on >guest-word ~* +@all -flushdb -unlink\n",
            socket.display(),
            directory.display()
        );
        let file = directory.join("redis.conf");
        std::fs::write(&file, text).unwrap();
        let spawn = Spawn {
            argv: vec!["redis-server".into(), file.to_str().unwrap().into()],
            ..Spawn::default()
        };
        let mut process = exec::start_to(&spawn, Output::Drop)
            .unwrap_or_else(|error| panic!("install redis-server: tests/run does it ({error})"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            if process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(process)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/3", self.port)
    }

    fn targets(&self) -> Targets {
        named(&self.url())
    }

    /// A connection of the test's own.
    async fn connection(&self, database: i64) -> MultiplexedConnection {
        let url = format!("redis://127.0.0.1:{}/{database}", self.port);
        Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    async fn fill(&self, database: i64, prefix: &str, count: u32) {
        let mut connection = self.connection(database).await;
        let pairs: Vec<(String, u32)> =
            (0..count).map(|it| (format!("{prefix}{it}"), it)).collect();
        let _: () = ::redis::cmd("MSET").arg(&pairs).query_async(&mut connection).await.unwrap();
    }

    async fn size(&self, database: i64) -> u64 {
        ::redis::cmd("DBSIZE").query_async(&mut self.connection(database).await).await.unwrap()
    }
}

fn named(url: &str) -> Targets {
    Targets {
        redis: BTreeMap::from([(
            "cache".to_owned(),
            config::Server { url: Secret::new(url), ca_file: None },
        )]),
        ..Targets::default()
    }
}

fn everything(database: Option<i64>) -> RedisFlush {
    RedisFlush { server: "cache".into(), database, slices: None }
}

fn keys(keys: &[&str]) -> RedisDelete {
    let keys = keys.iter().map(ToString::to_string).collect();
    RedisDelete { server: "cache".into(), database: None, keys, pattern: None, slices: None }
}

fn pattern(pattern: &str) -> RedisDelete {
    RedisDelete { pattern: Some(pattern.into()), ..keys(&[]) }
}

fn done(outcome: Outcome) -> (String, serde_json::Value) {
    let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
    (summary, output)
}

fn refused(outcome: Outcome, words: &str) {
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(words), "{reason}");
    assert!(!reason.contains("-word"), "{reason}");
    assert!(!reason.contains("127.0.0.1"), "a name, never the URL: {reason}");
}

fn denied(outcome: Outcome, words: &str) {
    let Outcome::Denied { credentials, reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(credentials, Vec::<String>::new(), "whose it is, act cannot tell");
    assert!(reason.contains(words), "{reason}");
    assert!(!reason.contains("-word"), "{reason}");
    assert!(!reason.contains("127.0.0.1"), "a name, never the URL: {reason}");
}

#[tokio::test]
async fn flush_empties_one_database_and_no_other() {
    let server = Server::start().await;
    server.fill(3, "a", 70).await;
    server.fill(5, "b", 7).await;
    let (summary, output) = done(flush(&everything(None), LONG, &server.targets()).await);
    assert_eq!(summary, "emptied database 3 of redis `cache` (70 keys)", "the database of the URL");
    assert_eq!(output, json!({ "database": 3, "keys_before": 70 }));
    assert_eq!((server.size(3).await, server.size(5).await), (0, 7));
    let (summary, _) = done(flush(&everything(Some(5)), LONG, &server.targets()).await);
    assert_eq!(summary, "emptied database 5 of redis `cache` (7 keys)");
    assert_eq!(server.size(5).await, 0);
    refused(flush(&everything(Some(99)), LONG, &server.targets()).await, "out of range");
}

/// Slices until nothing is left, as the engine does: how many keys went with each.
async fn in_slices(server: &Server, mut flush_this: RedisFlush) -> Vec<u64> {
    let mut gone = Vec::new();
    loop {
        let (_, output) = done(flush(&flush_this, LONG, &server.targets()).await);
        gone.push(output["deleted"].as_u64().unwrap());
        assert!(gone.len() < 100, "for ever: {gone:?}");
        match output.get("cursor") {
            Some(cursor) => {
                let slices = flush_this.slices.as_mut().unwrap();
                slices.cursor = cursor.as_u64().unwrap();
            }
            None => return gone,
        }
    }
}

#[tokio::test]
async fn g10_a_flush_in_slices_takes_about_as_many_keys_as_a_slice_and_ends_with_all() {
    let server = Server::start().await;
    server.fill(3, "a", 1234).await;
    server.fill(5, "b", 7).await;
    let slices = Some(Slices { keys: 300, pause: Duration::ZERO, cursor: 0 });
    let gone = in_slices(&server, RedisFlush { slices, ..everything(None) }).await;
    assert_eq!(gone.iter().sum::<u64>(), 1234);
    assert!((3..=5).contains(&gone.len()), "{gone:?}");
    // SCAN gives whole buckets, so a slice may have a few more
    assert!(gone.iter().all(|it| *it < 500), "{gone:?}");
    assert_eq!((server.size(3).await, server.size(5).await), (0, 7));
}

#[tokio::test]
async fn g10_a_database_of_one_slice_is_emptied_at_once_and_only_at_its_beginning() {
    let server = Server::start().await;
    server.fill(3, "a", 70).await;
    let with = |keys, cursor| RedisFlush {
        slices: Some(Slices { keys, pause: Duration::ZERO, cursor }),
        ..everything(None)
    };
    let (summary, _) = done(flush(&with(70, 0), LONG, &server.targets()).await);
    assert_eq!(summary, "emptied database 3 of redis `cache` (70 keys)");
    server.fill(3, "a", 70).await;
    let (summary, _) = done(flush(&with(69, 0), LONG, &server.targets()).await);
    assert!(summary.starts_with("deleted "), "{summary}");
}

#[tokio::test]
async fn g10_a_pattern_is_deleted_in_slices_too_and_nothing_else_is() {
    let server = Server::start().await;
    server.fill(3, "page", 900).await;
    server.fill(3, "session", 900).await;
    let mut delete_this = pattern("page*");
    delete_this.slices = Some(Slices { keys: 200, pause: Duration::ZERO, cursor: 0 });
    let mut slices = 0;
    loop {
        let (_, output) = done(delete(&delete_this, LONG, &server.targets()).await);
        slices += 1;
        let Some(cursor) = output.get("cursor") else { break };
        delete_this.slices.as_mut().unwrap().cursor = cursor.as_u64().unwrap();
    }
    assert!(slices >= 3, "{slices}");
    assert_eq!(server.size(3).await, 900, "the sessions");
}

#[tokio::test]
async fn delete_takes_the_named_keys_and_no_others() {
    let server = Server::start().await;
    server.fill(3, "a", 10).await;
    let (summary, output) =
        done(delete(&keys(&["a1", "a2", "missing", "*"]), LONG, &server.targets()).await);
    assert_eq!(summary, "deleted 2 keys of database 3 of redis `cache`");
    assert_eq!(output, json!({ "database": 3, "deleted": 2 }));
    assert_eq!(server.size(3).await, 8);
}

#[tokio::test]
async fn delete_takes_the_keys_of_a_pattern_slice_by_slice() {
    let server = Server::start().await;
    server.fill(3, "session:", 2 * u32::try_from(SLICE).unwrap() + 17).await;
    server.fill(3, "sessions", 20).await;
    let (_, output) = done(delete(&pattern("session:*"), LONG, &server.targets()).await);
    assert_eq!(output["deleted"], 2 * SLICE + 17);
    assert_eq!(server.size(3).await, 20);
    let (_, output) = done(delete(&pattern("session:*"), LONG, &server.targets()).await);
    assert_eq!(output["deleted"], 0, "repeating it changes nothing");
}

#[tokio::test]
async fn an_unbounded_deletion_is_refused_before_anybody_is_asked() {
    let both = RedisDelete { pattern: Some("a*".into()), ..keys(&["a"]) };
    for (delete_this, words) in [
        (pattern("*"), "use redis.flush"),
        (pattern("**"), "use redis.flush"),
        (pattern("?*"), "use redis.flush"),
        (pattern(""), "use redis.flush"),
        (pattern("  "), "use redis.flush"),
        (keys(&[]), "there is nothing to delete"),
        (keys(&["a", ""]), "one of the keys is empty"),
        (both, "not both"),
    ] {
        refused(delete(&delete_this, LONG, &named("redis://127.0.0.1:1")).await, words);
    }
}

#[tokio::test]
async fn g19_refused_credentials_and_missing_rights_are_denied() {
    let server = Server::start().await;
    server.fill(0, "a", 3).await;
    let login = |user: &str| named(&format!("redis://{user}@127.0.0.1:{}", server.port));
    let wrong = flush(&everything(None), LONG, &login("reader:wrong-word")).await;
    denied(wrong, "refuses the user or the password; see targets.redis.cache of quell.yml");
    denied(flush(&everything(None), LONG, &login("reader:s3cret-word")).await, "NOPERM");
    denied(flush(&everything(None), LONG, &login("guest:guest-word")).await, "NOPERM");
    denied(delete(&keys(&["a1"]), LONG, &login("guest:guest-word")).await, "NOPERM");
    denied(delete(&pattern("a*"), LONG, &login("guest:guest-word")).await, "NOPERM");
    assert_eq!(server.size(0).await, 3);

    let mut connection = server.connection(0).await;
    let mut lock = ::redis::cmd("CONFIG");
    lock.arg("SET").arg("requirepass").arg("s3cret-word");
    let _: () = lock.query_async(&mut connection).await.unwrap();
    denied(flush(&everything(None), LONG, &login("")).await, "NOAUTH");
    let three = named(&format!("redis://127.0.0.1:{}/3", server.port));
    denied(flush(&everything(None), LONG, &three).await, "uthentication required");
}

#[tokio::test]
async fn a_unix_socket_is_a_server_too() {
    let server = Server::start().await;
    server.fill(0, "a", 3).await;
    let socket = server.directory.path().join("socket");
    let targets = named(&format!("unix://{}", socket.display()));
    let (_, output) = done(flush(&everything(None), LONG, &targets).await);
    assert_eq!(output["keys_before"], 3);
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let targets = named(&format!("redis://user:s3cret-word@127.0.0.1:{port}"));
    let expected =
        super::super::failed_for_now("could not reach redis `cache`: connection refused");
    assert_eq!(flush(&everything(None), LONG, &targets).await, expected);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_not_reached() {
    let server = Server::start().await;
    server.fill(0, "a", 3).await;
    let targets = named(&format!("rediss://127.0.0.1:{}", server.port));
    let outcome = flush(&everything(None), Duration::from_secs(2), &targets).await;
    let Outcome::Failed { reason, retryable: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("could not reach redis `cache`: "), "{reason}");
    assert_eq!(server.size(0).await, 3);
}

#[tokio::test]
async fn a_target_that_does_not_exist_is_not_tried_again() {
    let flush_other = RedisFlush { server: "cash".into(), database: None, slices: None };
    let words = "no server `cash` in targets.redis of quell.yml; there are: cache";
    refused(flush(&flush_other, LONG, &named("redis://127.0.0.1:1")).await, words);
    let words = "its URL cannot be read; expected redis://host:port or rediss://host:port; see targets.redis.cache";
    refused(
        flush(&everything(None), LONG, &named("http://user:s3cret-word@127.0.0.1")).await,
        words,
    );
}

/// A server that stops answering when it reads `fatal`; before, everything is fine.
async fn stops_at(fatal: &str, closes: bool, delete_this: &RedisDelete) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = named(&format!("redis://{}", listener.local_addr().unwrap()));
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the client went away");
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if text.contains(fatal) {
                break;
            }
            let commands = text.lines().filter(|line| line.starts_with('*')).count();
            let answer = if text.contains("SCAN") {
                "*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n".to_owned()
            } else if text.contains("UNLINK") {
                ":2\r\n".to_owned()
            } else {
                "+OK\r\n".repeat(commands)
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        if closes {
            drop(stream);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = delete(delete_this, Duration::from_secs(1), &targets) => outcome,
        () = serving => panic!(),
    }
}

#[tokio::test]
async fn a_deletion_without_an_answer_is_unknown() {
    let named_keys = keys(&["a"]);
    let slow = stops_at("UNLINK", false, &named_keys).await;
    let reason = "no answer of redis `cache` to UNLINK within 1s; nobody knows whether it happened";
    assert_eq!(slow, super::super::unknown(reason));
    let lost = stops_at("UNLINK", true, &named_keys).await;
    let Outcome::Unknown { reason } = lost else { panic!("{lost:?}") };
    assert!(reason.starts_with("connection to redis `cache` lost during UNLINK: "), "{reason}");
}

#[tokio::test]
async fn a_search_without_an_answer_failed_and_says_what_was_deleted_before() {
    // the second SCAN names the cursor that the first one gave
    let outcome = stops_at("SCAN\r\n$1\r\n7", false, &pattern("ab*")).await;
    let reason = "no answer of redis `cache` to SCAN within 1s; 2 keys were deleted before";
    assert_eq!(outcome, super::super::failed_for_now(reason));
}
