//! Names of targets: whether one names one thing, and whether it fits a pattern.

/// Characters that would make a name mean more than one thing to whatever reads it: globs, regular expressions, lists.
const UNBOUNDED: [char; 9] = ['*', '?', '|', ',', '$', '^', '\\', '(', ')'];

/// Whether the name names one thing: parts between slashes, none of them empty, and nothing that matches others.
pub fn is_one(target: &str) -> Result<(), String> {
    if target.is_empty() {
        return Err("the target is empty, and empty never means everything".to_owned());
    }
    if target.split('/').any(|part| part.trim().is_empty()) {
        return Err(format!("the target `{target}` has an empty part"));
    }
    if let Some(c) = unbounded(target) {
        return Err(format!("the target `{target}` is not one thing: it holds {c:?}"));
    }
    Ok(())
}

/// The first character that makes a name mean more than one thing.
pub fn unbounded(name: &str) -> Option<char> {
    name.chars().find(|c| c.is_control() || UNBOUNDED.contains(c))
}

/// Whether a pattern fits the whole name, part by part; `*` in a part is any run of characters within it.
pub fn fits(pattern: &str, target: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), target.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_fits(pattern, part) => {}
            _ => return false,
        }
    }
}

fn part_fits(pattern: &str, part: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == part };
    let Some(mut left) = part.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = left.find(piece) else { return false };
        left = left.get(at + piece.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_part_by_part() {
        for (pattern, target, expected) in [
            ("a/b", "a/b", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("*", "a/b", false),
            ("a/quell*", "a/quell", true),
            ("a/quell*", "a/quell-db", true),
            ("a/quell*", "a/aquell", false),
            ("*-db", "quell-db", true),
            ("q*l*b", "quell-db", true),
            ("q*l*b", "quell-dx", false),
            ("a*a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, target), expected, "{pattern} {target}");
        }
    }

    #[test]
    fn one_name_is_one_thing() {
        for target in ["shop", "kubernetes/prod/deployment/api", "host/web-1:9100", "host/[::1]:80"]
        {
            assert_eq!(is_one(target), Ok(()), "{target}");
        }
        for (target, words) in [
            ("", "the target is empty, and empty never means everything"),
            ("a//b", "the target `a//b` has an empty part"),
            ("a/ /b", "the target `a/ /b` has an empty part"),
            ("pods/.*", "the target `pods/.*` is not one thing: it holds '*'"),
            ("a\nb", "the target `a\nb` is not one thing: it holds '\\n'"),
        ] {
            assert_eq!(is_one(target), Err(words.to_owned()));
        }
    }
}
