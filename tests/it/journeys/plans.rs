//! What quell asks its database as long as it runs stays as quick as the database grows: no look through all that ever was.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::SqliteConnection;

use crate::journeys::fixture::Site;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;

/// Tables that grow with every alert.
const GROW: [&str; 11] = [
    "episodes",
    "incidents",
    "incident_episodes",
    "decisions",
    "runs",
    "run_events",
    "outbox",
    "evidence",
    "troubles",
    "log_leaves",
    "used_links",
];

/// Indexes of what is open or not sealed yet: short, however much was.
const SHORT: [&str; 6] = [
    "episodes_one_open",
    "episodes_from",
    "incidents_one_open",
    "runs_one_active",
    "run_events_unlogged",
    "decisions_unlogged",
];

/// What may look at all, and why.
const MAY: [(&str, &str); 2] = [
    (
        "SELECT state, COUNT(*) AS count FROM outbox GROUP BY state",
        "for a page of metrics, by an index alone",
    ),
    ("NOT EXISTS (SELECT 1 FROM log_leaves l", "the audit looks at itself, now and then"),
];

/// Statements of a log, each once.
fn statements(log: &str) -> BTreeSet<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let asked = lines.filter(|it| it["target"] == "sqlx::query").map(|it| {
        let whole = it["db.statement"].as_str().unwrap_or_default().trim();
        let short = it["summary"].as_str().unwrap_or_default();
        if whole.is_empty() { short.to_owned() } else { whole.to_owned() }
    });
    let kinds = ["SELECT", "UPDATE", "DELETE", "INSERT"];
    asked.filter(|sql| kinds.iter().any(|kind| sql.starts_with(kind))).collect()
}

/// Growing tables that the plan of a statement goes through from one end to the other.
async fn looks_through(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let parameter = Regex::new(r"[$?]\d+").unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {}", parameter.replace_all(sql, "NULL"));
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(db).await.unwrap();
    let scan = Regex::new(r"^SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?").unwrap();
    let mut found = Vec::new();
    for row in rows {
        let step: String = row.try_get("detail").unwrap();
        let Some(parts) = scan.captures(&step) else { continue };
        let by = parts.get(2).map_or("", |it| it.as_str());
        let is = |table: &&&str| {
            let alias = format!(r"\b{table}\s+(?:AS\s+)?{}\b", &parts[1]);
            **table == &parts[1] || Regex::new(&alias).unwrap().is_match(sql)
        };
        if GROW.iter().any(|table| is(&table)) && !SHORT.contains(&by) {
            found.push(step);
        }
    }
    found
}

#[tokio::test]
async fn nothing_that_is_asked_again_and_again_looks_through_all_that_ever_was() {
    let mut site = Site::new().await;
    site.quell = site.quell.with_env("RUST_LOG", "info,sqlx::query=debug");
    site.respond_with(&["restart"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until("it is mended", |it| runs(it) == ran(&[("restart", "fixed")])).await;
    site.posts("firing").await;
    site.quell.metrics().await;
    for list in ["incidents", "runs", "decisions", "episodes", "alerts?state=open"] {
        site.quell.request(reqwest::Method::GET, &format!("/api/v1/{list}")).send().await.unwrap();
    }
    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    // each loop has turned, that of the audit among them
    site.until_logged("INSERT INTO checkpoints", 1).await;
    let all = statements(&site.quell.log());
    assert!(all.len() > 80, "{all:#?}");
    site.quell.stop().await;

    let file = site.quell.folder().join("quell.db");
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let mut slow = Vec::new();
    for sql in all.iter().filter(|sql| !MAY.iter().any(|(may, _)| sql.contains(may))) {
        for step in looks_through(&mut db, sql).await {
            slow.push(format!("{step}: {}", sql.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
