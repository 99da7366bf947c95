//! Statements as people may see them: without what stands in quotes, which may be a password or a customer's name.

/// Longest part of a statement that is shown, in characters.
const SHOWN: usize = 200;

/// The statement in one line: literal texts become `'…'`, comments are left out, and it is cut. The server may have cut it already,
/// also inside of a literal text.
pub(super) fn hide(statement: &str) -> String {
    let line = without_literals(statement);
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

fn without_literals(statement: &str) -> String {
    let mut out = String::new();
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let escapes = first == '\'' && escaping(&out);
        rest = match first {
            '\'' => {
                out.push_str("'…'");
                after_quote(rest.get(1..).unwrap_or_default(), escapes)
            }
            '"' => {
                // a name, which may hold a quote
                let end = rest.get(1..).and_then(|it| it.find('"')).map_or(rest.len(), |it| it + 2);
                let (name, after) = rest.split_at(end);
                out.push_str(name);
                after
            }
            '$' if !out.ends_with(is_name) => match dollar(rest) {
                Some((tag, body)) => {
                    out.push_str("'…'");
                    body.find(tag).and_then(|at| body.get(at + tag.len()..)).unwrap_or_default()
                }
                None => keep(&mut out, rest),
            },
            '-' if rest.starts_with("--") => {
                out.push(' ');
                rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default()
            }
            '/' if rest.starts_with("/*") => {
                out.push(' ');
                after_comment(rest)
            }
            _ => keep(&mut out, rest),
        };
    }
    out
}

fn keep<'a>(out: &mut String, rest: &'a str) -> &'a str {
    let mut chars = rest.chars();
    out.extend(chars.next());
    chars.as_str()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Whether what stands before a quote says that backslashes escape in it: `E'…'`.
fn escaping(before: &str) -> bool {
    let mut back = before.chars().rev();
    matches!(back.next(), Some('e' | 'E')) && !back.next().is_some_and(is_name)
}

/// What follows the end of a literal text. Whether a backslash escapes in an ordinary one is a setting of the session that nobody
/// sees here; where that matters, all that follows is hidden.
fn after_quote(text: &str, escapes: bool) -> &str {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if escapes => {
                chars.next();
            }
            '\\' if matches!(chars.peek(), Some((_, '\''))) => return "",
            '\'' if matches!(chars.peek(), Some((_, '\''))) => {
                chars.next();
            }
            '\'' => return text.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

/// `$tag$` and what follows it.
fn dollar(rest: &str) -> Option<(&str, &str)> {
    let end = rest.get(1..)?.find('$')? + 2;
    let (tag, body) = rest.split_at(end);
    let name = tag.trim_matches('$');
    let named = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (named && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((tag, body))
}

/// Comments may hold comments.
fn after_comment(text: &str) -> &str {
    let (mut depth, mut rest) = (0_u32, text);
    while let Some(first) = rest.chars().next() {
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            first.len_utf8()
        };
        rest = rest.get(step..).unwrap_or_default();
        if depth == 0 {
            return rest;
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literal_texts_are_hidden_and_names_and_numbers_are_not() {
        for (statement, shown) in [
            ("SELECT * FROM a WHERE id = 7", "SELECT * FROM a WHERE id = 7"),
            ("ALTER ROLE a PASSWORD 'hush'", "ALTER ROLE a PASSWORD '…'"),
            ("UPDATE a SET b='it''s hush' WHERE c=1", "UPDATE a SET b='…' WHERE c=1"),
            (r"SELECT E'a\'hush' , 1", "SELECT E'…' , 1"),
            // with standard_conforming_strings off this is one text, with it on two
            (r"SELECT 'a\' || hush", "SELECT '…'"),
            ("SELECT $$hush$$, $1, $a$hu$$sh$a$ x", "SELECT '…', $1, '…' x"),
            (
                "SELECT a$1 FROM \"t'able\" -- hush\nWHERE /* hush /* hush */ hush */ b",
                "SELECT a$1 FROM \"t'able\" WHERE b",
            ),
            ("INSERT INTO a VALUES ('hush that the server c", "INSERT INTO a VALUES ('…'"),
            ("SELECT $a$ hush", "SELECT '…'"),
            ("SELECT /* hush", "SELECT"),
            ("  a\n\tb  ", "a b"),
        ] {
            assert_eq!(hide(statement), shown, "{statement}");
        }
        let long = hide(&"é".repeat(500));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }

    proptest! {
        #[test]
        fn nothing_inside_of_quotes_is_seen(
            before in "[a-z =,()\n]{0,9}", secret in "[A-Z]{3,9}", after in "['\"$/*a-z\\\\ -]{0,20}",
        ) {
            let quoted = secret.to_ascii_uppercase();
            for statement in [
                format!("{before}'{quoted}'{after}"),
                format!("{before}E'\\'{quoted}' {after}"),
                format!("{before} $a${quoted}$a$ {after}"),
            ] {
                let shown = hide(&statement);
                prop_assert!(!shown.contains(&quoted), "{} of {}", shown, statement);
            }
        }
    }
}
