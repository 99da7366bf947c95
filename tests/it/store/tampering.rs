//! The tamper table: what `quell audit verify` prints for each kind of change to the database, without the anchor and with it.
//! docs/audit.md shows it.

use std::fmt::Write as _;

use quell::decide::audit::merkle;
use quell::decide::audit::merkle::Range;
use quell::decide::audit::note::Checkpoint;
use quell::decide::audit::note::PrivateKey;
use quell::decide::audit::record::Id;
use quell::decide::audit::record::Kind;
use quell::decide::audit::record::Writer;
use quell::model::decision::Decision;
use quell::model::decision::Verdict;
use quell::model::run::Stop;
use quell::model::trust::Trust;
use quell::store::audit::verify::External;

use super::log::key;
use super::log::seal;
use super::*;

on_each_engine!(the_tamper_table);

const TABLES: [&str; 9] = [
    "run_events",
    "runs",
    "decisions",
    "trust",
    "log",
    "log_leaves",
    "checkpoints",
    "audit_findings",
    "counters",
];

/// What somebody does who can write to the database.
enum Tampering {
    /// These statements.
    Sql(&'static [&'static str]),
    /// What was recorded of the trust in a rule, with a leaf that fits.
    RecordAndLeaf,
    /// The same, and the log's row with peaks that fit all leaves.
    RecordLeafAndRow,
    /// The same, and a checkpoint that the intruder signs by another key.
    RecordLeafRowAndCheckpoint,
    /// The end of the log, with its checkpoints and records, and a row that fits.
    TruncatedLog,
    /// Everything as it was before run 2.
    OlderCopy,
}

use Tampering::Sql;

