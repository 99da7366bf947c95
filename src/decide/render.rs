//! Templates: minijinja, strict.
//!
//! A template prints values; it is no program. There are expressions with filters, `if`, `for`, `set` and
//! `raw`; no includes, no macros, no functions, nothing that reads a file, and no text is exempt from
//! escaping. What is undefined or null is an error that names it: an empty argument could mean "all".

mod reads;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::sync::LazyLock;

use minijinja::Environment;
use minijinja::ErrorKind;
use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::value::ValueKind;

pub use reads::Read;
pub use reads::needed;
use scan::Role;

/// Instructions that one rendering may take.
const FUEL: u64 = 20_000;

/// Bytes that one rendering may give.
const OUTPUT: usize = 256 << 10;

/// Characters of a template that a message shows.
const SHOWN: usize = 120;

/// How a rendered value is escaped where it lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As it is: one argv element, one environment value, a header, a label.
    None,
    /// Values are percent-encoded; the template's own text is not. No value makes a `.` or `..` of a path.
    Url,
    /// Values are escaped for the inside of a double-quoted `PromQL` or selector string.
    Quoted,
}

/// Checks that a template parses and names only `variables` (first path element).
/// The error says what is wrong and where (byte offset), for people.
pub fn check(source: &str, variables: &[&str]) -> Result<(), (String, Option<usize>)> {
    let paths = references(source)?;
    let words = scan::words(source);
    let environment = environment(Escape::None);
    for word in &words {
        let text = word.text;
        let wrong = match word.role {
            Role::Statement if !scan::STATEMENTS.contains(&text) => {
                format!("`{{% {text} %}}` is not available: print values, or use if, for and set")
            }
            Role::BlockSet => "`set` takes a value: write `{% set name = … %}`".to_owned(),
            Role::Filter
                if scan::BANNED_FILTERS.contains(&text) || !has_filter(environment, text) =>
            {
                format!("there is no filter `{text}`")
            }
            Role::Test if !has_test(environment, text) => format!("there is no test `{text}`"),
            Role::Statement | Role::Filter | Role::Test | Role::Name | Role::Text => continue,
        };
        return Err((wrong, Some(word.at)));
    }
    for path in &paths {
        let name = path.split('.').next().unwrap_or_default();
        if !variables.contains(&name) {
            let at =
                words.iter().find(|it| it.role == Role::Name && it.text == name).map(|it| it.at);
            let hint = did_you_mean(name, variables.iter().copied());
            return Err((
                format!("unknown variable `{name}`{hint}; there are: {}", variables.join(", ")),
                at,
            ));
        }
    }
    Ok(())
}

/// The dotted paths that a template reads, in order: `labels.service`.
/// The error says what is wrong and where (byte offset), for people.
pub fn references(source: &str) -> Result<Vec<String>, (String, Option<usize>)> {
    let template = environment(Escape::None).template_from_str(source).map_err(|error| {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        (format!("the template does not parse: {detail}"), error.range().map(|it| it.start))
    })?;
    let mut paths: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    // `labels["a"]` is read as a whole by the engine, and is `labels.a` all the same
    paths.extend(scan::subscripts(source));
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Renders; an undefined variable or label is an error that names it.
pub fn render(source: &str, context: &serde_json::Value, escape: Escape) -> Result<String, String> {
    let describe = |error: minijinja::Error| {
        format!("{} (template `{}`)", reason(&error, context), shown(source))
    };
    let output = environment(escape)
        .template_from_str(source)
        .and_then(|template| template.render(Serde(context)))
        .map_err(describe)?;
    if output.len() > OUTPUT {
        return Err(format!(
            "the template gives more than {OUTPUT} bytes (template `{}`)",
            shown(source)
        ));
    }
    if escape == Escape::Url && climbs(&output) {
        return Err(format!(
            "the URL has a path segment `.` or `..`, which leads elsewhere (template `{}`)",
            shown(source)
        ));
    }
    Ok(output)
}

/// One environment for each way of escaping: filters and tests of minijinja, no functions, no loader.
fn environment(escape: Escape) -> &'static Environment<'static> {
    static NONE: LazyLock<Environment<'static>> = LazyLock::new(|| build(Escape::None));
    static URL: LazyLock<Environment<'static>> = LazyLock::new(|| build(Escape::Url));
    static QUOTED: LazyLock<Environment<'static>> = LazyLock::new(|| build(Escape::Quoted));
    match escape {
        Escape::None => &NONE,
        Escape::Url => &URL,
        Escape::Quoted => &QUOTED,
    }
}

fn build(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // errors then name the path that is undefined
    environment.set_debug(true);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    for name in &globals {
        environment.remove_global(name);
    }
    for name in scan::BANNED_FILTERS {
        environment.remove_filter(name);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(move |output, _, value| {
        if value.is_undefined() {
            return Err(minijinja::Error::new(
                ErrorKind::UndefinedError,
                "an `if` without `else` gives nothing",
            ));
        }
        if value.is_none() {
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "a value is null"));
        }
        // the engine prints Python: `True`, `{'a': None}`
        let is_json = matches!(
            value.kind(),
            ValueKind::Bool | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
        );
        let text = if is_json {
            serde_json::to_string(value).map_err(|error| {
                minijinja::Error::new(ErrorKind::BadSerialization, error.to_string())
            })?
        } else {
            value.to_string()
        };
        output.write_str(&escaped(&text, escape)).map_err(minijinja::Error::from)
    });
    environment
}

