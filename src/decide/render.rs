//! Templates: minijinja, strict.

/// How a rendered value is escaped where it lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As it is: one argv element, one environment value, a header, a label.
    None,
    /// Values are percent-encoded; the template's own text is not.
    Url,
    /// Values are escaped for the inside of a double-quoted PromQL or selector string.
    Quoted,
}

/// Checks that a template parses and names only `variables` (first path element).
/// The error says what is wrong and where (byte offset), for people.
pub fn check(source: &str, variables: &[&str]) -> Result<(), (String, Option<usize>)> {
    let _ = (source, variables);
    Ok(())
}

/// Renders; an undefined variable or label is an error that names it.
pub fn render(source: &str, context: &serde_json::Value, escape: Escape) -> Result<String, String> {
    let _ = (source, context, escape);
    Err("not written yet".into())
}
