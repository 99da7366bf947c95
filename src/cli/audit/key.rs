//! `quell audit key`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use super::open;
use super::own_key;
use super::own_key_file;
use super::own_public_key;
use crate::cli::Place;
use crate::cli::output;
use crate::cli::store_error;
use crate::decide::audit::merkle::Range;
use crate::decide::audit::note::Checkpoint;
use crate::decide::audit::note::succession;
use crate::error::Error;
use crate::store::audit::key as files;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Write a new key to a file, for `audit.signing_key`, and its public key beside it.
    New(New),
    /// Print the public key; with --all, all that ever signed.
    Show(Show),
    /// Follow up the key by a new one: the old one signs that, in the log.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// Where; nothing is written over.
    file: PathBuf,
    /// Whose log it signs, such as quell.example.com; made up when silent.
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// All keys that the log knows, in the order in which they signed.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// The file that gets the new key; needed when quell.yml gives the old one.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub(super) async fn run(at: &Place, command: &Command) -> Result<(), Error> {
    match command {
        Command::New(options) => new(options),
        Command::Show(options) => show(at, options).await,
        Command::Rotate(options) => rotate(at, options).await,
    }
}

fn unwritten(file: &std::path::Path, error: &std::io::Error) -> Error {
    Error::new("Q0419", format!("could not write the key {}: {error}", file.display()))
        .hint("name a file that does not exist yet, in a folder that can be written")
}

fn new(options: &New) -> Result<(), Error> {
    let New { file, name } = options;
    let key = files::new_key(name.as_deref()).map_err(|error| unwritten(file, &error))?;
    files::write_new_key(file, &key).map_err(|error| unwritten(file, &error))?;
    output::line(&key.public().to_string());
    Ok(())
}

async fn show(at: &Place, options: &Show) -> Result<(), Error> {
    if options.all {
        let (_, store) = open(at).await?;
        let keys: Vec<String> =
            store.log_keys().await.map_err(store_error)?.into_iter().map(|(key, _)| key).collect();
        if at.json {
            output::json(&json!(keys));
        } else {
            for key in &keys {
                output::line(key);
            }
        }
        return Ok(());
    }
    let config = at.library()?.config;
    let Some(key) = own_public_key(&config)? else {
        let error = Error::new("Q0419", "there is no key that signs the audit");
        return Err(error.hint(match own_key_file(&config) {
            Some(_) => "`quell serve` makes one when it starts",
            None => "`quell audit key new /etc/quell/audit.key`, then `audit: { signing_key: \"${file:/etc/quell/audit.key}\" }` in quell.yml",
        }));
    };
    if at.json {
        output::json(&json!({ "key": key.to_string(), "id": key.id(), "name": key.name() }));
    } else {
        output::line(&key.to_string());
    }
    Ok(())
}

async fn rotate(at: &Place, options: &Rotate) -> Result<(), Error> {
    let (config, store) = open(at).await?;
    let Some(old) = own_key(&config)? else {
        return Err(Error::new("Q0419", "there is no key to follow up")
            .hint("`quell audit key new FILE` makes the first one"));
    };
    let new = files::new_key(Some(old.public().name()))
        .map_err(|error| Error::new("Q0419", format!("could not make a key: {error}")))?;
    let file = match (&options.to, own_key_file(&config)) {
        (Some(file), _) => {
            files::write_new_key(file, &new).map_err(|error| unwritten(file, &error))?;
            None
        }
        (None, Some(file)) => Some(file),
        (None, None) => {
            return Err(Error::new("Q0419", "quell.yml gives the key: say where the new one goes")
                .hint("--to FILE; then name that file under `audit.signing_key` and reload"));
        }
    };
    let note = succession(&old, &new)
        .ok_or_else(|| Error::new("Q0419", "the new key could not be signed"))?;
    let sign = |range: &Range| {
        let origin = config.audit.origin.as_deref().unwrap_or(old.public().name());
        old.sign(&Checkpoint::of(origin, range).text())
    };
    // first what may be there twice: a server that finds the old key goes on signing by it
    store.add_key(old.public(), "", &sign).await.map_err(store_error)?;
    store.add_key(new.public(), &note, &sign).await.map_err(store_error)?;
    match &file {
        Some(file) => {
            files::replace_key(file, &new).map_err(|error| unwritten(file, &error))?;
            output::line(&format!("{} signs from now on", new.public()));
        }
        None => output::line(&format!(
            "{} signs when quell.yml names its file under `audit.signing_key`, and after a reload",
            new.public()
        )),
    }
    output::line(&format!("{} signed that, and is still needed for what it signed", old.public()));
    Ok(())
}
