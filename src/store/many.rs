//! Statements for many rows at once: one for each power of two, so that few are prepared.

use std::sync::Arc;

use sqlx::AssertSqlSafe;

use crate::store::Result;
use crate::store::StoreError;

/// A statement for one row, one for two, for four and so on.
pub(super) struct Many(Vec<Arc<str>>);

impl Many {
    /// Up to so many rows, of what says the statement for a number of them.
    pub(super) fn new(most: usize, sql: impl Fn(usize) -> String) -> Self {
        Self((0..=most.ilog2()).map(|power| Arc::from(sql(1 << power))).collect())
    }

    /// The statement for so many rows, a power of two.
    pub(super) fn of(&self, rows: usize) -> Result<AssertSqlSafe<Arc<str>>> {
        let power = usize::try_from(rows.max(1).ilog2()).ok();
        let sql = power.and_then(|power| self.0.get(power));
        let sql =
            sql.ok_or_else(|| StoreError::Invalid("more rows than one statement takes".into()))?;
        Ok(AssertSqlSafe(Arc::clone(sql)))
    }
}

/// Slices of some, each as long as a power of two up to `most`, which is one: as few as their number has binary digits.
pub(super) fn powers<T>(some: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    let mut left = some;
    std::iter::from_fn(move || {
        let power = left.len().min(most).checked_ilog2()?;
        let (slice, after) = left.split_at(1 << power);
        left = after;
        Some(slice)
    })
}

/// Places for the values of a row, counted from one: `($1, $2)`. `before` are the parameters that stand before all rows.
pub(super) fn places(row: usize, columns: usize, before: usize) -> String {
    format!("({})", list(columns, |column| format!("${}", before + (row - 1) * columns + column)))
}

/// Pieces of SQL, counted from one.
pub(super) fn list(count: usize, piece: impl Fn(usize) -> String) -> String {
    (1..=count).map(piece).collect::<Vec<_>>().join(", ")
}

/// As many as the next power of two, with the last one again: whoever is asked for twice is found twice.
pub(super) fn filled<T: Copy>(some: &[T]) -> Vec<T> {
    let mut all = some.to_vec();
    if let Some(last) = some.last() {
        all.resize(some.len().next_power_of_two(), *last);
    }
    all
}
