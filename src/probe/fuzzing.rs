//! Opens the readers of this module to `fuzz/`; compiled for it alone.

use jiff::Timestamp;

use super::exposition;
use super::exposition::Format;
use super::scrape::Select;
use crate::model::labels::Labels;

/// One sample: name, labels, value, time.
pub type Sample = (String, Labels, f64, Option<Timestamp>);

/// Reads a metrics page. The error is its line, its column, both from 1, and what was expected.
pub fn page(text: &str, open_metrics: bool) -> Result<Vec<Sample>, (usize, usize, String)> {
    let format = if open_metrics { Format::OpenMetrics } else { Format::Text };
    match exposition::parse(text, format) {
        Ok(samples) => {
            Ok(samples.into_iter().map(|it| (it.name, it.labels, it.value, it.at)).collect())
        }
        Err(broken) => Err((broken.line, broken.column, broken.message)),
    }
}

/// Reads the `select` of a scrape.
pub fn select(text: &str) -> Result<(), String> {
    Select::parse(text).map(drop)
}
