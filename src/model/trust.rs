//! How far rules are trusted: observe, approve, auto.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::playbook::Mode;

/// The last word on one rule, beside its files: it may do no more than this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// The rule's name: also when its text changed since.
    pub rule: String,
    /// The most that it may do.
    pub mode: Mode,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Who: quell itself lowers, only people raise.
    pub by: String,
}

/// The last word on each rule that there is one on, by name.
pub type Trusts = BTreeMap<String, Trust>;

/// On no rule.
pub static NONE: Trusts = BTreeMap::new();
