//! Backups: one moment of a database in a file, and what becomes of it when it is restored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use quell::store::backup::Header;
use quell::store::restore;
use quell::store::restore::Restored;
use quell::store::restore::Unusable;

use super::*;
use crate::support::wait::PATIENCE;

// not on tables of the future: only the quell that made those can restore them
on_both_engines!(
    a_backup_under_load_is_one_moment_and_comes_back_on_either_engine,
    what_was_at_work_is_not_done_again_and_people_decide,
    a_database_with_something_in_it_is_left_alone,
    a_backup_of_older_tables_is_brought_up_to_date,
);

async fn backup(store: &Store) -> Vec<u8> {
    let mut file = Vec::new();
    store.backup(&mut file).await.unwrap();
    file
}

async fn restored(db: &Database, file: &[u8], replace: bool) -> Result<Restored, StoreError> {
    let (header, held) = restore::check(file).unwrap();
    let store = restore::open(&db.url, db.clock.clone(), &header).await.unwrap();
    let owes = |incident: &Incident, run: RunId, _: &Plan, _: &quell::decide::machine::State| {
        vec![owed(incident.id, "slack", &format!("{run} was at work"))]
    };
    let restored = store.restore(file, held, replace, &owes).await;
    store.close().await;
    restored
}

/// Lines of a backup by table, in any order.
fn tables(file: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in std::str::from_utf8(file).unwrap().lines().skip(1) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(name) = value.get("table") {
            name.as_str().unwrap().clone_into(&mut table);
            tables.insert(table.clone(), Vec::new());
        } else if value.is_array() {
            tables.get_mut(&table).unwrap().push(line.to_owned());
        }
    }
    for rows in tables.values_mut() {
        rows.sort();
    }
    tables
}

/// A run that has ended, with all that comes with it.
async fn done(db: &Database, store: &Store, name: &str) {
    let (incident, episode) = open_incident(store, name).await;
    let run = create(store, &plan(name, incident.id, episode)).await;
    let mut claim = store.claim_run("w", LEASE).await.unwrap().unwrap();
    assert_eq!(claim.run, run);
    append(store, &mut claim, Event::VerifyStarted, RunState::Fixed).await.unwrap();
    store.tell(vec![owed(incident.id, "slack", "it's “fixed” \\ \n at once")]).await.unwrap();
    let sent = store.claim_notification(LEASE).await.unwrap().unwrap();
    store.notification_sent(&sent).await.unwrap();
    db.advance(1);
    resolve(store, name).await;
    store.resolve_incident(incident.id, Vec::new()).await.unwrap();
}