fn table() -> Vec<(&'static str, Tampering)> {
    vec![
        ("nothing", Sql(&[])),
        ("an entry edited", Sql(&["UPDATE run_events SET body = replace(body, 'ada', 'bob') WHERE run = 2 AND seq = 2"])),
        ("an entry dropped", Sql(&["DELETE FROM run_events WHERE run = 2 AND seq = 2"])),
        (
            "the last entry dropped, and the run's row set back",
            Sql(&[
                "UPDATE runs SET seq = 2, head = (SELECT hash FROM run_events WHERE run = 2 AND seq = 2) WHERE id = 2",
                "DELETE FROM run_events WHERE run = 2 AND seq = 3",
            ]),
        ),
        (
            "a run deleted with all its entries",
            Sql(&["DELETE FROM runs WHERE id = 2", "DELETE FROM run_events WHERE run = 2"]),
        ),
        (
            "two entries swapped",
            Sql(&[
                "UPDATE run_events SET seq = 99 WHERE run = 2 AND seq = 2",
                "UPDATE run_events SET seq = 2 WHERE run = 2 AND seq = 3",
                "UPDATE run_events SET seq = 3 WHERE run = 2 AND seq = 99",
            ]),
        ),
        (
            "an entry inserted",
            Sql(&["INSERT INTO run_events (run, seq, at, body, hash, logged) SELECT run, 4, at, body, hash, 99 FROM run_events WHERE run = 2 AND seq = 3"]),
        ),
        (
            "a plan edited with its digest",
            Sql(&["UPDATE runs SET digest = (SELECT digest FROM runs r WHERE r.id = 1), plan = (SELECT plan FROM runs r WHERE r.id = 1) WHERE id = 2"]),
        ),
        ("a decision edited", Sql(&["UPDATE decisions SET reason = 'rate: nothing against it' WHERE id = 1"])),
        ("a decision dropped", Sql(&["DELETE FROM decisions WHERE id = 1"])),
        (
            "a decision inserted",
            Sql(&["INSERT INTO decisions (id, episode, incident, rule, verdict, reason, body, at, logged)
                   SELECT 77, episode, incident, rule, verdict, reason, body, at, 1 FROM decisions WHERE id = 1"]),
        ),
        ("a demotion edited", Sql(&["UPDATE trust SET mode = 'auto' WHERE id = 1"])),
        ("a leaf edited", Sql(&["UPDATE log_leaves SET hash = replace(hash, '0', '1') WHERE leaf = 5"])),
        ("a leaf dropped", Sql(&["DELETE FROM log_leaves WHERE leaf = 5"])),
        ("a record edited with its leaf", Tampering::RecordAndLeaf),
        ("the same, and the log's row made to fit", Tampering::RecordLeafAndRow),
        ("the same, and its checkpoint forged", Tampering::RecordLeafRowAndCheckpoint),
        (
            "the leaves of the end dropped",
            Sql(&["DELETE FROM log_leaves WHERE leaf >= 5"]),
        ),
        ("the log truncated with its records and checkpoints", Tampering::TruncatedLog),
        ("the checkpoints dropped", Sql(&["DELETE FROM checkpoints"])),
        ("the whole database an older copy", Tampering::OlderCopy),
    ]
}

fn copy(to: &str, from: &str, prefix: &str) -> String {
    format!("INSERT INTO {to} SELECT * FROM {prefix}{from}")
}

/// Runs what a test made up.
async fn run(raw: &AnyPool, sql: String) {
    sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
        .execute(raw)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn save(raw: &AnyPool, prefix: &str) {
    for table in TABLES {
        run(raw, format!("CREATE TABLE {prefix}{table} AS SELECT * FROM {table}")).await;
    }
}

async fn restore(raw: &AnyPool, prefix: &str) {
    for table in TABLES {
        run(raw, format!("DELETE FROM {table}")).await;
        run(raw, copy(table, table, prefix)).await;
    }
}

async fn journal(db: &Database, store: &Store, number: i64) {
    create_for(store, number).await;
    let mut claim = store.claim_run("worker", LEASE).await.unwrap().unwrap();
    let settled = Event::Settled { by: "ada".into(), happened: false };
    // as far as the chain and the log care, any event follows any other
    append(store, &mut claim, settled, RunState::Running).await.unwrap();
    db.advance(1);
    let stop = Event::Stopped { why: Stop::Cancelled { by: "ada".into() } };
    append(store, &mut claim, stop, RunState::Cancelled).await.unwrap();
}

fn trust(mode: Mode) -> Trust {
    Trust { rule: "r".into(), mode, why: "in vain".into(), at: at(100), by: "quell".into() }
}

/// A run, a decision: sealed and copied. A demotion, another run: sealed, and the checkpoint anchored.
async fn recorded(db: &Database, raw: &AnyPool) -> (Store, Vec<External>) {
    let store = db.store().await;
    store.add_key(key().public(), "", &|_| None).await.unwrap();
    journal(db, &store, 1).await;
    let decision = Decision {
        episode: EpisodeId(1),
        incident: Some(IncidentId(1)),
        rule: "r".into(),
        playbook: "restart".into(),
        target: "t".into(),
        verdict: Verdict::Refuse,
        reason: "rate: 3 of 3".into(),
        rulings: Vec::new(),
        at: at(50),
    };
    assert!(store.decide(&decision).await.unwrap());
    assert_eq!(seal(&store).await, 4);
    save(raw, "early_").await;
    db.advance(60);
    journal(db, &store, 2).await;
    let version = store.facts_version().await.unwrap();
    store.demote(version, &trust(Mode::Observe), Vec::new()).await.unwrap();
    assert_eq!(seal(&store).await, 4);
    let (_, note) = store.unanchored().await.unwrap().unwrap();
    (store, vec![External { from: "anchor/latest".into(), note }])
}

async fn hashes(raw: &AnyPool) -> Vec<merkle::Hash> {
    let found: Vec<String> = sqlx::query_scalar("SELECT hash FROM log_leaves ORDER BY leaf")
        .fetch_all(raw)
        .await
        .unwrap();
    found.iter().map(|hash| merkle::from_hex(hash).unwrap()).collect()
}

fn range(leaves: &[merkle::Hash]) -> Range {
    let mut range = Range::default();
    for leaf in leaves {
        range.push(*leaf);
    }
    range
}

async fn set_row(raw: &AnyPool, range: &Range) {
    let peaks: Vec<String> = range.peaks().iter().map(|hash| merkle::hex(hash)).collect();
    let (size, peaks) = (range.size(), peaks.join(" "));
    run(raw, format!("UPDATE log SET size = {size}, peaks = '{peaks}'")).await;
}

async fn tamper(raw: &AnyPool, tampering: &Tampering) {
    match tampering {
        Sql(statements) => {
            for sql in *statements {
                sqlx::query(*sql).execute(raw).await.unwrap();
            }
        }
        Tampering::RecordAndLeaf => record_and_leaf(raw).await,
        Tampering::RecordLeafAndRow => {
            record_and_leaf(raw).await;
            set_row(raw, &range(&hashes(raw).await)).await;
        }
        Tampering::RecordLeafRowAndCheckpoint => {
            record_and_leaf(raw).await;
            let range = range(&hashes(raw).await);
            set_row(raw, &range).await;
            let intruder = PrivateKey::of(key().public().name(), [66; 32]).unwrap();
            let text = Checkpoint::of(key().public().name(), &range).text();
            let note = intruder.sign(&text).unwrap();
            run(
                raw,
                format!("UPDATE checkpoints SET note = '{note}' WHERE size = {}", range.size()),
            )
            .await;
        }
        Tampering::TruncatedLog => {
            let leaves = hashes(raw).await;
            for sql in [
                "DELETE FROM run_events WHERE run = 2",
                "DELETE FROM runs WHERE id = 2",
                "DELETE FROM trust",
                "DELETE FROM log_leaves WHERE leaf >= 5",
                "DELETE FROM checkpoints WHERE size > 5",
            ] {
                sqlx::query(sql).execute(raw).await.unwrap();
            }
            set_row(raw, &range(&leaves[..5])).await;
        }
        Tampering::OlderCopy => restore(raw, "early_").await,
    }
}

async fn record_and_leaf(raw: &AnyPool) {
    change_one(raw, "UPDATE trust SET mode = 'auto' WHERE id = 1").await;
    let it = trust(Mode::Auto);
    let data = Writer::new(Id { kind: Kind::Trust, id: 1, seq: 0 }, it.at.as_microsecond())
        .text("rule", &it.rule)
        .text("mode", it.mode.as_str())
        .text("why", &it.why)
        .text("by", &it.by)
        .end();
    let hash = merkle::hex(&merkle::leaf(data.as_bytes()));
    run(raw, format!("UPDATE log_leaves SET hash = '{hash}' WHERE kind = 'trust'")).await;
}

async fn lines(store: &Store, external: &[External]) -> Vec<String> {
    let chains = store.audit(None).await.unwrap().broken;
    let (_, log) = store.verify_log(&[key().public().clone()], external).await.unwrap();
    chains.iter().map(ToString::to_string).chain(log.iter().map(ToString::to_string)).collect()
}

async fn the_tamper_table(db: Database) {
    // makes the tables
    drop(db.store().await);
    let raw = db.raw().await;
    let (store, anchor) = recorded(&db, &raw).await;
    save(&raw, "whole_").await;
    let mut page = String::new();
    for (name, tampering) in table() {
        tamper(&raw, &tampering).await;
        let (without, with) = (lines(&store, &[]).await, lines(&store, &anchor).await);
        writeln!(page, "{name}").unwrap();
        if without.is_empty() {
            writeln!(page, "  (nothing)").unwrap();
        }
        for line in &without {
            writeln!(page, "  {line}").unwrap();
        }
        for line in with.iter().filter(|line| !without.contains(line)) {
            writeln!(page, "  with the anchor: {line}").unwrap();
        }
        restore(&raw, "whole_").await;
    }
    assert_eq!(lines(&store, &anchor).await, [] as [&str; 0]);
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("tamper_table", page);
    });
    let docs = include_str!("../../../docs/audit.md");
    assert!(docs.contains(&page), "docs/audit.md shows another table:\n{page}");
}
