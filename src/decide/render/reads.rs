//! What a template prints and could miss: for `quell check`, not for rendering.

/// `labels.service` in a template, and its byte offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// `labels`
    pub of: String,
    /// `service`
    pub member: String,
    /// First byte of `labels` in the template.
    pub at: usize,
}

/// The members that a template prints without saying what stands for one that is missing. Whatever a statement
/// (`if`, `for`) surrounds, a `default` follows or a test asks about counts as looked after.
pub fn needed(source: &str) -> Vec<Read> {
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(open) = source.get(at..).and_then(|rest| rest.find('{')).map(|it| at + it) {
        let rest = source.get(open..).unwrap_or_default();
        let close = match rest.get(..2) {
            Some("{#") => "#}",
            Some("{{") => "}}",
            Some("{%") => "%}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let length = tag_length(rest, close);
        let body = rest.get(2..length.saturating_sub(2)).unwrap_or_default();
        at = open + length;
        match close {
            "%}" => match body.trim_start_matches(['-', '+']).split_whitespace().next() {
                Some("if" | "for") => depth += 1,
                Some("endif" | "endfor") => depth = depth.saturating_sub(1),
                Some("raw") => {
                    let rest = source.get(at..).unwrap_or_default();
                    at += rest.find("endraw").unwrap_or(rest.len());
                }
                _ => {}
            },
            "}}" if depth == 0 => expression(body, open + 2, &mut found),
            _ => {}
        }
    }
    found
}

/// Length of a tag with its signs; texts in it may hold anything.
fn tag_length(rest: &str, close: &str) -> usize {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(2) {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if close != "#}" && (c == '"' || c == '\'') => quote = Some(c),
            None if rest.get(at..).is_some_and(|it| it.starts_with(close)) => return at + 2,
            Some(_) | None => {}
        }
    }
    rest.len()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str, usize),
    Text(&'a str),
    Sign(char),
}

/// Reads of one `{{ … }}`.
fn expression(body: &str, offset: usize, found: &mut Vec<Read>) {
    let tokens = tokens(body);
    let looked_after = tokens.iter().enumerate().any(|(at, token)| {
        let Token::Word(word, _) = token else { return false };
        matches!(*word, "default" | "is" | "if")
            || *word == "d" && before(&tokens, at) == Some(Token::Sign('|'))
    });
    if looked_after {
        return;
    }
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(of @ ("labels" | "annotations"), start) = *token else { continue };
        if before(&tokens, at) == Some(Token::Sign('.')) {
            continue;
        }
        let (member, next) = match (tokens.get(at + 1), tokens.get(at + 2)) {
            (Some(Token::Sign('.')), Some(Token::Word(member, _))) => (*member, at + 3),
            (Some(Token::Sign('[')), Some(Token::Text(member))) => (*member, at + 4),
            _ => continue,
        };
        // a method of the map, such as `labels.items()`
        if tokens.get(next) == Some(&Token::Sign('(')) {
            continue;
        }
        found.push(Read { of: of.to_owned(), member: member.to_owned(), at: offset + start });
    }
}

fn before<'a>(tokens: &[Token<'a>], at: usize) -> Option<Token<'a>> {
    at.checked_sub(1).and_then(|it| tokens.get(it)).copied()
}

fn tokens(body: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = body.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = body.get(at..).unwrap_or_default();
        let length = if c == '_' || c.is_alphanumeric() {
            let is_part = |c: char| c == '_' || c.is_alphanumeric();
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest.get(..length).unwrap_or_default(), at));
            length
        } else if c == '"' || c == '\'' {
            let end = rest.get(1..).and_then(|it| it.find(c)).unwrap_or(rest.len());
            tokens.push(Token::Text(rest.get(1..=end).unwrap_or_default()));
            end + 2
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            c.len_utf8()
        };
        at += length;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_unguarded_is_needed() {
        for (source, expected) in [
            ("a/{{ labels.service }}/b", "labels.service@5"),
            ("{{labels.a}}{{ annotations.b | upper }}", "labels.a@2 annotations.b@15"),
            (r#"{{ labels["a"] }} {{ labels['b-c'] }}"#, "labels.a@3 labels.b-c@21"),
            (r#"{{ labels.a ~ "-" ~ labels.b }}"#, "labels.a@3 labels.b@20"),
            (r#"{{ labels.a | default("x") }}"#, ""),
            (r#"{{ labels.a | d("x") }}"#, ""),
            ("{{ labels.d }}", "labels.d@3"),
            (r#"{{ "x" if labels.a is defined else "y" }}"#, ""),
            ("{% if labels.a is defined %}{{ labels.a }}{% endif %}{{ labels.b }}", "labels.b@56"),
            ("{% for x in [1] %}{{ labels.a }}{% endfor %}", ""),
            ("{# {{ labels.a }} #}", ""),
            ("{% raw %}{{ labels.a }}{% endraw %}", ""),
            ("{{ '}}' ~ labels.a }}", "labels.a@10"),
            ("{{ unit }} {{ steps.labels.output }}", ""),
            ("{{ labels.items() | list }}", ""),
            ("{{ labels }}", ""),
            ("{{ labels.a", ""),
            ("{", ""),
        ] {
            let shown: Vec<String> = needed(source)
                .iter()
                .map(|it| format!("{}.{}@{}", it.of, it.member, it.at))
                .collect();
            assert_eq!(shown.join(" "), expected, "{source}");
        }
    }
}