async fn a_backup_under_load_is_one_moment_and_comes_back_on_either_engine(db: Database) {
    let store = db.store().await;
    done(&db, &store, "before").await;
    // two runs are made and end while it is written; each backup has all of a run or nothing
    let stop = tokio_util::sync::CancellationToken::new();
    let made = Arc::new(AtomicUsize::new(0));
    let load = {
        let (store, stop, made) = (store.clone(), stop.clone(), Arc::clone(&made));
        tokio_util::task::TaskTracker::new().spawn(async move {
            let mut number = 100;
            while !stop.is_cancelled() {
                number += 1;
                create_for(&store, number).await;
                let mut claim = store.claim_run("w", LEASE).await.unwrap().unwrap();
                append(&store, &mut claim, Event::VerifyStarted, RunState::Fixed).await.unwrap();
                made.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let mut backups = Vec::new();
    let began = Instant::now();
    while backups.len() < 20 || made.load(Ordering::Relaxed) <= 5 {
        assert!(began.elapsed() < PATIENCE, "there is no load");
        backups.push(backup(&store).await);
    }
    stop.cancel();
    load.await.unwrap();
    let largest = backups.iter().max_by_key(|it| it.len()).unwrap();
    for file in &backups {
        let tables = tables(file);
        let runs = tables["runs"].len();
        let counted = tables["counters"].iter().find(|it| it.contains("\"run\"")).unwrap();
        assert!(counted == &format!("[\"run\",{runs}]"), "{counted}: {runs} runs");
        let first = |it: &&String| it.contains(",1,");
        assert_eq!(
            tables["run_events"].iter().filter(first).count(),
            runs,
            "a run and its journal"
        );
    }
    for (index, into) in [Database::sqlite(), Database::postgres().await].into_iter().enumerate() {
        let restored = restored(&into, largest, false).await.unwrap();
        let copy = into.store().await;
        let audit = copy.audit(None).await.unwrap();
        assert_eq!((audit.broken, audit.runs), (Vec::new(), tables(largest)["runs"].len() as u64));
        // what is settled by restoring differs, and nothing else
        let (was, is) = (tables(largest), tables(&backup(&copy).await));
        let differs: Vec<&str> =
            was.keys().filter(|name| was[*name] != is[*name]).map(String::as_str).collect();
        let expected: &[&str] = if restored.runs.is_empty() {
            &["counters", "incidents", "pauses"]
        } else {
            &["counters", "incidents", "pauses", "run_events", "runs"]
        };
        assert_eq!(differs, expected, "{index}");
        let texts = copy.notifications("sent", 10).await.unwrap();
        assert_eq!(texts[0].notice.headline, "it's “fixed” \\ \n at once");
    }
}

async fn what_was_at_work_is_not_done_again_and_people_decide(db: Database) {
    let store = db.store().await;
    // one that acted, one that waits for approval, one that was not begun
    let (incident, episode) = open_incident(&store, "A").await;
    let acting = create(&store, &plan("a", incident.id, episode)).await;
    let mut claim = store.claim_run("w", LEASE).await.unwrap().unwrap();
    let intent = quell::model::run::Intent {
        action: None,
        previous: None,
        key: "r-1/1".into(),
        timeout: Duration::from_mins(1),
    };
    let started = Event::StepStarted { step: 0, item: None, attempt: 1, intent };
    append(&store, &mut claim, started, RunState::Running).await.unwrap();
    let (other, episode) = open_incident(&store, "B").await;
    let waiting = Plan { mode: Mode::Approve, ..plan("b", other.id, episode) };
    let waiting = create(&store, &waiting).await;
    store.tell(vec![owed(incident.id, "slack", "an hour old")]).await.unwrap();
    let file = backup(&store).await;
    db.advance(7200);

    let into = if db.is_sqlite { Database::sqlite() } else { Database::postgres().await };
    into.advance(7200);
    let said = restored(&into, &file, false).await.unwrap();
    assert_eq!((said.runs, said.notices), (vec![acting, waiting], 1));
    let copy = into.store().await;
    let state = async |run: RunId| copy.run(run).await.unwrap().unwrap();
    let (stuck, cancelled) = (state(acting).await, state(waiting).await);
    assert_eq!((stuck.state, cancelled.state), (RunState::Stuck, RunState::Cancelled));
    assert!(stuck.outcome.contains("nobody knows what it did since"), "{}", stuck.outcome);
    assert!(copy.claim_run("w", LEASE).await.unwrap().is_none(), "nothing goes on");
    assert_eq!(copy.audit(None).await.unwrap().broken, []);
    let last = copy.journal(acting).await.unwrap().pop().unwrap();
    assert_eq!(last.event, Event::Restored { made_at: at(0) });
    // the old notice is dead, and what is new is told
    let dead = copy.notifications("dead", 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].notice.headline.as_str()), (1, "an hour old"));
    assert!(dead[0].error.contains("restored from a backup of 2026-01-05"), "{}", dead[0].error);
    let pending = copy.notifications("pending", 10).await.unwrap();
    let pending: Vec<_> = pending.iter().map(|it| it.notice.headline.clone()).collect();
    assert_eq!(pending, [format!("{waiting} was at work"), format!("{acting} was at work")]);
    // nothing acts until a person says so
    let pauses = copy.pauses().await.unwrap();
    assert_eq!(
        (pauses.len(), pauses[0].scope.as_str(), pauses[0].by.as_str()),
        (1, "all", "restore")
    );
    // what was made after the backup keeps its ids
    let next = fire(&copy, "C").await;
    assert!(next.0 > 100_000, "{next}");
}

async fn a_database_with_something_in_it_is_left_alone(db: Database) {
    let store = db.store().await;
    done(&db, &store, "A").await;
    let file = backup(&store).await;
    done(&db, &store, "B").await;
    let now = tables(&backup(&store).await);
    let refused = restored(&db, &file, false).await.unwrap_err();
    let StoreError::Conflict(words) = &refused else { panic!("{refused:?}") };
    assert!(words.contains("the database is not empty"), "{words}");
    assert_eq!(tables(&backup(&store).await), now, "nothing was changed");
    restored(&db, &file, true).await.unwrap();
    let copy = db.store().await;
    assert_eq!(copy.episodes(false, None, 10).await.unwrap().len(), 1);
}

async fn a_backup_of_older_tables_is_brought_up_to_date(db: Database) {
    // as a quell left it that had only the first migration
    let of_first =
        Header { quell_backup: 1, quell: "0.0.1".into(), made_at: at(0), migrations: vec![1] };
    let old = restore::open(&db.url, db.clock.clone(), &of_first).await.unwrap();
    let raw = db.raw().await;
    sqlx::query(
        "INSERT INTO episodes (id, fingerprint, source, labels, annotations, generator_url, is_open, starts_at, opened_at,
           seen_at, ended_at, reopened, truncated, due_at, attempt)
         VALUES (1, 'f', 'am', '{}', '{}', '', 1, 1, 1, 1, 0, 0, 0, 1, 0)",
    )
    .execute(&raw)
    .await
    .unwrap();
    let older = backup(&old).await;
    assert_eq!(restore::check(older.as_slice()).unwrap().0.migrations, [1]);
    let into = if db.is_sqlite { Database::sqlite() } else { Database::postgres().await };
    restored(&into, &older, false).await.unwrap();
    let copy = into.store().await;
    assert_eq!(copy.episodes(true, None, 10).await.unwrap().len(), 1);
    copy.set_missing(&[(EpisodeId(1), at(0))]).await.unwrap();
    let newer = backup(&copy).await;
    assert!(restore::check(newer.as_slice()).unwrap().0.migrations.len() > 1);
    // the other way round would leave out what the newer tables need
    let error = restore::open(&into.url, into.clock.clone(), &of_first).await.unwrap_err();
    assert_eq!(error.code, "Q0422");
}

/// The file of these lines, with an end that fits.
fn sealed(lines: &[String]) -> Vec<u8> {
    use sha2::Digest as _;
    let file = lines.join("\n") + "\n";
    let rows = lines.iter().filter(|it| it.starts_with('[')).count();
    let digest = sha2::Sha256::digest(file.as_bytes());
    let hex = digest.iter().fold(String::new(), |hex, it| format!("{hex}{it:02x}"));
    format!("{file}{{\"rows\":{rows},\"sha256\":\"{hex}\"}}\n").into_bytes()
}

#[tokio::test]
async fn a_damaged_or_newer_file_is_no_backup() {
    let db = Database::sqlite();
    let store = db.store().await;
    done(&db, &store, "A").await;
    let whole = backup(&store).await;
    restore::check(whole.as_slice()).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let without_end = &lines[..lines.len() - 1];
    let first = &lines[0];
    for (name, file, expected) in [
        ("nothing", Vec::new(), "line 1: the file ends here"),
        ("another file", b"hello\n".to_vec(), "line 1: it is no backup of quell"),
        ("another JSON", b"{\"a\":1}\n".to_vec(), "line 1: it is no backup of quell"),
        ("bytes", vec![0xff, 0xfe, b'\n'], "line 1: it is not text"),
        ("cut", whole[..whole.len() / 2].to_vec(), "the file ends"),
        (
            "cut between lines",
            sealed(without_end)[..text.rfind("{\"rows\"").unwrap()].to_vec(),
            "its last line is missing",
        ),
        ("edited", text.replace("critical", "warning").into_bytes(), "the checksum does not fit"),
        ("longer", [whole.as_slice(), b"[]\n"].concat(), "there is more after the last line"),
        (
            "another table",
            sealed(&[
                first.clone(),
                "{\"table\":\"x; DROP TABLE runs\",\"columns\":[\"a\"]}".into(),
            ]),
            "line 2: it names no table of quell",
        ),
        ("a row of nothing", sealed(&[first.clone(), "[1]".into()]), "line 2: it is no row"),
        (
            "a newer format",
            text.replace("\"quell_backup\":1", "\"quell_backup\":2").into_bytes(),
            "the backup has the format 2",
        ),
    ] {
        let error: Unusable = restore::check(file.as_slice()).unwrap_err();
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let newer = first.replace("\"migrations\":[1", "\"migrations\":[1,999999");
    let (header, _) = restore::check(sealed(&[newer]).as_slice()).unwrap();
    let other = Database::sqlite();
    let error = restore::open(&other.url, other.clock.clone(), &header).await.unwrap_err();
    assert_eq!(error.code, "Q0421");
    assert!(error.message.contains("migration 999999 is not known here"), "{}", error.message);
}
