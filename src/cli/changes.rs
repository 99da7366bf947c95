//! `quell changed TARGET` and `quell changes`: what people changed by hand or by a deploy, so that automation keeps off.

use clap::Args;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::person;
use crate::cli::store_error;
use crate::decide::changed;
use crate::decide::explain::text::in_words;
use crate::error::Error;
use crate::model::change::Changed;

#[derive(Debug, Args)]
pub(super) struct Told {
    /// The target, such as kubernetes/prod/deployment/api, or kubernetes/prod for all below it.
    target: String,
    /// What for, such as "deploy 41".
    #[arg(long, default_value = "")]
    reason: String,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Listing {
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) async fn tell(at: &Place, options: &Told) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let by = options.by.clone().unwrap_or_else(person);
    let change = changed::told(&options.target, &by, &options.reason, store.clock().now())
        .map_err(|words| Error::problems("Q0418", words))?;
    store.add_change(&change).await.map_err(store_error)?;
    if at.json {
        output::json(&change);
        return Ok(());
    }
    output::line(&format!("{}: changed by {by}", change.target));
    Ok(())
}

pub(super) async fn list(at: &Place, options: &Listing) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let changes = store.changes(options.limit).await.map_err(store_error)?;
    if at.json {
        output::json(&changes);
        return Ok(());
    }
    if changes.is_empty() {
        output::line("no changes");
        return Ok(());
    }
    let now = store.clock().now();
    let row = |it: &Changed| {
        vec![in_words(it.at, now), it.target.clone(), it.by.clone(), it.reason.clone()]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    output::table(&["when", "target", "by", "why"], &rows);
    Ok(())
}
