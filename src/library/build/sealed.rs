//! Texts that may hold secrets: split into what is rendered and what is put in when an action is performed.

use super::text;
use super::text::Names;
use crate::decide::render;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Found;
use crate::library::raw::TemplateText;
use crate::model::action::Piece;

/// A template over `variables`, and its pieces when it holds a secret.
pub(crate) fn template(
    at: At<'_>,
    found: Found<TemplateText>,
    names: Names<'_>,
) -> (String, Option<Vec<Piece>>) {
    let text = found.value.0;
    let Some(paths) = text::references(at, found.span, &found.written, &text, names) else {
        return (text, None);
    };
    let is_secret = |path: &String| {
        let name = path.split('.').next().unwrap_or_default();
        names.secrets.iter().any(|secret| secret == name)
    };
    if !paths.iter().any(is_secret) {
        return (text, None);
    }
    match split(&text, names.secrets) {
        Ok(pieces) => (text, Some(pieces)),
        Err(message) => {
            let label = "a secret is printed as it is: `{{ token }}`";
            at.report(found.span, Diagnostic::error(codes::SECRET_PLACE, message).label(label));
            (text, None)
        }
    }
}

/// Secrets, and the templates between them. Beside a secret only tags that print are possible, since each is rendered alone.
fn split(text: &str, secrets: &[String]) -> Result<Vec<Piece>, String> {
    if text.contains("{%") || text.contains("{#") {
        return Err("beside a secret, a template can only print".to_owned());
    }
    let mut pieces = Vec::new();
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, tail)) = rest.split_once("{{") {
        plain.push_str(before);
        let end = end_of_tag(tail).ok_or("a tag without its `}}`")?;
        let (inside, after) = tail.split_at(end);
        let word = inside.trim();
        if word.starts_with('-') || word.ends_with('-') {
            return Err("beside a secret, a template cannot trim white space".to_owned());
        }
        if secrets.iter().any(|secret| secret == word) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Secret(word.to_owned()));
        } else {
            let tag = format!("{{{{{inside}}}}}");
            let names = render::references(&tag).map_err(|(reason, _)| reason)?;
            let of = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
            if names.iter().any(|name| secrets.contains(&of(name))) {
                return Err("a secret cannot be changed, compared or joined".to_owned());
            }
            plain.push_str(&tag);
        }
        rest = after.get(2..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// Where `}}` stands outside of texts.
fn end_of_tag(tail: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in tail.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if tail.get(at..).is_some_and(|it| it.starts_with("}}")) => return Some(at),
            Some(_) | None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_secrets() {
        let secrets = ["token".to_owned(), "user".to_owned()];
        let text = |text: &str| Piece::Text(text.to_owned());
        let secret = |name: &str| Piece::Secret(name.to_owned());
        for (source, expected) in [
            ("{{ token }}", Ok(vec![secret("token")])),
            ("Bearer {{token}}", Ok(vec![text("Bearer "), secret("token")])),
            (
                "{{ user }}:{{ token }}!",
                Ok(vec![secret("user"), text(":"), secret("token"), text("!")]),
            ),
            (
                "a {{ labels.x }} {{ \"}}\" }}{{ token }} {{ item | upper }}",
                Ok(vec![
                    text("a {{ labels.x }} {{ \"}}\" }}"),
                    secret("token"),
                    text(" {{ item | upper }}"),
                ]),
            ),
            ("{{ token | upper }}", Err("a secret cannot be changed, compared or joined")),
            ("{{ labels.x ~ token }}", Err("a secret cannot be changed, compared or joined")),
            ("{% if token %}a{% endif %}", Err("beside a secret, a template can only print")),
            ("{{- token }}", Err("beside a secret, a template cannot trim white space")),
        ] {
            assert_eq!(split(source, &secrets), expected.map_err(str::to_owned), "{source}");
        }
    }
}
