//! Which credentials a playbook uses, and which of them a refusal was about (G19).
//!
//! A credential goes by where it is configured: `targets.http.shop`, `targets.redis.cache`, `secrets.deploy-token`,
//! `prometheus`. What a playbook writes itself, such as a URL with a password, goes by the playbook: `playbooks.restart`.
//! Its value is never looked at here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use serde_json::Value;

use crate::decide::link;
use crate::decide::parameters::is_template;
use crate::decide::render::Escape;
use crate::decide::render::render;
use crate::model::config::Config;
use crate::model::config::Secret;
use crate::model::config::Targets;
use crate::model::playbook::Action;
use crate::model::playbook::Piece;
use crate::model::playbook::Playbook;
use crate::model::playbook::Probe;
use crate::model::playbook::Sealed;
use crate::model::playbook::What;
use crate::model::run::Outcome;

const HTTP: &str = "targets.http.";
const REDIS: &str = "targets.redis.";
const SECRETS: &str = "secrets.";
const PLAYBOOKS: &str = "playbooks.";
const PROMETHEUS: &str = "prometheus";

/// The credentials that any step of a playbook may use with these parameters, undos and `on_resolve` among them; in order.
/// A server whose name only a step before can say may be any server of its kind.
pub fn used(
    playbook: &Playbook,
    parameters: &BTreeMap<String, Value>,
    targets: &Targets,
) -> Vec<String> {
    let mut used = BTreeSet::new();
    let secret = playbook.parameters.iter().filter(|(_, parameter)| parameter.secret);
    let secret = secret.filter_map(|(name, _)| parameters.get(name)?.as_str());
    used.extend(secret.map(|name| format!("{SECRETS}{name}")));
    let context = Value::Object(parameters.clone().into_iter().collect());
    let mut server = |kind: &str, name: &str, all: &mut dyn Iterator<Item = &String>| {
        if !is_template(name) {
            used.insert(format!("{kind}{name}"));
            return;
        }
        match render(name, &context, Escape::None) {
            Ok(name) => drop(used.insert(format!("{kind}{name}"))),
            Err(_) => used.extend(all.map(|name| format!("{kind}{name}"))),
        }
    };
    let mut own = false;
    let mut prometheus = false;
    for step in playbook.steps.iter().chain(&playbook.on_resolve) {
        let (action, probe) = match &step.what {
            What::Action(action) => (Some(action), None),
            What::Probe { probe, .. } => (None, Some(probe)),
            What::Wait(_) | What::Ask(_) => (None, None),
        };
        for action in action.into_iter().chain(&step.undo) {
            match action {
                Action::Http(call) => match &call.server {
                    Some(name) => server(HTTP, name, &mut targets.http.keys()),
                    None => own |= call.sealed.is_empty(),
                },
                Action::RedisFlush(flush) => {
                    server(REDIS, &flush.server, &mut targets.redis.keys());
                }
                Action::RedisDelete(delete) => {
                    server(REDIS, &delete.server, &mut targets.redis.keys());
                }
                Action::Command(_) => {}
            }
        }
        let between = step.each.as_ref().and_then(|each| each.between.as_ref());
        for probe in probe.into_iter().chain(between.map(|it| &it.probe)) {
            match probe {
                Probe::Promql { .. } => prometheus = true,
                Probe::Scrape { .. } | Probe::Http(_) => own = true,
                Probe::Tcp { .. } | Probe::Command(_) | Probe::Alert => {}
            }
        }
    }
    used.extend(own.then(|| format!("{PLAYBOOKS}{}", playbook.name)));
    used.extend(prometheus.then(|| PROMETHEUS.to_owned()));
    used.into_iter().collect()
}

/// Whether it takes parameters to say which credentials a playbook uses.
pub fn by_parameters(playbook: &Playbook) -> bool {
    let by_template = |action: &Action| match action {
        Action::Http(call) => call.server.as_deref().is_some_and(is_template),
        Action::RedisFlush(flush) => is_template(&flush.server),
        Action::RedisDelete(delete) => is_template(&delete.server),
        Action::Command(_) => false,
    };
    let steps = playbook.steps.iter().chain(&playbook.on_resolve);
    playbook.parameters.values().any(|parameter| parameter.secret)
        || steps.into_iter().any(|step| {
            let acts = matches!(&step.what, What::Action(action) if by_template(action));
            acts || step.undo.as_ref().is_some_and(by_template)
        })
}

