//! `retention` and `archive` of quell.yml.

use std::path::Path;
use std::time::Duration;

use super::text;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::raw::DurationText;
use crate::library::raw::Opt;
use crate::model::config::Retention;

/// Shortest time that what has ended is kept: people look at it the next morning.
const SHORTEST: Duration = Duration::from_hours(24);

pub(super) fn retention(
    at: At<'_>,
    keep: Opt<DurationText>,
    archive: Opt<String>,
    folder: &Path,
) -> Retention {
    let mut retention = Retention::default();
    if let Some(found) = keep.and_then(Field::found)
        && let Some(value) = text::duration(at, &found)
    {
        if value < SHORTEST {
            let message = "expected a time of at least 1d, such as 90d";
            at.report(found.span, Diagnostic::error(codes::VALUE, message));
        }
        retention.keep = value;
    }
    retention.archive = archive.and_then(Field::found).map(|found| {
        if found.value.trim().is_empty() {
            let message = "expected a folder, got empty text";
            at.report(found.span, Diagnostic::error(codes::VALUE, message));
        }
        folder.join(found.value)
    });
    retention
}
