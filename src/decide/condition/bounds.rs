//! What a condition's source may not exceed, seen before the parser sees it.

/// Bytes of source.
const SOURCE: usize = 4 << 10;

/// Brackets open at once. The parser recurses through them.
const DEPTH: usize = 32;

/// Words, numbers, texts and signs. The tree of `1+1+1…` is as deep as it is long, and an overflow of the
/// stack ends the process: 2 MiB of it take about 1,500 additions.
const TOKENS: usize = 512;

/// A word, a number, a text or a sign, and its byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// Splits a source, or says which bound it exceeds and where. Texts and comments hide brackets as they do in
/// CEL; where this disagrees with the parser, the parser's own limit of recursion remains.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, (String, Option<usize>)> {
    if source.len() > SOURCE {
        return Err((
            format!("a condition has at most {SOURCE} bytes, this has {}", source.len()),
            None,
        ));
    }
    if source.trim().is_empty() {
        return Err(("an empty condition is neither true nor false: leave it out".into(), None));
    }
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(first) = source.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = source.get(at..).unwrap_or_default();
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err((format!("at most {DEPTH} brackets may be open at once"), Some(at)));
        }
        if tokens.len() == TOKENS {
            return Err((
                format!("a condition has at most {TOKENS} words and signs: make it simpler"),
                Some(at),
            ));
        }
        let length = length(rest, first);
        tokens.push(Token { text: rest.get(..length).unwrap_or_default(), at });
        at += length;
    }
    Ok(tokens)
}

fn length(rest: &str, first: char) -> usize {
    let word = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let prefix = rest.get(..word).unwrap_or_default();
    let is_prefix = prefix.len() <= 2 && prefix.chars().all(|c| "rRbB".contains(c));
    match rest.get(word..).and_then(|it| it.chars().next()) {
        Some('"' | '\'') if is_prefix => {
            word + text_length(rest.get(word..).unwrap_or_default(), prefix.contains(['r', 'R']))
        }
        _ if word > 0 => word,
        _ => first.len_utf8(),
    }
}

/// Length of the text that `rest` begins with, quotes included; to the end where it is not closed.
fn text_length(rest: &str, raw: bool) -> usize {
    let quote = match rest.get(..3) {
        Some(triple @ ("\"\"\"" | "'''")) => triple,
        _ => rest.get(..1).unwrap_or_default(),
    };
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(quote.len()) {
        if escaped {
            escaped = false;
        } else if c == '\\' && !raw {
            escaped = true;
        } else if rest.get(at..).is_some_and(|it| it.starts_with(quote)) {
            return at + quote.len();
        } else if c == '\n' && quote.len() == 1 {
            // not closed: what follows is not hidden
            return at;
        }
    }
    rest.len()
}
