//! A template of a query as a query: each `{{ … }}` becomes as many bytes of something that parses there.

/// A query without templates, byte for byte as long as the one with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Masked {
    /// Templates outside texts stand for names, durations or numbers, as what is around them suggests.
    pub(crate) text: String,
    /// The same, with numbers in place of names; `None` when no template is outside a text.
    pub(crate) with_numbers: Option<String>,
}

impl Masked {
    /// `None` for a template with statements: what it becomes is not known.
    pub(crate) fn of(template: &str) -> Option<Self> {
        if template.contains("{%") || template.contains("{#") {
            return None;
        }
        let (mut text, mut with_numbers) = (String::new(), String::new());
        let (mut at, mut quote, mut odd) = (0, None, false);
        while let Some(c) = template.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = template.get(at..).unwrap_or_default();
            if rest.starts_with("{{") {
                let length = rest.find("}}").map(|it| it + 2)?;
                if quote.is_some() {
                    text.push_str(&"x".repeat(length));
                    with_numbers.push_str(&"x".repeat(length));
                } else {
                    odd = true;
                    let after = rest.get(length..).and_then(|it| it.chars().next());
                    let [name, number] = stand_ins(&text, after, length);
                    text.push_str(&name);
                    with_numbers.push_str(&number);
                }
                at += length;
                continue;
            }
            let length = match (quote, c) {
                (Some('"' | '\''), '\\') => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
                (Some(open), c) if c == open => {
                    quote = None;
                    1
                }
                (None, '"' | '\'' | '`') => {
                    quote = Some(c);
                    1
                }
                (None, '#') => rest.find('\n').unwrap_or(rest.len()),
                _ => c.len_utf8(),
            };
            let part = rest.get(..length).unwrap_or_default();
            text.push_str(part);
            with_numbers.push_str(part);
            at += length;
        }
        Some(Self { text, with_numbers: odd.then_some(with_numbers) })
    }
}

/// What a template outside a text may stand for.
fn stand_ins(before: &str, after: Option<char>, length: usize) -> [String; 2] {
    let digits = "1".repeat(length);
    let trimmed = before.trim_end();
    if trimmed.ends_with(['[', ':']) || trimmed.ends_with("offset") {
        let duration = if after.is_some_and(char::is_alphabetic) {
            digits
        } else {
            format!("{}m", "0".repeat(length - 2) + "1")
        };
        return [duration.clone(), duration];
    }
    ["x".repeat(length), digits]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_what_may_stand_there() {
        for (template, text, with_numbers) in [
            ("up", "up", None),
            (r#"x{a="{{ b }}"}"#, r#"x{a="xxxxxxx"}"#, None),
            ("x > {{ b }}", "x > xxxxxxx", Some("x > 1111111")),
            ("rate(x[{{ b }}])", "rate(x[000001m])", Some("rate(x[000001m])")),
            ("rate(x[{{ b }}m])", "rate(x[1111111m])", Some("rate(x[1111111m])")),
            ("x offset {{ b }}", "x offset 000001m", Some("x offset 000001m")),
            ("a_{{ b }}_total", "a_xxxxxxx_total", Some("a_1111111_total")),
            (r#"x{a="\"{{ b }}"}"#, r#"x{a="\"xxxxxxx"}"#, None),
            ("x # {{ b", "x # {{ b", None),
        ] {
            let masked = Masked::of(template).expect(template);
            assert_eq!(masked.text, text, "{template}");
            assert_eq!(masked.with_numbers.as_deref(), with_numbers, "{template}");
            assert_eq!(masked.text.len(), template.len(), "{template}");
        }
        assert_eq!(Masked::of("{% if x %}up{% endif %}"), None);
        assert_eq!(Masked::of("x > {{ b"), None);
    }
}
