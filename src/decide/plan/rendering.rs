//! Actions, probes and measures with every template rendered. Secrets stay names.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::action::HttpCall;
use crate::model::action::Piece;
use crate::model::action::Sealed;
use crate::model::playbook::Measure;
use crate::model::probe::HttpProbe;
use crate::model::probe::Probe;

/// An action with every template rendered.
pub fn render_action(action: &Action, context: &Value) -> Result<Action, String> {
    let plain = |text: &String| render(text, context, Escape::None);
    if let Action::Command(command) = action {
        return Ok(Action::Command(render_command(command, context)?));
    }
    if let Action::Http(call) = action {
        return Ok(Action::Http(HttpCall {
            server: call.server.as_ref().map(plain).transpose()?,
            url: render(&call.url, context, Escape::Url)?,
            headers: texts(&call.headers, &call.sealed, context)?,
            body: match (&call.body, &call.sealed.body) {
                (Some(_), Some(pieces)) => Some(shown(&render_pieces(pieces, context)?)),
                (body, _) => body.as_ref().map(plain).transpose()?,
            },
            json: match &call.json {
                Some(json) => Some(render_json(json, "", &call.sealed, context)?),
                None => None,
            },
            sealed: render_sealed(&call.sealed, context)?,
            ..call.clone()
        }));
    }
    let mut rendered = action.clone();
    for text in rendered.texts_mut() {
        *text = plain(text)?;
    }
    rendered.check()?;
    Ok(rendered)
}

/// A measure with every template rendered.
pub fn render_measure(measure: &Measure, context: &Value) -> Result<Measure, String> {
    Ok(match measure {
        Measure::Promql { query } => {
            Measure::Promql { query: render(query, context, Escape::Quoted)? }
        }
        Measure::Scrape { url, select } => Measure::Scrape {
            url: render(url, context, Escape::Url)?,
            select: render(select, context, Escape::Quoted)?,
        },
    })
}

/// A probe with every template rendered.
pub fn render_probe(probe: &Probe, context: &Value) -> Result<Probe, String> {
    Ok(match probe {
        Probe::Promql { query, healthy, min_sources } => Probe::Promql {
            min_sources: *min_sources,
            query: render(query, context, Escape::Quoted)?,
            healthy: healthy.clone(),
        },
        Probe::Scrape { url, select, healthy, min_sources } => Probe::Scrape {
            min_sources: *min_sources,
            url: render(url, context, Escape::Url)?,
            select: render(select, context, Escape::Quoted)?,
            healthy: healthy.clone(),
        },
        Probe::Http(http) => {
            let expected = |(path, value): (&String, &Value)| {
                Ok((path.clone(), render_json(value, "", &Sealed::default(), context)?))
            };
            Probe::Http(HttpProbe {
                url: render(&http.url, context, Escape::Url)?,
                json: http.json.iter().map(expected).collect::<Result<_, String>>()?,
                ..http.clone()
            })
        }
        Probe::Command(command) => Probe::Command(render_command(command, context)?),
        Probe::Tcp { .. }
        | Probe::Alert
        | Probe::Tls(_)
        | Probe::Postgres(_)
        | Probe::Redis(_)
        | Probe::KubernetesReady(_)
        | Probe::SystemdActive(_)
        | Probe::Ssh(_) => {
            let mut rendered = probe.clone();
            for text in rendered.texts_mut() {
                *text = render(text, context, Escape::None)?;
            }
            rendered
        }
    })
}

fn render_command(command: &Command, context: &Value) -> Result<Command, String> {
    let plain = |text: &String| render(text, context, Escape::None);
    Ok(Command {
        argv: command.argv.iter().map(plain).collect::<Result<_, _>>()?,
        shell: command.shell.clone(),
        env: texts(&command.env, &command.sealed, context)?,
        sealed: render_sealed(&command.sealed, context)?,
        directory: command.directory.as_ref().map(plain).transpose()?,
    })
}

/// Rendered, and with the name of a secret where its value will be.
fn texts(
    map: &BTreeMap<String, String>,
    sealed: &Sealed,
    context: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let render = |(name, text): (&String, &String)| {
        let text = match sealed.named.get(name) {
            Some(pieces) => shown(&render_pieces(pieces, context)?),
            None => render(text, context, Escape::None)?,
        };
        Ok((name.clone(), text))
    };
    map.iter().map(render).collect()
}

fn render_json(
    json: &Value,
    pointer: &str,
    sealed: &Sealed,
    context: &Value,
) -> Result<Value, String> {
    Ok(match json {
        Value::String(text) => Value::String(match sealed.json.get(pointer) {
            Some(pieces) => shown(&render_pieces(pieces, context)?),
            None => render(text, context, Escape::None)?,
        }),
        Value::Array(items) => {
            let inside = |(at, item): (usize, &Value)| {
                render_json(item, &format!("{pointer}/{at}"), sealed, context)
            };
            Value::Array(items.iter().enumerate().map(inside).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => {
            let inside = |(name, value): (&String, &Value)| {
                let pointer = member(pointer, name);
                Ok((name.clone(), render_json(value, &pointer, sealed, context)?))
            };
            Value::Object(map.iter().map(inside).collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
    })
}

/// A member of what a JSON pointer points to (RFC 6901).
pub fn member(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Texts rendered, and each parameter replaced by the name of the secret that it stands for.
fn render_pieces(pieces: &[Piece], context: &Value) -> Result<Vec<Piece>, String> {
    let render = |piece: &Piece| match piece {
        Piece::Text(text) => render(text, context, Escape::None).map(Piece::Text),
        Piece::Secret(parameter) => context
            .get(parameter)
            .and_then(Value::as_str)
            .map(|name| Piece::Secret(name.to_owned()))
            .ok_or_else(|| format!("parameter `{parameter}` names no secret")),
    };
    pieces.iter().map(render).collect()
}

fn render_sealed(sealed: &Sealed, context: &Value) -> Result<Sealed, String> {
    let all = |map: &BTreeMap<String, Vec<Piece>>| {
        let one = |(at, pieces): (&String, &Vec<Piece>)| {
            Ok((at.clone(), render_pieces(pieces, context)?))
        };
        map.iter().map(one).collect::<Result<BTreeMap<_, _>, String>>()
    };
    Ok(Sealed {
        named: all(&sealed.named)?,
        body: sealed.body.as_ref().map(|it| render_pieces(it, context)).transpose()?,
        json: all(&sealed.json)?,
    })
}

/// A text that holds secrets, as people may see it: `Bearer [secret deploy-token]`.
fn shown(pieces: &[Piece]) -> String {
    let show = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Secret(name) => format!("[secret {name}]"),
    };
    pieces.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_answer_must_hold_is_rendered() {
        let expected = json!({ "version": "{{ labels.version }}", "ok": true });
        let http = HttpProbe {
            url: "http://occ/version".into(),
            status: None,
            json: expected.as_object().unwrap().clone().into_iter().collect(),
            timeout: Duration::from_secs(1),
        };
        let context = json!({ "labels": { "version": "v1.3.0" } });
        let Probe::Http(http) = render_probe(&Probe::Http(http), &context).unwrap() else {
            panic!("another probe")
        };
        assert_eq!(json!(http.json), json!({ "version": "v1.3.0", "ok": true }));
    }
}
