//! Puts secrets in where an action is performed, and takes them out of what comes back.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::action::Action;
use crate::model::action::Piece;
use crate::model::action::Sealed;
use crate::model::config::Secret;
use crate::model::run::Outcome;

/// Shortest piece of a secret that is masked where an output was cut in the middle of one, in bytes.
const PART: usize = 6;
/// Shortest line of a secret of several lines that is masked alone, in bytes.
const LINE: usize = 8;

/// What no stored text may hold, and what stands in its place.
#[derive(Default)]
pub(super) struct Mask {
    /// The longest first: a secret may hold another.
    hidden: Vec<(String, String)>,
}

/// Never shows what it hides.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("hidden", &self.hidden.len()).finish()
    }
}

/// The action with its secrets in place, and the mask for everything that comes of it: it hides all of `secrets`, since one
/// that an earlier step was given may come back from a later one. The error names a secret that is no
/// longer there.
pub(super) fn reveal(
    action: &Action,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(Action, Mask), String> {
    let mut mask = Mask::default();
    for (name, secret) in secrets {
        mask.add(name, secret.reveal());
    }
    mask.hidden.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    let open = |pieces: &Vec<Piece>| {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Secret(name) => {
                    let secret = secrets.get(name).ok_or_else(|| {
                        format!("there is no secret `{name}` under `secrets:` of quell.yml")
                    })?;
                    text.push_str(secret.reveal());
                }
            }
        }
        Ok::<String, String>(text)
    };
    let mut revealed = action.clone();
    match &mut revealed {
        Action::Command(command) => {
            for (name, pieces) in &std::mem::take(&mut command.sealed).named {
                command.env.insert(name.clone(), open(pieces)?);
            }
        }
        Action::Http(call) => {
            let Sealed { named, body, json } = std::mem::take(&mut call.sealed);
            for (name, pieces) in &named {
                call.headers.insert(name.clone(), open(pieces)?);
            }
            if let Some(pieces) = &body {
                call.body = Some(open(pieces)?);
            }
            for (pointer, pieces) in &json {
                let place = call.json.as_mut().and_then(|json| json.pointer_mut(pointer));
                let place = place.ok_or_else(|| format!("`json` has nothing at {pointer}"))?;
                *place = Value::String(open(pieces)?);
            }
        }
        // no other action takes secrets
        _ => {}
    }
    Ok((revealed, mask))
}

impl Mask {
    fn add(&mut self, name: &str, secret: &str) {
        let shown = format!("[secret {name}]");
        let lines = secret.lines().map(str::trim).filter(|line| line.len() >= LINE);
        for text in std::iter::once(secret).chain(lines) {
            // as it stands, and as it stands inside JSON and quoted text
            for form in [
                text.to_owned(),
                inside(&Value::from(text).to_string()),
                inside(&format!("{text:?}")),
            ] {
                if !form.is_empty() && !self.hidden.iter().any(|(known, _)| *known == form) {
                    self.hidden.push((form, shown.clone()));
                }
            }
        }
    }

    /// The text without secrets.
    pub(super) fn hide(&self, mut text: String) -> String {
        for (secret, shown) in &self.hidden {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), shown);
            }
        }
        text
    }

    /// The text of an output that may have been cut: a secret that was cut in two is hidden as well.
    pub(super) fn hide_cut(&self, text: String) -> String {
        if self.hidden.is_empty() {
            return text;
        }
        let text = self.hide(text);
        let (mut head, mut rest) = (String::new(), text.as_str());
        // `exec` and an end without a mark are where outputs are cut
        while let Some((before, after)) = rest.split_once("\n[") {
            let Some((mark, after)) = after.split_once(" bytes left out]\n") else { break };
            head.push_str(&self.without_end(before));
            head.push_str("\n[");
            head.push_str(mark);
            head.push_str(" bytes left out]\n");
            rest = after;
        }
        let rest = if head.is_empty() { rest.to_owned() } else { self.without_start(rest) };
        head.push_str(&self.without_end(&rest));
        head
    }

    fn without_end(&self, text: &str) -> String {
        for (secret, shown) in &self.hidden {
            let parts = secret.char_indices().map(|(at, _)| at).rev().filter(|at| *at >= PART);
            for part in parts.filter_map(|at| secret.get(..at)) {
                if let Some(before) = text.strip_suffix(part) {
                    return format!("{before}{shown}");
                }
            }
        }
        text.to_owned()
    }

    fn without_start(&self, text: &str) -> String {
        for (secret, shown) in &self.hidden {
            let parts = secret.char_indices().map(|(at, _)| at).skip(1);
            let parts = parts.filter_map(|at| secret.get(at..)).filter(|it| it.len() >= PART);
            for part in parts {
                if let Some(after) = text.strip_prefix(part) {
                    return format!("{shown}{after}");
                }
            }
        }
        text.to_owned()
    }

    /// Everything that is stored of an action.
    pub(super) fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done { summary, output } => {
                Outcome::Done { summary: self.hide(summary), output: self.value(output) }
            }
            Outcome::Failed { reason, retryable } => {
                Outcome::Failed { reason: self.hide(reason), retryable }
            }
            Outcome::Denied { credentials, reason } => {
                Outcome::Denied { credentials, reason: self.hide(reason) }
            }
            Outcome::Unknown { reason } => Outcome::Unknown { reason: self.hide(reason) },
        }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(name, it)| (self.hide(name), self.value(it))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

