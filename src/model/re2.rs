//! Go's RE2 semantics on the `regex` crate (`protocols.md §1`, Matchers).

/// Compiles a pattern that must match the whole text (`^(?:…)$`), with Go's ASCII classes.
/// The error says what is wrong, for people.
pub fn compile_anchored(pattern: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())
}
