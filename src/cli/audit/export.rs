//! `quell audit export`.

use clap::Args;
use jiff::Timestamp;

use super::open;
use crate::cli::Place;
use crate::cli::output;
use crate::cli::store_error;
use crate::error::Error;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// Records written at or after this instant, such as 2026-01-05T00:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Records written before this instant, and those up to the next checkpoint.
    #[arg(long, value_name = "INSTANT")]
    to: Option<Timestamp>,
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let (_, store) = open(at).await?;
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    let (first, mut export) =
        store.export(micros(options.from), micros(options.to)).await.map_err(store_error)?;
    output::line(&first);
    loop {
        let lines = store.export_on(&mut export).await.map_err(store_error)?;
        if lines.is_empty() {
            return Ok(());
        }
        for line in &lines {
            output::line(line);
        }
    }
}
