//! The probe `postgres`: one query, in a transaction that only reads and is never committed.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::samples;
use super::samples::Age;
use super::samples::Point;
use super::samples::Wanted;
use crate::model::config::Targets;
use crate::model::labels::Labels;
use crate::model::probe::PostgresProbe;
use crate::model::run::Observation;
use crate::net;
use crate::net::Kind;
use crate::net::Trouble;
use crate::net::postgres::Place;

/// Longest time for one observation, the connection included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that the server may take for the query.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);

/// More rows are no measurement, but a table.
const MAX_ROWS: usize = 1000;

/// Asks once. With a condition, it must hold for each row, and what cannot be asked is unknown. Without one, the server itself is
/// what is looked at: one that refuses connections, is full, starts, or takes too long is unhealthy.
pub(super) async fn observe(probe: &PostgresProbe, targets: &Targets, age: Age) -> Observation {
    let name = &probe.server;
    let Some(target) = targets.postgres.get(name) else {
        return super::unknown(format!("no server `{name}` in targets.postgres of quell.yml"));
    };
    let place = Place {
        url: target.url.reveal(),
        ca_file: target.ca_file.as_deref(),
        application: "quell probe",
        timeout: TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: STATEMENT_TIMEOUT,
    };
    let asking = async {
        let mut connection = net::postgres::connect(&place).await?;
        ask(&mut connection, probe).await.map_err(|error| net::postgres::trouble(&error))
    };
    let late = || Trouble {
        kind: Kind::Later,
        code: None,
        reason: format!("no answer within {TIMEOUT:?}"),
    };
    let rows = match tokio::time::timeout(TIMEOUT, asking).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(trouble)) => return blind(probe, &trouble),
        Err(_) => return blind(probe, &late()),
    };
    let Some(healthy) = &probe.healthy else {
        return super::healthy(format!("postgres `{name}` answered with {} rows", rows.len()));
    };
    if rows.len() > MAX_ROWS {
        return super::unknown(format!("more than {MAX_ROWS} rows; count them in the query"));
    }
    match rows.iter().map(point).collect::<Result<Vec<Point>, String>>() {
        Ok(points) => samples::judge(&points, Wanted::from(healthy.as_str()), age),
        Err(reason) => super::unknown(format!("{reason} (healthy: {healthy})")),
    }
}

async fn ask(connection: &mut PgConnection, probe: &PostgresProbe) -> sqlx::Result<Vec<PgRow>> {
    use futures_util::TryStreamExt as _;
    sqlx::raw_sql("BEGIN READ ONLY").execute(&mut *connection).await?;
    // the text stands in a rule, and holds no template: `library` refuses one
    let mut query = sqlx::query(AssertSqlSafe(probe.sql.as_str())).persistent(false);
    for parameter in &probe.parameters {
        query = query.bind(parameter.as_str());
    }
    let mut stream = query.fetch(&mut *connection);
    let mut rows = Vec::new();
    // one more than are judged: it ends the probe
    while rows.len() <= MAX_ROWS
        && let Some(row) = stream.try_next().await?
    {
        rows.push(row);
    }
    // the connection is dropped next, and with it the transaction
    Ok(rows)
}

/// The first column is the value, the others are labels.
fn point(row: &PgRow) -> Result<Point, String> {
    use serde_json::Value;
    let value = match net::postgres::value::json(row, 0) {
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::Bool(yes) => f64::from(u8::from(yes)),
        Value::Null => return Err("the first column is NULL".into()),
        Value::String(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("the first column is no number but {:?}", short(&text)))?,
        Value::Array(_) | Value::Object(_) => return Err("the first column is no number".into()),
    };
    let others = row.columns().iter().enumerate().skip(1);
    let labels: Labels = others
        .map(|(at, column)| {
            let text = match net::postgres::value::json(row, at) {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (column.name().to_owned(), text)
        })
        .collect();
    Ok(Point { value, labels, at: None })
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn blind(probe: &PostgresProbe, trouble: &Trouble) -> Observation {
    // the transaction only reads, and so may the server
    if trouble.code.as_deref() == Some("25006") {
        let name = &probe.server;
        return super::unknown(format!("postgres `{name}`: the query would change something"));
    }
    let measured = format!("postgres `{}`: {}", probe.server, trouble.reason);
    match trouble.kind {
        Kind::Credential => super::denied(measured),
        _ if probe.healthy.is_some() => super::unknown(measured),
        Kind::Later | Kind::Lost => super::unhealthy(measured),
        // the server took longer than it may
        Kind::Never if trouble.code.as_deref() == Some("57014") => super::unhealthy(measured),
        // the query is wrong, or the way to the server is
        Kind::Never => super::unknown(measured),
    }
}