fn escaped(text: &str, escape: Escape) -> String {
    match escape {
        Escape::None => text.to_owned(),
        Escape::Url => {
            let mut out = String::with_capacity(text.len());
            for byte in text.bytes() {
                // a colon ends no part of a path, and `instance` is a host with its port
                if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    // writing to a String does not fail
                    write!(out, "%{byte:02X}").unwrap_or_default();
                }
            }
            out
        }
        Escape::Quoted => text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"),
    }
}

/// Whether the path of a URL has a segment `.` or `..`, spelled either way.
fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let segment = segment.replace("%2E", ".").replace("%2e", ".");
        segment == "." || segment == ".."
    })
}

fn has_filter(environment: &Environment<'_>, name: &str) -> bool {
    let found = environment.empty_state().apply_filter(name, &[]);
    !found.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
}

fn has_test(environment: &Environment<'_>, name: &str) -> bool {
    let found = environment.empty_state().perform_test(name, &[]);
    !found.is_err_and(|error| error.kind() == ErrorKind::UnknownTest)
}

/// Why a rendering failed, for people.
fn reason(error: &minijinja::Error, context: &serde_json::Value) -> String {
    let (kind, detail) = (error.kind(), error.detail().unwrap_or_default());
    if kind == ErrorKind::OutOfFuel {
        return "the template takes too long".to_owned();
    }
    if kind == ErrorKind::UndefinedError {
        return match detail.split('`').nth(1) {
            Some(path) if detail.contains("is undefined") => undefined(path, context),
            _ if detail.is_empty() => "something in it is undefined".to_owned(),
            _ => detail.to_owned(),
        };
    }
    if detail.is_empty() { kind.to_string() } else { format!("{kind}: {detail}") }
}

/// Names the path that is undefined, the nearest one that is not, and what it would have been.
fn undefined(path: &str, context: &serde_json::Value) -> String {
    let path: Vec<&str> =
        path.split(['.', '[', ']', '"', '\'']).filter(|it| !it.is_empty()).collect();
    let (last, parents) = path.split_last().unwrap_or((&"", &[]));
    let found = parents.iter().try_fold(context, |value, name| value.get(name));
    let siblings = found.and_then(serde_json::Value::as_object);
    let hint = did_you_mean(last, siblings.into_iter().flatten().map(|(name, _)| name.as_str()));
    match parents {
        ["labels"] => format!("label `{last}` is not on this alert{hint}"),
        ["annotations"] => format!("annotation `{last}` is not on this alert{hint}"),
        _ => format!("`{}` is undefined{hint}", path.join(".")),
    }
}

fn shown(source: &str) -> String {
    let mut text: String = source.chars().take(SHOWN).collect();
    if text.len() < source.len() {
        text.push('…');
    }
    text
}

/// `, did you mean …?` when a candidate is near, else nothing.
fn did_you_mean<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let far = word.chars().count() / 3 + 1;
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map_or_else(String::new, |(_, candidate)| format!(", did you mean `{candidate}`?"))
}

/// Levenshtein's distance in characters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, d) in row.iter_mut().skip(1).zip(&other) {
            let best = (diagonal + usize::from(c != *d)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
