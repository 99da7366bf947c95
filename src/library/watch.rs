//! Whether the files changed, for whoever looks now and then: by names, sizes and times first, and by their contents when
//! those differ. It asks for nothing that a network file system or a swapped symbolic link would not show.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest as _;
use sha2::Sha256;

use super::files::listed;
use super::yaml;

/// What can be seen of the files without reading them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance(BTreeMap<PathBuf, Option<Stamp>>);

/// Of one file, after all symbolic links: a swapped link leads to another inode.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Looks at the files of these roots; one that cannot be looked at counts as changed when it can be again.
pub fn glance(roots: &[PathBuf]) -> Glance {
    let stamp = |path: PathBuf| {
        let stamp = std::fs::metadata(&path).ok().map(|of| Stamp {
            device: of.dev(),
            inode: of.ino(),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
        });
        (path, stamp)
    };
    let files = roots.iter().flat_map(|root| listed(root));
    Glance(files.map(stamp).collect())
}

/// The digest that loading these roots would come to.
pub fn digest(roots: &[PathBuf]) -> String {
    let (mut digests, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for file in roots.iter().flat_map(|root| listed(root)) {
        if let Some(digest) = of_file(&file, &mut seen) {
            digests.insert(file.display().to_string(), digest);
        }
    }
    super::digest(&digests)
}

/// As the reader does: each file once, whatever its names, and not what is too large to be one.
fn of_file(file: &Path, seen: &mut BTreeSet<PathBuf>) -> Option<Vec<u8>> {
    let size = std::fs::metadata(file).ok()?.len();
    let canonical = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if !seen.insert(canonical) || size > yaml::MAX_BYTES {
        return None;
    }
    Some(Sha256::digest(std::fs::read(file).ok()?).to_vec())
}

/// Says when to load the files again: when their contents differ from those that were tried last, and two looks in a row
/// find the same, so that a file that is half written is left alone.
#[derive(Debug, Default)]
pub struct Watch {
    settled: Option<Glance>,
    pending: Option<String>,
    /// A file may change twice within what its file system calls one instant: contents are compared once more.
    again: bool,
}

impl Watch {
    /// One look: `tried` is the digest that was loaded last, or failed to load. The contents are read with `digest` only
    /// when they may have changed.
    pub fn look(&mut self, glance: Glance, tried: &str, digest: impl FnOnce() -> String) -> bool {
        let moved = self.settled.as_ref() != Some(&glance);
        if !moved && !self.again && self.pending.is_none() {
            return false;
        }
        let digest = digest();
        let load = digest != tried && self.pending.as_ref() == Some(&digest);
        if load || digest == tried {
            (self.settled, self.pending, self.again) = (Some(glance), None, moved || load);
        } else {
            self.pending = Some(digest);
        }
        load
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::library;

    const RULES: &str = "rules: [{ name: a, match: [a=b], target: t }]\n";

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_digest_is_the_one_of_loading() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("quell.yml");
        write(
            folder.path(),
            &[("quell.yml", "mode: auto\nrules: [rules, rules/a.yml, more.yml]\n")],
        );
        write(
            folder.path(),
            &[("rules/a.yml", RULES), ("rules/a.test.yml", "x"), ("more.yml", "rules: []\n")],
        );
        std::os::unix::fs::symlink("a.yml", folder.path().join("rules/b.yml")).unwrap();
        for broken in [false, true] {
            if broken {
                write(folder.path(), &[("rules/c.yml", "rules: [{ nam: b }]\n")]);
            }
            let loaded = library::load(Some(&file), &|_| None);
            assert_eq!(loaded.library.is_none(), broken, "{}", loaded.render(false));
            assert_eq!(digest(&loaded.roots), loaded.digest);
        }
    }

    #[test]
    fn a_swapped_link_and_a_new_file_are_seen() {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        // as Kubernetes mounts a ConfigMap
        write(folder.path(), &[("..1/a.yml", RULES), ("..2/a.yml", RULES)]);
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yml", at("a.yml")).unwrap();
        let roots = [folder.path().to_owned()];
        let before = glance(&roots);
        assert_eq!(before.0.len(), 1, "{before:?}");
        std::os::unix::fs::symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        let swapped = glance(&roots);
        assert_ne!(before, swapped);
        fs::write(at("b.yml"), "").unwrap();
        assert_ne!(glance(&roots), swapped);
    }

    /// Looks at glances and contents in turn; `!` marks those after which the files are loaded.
    fn check(looks: &[(u64, &str)], expected: &str) {
        let (mut watch, mut tried, mut seen) = (Watch::default(), "a".to_owned(), String::new());
        for (number, contents) in looks {
            let stamp = Stamp { device: 1, inode: *number, size: 1, modified: (0, 0) };
            let glance = Glance([(PathBuf::from("a.yml"), Some(stamp))].into());
            let mut read = false;
            let load = watch.look(glance, &tried, || {
                read = true;
                (*contents).to_owned()
            });
            if load {
                tried = (*contents).to_owned();
            }
            seen.push(if load {
                '!'
            } else if read {
                'r'
            } else {
                '.'
            });
        }
        assert_eq!(seen, expected, "{looks:?}");
    }

    #[test]
    fn contents_are_loaded_when_two_looks_agree_and_read_only_when_they_may_have_changed() {
        check(&[(1, "a"), (1, "a"), (1, "a"), (1, "a")], "rr..");
        check(&[(1, "a"), (1, "a"), (1, "a"), (2, "b"), (2, "b"), (2, "b"), (2, "b")], "rr.r!r.");
        check(&[(1, "a"), (1, "a"), (2, "half"), (3, "whole"), (3, "whole")], "rrrr!");
        check(&[(1, "a"), (1, "a"), (2, "a"), (2, "a"), (2, "a")], "rrrr.");
        check(&[(1, "a"), (1, "a"), (2, "b"), (1, "a"), (1, "a"), (1, "a")], "rrrr..");
        check(&[(1, "a"), (1, "b"), (1, "b")], "rr!");
    }
}
