//! Credentials that were refused, and a person's word that one works again. It goes into the database, which a running server
//! reads; no network is needed.

use clap::Args;
use clap::Subcommand;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::person;
use crate::cli::store_error;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(super) enum Credential {
    /// List those that were refused.
    List,
    /// Say that one works again; what waited for it is judged again.
    Clear(Clear),
}

#[derive(Debug, Args)]
pub(super) struct Clear {
    /// Its name: targets.http.shop, targets.redis.cache, secrets.deploy-token, prometheus or playbooks.restart.
    name: String,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

pub(super) async fn run(at: &Place, command: &Credential) -> Result<(), Error> {
    match command {
        Credential::List => list(at).await,
        Credential::Clear(options) => clear(at, options).await,
    }
}

async fn list(at: &Place) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let denials = store.denials().await.map_err(store_error)?;
    if at.json {
        output::json(&denials);
        return Ok(());
    }
    if denials.is_empty() {
        output::line("no credential was refused");
        return Ok(());
    }
    let shown = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let rows: Vec<Vec<String>> = denials
        .iter()
        .map(|it| {
            let is = match it.cleared_at {
                None => "refused".to_owned(),
                Some(at) => format!("cleared by {} {}", it.cleared_by, shown(at)),
            };
            vec![it.credential.clone(), is, shown(it.at), it.run.to_string(), it.reason.clone()]
        })
        .collect();
    output::table(&["credential", "is", "refused", "run", "why"], &rows);
    Ok(())
}

async fn clear(at: &Place, options: &Clear) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let by = options.by.clone().unwrap_or_else(person);
    let name = &options.name;
    if store.clear_denial(name, &by).await.map_err(store_error)? {
        store.wake_all_episodes().await.map_err(store_error)?;
        output::line(&format!("{name}: cleared by {by}; what waited is judged again"));
        return Ok(());
    }
    let denied = store.denied().await.map_err(store_error)?;
    let refused: Vec<&str> = denied.iter().map(|it| &*it.credential).collect();
    let refused = if refused.is_empty() { "none is".to_owned() } else { refused.join(", ") };
    Err(Error::problems("Q0408", format!("`{name}` does not count as refused"))
        .hint(format!("refused now: {refused}")))
}