/// What a call carries that may be refused: the secrets of the playbook, and the credential of its server.
fn carried(playbook: &str, action: &Action) -> Vec<String> {
    match action {
        Action::Command(command) => sealed(&command.sealed),
        Action::Http(call) => {
            let server = call.server.as_ref().map(|name| format!("{HTTP}{name}"));
            let mut names = sealed(&call.sealed);
            names.extend(server);
            if names.is_empty() {
                names.push(format!("{PLAYBOOKS}{playbook}"));
            }
            names
        }
        Action::RedisFlush(flush) => vec![format!("{REDIS}{}", flush.server)],
        Action::RedisDelete(delete) => vec![format!("{REDIS}{}", delete.server)],
    }
}

/// Secrets in the texts of an action, each once, in order.
fn sealed(sealed: &Sealed) -> Vec<String> {
    let texts = sealed.named.values().chain(&sealed.body).chain(sealed.json.values());
    let names = texts.flatten().filter_map(|piece| match piece {
        Piece::Secret(name) => Some(format!("{SECRETS}{name}")),
        Piece::Text(_) => None,
    });
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The outcome of an action, with the names of the credentials that were refused, if any were.
pub fn of_action(playbook: &str, action: Option<&Action>, outcome: Outcome) -> Outcome {
    let Outcome::Denied { reason, .. } = outcome else { return outcome };
    let mut credentials = action.map_or_else(Vec::new, |action| carried(playbook, action));
    if credentials.is_empty() {
        credentials.push(format!("{PLAYBOOKS}{playbook}"));
    }
    Outcome::Denied { credentials, reason }
}

/// The outcome of a probe step, with the name of the credential that was refused, if it was.
pub fn of_probe(playbook: &str, probe: &Probe, outcome: Outcome) -> Outcome {
    let Outcome::Denied { reason, .. } = outcome else { return outcome };
    let credential = match probe {
        Probe::Promql { .. } => PROMETHEUS.to_owned(),
        Probe::Scrape { .. }
        | Probe::Http(_)
        | Probe::Tcp { .. }
        | Probe::Command(_)
        | Probe::Alert => format!("{PLAYBOOKS}{playbook}"),
    };
    Outcome::Denied { credentials: vec![credential], reason }
}

/// What an undo that would call out with a refused credential comes to: it is not tried. `None` when nothing is against it.
pub fn withheld<'a>(
    playbook: &str,
    action: Option<&Action>,
    mut denied: impl Iterator<Item = &'a str>,
) -> Option<Outcome> {
    let carried = carried(playbook, action?);
    let credential = denied.find(|name| carried.iter().any(|it| it == name))?;
    let reason = format!(
        "not tried: credential {credential} was refused; when it works again, `quell credential clear {credential}`"
    );
    Some(Outcome::Failed { reason, retryable: false })
}

/// What tells that a credential was changed, without keeping it: a digest under the key that signs links, after a digest of that
/// key's own. `None` for what quell.yml does not hold.
pub fn mark(config: &Config, credential: &str, key: &[u8]) -> Option<String> {
    let material = material(config, credential)?;
    let digest = |of: &[u8]| {
        let mac = link::mac("credential\0", key).chain_update(of);
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    };
    Some(format!("{}.{}", digest(b""), digest(&material)))
}

/// Whether a credential is another than the one with the mark `then`. A mark under another key says nothing.
pub fn changed(then: &str, now: &str) -> bool {
    let same_key = then.split_once('.').zip(now.split_once('.')).is_some_and(|(a, b)| a.0 == b.0);
    same_key && then != now
}

/// Its parts in a fixed order, each ended by a byte that none of them holds.
fn material(config: &Config, credential: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut add = |text: &str| {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    };
    let mut endpoint = |url: &str, headers: &BTreeMap<String, Secret>| {
        add(url);
        for (name, value) in headers {
            add(name);
            add(value.reveal());
        }
    };
    if let Some(name) = credential.strip_prefix(HTTP) {
        let server = config.targets.http.get(name)?;
        endpoint(&server.url, &server.headers);
    } else if let Some(name) = credential.strip_prefix(REDIS) {
        endpoint(config.targets.redis.get(name)?.reveal(), &BTreeMap::new());
    } else if let Some(name) = credential.strip_prefix(SECRETS) {
        endpoint(config.secrets.get(name)?.reveal(), &BTreeMap::new());
    } else if credential == PROMETHEUS {
        let server = config.prometheus.as_ref()?;
        endpoint(&server.url, &server.headers);
    } else {
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
