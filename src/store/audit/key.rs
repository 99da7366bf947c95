//! The key that signs checkpoints, in a file beside the `SQLite` database: made when missing, as the key of links is. Beside it,
//! the public key in a file that everybody may read.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use crate::clock::random_key;
use crate::decide::audit::note::PrivateKey;
use crate::decide::audit::note::PublicKey;

/// Where the key is, for a database in this file.
pub fn key_file(database: &Path) -> PathBuf {
    PathBuf::from(format!("{}.audit-key", database.display()))
}

/// A new key. Its name is given, or made up so that no other log has it.
pub fn new_key(name: Option<&str>) -> io::Result<PrivateKey> {
    let made_up =
        random_key().iter().take(4).fold("quell-".to_owned(), |it, byte| format!("{it}{byte:02x}"));
    PrivateKey::of(name.unwrap_or(&made_up), random_key())
        .ok_or_else(|| io::Error::other("its name may hold neither spaces nor `+`"))
}

/// The key in the file; `None` when there is no file.
pub fn read_key(file: &Path) -> io::Result<Option<PrivateKey>> {
    match fs::read_to_string(file) {
        Ok(text) => PrivateKey::parse(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The public key beside the file of a key; `None` when there is none.
pub fn read_public_key(file: &Path) -> io::Result<Option<PublicKey>> {
    match fs::read_to_string(beside(file, "pub")) {
        Ok(text) => PublicKey::parse(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The key in the file, made when missing. Of two processes that make it at once, one does.
pub fn read_or_make_key(file: &Path) -> io::Result<PrivateKey> {
    if let Some(key) = read_key(file)? {
        return Ok(key);
    }
    let key = new_key(None)?;
    let fresh = fresh_beside(file);
    write_private(&fresh, &key)?;
    // never over a key that somebody else has made meanwhile
    let made = fs::hard_link(&fresh, file);
    fs::remove_file(&fresh)?;
    match made {
        Ok(()) => {
            sync_folder(file)?;
            write_public(file, &key)?;
            Ok(key)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read_key(file)?.ok_or_else(|| io::Error::other("it came and went"))
        }
        Err(error) => Err(error),
    }
}

/// Writes a key to a file that does not exist yet, and its public key beside it.
pub fn write_new_key(file: &Path, key: &PrivateKey) -> io::Result<()> {
    write_private(file, key)?;
    sync_folder(file)?;
    write_public(file, key)
}

/// Puts another key in the place of the one in the file, at once.
pub fn replace_key(file: &Path, key: &PrivateKey) -> io::Result<()> {
    let fresh = fresh_beside(file);
    write_private(&fresh, key)?;
    fs::rename(&fresh, file)?;
    sync_folder(file)?;
    write_public(file, key)
}

/// A name that nobody has: what a crash leaves of it is in nobody's way.
fn fresh_beside(file: &Path) -> PathBuf {
    let random =
        random_key().iter().take(4).fold("new-".to_owned(), |it, byte| format!("{it}{byte:02x}"));
    beside(file, &random)
}

fn write_private(file: &Path, key: &PrivateKey) -> io::Result<()> {
    let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(format!("{}\n", key.reveal()).as_bytes())?;
    new.sync_all()
}

fn write_public(file: &Path, key: &PrivateKey) -> io::Result<()> {
    let public = beside(file, "pub");
    let fresh = fresh_beside(&public);
    fs::write(&fresh, format!("{}\n", key.public()))?;
    fs::rename(fresh, public)
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}.{ending}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_its_public_half_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = key_file(&folder.path().join("quell.db"));
        assert!(read_key(&file).unwrap().is_none());
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || read_or_make_key(&file).map(|key| key.public().clone()))
            })
            .collect();
        let found: Vec<_> = makers.into_iter().filter_map(|it| it.join().unwrap().ok()).collect();
        let key = read_key(&file).unwrap().unwrap();
        assert!(!found.is_empty() && found.iter().all(|it| it == key.public()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read_to_string(beside(&file, "pub")).unwrap();
        assert_eq!(public, format!("{}\n", key.public()));
        let next = new_key(Some(key.public().name())).unwrap();
        replace_key(&file, &next).unwrap();
        assert_eq!(read_key(&file).unwrap().unwrap().public(), next.public());
        assert!(write_new_key(&file, &key).is_err(), "nothing is written over a key");
    }

    #[test]
    fn a_file_that_is_no_key_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "hush").unwrap();
        let error = read_or_make_key(&file).unwrap_err().to_string();
        assert!(error.starts_with("this is no private key") && !error.contains("hush"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "hush");
    }
}
