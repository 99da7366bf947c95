//! One process serves an `SQLite` database: it holds a lock on a file beside it for as long as it lives.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::fs::flock;

use crate::error::Error;

/// The lock; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Alone(#[expect(dead_code, reason = "held, not used")] File);

impl Alone {
    /// Takes the lock of this database, which need not exist yet, or says who holds it.
    pub(crate) fn with(database: &Path) -> Result<Self, Error> {
        let path = format!("{}.lock", database.display());
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = opened.map_err(|error| unusable(database, &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(taken(database, &mut file)),
            Err(error) => return Err(unusable(database, &path, &error.into())),
        }
        // for whoever finds it locked; the lock holds without it, on a full disk too
        let _unwritten = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

fn taken(database: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let known = file.take(20).read_to_string(&mut text).is_ok() && !text.trim().is_empty();
    let who = if known { format!(" (process {})", text.trim()) } else { String::new() };
    Error::new("Q0413", format!("another quell serves the database {}{who}", database.display()))
        .hint(
            "stop it first, or name another file under `storage:`; \
             several replicas need `storage: postgres://…`",
        )
}

fn unusable(database: &Path, lock: &str, error: &io::Error) -> Error {
    let folder = database.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).display();
    let (words, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("there is no folder {folder}"),
            "create it, or name another file under `storage:` in quell.yml",
        ),
        io::ErrorKind::PermissionDenied => (
            format!("{lock} may not be written by this user"),
            "the user quell runs as must be able to write to the folder of the database",
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            format!("folder {folder} is on a file system that may only be read"),
            "name a file elsewhere under `storage:` in quell.yml",
        ),
        _ => (format!("{lock}: {error}"), "check the folder of the database"),
    };
    let message = format!("could not open the database {}: {words}", database.display());
    Error::new("Q0402", message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_served_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("quell.db");
        let alone = Alone::with(&database).unwrap();
        let error = Alone::with(&database).unwrap_err();
        assert_eq!(error.code, "Q0413");
        let holder = format!("(process {})", std::process::id());
        assert!(error.message.ends_with(&holder), "{error}");
        drop(alone);
        Alone::with(&database).unwrap();
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Alone::with(Path::new("no/such/quell.db")).unwrap_err();
        assert_eq!(
            error.message,
            "could not open the database no/such/quell.db: there is no folder no/such"
        );
    }
}
