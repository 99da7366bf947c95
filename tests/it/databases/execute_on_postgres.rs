//! `postgres.execute` on a real server: what is bound, what is known when something breaks, and what is done once.

use std::time::Duration;

use quell::model::action::Action;
use quell::model::action::Postgres;
use quell::model::action::postgres::Execute;
use quell::model::config::Targets;
use quell::model::run::Outcome;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::fixture::Client;
use super::fixture::denied;
use super::fixture::does_as;
use super::fixture::done;
use super::fixture::execute;
use super::fixture::failed;
use super::fixture::failed_for_now;
use super::fixture::postgres_at;
use super::fixture::unknown;
use crate::support::postgres;

const LONG: Duration = Duration::from_secs(20);

async fn run(it: Execute, targets: &Targets) -> Outcome {
    does_as("r-1/2", Action::Postgres(Postgres::Execute(it)), LONG, targets).await
}

async fn count(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut connection).await.unwrap()
}

async fn with_notes() -> (String, Targets) {
    let url = postgres::database().await;
    let mut client = Client::new(&url, "test").await;
    client.says("CREATE TABLE notes (id int, text text)").await.unwrap();
    let targets = postgres_at(&url);
    (url, targets)
}

#[tokio::test]
async fn values_are_bound_and_rows_come_back_as_what_they_are() {
    let (url, targets) = with_notes().await;
    let hostile = "x'); DROP TABLE notes; --";
    let insert =
        execute("INSERT INTO notes VALUES ($1::int, $2) RETURNING id, text", &["7", hostile]);
    let (summary, output) = done(run(insert, &targets).await);
    assert_eq!(
        output,
        json!({ "rows": [{ "id": 7, "text": hostile }], "affected": 1, "left_out": 0 })
    );
    assert_eq!(summary, "postgres `main`: 1 rows affected, 1 rows given");
    assert_eq!(count(&url).await, 1);
    let all = "SELECT true AS b, 3::int2 AS i, 1.5::float8 AS f, -12345678.0900::numeric AS n, 0.00010::numeric AS s, \
        10000::numeric AS k, 'NaN'::numeric AS nan, '{\"a\":[1]}'::jsonb AS j, '2026-01-05 10:00:00+00'::timestamptz AS at, \
        '2026-01-05 10:00:00'::timestamp AS ts, '1999-12-31'::date AS d, interval '1 day 2 seconds' AS span, \
        '00112233-4455-6677-8899-aabbccddeeff'::uuid AS u, NULL::text AS nil, '10.0.0.1'::inet AS ip";
    let (_, output) = done(run(execute(all, &[]), &targets).await);
    assert_eq!(
        output["rows"][0],
        json!({
            "b": true, "i": 3, "f": 1.5, "n": -12_345_678.09, "s": 0.0001, "k": 10000, "nan": "NaN",
            "j": { "a": [1] }, "at": "2026-01-05T10:00:00Z", "ts": "2026-01-05T10:00:00",
            "d": "1999-12-31", "span": 86402.0, "u": "00112233-4455-6677-8899-aabbccddeeff",
            "nil": null, "ip": "[inet: write ::text to see it]",
        })
    );
    let many = execute("SELECT g, repeat('x', 100) AS t FROM generate_series(1, 500) g", &[]);
    let (_, output) = done(run(many, &targets).await);
    assert_eq!((output["rows"].as_array().unwrap().len(), &output["left_out"]), (50, &450.into()));
}

#[tokio::test]
async fn what_the_server_refuses_did_not_happen() {
    let (url, targets) = with_notes().await;
    for (sql, parameters, words) in [
        ("SELEC 1", &[][..], "(42601)"),
        ("SELECT * FROM nothing", &[], "(42P01)"),
        ("SELECT 1; SELECT 2", &[], "one statement a step"),
        ("SELECT * FROM notes WHERE id = $1", &["7"], "say what they are, as in `$1::integer`"),
        ("SELECT $1::int", &["x"], "(22P02)"),
        ("VACUUM notes", &[], "write `transaction: false`"),
        ("ROLLBACK", &[], "quell begins and ends the transaction itself"),
    ] {
        let reason = failed(run(execute(sql, parameters), &targets).await);
        assert!(reason.contains(words), "{sql}: {reason}");
    }
    // it inserts, and only the end of the transaction finds that it may not
    let mut client = Client::new(&url, "test").await;
    client.says("ALTER TABLE notes ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED").await.unwrap();
    let twice = execute("INSERT INTO notes VALUES (1, 'a'), (1, 'b')", &[]);
    let reason = failed(run(twice, &targets).await);
    assert!(reason.contains("committing") && reason.contains("(23505)"), "{reason}");
    assert_eq!(count(&url).await, 0);
    client.says("CREATE ROLE weak LOGIN").await.ok();
    let weak = execute("SET LOCAL ROLE pg_monitor", &[]);
    assert!(failed(run(weak, &targets).await).contains("about the session only"));
}

