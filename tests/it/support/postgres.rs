//! Databases in the `PostgreSQL` that `tests/postgres.sh` starts once for all tests.

use std::env;

use sqlx::Connection as _;
use sqlx::PgConnection;

/// The URL of a new, empty database. It goes away with the server.
///
/// nextest starts the server for tests with `postgres` in their path.
pub(crate) async fn database() -> String {
    let server = env::var("QUELL_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "no PostgreSQL for tests: run tests/run, or cargo nextest run on a test with `postgres` in its \
             path, or first: export QUELL_TEST_POSTGRES=$(tests/postgres.sh $$)"
        )
    });
    let name = format!("test_{:032x}", rand::random::<u128>());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    // The name is ours, hexadecimal digits; DDL takes no bind variables.
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    url.into()
}
