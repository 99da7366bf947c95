//! Which versions of quell may use one database together: N and N+1, as long as migrations only add.

use sqlx::Any;
use sqlx::Executor;
use sqlx::Row as _;

use crate::error::Error;
use crate::store::database_words;
use crate::store::migrator;

/// The migration that made its table.
pub(super) const SINCE: i64 = 3;

/// Refuses a database that a newer quell has made unusable for this one.
pub(super) async fn check<'c>(on: impl Executor<'c, Database = Any>) -> Result<(), Error> {
    let asked = sqlx::query("SELECT value FROM compat WHERE name = 'oldest'").fetch_one(on).await;
    let oldest = asked.and_then(|row| row.try_get::<i64, _>(0)).map_err(|error| {
        let words = database_words(&error);
        Error::new("Q0403", format!("the database does not say which quell may use it: {words}"))
            .hint("restore a copy of it; nothing was changed")
    })?;
    match refusal(oldest) {
        None => Ok(()),
        Some(words) => Err(Error::new("Q0403", words).hint(
            "start the newer quell again, or restore a copy from before it; nothing was changed",
        )),
    }
}

/// Why this quell may not use a database whose oldest permitted one knows migration `oldest`.
pub(super) fn refusal(oldest: i64) -> Option<String> {
    let known = newest();
    (oldest > known).then(|| {
        format!(
            "the database belongs to a newer quell: only those that know migration {oldest} may use it, and the newest known here is {known}"
        )
    })
}

/// The newest migration that this quell knows.
fn newest() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_too_old_is_refused() {
        let known = newest();
        assert_eq!(refusal(1), None);
        assert_eq!(refusal(known), None);
        let words = refusal(known + 1).unwrap();
        assert!(words.contains(&format!("know migration {}", known + 1)), "{words}");
    }
}