/// Without the quotes around it.
fn inside(quoted: &str) -> String {
    quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::action::Command;
    use crate::model::action::HttpCall;

    fn secrets() -> BTreeMap<String, Secret> {
        let of = |text: &str| Secret::new(text);
        BTreeMap::from([
            ("token".to_owned(), of("hunter2-0123456789")),
            ("quoted".to_owned(), of("pass\"word\\1")),
            ("key".to_owned(), of("-----BEGIN-----\nMIIEpAIBAAKC\n-----END-----")),
        ])
    }

    fn pieces(name: &str) -> Vec<Piece> {
        vec![Piece::Text("Bearer ".into()), Piece::Secret(name.into())]
    }

    fn command() -> Action {
        let mut command = Command { argv: vec!["deploy".into()], ..Command::default() };
        command.env.insert("TOKEN".into(), "Bearer [secret token]".into());
        command.sealed.named.insert("TOKEN".into(), pieces("token"));
        Action::Command(command)
    }

    #[test]
    fn secrets_are_put_in_where_the_playbook_says_and_nowhere_else() {
        let Action::Command(open) = reveal(&command(), &secrets()).unwrap().0 else { panic!() };
        assert_eq!(open.env["TOKEN"], "Bearer hunter2-0123456789");
        assert!(open.sealed.is_empty());

        let text = "a label may say [secret token], and it stays text";
        let call = Action::Http(HttpCall {
            server: None,
            method: "POST".into(),
            url: "http://a".into(),
            headers: BTreeMap::from([("A".into(), "x".into()), ("B".into(), text.into())]),
            body: Some(String::new()),
            json: Some(json!({ "a/b": ["", text] })),
            status: Vec::new(),
            sealed: Sealed {
                named: BTreeMap::from([("A".into(), pieces("token"))]),
                body: Some(pieces("quoted")),
                json: BTreeMap::from([("/a~1b/0".into(), pieces("quoted"))]),
            },
        });
        let Action::Http(open) = reveal(&call, &secrets()).unwrap().0 else { panic!() };
        assert_eq!(open.headers["A"], "Bearer hunter2-0123456789");
        assert_eq!(open.headers["B"], text);
        assert_eq!(open.body.as_deref(), Some("Bearer pass\"word\\1"));
        assert_eq!(open.json, Some(json!({ "a/b": ["Bearer pass\"word\\1", text] })));
    }

    #[test]
    fn a_secret_that_is_gone_is_named() {
        let error = reveal(&command(), &BTreeMap::new()).unwrap_err();
        assert_eq!(error, "there is no secret `token` under `secrets:` of quell.yml");
    }

    #[test]
    fn what_comes_back_holds_no_secret() {
        // the action takes one of them, and what comes back may hold any
        let all = reveal(&command(), &secrets()).unwrap().1;
        for (text, expected) in [
            ("token=hunter2-0123456789;", "token=[secret token];"),
            (r#"{"p":"pass\"word\\1"}"#, r#"{"p":"[secret quoted]"}"#),
            ("one line: MIIEpAIBAAKC.", "one line: [secret key]."),
            ("hunter2-0123", "[secret token]"),
            (
                "ends in hunter2-\n[7 bytes left out]\n3456789 begins",
                "ends in [secret token]\n[7 bytes left out]\n[secret token] begins",
            ),
            ("hunter", "[secret token]"),
            ("hunt", "hunt"),
            ("nothing [to see] here", "nothing [to see] here"),
        ] {
            assert_eq!(all.hide_cut(text.into()), expected, "{text}");
        }
        assert_eq!(Mask::default().hide_cut("hunter2-0123".into()), "hunter2-0123");
        let done = Outcome::Done {
            summary: "exit 0".into(),
            output: json!({ "hunter2-0123456789": ["x hunter2-0123456789"], "exit": 0 }),
        };
        let Outcome::Done { output, .. } = all.outcome(done) else { panic!() };
        assert_eq!(output, json!({ "[secret token]": ["x [secret token]"], "exit": 0 }));
        assert_eq!(format!("{all:?}"), "Mask { hidden: 8 }");
    }
}
