//! The audit: check what was recorded, prove a record, export, the keys that sign, and a person's word that it may go on.

mod export;
mod key;
mod verify;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::person;
use crate::cli::store_error;
use crate::decide::audit::note::PrivateKey;
use crate::decide::audit::note::PublicKey;
use crate::decide::audit::record::Id;
use crate::error::Error;
use crate::model::config::Config;
use crate::model::incident::RunId;
use crate::store::Store;
use crate::store::audit::key as files;
use crate::store::sqlite_file;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the journals, the log and its signed checkpoints; or an export or a proof, without a database.
    Verify(verify::Options),
    /// Prove that a record is in the log, as JSON that `verify --proof` checks.
    Prove(Prove),
    /// Write the log as JSON lines that `verify --export` checks.
    Export(export::Options),
    /// Make, show or follow up the key that signs checkpoints.
    #[command(subcommand)]
    Key(key::Command),
    /// Answer for going on although the audit is not as it was written.
    Accept(Accept),
}

#[derive(Debug, Args)]
pub(super) struct Prove {
    /// Which: r-12 (its last entry), r-12/3, d-7, trust-1, glass-1, change-1, window-1 or key-1.
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct Accept {
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

pub(super) async fn run(at: &Place, command: &Command) -> Result<(), Error> {
    match command {
        Command::Verify(options) => verify::run(at, options).await,
        Command::Prove(options) => prove(at, options).await,
        Command::Export(options) => export::run(at, options).await,
        Command::Key(command) => key::run(at, command).await,
        Command::Accept(options) => accept(at, options).await,
    }
}

async fn prove(at: &Place, options: &Prove) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let id = match options.id.parse::<RunId>() {
        Ok(run) => store.last_entry(run).await.map_err(store_error)?.ok_or_else(|| {
            Error::problems("Q0408", format!("there is no run {run}"))
                .hint("`quell runs` lists those there are")
        })?,
        Err(_) => options.id.parse::<Id>().map_err(|words| Error::new("Q0419", words))?,
    };
    let proof = store.prove(id).await.map_err(|error| match error {
        crate::store::StoreError::Missing(words) => Error::problems("Q0408", words),
        other => store_error(other),
    })?;
    output::json(&proof);
    Ok(())
}

async fn accept(at: &Place, options: &Accept) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let open = store.open_findings().await.map_err(store_error)?;
    if open.is_empty() {
        output::line("nothing was found that is not as it was written");
        return Ok(());
    }
    let by = options.by.clone().unwrap_or_else(person);
    let accepted = store.accept_findings(&by).await.map_err(store_error)?;
    for it in &open {
        output::line(&it.finding.to_string());
    }
    let s = if accepted == 1 { "" } else { "s" };
    output::line(&format!(
        "{accepted} finding{s} accepted by {by}: quell goes on; `verify` still names them"
    ));
    Ok(())
}

/// The public keys of `--key`: the text of one, or a file with one a line.
fn given_keys(text: &str) -> Result<Vec<PublicKey>, Error> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(vec![key]);
    }
    let read = read_file(Path::new(text), "the public key")?;
    let keys: Result<Vec<PublicKey>, _> =
        read.lines().filter(|line| !line.trim().is_empty()).map(PublicKey::parse).collect();
    match keys {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        Ok(_) => Err(Error::new("Q0419", format!("{text} is empty"))),
        Err(error) => Err(Error::new("Q0419", format!("{text}: {error}"))
            .hint("`quell audit key show` prints the public key of a server")),
    }
}

/// The key that signs for these settings; `None` when there is none yet, or none at all.
fn own_key(config: &Config) -> Result<Option<PrivateKey>, Error> {
    let unusable = |place: String, why: String| Error::new("Q0419", format!("{place}: {why}"));
    if let Some(text) = &config.audit.signing_key {
        let key = PrivateKey::parse(text.reveal());
        return key
            .map(Some)
            .map_err(|error| unusable("audit.signing_key".into(), error.to_string()));
    }
    let Some(file) = own_key_file(config) else { return Ok(None) };
    files::read_key(&file).map_err(|error| unusable(file.display().to_string(), error.to_string()))
}

/// The file of the key beside an `SQLite` database, unless quell.yml gives a key.
fn own_key_file(config: &Config) -> Option<PathBuf> {
    match &config.audit.signing_key {
        Some(_) => None,
        None => sqlite_file(config.storage.reveal()).map(files::key_file),
    }
}

/// Its public half, which everybody may read.
fn own_public_key(config: &Config) -> Result<Option<PublicKey>, Error> {
    if let Some(file) = own_key_file(config)
        && let Ok(Some(key)) = files::read_public_key(&file)
    {
        return Ok(Some(key));
    }
    Ok(own_key(config)?.map(|key| key.public().clone()))
}

/// The public keys that are trusted when none is given: the server's own, and those that its log knows.
async fn own_keys(config: &Config, store: &Store) -> Result<Vec<PublicKey>, Error> {
    let Some(own) = own_public_key(config)? else { return Ok(Vec::new()) };
    let known = store.log_keys().await.map_err(store_error)?;
    let known = known.iter().filter_map(|(key, _)| PublicKey::parse(key).ok());
    Ok([own].into_iter().chain(known).collect())
}

fn read_file(file: &Path, what: &str) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| {
        Error::new("Q0419", format!("could not read {what} {}: {error}", file.display()))
    })
}

/// Settings and database.
async fn open(at: &Place) -> Result<(Config, Store), Error> {
    let (library, store) = at.store().await?;
    Ok((library.config, store))
}
