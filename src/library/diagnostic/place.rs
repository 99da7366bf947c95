//! From a byte of a scalar's value back to the byte of the file that it came from.

/// The byte of `source`, which is a scalar as it stands in the file, that became byte `offset` of its `value`. YAML
/// folds line breaks and takes quotes away; `None` when more happened than that.
pub(super) fn of(source: &str, value: &str, offset: usize) -> Option<usize> {
    let quote = source.chars().next().filter(|it| matches!(it, '"' | '\''));
    let mut at = match source.chars().next() {
        Some('|' | '>') if value.is_empty() || !source.starts_with(value) => {
            // the header of a block, with its comment
            source.find('\n').map_or(source.len(), |it| it + 1)
        }
        _ => usize::from(quote.is_some()),
    };
    for (read, wanted) in value.char_indices() {
        if wanted.is_whitespace() {
            if read == offset {
                return Some(at);
            }
            // a run of white space became another one
            at += blanks(source, at);
            continue;
        }
        if read == 0 || value.get(..read).is_some_and(|it| it.ends_with(char::is_whitespace)) {
            at += blanks(source, at);
        }
        let rest = source.get(at..)?;
        let doubled = quote == Some('\'') && wanted == '\'' && rest.starts_with("''");
        let escaped = quote == Some('"')
            && matches!(wanted, '"' | '\\' | '/')
            && rest.strip_prefix('\\').is_some_and(|it| it.starts_with(wanted));
        if read == offset {
            return (doubled || escaped || rest.starts_with(wanted)).then_some(at);
        }
        if doubled || escaped {
            at += 1 + wanted.len_utf8();
        } else if rest.starts_with(wanted) {
            at += wanted.len_utf8();
        } else {
            return None;
        }
    }
    (offset == value.len()).then_some(at)
}

fn blanks(source: &str, at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    rest.len() - rest.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_byte_of_a_value_is_found_in_the_file() {
        for (source, value, word, expected) in [
            ("abc def", "abc def", "def", Some(4)),
            ("\"abc def\"", "abc def", "def", Some(5)),
            ("'it''s x'", "it's x", "x", Some(7)),
            ("'it''s x'", "it's x", "'", Some(3)),
            (r#""a \"b\" c""#, "a \"b\" c", "c", Some(9)),
            ("a b\n      c d", "a b c d", "d", Some(12)),
            (">-\n  a b\n  c d\n", "a b c d", "d", Some(13)),
            ("|\n  a b\n  c d\n", "a b\nc d\n", "c", Some(10)),
            ("> # why\n  a b\n", "a b\n", "b", Some(12)),
            ("ä ö", "ä ö", "ö", Some(3)),
            ("\"\\u0041 b\"", "A b", "b", None),
            ("other", "abc", "b", None),
        ] {
            let offset = value.find(word).expect("the word is in the value");
            assert_eq!(of(source, value, offset), expected, "{source:?} {word:?}");
        }
        assert_eq!(of("\"ab\"", "ab", 2), Some(3), "the end of the value");
        assert_eq!(of("ab", "ab", 7), None, "beyond it");
    }
}
