//! What is done by a process or a request: `command`, `http`, and the secrets in them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use super::text::Template;

/// A process to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; each template becomes exactly one argument.
    pub argv: Vec<Template>,
    /// Fixed text for `/bin/sh -c`; holds no template. Either this or `argv`.
    pub shell: Option<String>,
    /// Environment; nothing is inherited but PATH, HOME, LANG and TZ.
    pub env: BTreeMap<String, Template>,
    /// Variables of `env` that hold secrets.
    #[serde(default, skip_serializing_if = "Sealed::is_empty")]
    pub sealed: Sealed,
    /// Working directory.
    pub directory: Option<Template>,
}

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// Name of an entry of `targets.http`, whose base URL and headers it uses.
    pub server: Option<Template>,
    /// GET, POST, PUT, PATCH, DELETE.
    pub method: String,
    /// Whole URL, or the path when `server` is given. Values are escaped when rendered.
    pub url: Template,
    /// Headers beside those of the server.
    pub headers: BTreeMap<String, Template>,
    /// Body, sent as it is.
    pub body: Option<Template>,
    /// Body as JSON; its texts are templates.
    pub json: Option<serde_json::Value>,
    /// Texts of `headers`, `body` and `json` that hold secrets.
    #[serde(default, skip_serializing_if = "Sealed::is_empty")]
    pub sealed: Sealed,
    /// Statuses that mean done; empty means any 2xx.
    pub status: Vec<u16>,
}

/// The texts of an action that hold secrets, by where they stand, beside the same texts as people may see them. It comes
/// from the playbook's own file, so no text of an alert can become a reference to a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Variables of `env`, or `headers`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, Vec<Piece>>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Vec<Piece>>,
    /// Texts inside `json`, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Vec<Piece>>,
}

impl Sealed {
    /// Whether the action holds no secret.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.body.is_none() && self.json.is_empty()
    }
}

/// A part of a text that holds secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// As it stands; a template in a playbook.
    Text(Template),
    /// A secret: in a playbook the parameter that names it, in an intent its name.
    Secret(String),
}
