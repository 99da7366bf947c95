//! What the database must say after a campaign, beside what the target saw.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::AnyConnection;
use sqlx::Connection as _;
use sqlx::Row as _;

use crate::campaign::load::Load;
use crate::support::quell::Quell;

/// Numbers of a campaign that kept its promises.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) runs: usize,
    pub(super) effects: usize,
    /// Effects that were repeated, as they may be.
    pub(super) repeated: usize,
    /// What may not be repeated.
    pub(super) charges: usize,
}

/// Where a test reads what a replica writes.
pub(super) fn url(storage: &str, replica: &Quell) -> String {
    match storage.strip_prefix("sqlite:") {
        Some(file) => format!("sqlite://{}", replica.folder().join(file).display()),
        None => storage.to_owned(),
    }
}

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

/// Runs that are not over.
pub(super) async fn active(url: &str) -> i64 {
    let mut connection = connect(url).await;
    let active = "SELECT COUNT(*) FROM runs WHERE is_final = 0";
    let active = sqlx::query_scalar(active).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    active
}

pub(super) async fn of(url: &str, load: &Load) -> Found {
    let mut connection = connect(url).await;
    every_answer_is_stored(&mut connection, load).await;
    let intents = intents(&mut connection).await;
    let mut done: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let effects = load.effects();
    for effect in &effects {
        done.entry(effect.key.clone()).or_insert((0, effect.verb.clone())).0 += 1;
    }
    for (key, (times, verb)) in &done {
        let written = intents.get(key).copied().unwrap_or_default();
        assert!(*times <= written, "{key} ({verb}) was done {times} times for {written} intents");
        assert!(verb != "charge" || *times == 1, "{key} was charged {times} times");
    }
    let runs = sqlx::query("SELECT state, COUNT(*) AS count FROM runs GROUP BY state");
    let runs = runs.fetch_all(&mut connection).await.unwrap();
    let mut ended = 0;
    for row in runs {
        let (state, count): (String, i64) = (row.get(0), row.get(1));
        let fine = ["fixed", "cancelled", "superseded"].contains(&&*state);
        assert!(fine, "{count} runs are {state}");
        ended += usize::try_from(count).unwrap();
    }
    let charges = done.values().filter(|(_, verb)| verb == "charge").count();
    Found { runs: ended, effects: effects.len(), repeated: effects.len() - done.len(), charges }
}

/// Every unit of which quell said 2xx has its episode, and it is closed when its end was answered.
async fn every_answer_is_stored(connection: &mut AnyConnection, load: &Load) {
    let rows =
        sqlx::query("SELECT labels, is_open FROM episodes").fetch_all(connection).await.unwrap();
    let mut stored: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for row in rows {
        let (labels, open): (String, i64) = (row.get(0), row.get(1));
        let labels: Value = serde_json::from_str(&labels).unwrap();
        let unit = labels["unit"].as_str().unwrap_or_default().to_owned();
        stored.entry(unit).or_default().push(open == 1);
    }
    let (all, over) = load.told();
    assert!(!all.is_empty(), "no webhook was answered");
    for unit in all {
        let episodes = stored.get(&unit).cloned().unwrap_or_default();
        assert_eq!(episodes.len(), 1, "{unit} was answered and is stored so often");
        assert_eq!(episodes[0], !over.contains(&unit), "{unit} is open");
    }
}

/// How often each key was intended.
async fn intents(connection: &mut AnyConnection) -> BTreeMap<String, usize> {
    let rows = sqlx::query("SELECT body FROM run_events").fetch_all(connection).await.unwrap();
    let mut intents = BTreeMap::new();
    for row in rows {
        let event: Value = serde_json::from_str(&row.get::<String, _>(0)).unwrap();
        if let Some(key) = event["step_started"]["intent"]["key"].as_str() {
            *intents.entry(key.to_owned()).or_default() += 1;
        }
    }
    intents
}
