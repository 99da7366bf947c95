//! Where a query goes wrong: the parser says only that it does.
//!
//! A query is fine up to a word when something could follow that makes it parse. The first word of which that is not
//! true is where it goes wrong.

use promql_parser::parser;

/// What the parser says when the words are wrong; anything else is about their meaning.
const SYNTAX: &str = "invalid promql query";
/// Words of a query that are tried one by one.
const MOST_WORDS: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

/// What is wrong, and the byte.
pub(super) fn fault(text: &str, reason: &str) -> (String, usize) {
    let words = split(text);
    let (Some(last), true) = (words.last(), words.len() <= MOST_WORDS) else {
        let message = if words.is_empty() { "an empty query" } else { "this does not parse" };
        return (message.to_owned(), 0);
    };
    if let Some(open) = words.iter().find(|it| is_open_text(it.text)) {
        return ("a text that begins here is not closed".to_owned(), open.at);
    }
    if let Some(regex) = words.iter().find(|it| is_bad_regex(text, it)) {
        return ("the regex does not compile".to_owned(), regex.at);
    }
    if is_about_meaning(reason) {
        let named = reason.split('\'').nth(1).unwrap_or_default();
        let place = words.iter().find(|it| it.text == named).map_or(0, |it| it.at);
        // in the words of Prometheus
        let reason = reason.replace("type matrix", "type range vector");
        let reason = reason.replace("got vector", "got instant vector");
        return (reason.trim_end_matches('.').to_owned(), place);
    }
    for (count, word) in words.iter().enumerate() {
        let so_far = words.get(..=count).unwrap_or_default();
        if !can_go_on(text, so_far) {
            return (format!("unexpected `{}`", word.text), word.at);
        }
    }
    match brackets(&words).last() {
        Some(open) => (format!("`{}` is not closed", open.text), open.at),
        None => ("the query ends too early".to_owned(), last.at),
    }
}

/// Whether the words are fine and what they mean is not.
fn is_about_meaning(reason: &str) -> bool {
    [
        "expected",
        "only",
        "must",
        "no grouping",
        "not allowed",
        "duplicate",
        "modifier",
        "zero",
        "@ ",
    ]
    .iter()
    .any(|it| reason.contains(it))
        && !reason.starts_with("unexpected")
        && !reason.starts_with("bad ")
        && reason != SYNTAX
}

/// Whether something could follow that makes a query of it.
fn can_go_on(text: &str, words: &[Word<'_>]) -> bool {
    let Some(last) = words.last() else { return true };
    let prefix = text.get(..last.at + last.text.len()).unwrap_or_default();
    let open = brackets(words);
    let inside = open.last().map_or("", |it| it.text);
    let fillers: &[&str] = match inside {
        "{" => &["", "a=\"b\"", "=\"b\"", "\"b\"", ",a=\"b\""],
        "[" => &["", "5m", ":", "m"],
        _ => &[
            "",
            " a",
            " 5m",
            "(a)",
            " (a)",
            " (b) (a)",
            ",a)",
            " 1",
            "{a=\"b\"}",
            " (a) a",
            " \"a\"",
        ],
    };
    fillers.iter().any(|filler| {
        let mut whole = format!("{prefix}{filler}");
        // a filler may close the innermost bracket itself
        let closed = usize::from(filler.ends_with(",a)") && inside == "(");
        for bracket in open.iter().rev().skip(closed) {
            whole.push_str(match bracket.text {
                "(" => ")",
                "[" => "]",
                _ => "}",
            });
        }
        [whole.clone(), format!("{whole}(a)"), format!("{whole} (a)"), format!("{whole} a")]
            .iter()
            .any(|it| match parser::parse(it) {
                Ok(_) => true,
                Err(reason) => is_about_meaning(&reason) || reason.contains("unknown function"),
            })
    })
}

/// Brackets that are still open.
fn brackets<'a>(words: &[Word<'a>]) -> Vec<Word<'a>> {
    let mut open = Vec::new();
    for word in words {
        match word.text {
            "(" | "[" | "{" => open.push(*word),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
    }
    open
}

fn is_open_text(word: &str) -> bool {
    let mut chars = word.chars();
    match chars.next() {
        Some(quote @ ('"' | '\'' | '`')) => word.len() < 2 || !word.ends_with(quote),
        _ => false,
    }
}

/// Whether it is the value of `=~` or `!~` and no regex.
fn is_bad_regex(text: &str, word: &Word<'_>) -> bool {
    let before = text.get(..word.at).unwrap_or_default().trim_end();
    let value = word.text.strip_prefix(['"', '\'']).and_then(|it| it.strip_suffix(['"', '\'']));
    let of_regex = before.ends_with("=~") || before.ends_with("!~");
    of_regex
        && value.is_some_and(|it| {
            crate::model::re2::compile_anchored(&it.replace("\\\\", "\\")).is_err()
        })
}

/// Names and keywords of a query.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    split(text).into_iter().map(|it| it.text)
}

/// The only place of a sign.
pub(super) fn only(text: &str, sign: &str) -> Option<usize> {
    let words = split(text);
    let depth_of = |at: usize| {
        let before: Vec<Word<'_>> = words.iter().filter(|it| it.at < at).copied().collect();
        brackets(&before).iter().any(|it| it.text == "{")
    };
    let mut places = words.iter().filter(|it| it.text == sign && !depth_of(it.at));
    let first = places.next()?;
    places.next().is_none().then_some(first.at)
}

/// `[5m+1m]` and `[2 * 5m]`
pub(super) fn has_arithmetic_in_brackets(text: &str) -> bool {
    let words = split(text);
    words.iter().enumerate().any(|(count, word)| {
        let before = words.get(..count).unwrap_or_default();
        matches!(word.text, "+" | "-" | "*" | "/")
            && brackets(before).last().is_some_and(|it| it.text == "[")
    })
}

fn split(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let length = length(rest, c);
        if !c.is_whitespace() && c != '#' {
            words.push(Word { text: rest.get(..length).unwrap_or_default(), at });
        }
        at += length;
    }
    words
}

fn length(rest: &str, first: char) -> usize {
    let is_part = |c: char| c == '_' || c == ':' || c == '.' || c.is_alphanumeric();
    match first {
        '#' => rest.find('\n').unwrap_or(rest.len()),
        '"' | '\'' | '`' => {
            let mut escaped = false;
            for (at, c) in rest.char_indices().skip(1) {
                if escaped {
                    escaped = false;
                } else if c == '\\' && first != '`' {
                    escaped = true;
                } else if c == first {
                    return at + 1;
                }
            }
            rest.len()
        }
        ':' => 1,
        c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
        _ => match rest.get(..2) {
            Some(sign @ ("==" | "!=" | ">=" | "<=" | "=~" | "!~")) => sign.len(),
            _ => first.len_utf8(),
        },
    }
}
