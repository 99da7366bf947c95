//! Words in messages: "did you mean", lists, and text of files.

/// The nearest word, when one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    written: &str,
    possible: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let allowed = (written.chars().count() / 3).clamp(1, 3);
    possible
        .into_iter()
        .map(|word| (distance(&written, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// "did you mean `word`?", or nothing.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    possible: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(written, possible).map(|word| format!("did you mean `{word}`?")).unwrap_or_default()
}

/// `a, b or c`.
pub(crate) fn words(list: &[&str], last: &str) -> String {
    match list {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

/// Text of a file inside a message: on one line, and not too long.
pub(crate) fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push('…');
    }
    out.replace("\\\"", "\"").replace("\\'", "'")
}

/// Levenshtein's distance, with a swap of neighbours as one change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&row, j + 1) + 1).min(at(&next, j) + 1).min(at(&row, j) + usize::from(x != *y));
            let left = j.checked_sub(1).and_then(|k| b.get(k)).copied();
            if left == Some(x) && last == Some(*y) {
                best = best.min(at(&before, j.wrapping_sub(1)) + 1);
            }
            next.push(best);
        }
        last = Some(x);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let words = ["settle", "cooldown", "rate", "if", "mode"];
        for (written, expected) in [
            ("cooldwn", Some("cooldown")),
            ("coolodwn", Some("cooldown")),
            ("Rate", Some("rate")),
            ("raet", Some("rate")),
            ("fi", Some("if")),
            ("frequency", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, words), expected, "{written}");
        }
        assert_eq!(did_you_mean("modee", words), "did you mean `mode`?");
        assert_eq!(did_you_mean("xyz", words), "");
    }
}