#[tokio::test]
async fn g19_a_missing_right_refuses_the_credential() {
    let (url, _) = with_notes().await;
    let name = format!("weak_{:08x}", rand::random::<u32>());
    let mut client = Client::new(&url, "test").await;
    let create = sqlx::AssertSqlSafe(format!("CREATE ROLE {name} LOGIN PASSWORD 'hush-weak'"));
    sqlx::query(create).execute(&mut client.connection).await.unwrap();
    let by = |user: &str, password: &str| {
        let mut url = url::Url::parse(&url).unwrap();
        url.set_username(user).unwrap();
        url.set_password(Some(password)).unwrap();
        postgres_at(url.as_str())
    };
    let delete = execute("DELETE FROM notes", &[]);
    let reason = denied(run(delete.clone(), &by(&name, "hush-weak")).await);
    assert!(reason.contains("(42501)"), "{reason}");
    let reason = denied(run(delete.clone(), &by(&name, "hush-wrong")).await);
    assert!(reason.contains("(28P01)"), "{reason}");
    // the table of keys is the administrator's to make where quell may not
    let once = Execute { once: true, ..execute("SELECT 1", &[]) };
    let reason = denied(run(once, &by(&name, "hush-weak")).await);
    assert!(reason.contains("making the table quell_effects"), "{reason}");
}

#[tokio::test]
async fn what_takes_too_long_or_waits_for_a_lock_is_taken_back() {
    let (url, targets) = with_notes().await;
    let slow = Execute {
        statement_timeout: Some(Duration::from_millis(200)),
        ..execute(
            "WITH a AS (INSERT INTO notes VALUES (1, 'a') RETURNING 1) SELECT pg_sleep(60) FROM a",
            &[],
        )
    };
    let reason = failed(run(slow, &targets).await);
    assert!(reason.contains("(57014)"), "{reason}");
    let mut holder = Client::new(&url, "test").await;
    holder.says("BEGIN; LOCK TABLE notes").await.unwrap();
    let blocked = execute("INSERT INTO notes VALUES (1, 'a')", &[]);
    let action = Action::Postgres(Postgres::Execute(blocked));
    let outcome = does_as("r-1/2", action, Duration::from_mins(1), &targets).await;
    let reason = failed_for_now(outcome);
    assert!(reason.contains("(55P03)") && reason.contains("postgres.blockers"), "{reason}");
    holder.says("ROLLBACK").await.unwrap();
    assert_eq!(count(&url).await, 0);
}

#[tokio::test]
async fn outside_of_a_transaction_a_vacuum_runs() {
    let (_, targets) = with_notes().await;
    let alone = |sql| Execute { transaction: false, ..execute(sql, &[]) };
    done(run(alone("VACUUM (ANALYZE) notes"), &targets).await);
    done(run(alone("CREATE INDEX CONCURRENTLY a ON notes (id)"), &targets).await);
    done(run(alone("REINDEX INDEX CONCURRENTLY a"), &targets).await);
    let reason =
        failed(run(alone("CREATE UNIQUE INDEX CONCURRENTLY b ON notes (nothing)"), &targets).await);
    assert!(reason.contains("an index that is not valid may be left"), "{reason}");
    let reason = unknown(run(alone("DO $$ BEGIN COMMIT; RAISE 'no'; END $$"), &targets).await);
    assert!(reason.contains("a part of it may have happened"), "{reason}");
    let once = Execute { once: true, ..alone("VACUUM notes") };
    assert!(failed(run(once, &targets).await).contains("`once` needs a transaction"));
}

