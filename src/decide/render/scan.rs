//! The words inside a template's tags: what minijinja would only miss when it renders.

/// Statements that a template may use.
pub(super) const STATEMENTS: [&str; 8] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "raw"];

/// Filters that would exempt text from escaping, or print what is no value for a person or a machine.
pub(super) const BANNED_FILTERS: [&str; 4] = ["safe", "escape", "e", "pprint"];

/// What a word does where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The first word of `{% … %}`.
    Statement,
    /// A `set` without a value, which takes the text up to `endset`.
    BlockSet,
    /// After `|`.
    Filter,
    /// After `is` or `is not`.
    Test,
    /// Any other word that is no attribute.
    Name,
    /// A text in quotes, without them.
    Text,
}

/// A word, its role, and its byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) role: Role,
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// The sign before it, a space when there is none.
    before: char,
}

/// All words of all tags, in order.
pub(super) fn words(source: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find('{')) {
        let open = at + found;
        let rest = source.get(open..).unwrap_or_default();
        at = if rest.starts_with("{#") {
            open + rest.find("#}").map_or(rest.len(), |it| it + 2)
        } else if rest.starts_with("{{") {
            tag(source, open + 2, "}}", false, &mut words)
        } else if rest.starts_with("{%") {
            let first = words.len();
            let end = tag(source, open + 2, "%}", true, &mut words);
            match words.get(first) {
                Some(Word { text: "raw", .. }) => end_of_raw(source, end),
                _ => end,
            }
        } else {
            open + 1
        };
    }
    words
}

/// `labels.a` for each `labels["a"]`.
pub(super) fn subscripts(source: &str) -> Vec<String> {
    let words = words(source);
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs
        .filter(|(name, text)| {
            name.role == Role::Name && text.role == Role::Text && text.before == '['
        })
        .filter(|(name, text)| {
            source.get(name.at + name.text.len()..text.at - 1).is_some_and(|it| it.trim() == "[")
        })
        .map(|(name, text)| format!("{}.{}", name.text, text.text))
        .collect()
}

fn end_of_raw(source: &str, from: usize) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    rest.find("endraw").map_or(source.len(), |it| from + it + "endraw".len())
}

/// Reads one tag from behind its opening to behind its `close`; returns where that is.
fn tag<'a>(
    source: &'a str,
    from: usize,
    close: &str,
    statement: bool,
    words: &mut Vec<Word<'a>>,
) -> usize {
    let first = words.len();
    let (mut at, mut before, mut assigns) = (from, ' ', false);
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let Some(c) = rest.chars().next() else { break };
        if rest.starts_with(close) {
            at += close.len();
            break;
        }
        if c == '"' || c == '\'' {
            let length = text_length(rest, c);
            let text = rest.get(1..length.saturating_sub(1)).unwrap_or_default();
            words.push(Word { role: Role::Text, text, at: at + 1, before });
            (at, before) = (at + length, ' ');
        } else if c == '_' || c.is_alphanumeric() {
            let length =
                rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            let text = rest.get(..length).unwrap_or_default();
            let previous = words.get(first..).and_then(<[_]>::last).map_or("", |it| it.text);
            let role = match before {
                _ if statement && words.len() == first => Some(Role::Statement),
                '|' => Some(Role::Filter),
                '.' => None,
                ' ' if previous == "is" && text != "not" => Some(Role::Test),
                _ if c.is_numeric() => None,
                // `is not defined`: the word stays `is`
                ' ' if previous == "is" => None,
                _ => Some(Role::Name),
            };
            if let Some(role) = role {
                words.push(Word { role, text, at, before });
            }
            (at, before) = (at + length, ' ');
        } else {
            assigns |= c == '=';
            if !c.is_whitespace() && c != '-' && c != '+' {
                before = c;
            }
            at += c.len_utf8();
        }
    }
    if let Some(word) = words.get_mut(first)
        && statement
        && word.text == "set"
        && !assigns
    {
        word.role = Role::BlockSet;
    }
    at
}

fn text_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}
