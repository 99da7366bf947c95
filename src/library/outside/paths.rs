//! Files out of files, folders and patterns.

use std::path::Path;
use std::path::PathBuf;

/// Folders inside folders.
const MAX_DEPTH: usize = 16;

/// The files that a path stands for: itself, all of a folder, or those whose name fits a pattern with `*` and `?`.
/// A path that stands for nothing stays, so that it is reported when it is read.
pub(super) fn expand(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let name = path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    if path.is_dir() {
        folder(path, 0, &mut files);
    } else if name.contains(['*', '?']) && !path.exists() {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
        for entry in entries.flatten() {
            let found = entry.file_name();
            if fits(&name, &found.to_string_lossy()) {
                files.push(parent.map_or_else(|| found.clone().into(), |it| it.join(&found)));
            }
        }
    }
    if files.is_empty() {
        return vec![path.to_owned()];
    }
    files.sort();
    files
}

fn folder(path: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                folder(&path, depth + 1, files);
            }
        } else if [".yml", ".yaml", ".rules"].iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
}

/// Whether a name fits a pattern: `*` stands for any characters, `?` for one.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // row[n]: the pattern so far fits the first n characters
    let mut row = vec![false; name.len() + 1];
    if let Some(first) = row.first_mut() {
        *first = true;
    }
    for wanted in pattern {
        let mut next = vec![false; name.len() + 1];
        let mut any = false;
        for (count, before) in row.iter().enumerate() {
            any |= before;
            let here = if wanted == '*' {
                any
            } else {
                let last = count.checked_sub(1);
                let fitted = last.and_then(|it| row.get(it)) == Some(&true);
                let character = last.and_then(|it| name.get(it));
                fitted && character.is_some_and(|it| wanted == '?' || *it == wanted)
            };
            if let Some(cell) = next.get_mut(count) {
                *cell = here;
            }
        }
        row = next;
    }
    row.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("?.yml", "a.yml", true),
            ("?.yml", "ab.yml", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
