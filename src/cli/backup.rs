//! `quell backup` and `quell restore`: one file for both engines, so that it also moves from one to the other.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::app::alone::Alone;
use crate::cli::Place;
use crate::cli::output;
use crate::clock::Clock;
use crate::decide::audience;
use crate::decide::machine::State;
use crate::decide::tell;
use crate::error::Error;
use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::run::Plan;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::backup::NotBackedUp;
use crate::store::restore;
use crate::store::restore::Restored;
use crate::store::restore::Unusable;
use crate::store::sqlite_file;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write.
    file: PathBuf,
    /// Replace it if it is there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// A file that `quell backup` wrote.
    file: PathBuf,
    /// Replace what is in the database.
    #[arg(long)]
    force: bool,
}

/// Writes a backup beside its name, and gives it the name when it is whole and on disk.
pub(super) async fn backup(at: &Place, options: &Backup) -> Result<(), Error> {
    let Backup { file, force } = options;
    if file.exists() && !force {
        let words = format!("{} is there already", file.display());
        return Err(Error::new("Q0420", words).hint("name another file, or --force to replace it"));
    }
    let (library, store) = at.store().await?;
    let part = PathBuf::from(format!("{}.part", file.display()));
    let unwritten = |error: &io::Error| {
        Error::new("Q0420", format!("could not write {}: {error}", part.display()))
            .hint("is the folder there and writable, and the disk not full?")
    };
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let mut to = BufWriter::with_capacity(1 << 20, opened.map_err(|error| unwritten(&error))?);
    let written = match store.backup(&mut to).await {
        Ok(held) => {
            finish(to, &part, file).map(|bytes| (held, bytes)).map_err(|error| unwritten(&error))
        }
        Err(NotBackedUp::File(error)) => Err(unwritten(&error)),
        Err(NotBackedUp::Store(error)) => Err(super::store_error(error)),
    };
    let (held, bytes) = written.inspect_err(|_| {
        // half a backup is none
        let _gone = fs::remove_file(&part);
    })?;
    if at.json {
        output::json(&serde_json::json!({ "file": file, "bytes": bytes, "held": held }));
        return Ok(());
    }
    let shown = file.display();
    output::line(&format!("{shown}: {} rows of {} tables, {bytes} bytes", held.rows, held.tables));
    let key = match (&library.config.link_key, sqlite_file(library.config.storage.reveal())) {
        (None, Some(database)) => format!(", and the link key {}.link-key", database.display()),
        _ => String::new(),
    };
    output::line(&format!("not in it: quell.yml, rules, playbooks, credentials and keys{key}"));
    Ok(())
}

/// Gives a file that is whole its name; returns its size in bytes.
fn finish(to: BufWriter<File>, part: &Path, file: &Path) -> io::Result<u64> {
    let to = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    to.sync_all()?;
    let bytes = to.metadata()?.len();
    fs::rename(part, file)?;
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(bytes)
}

/// Fills a database from a backup.
pub(super) async fn restore(at: &Place, options: &Restore) -> Result<(), Error> {
    let file = &options.file;
    let library = at.library()?;
    let config = &library.config;
    let storage = config.storage.reveal();
    let read = || -> Result<BufReader<File>, Unusable> {
        Ok(BufReader::with_capacity(1 << 20, File::open(file)?))
    };
    let unusable = |error: Unusable| {
        let shown = file.display();
        match error {
            Unusable::Read(error) => {
                Error::new("Q0421", format!("could not read {shown}: {error}"))
            }
            Unusable::Damaged { .. } => Error::new("Q0421", format!("{shown}: {error}"))
                .hint("nothing was changed; take another backup"),
            Unusable::Newer(words) => Error::new("Q0421", format!("{shown}: {words}"))
                .hint("nothing was changed; restore it with the quell that made it"),
        }
    };
    let (header, held) = read().and_then(restore::check).map_err(unusable)?;
    // no server may be at work on what is replaced
    let alone = sqlite_file(storage).map(Alone::with).transpose()?;
    let store = restore::open(storage, Clock::System, &header).await?;
    let now = store.clock().now();
    let owes = |incident: &Incident, run: RunId, plan: &Plan, state: &State| -> Vec<Owed> {
        let notice = tell::run_ended(incident, &run.to_string(), plan, state, now);
        audience::owed(config, &notice, false)
    };
    let from = read().map_err(unusable)?;
    let restored = store.restore(from, held, options.force, &owes).await.map_err(|error| match error {
        StoreError::Conflict(words) => Error::new("Q0422", words)
            .hint("name another database under `storage:`, or --force to replace what is in this one; nothing was changed"),
        StoreError::Invalid(words) => Error::new("Q0421", words).hint("nothing was changed"),
        other => super::store_error(other),
    })?;
    store.close().await;
    // with the tables of this quell
    let store = Store::open(storage, Clock::System).await?;
    let audit = store.audit(None).await.map_err(super::store_error)?;
    drop(alone);
    if at.json {
        output::json(&serde_json::json!({ "restored": restored, "broken": audit.broken }));
    } else {
        say(&restored);
    }
    if audit.broken.is_empty() {
        return Ok(());
    }
    let words = format!("{} journals of the backup are broken", audit.broken.len());
    Err(Error::problems("Q0421", words)
        .hint("`quell audit verify` names them; they were so when the backup was made"))
}

fn say(restored: &Restored) {
    let Restored { held, runs, notices, ids_skipped } = restored;
    let made_at = held.made_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    output::line(&format!(
        "restored: {} rows of {} tables, as they were {made_at} (quell {})",
        held.rows, held.tables, held.quell
    ));
    if !runs.is_empty() {
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        output::line(&format!(
            "at work then, and nobody knows what they did since: {}; they are over, and people are told",
            runs.join(", ")
        ));
    }
    if *notices > 0 {
        output::line(&format!(
            "not sent then: {notices} notifications, which are not sent now: quell notifications"
        ));
    }
    output::line(&format!("ids go on {ids_skipped} further, so that none is given twice"));
    output::line("everything is paused: look at what happened since the backup, then quell resume");
}