#[tokio::test]
async fn the_same_key_again_does_nothing() {
    let (url, targets) = with_notes().await;
    let insert =
        Execute { once: true, ..execute("INSERT INTO notes VALUES ($1::int, 'a')", &["1"]) };
    done(run(insert.clone(), &targets).await);
    let (summary, output) = done(run(insert.clone(), &targets).await);
    assert!(summary.ends_with("nothing was done again"), "{summary}");
    assert_eq!(output["affected"], 1);
    assert!(output["done_before"].is_string(), "{output}");
    assert_eq!(count(&url).await, 1);
    let other = Execute { parameters: vec!["2".into()], ..insert.clone() };
    done(run(other, &targets).await);
    let action = Action::Postgres(Postgres::Execute(insert));
    done(does_as("r-1/2.2", action, LONG, &targets).await);
    assert_eq!(count(&url).await, 3, "another value, and another item, is another effect");
}

/// Each makes the table of keys, which none of them found.
#[tokio::test]
async fn of_many_at_once_each_does_its_own() {
    for _ in 0..10 {
        let (url, targets) = with_notes().await;
        let mut all = tokio::task::JoinSet::new();
        for id in 0..12 {
            let targets = targets.clone();
            let insert = Execute {
                once: true,
                ..execute("INSERT INTO notes VALUES ($1::int, 'a')", &[&id.to_string()])
            };
            all.spawn(async move { run(insert, &targets).await });
        }
        for outcome in all.join_all().await {
            done(outcome);
        }
        assert_eq!(count(&url).await, 12);
    }
}

#[tokio::test]
async fn of_two_at_once_with_the_same_key_one_does_it() {
    let (url, targets) = with_notes().await;
    let insert = Execute {
        once: true,
        ..execute("INSERT INTO notes SELECT 1, 'a' FROM pg_sleep(0.2)", &[])
    };
    let (one, other) = tokio::join!(run(insert.clone(), &targets), run(insert, &targets));
    let (one, other) = (done(one).1, done(other).1);
    assert_eq!([&one, &other].iter().filter(|it| it.get("done_before").is_some()).count(), 1);
    assert_eq!(count(&url).await, 1);
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// COMMIT arrives, its answer does not.
    AfterCommit,
    /// COMMIT does not arrive.
    BeforeCommit,
    /// The statement arrives, its answer does not.
    AfterStatement,
}

/// Leads to the server of `url`, and cuts each connection there.
async fn cutting(url: &str, cut: Cut) -> (String, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut through = url::Url::parse(url).unwrap();
    let to = through.port().unwrap();
    through.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            carry(client, server, cut).await;
        }
    });
    (through.into(), tasks)
}

async fn carry(mut client: TcpStream, mut server: TcpStream, cut: Cut) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|it| it == word);
    let mut silent = false;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let bytes = &asked[..count];
                let commit = holds(bytes, b"COMMIT\0");
                if commit && cut == Cut::BeforeCommit {
                    return;
                }
                silent |= commit || cut == Cut::AfterStatement && holds(bytes, b"INSERT INTO notes");
                server.write_all(bytes).await.unwrap();
            }
            count = server.read(&mut answered) => {
                let Ok(count @ 1..) = count else { return };
                if silent {
                    return;
                }
                client.write_all(&answered[..count]).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_at_the_commit_leaves_it_unknown_and_once_finds_out() {
    for (cut, there) in [(Cut::AfterCommit, 1), (Cut::BeforeCommit, 0)] {
        let (url, targets) = with_notes().await;
        let (through, _tasks) = cutting(&url, cut).await;
        let insert = Execute { once: true, ..execute("INSERT INTO notes VALUES (1, 'a')", &[]) };
        let reason = unknown(run(insert.clone(), &postgres_at(&through)).await);
        assert!(
            reason.ends_with("nobody knows whether it happened; trying it again finds out"),
            "{cut:?}: {reason}"
        );
        assert_eq!(count(&url).await, there, "{cut:?}");
        let (_, output) = done(run(insert, &targets).await);
        assert_eq!(output.get("done_before").is_some(), cut == Cut::AfterCommit, "{output}");
        assert_eq!(count(&url).await, 1, "{cut:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_commit_was_sent_did_nothing() {
    let (url, _) = with_notes().await;
    let (through, _tasks) = cutting(&url, Cut::AfterStatement).await;
    let insert = execute("INSERT INTO notes VALUES (1, 'a')", &[]);
    let reason = failed_for_now(run(insert.clone(), &postgres_at(&through)).await);
    assert!(reason.contains("lost while running the statement"), "{reason}");
    assert_eq!(count(&url).await, 0);
    // without a transaction nobody knows
    let alone = Execute { transaction: false, ..insert };
    let reason = unknown(run(alone, &postgres_at(&through)).await);
    assert!(reason.contains("nobody knows whether it happened"), "{reason}");
}
